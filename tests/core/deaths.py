"""When the daemon can be killed, and at which moments it matters; `tests.core.worlds` has them."""

from admission.core import events as ev

# Of these nothing is left when the daemon is killed next.
TRACELESS = (ev.Watch, ev.Unwatch, ev.FindTree, ev.Alarmed, ev.EndGently)


class Killed(Exception):
    """The daemon ends between two effects: those that were not carried out never happened."""


class Moments:
    """All at which it could have been killed, by their numbers from 0 on. `telling` are those at
    which there is more to be seen from outside than at the one before.
    """

    def __init__(self) -> None:
        self.telling: list[int] = []
        self._passed = 0
        self._is_telling = True

    def note(self, effect: ev.Effect) -> None:
        """It is about to be carried out."""
        self._is_telling |= not isinstance(effect, TRACELESS)

    def go_by(self) -> None:
        if self._is_telling:
            self.telling.append(self._passed)
            self._is_telling = False
        self._passed += 1
