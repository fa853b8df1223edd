"""How often a question is asked: never so often that answering is a load."""

from collections import deque
from dataclasses import dataclass, field

EVER = float("-inf")
# An answer comes late where others keep the machine busy, and costs the daemon no more for it: the
# shortest of so many tells what it costs.
REMEMBERED = 8


@dataclass(slots=True)
class Pace:
    """After an answer it is not asked again for `times` what that takes, at least `least_s` and at
    most `most_s`, in seconds; and without a cause not before `most_s`.

    Attributes:
        soonest_at: when it may be asked again, where there is a cause.
        due_at: when it is to be asked again.
    """

    times: float
    least_s: float
    most_s: float
    soonest_at: float = EVER
    due_at: float = EVER
    _asked_at: float = EVER
    _has_cause: bool = False
    _took_s: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def ask(self, now: float) -> None:
        """It is asked now; a cause from now on is one to ask again."""
        self._asked_at, self._has_cause = now, False

    def note(self, now: float) -> None:
        """It is answered now."""
        self._took_s.append(now - self._asked_at)
        pause_s = self.times * min(self._took_s)
        self.soonest_at = now + min(max(pause_s, self.least_s), self.most_s)
        self.due_at = self.soonest_at if self._has_cause else now + self.most_s

    def hurry(self) -> None:
        """There is a cause to ask again."""
        self._has_cause = True
        self.due_at = min(self.due_at, self.soonest_at)

    def begin(self) -> None:
        """It is to be asked at once, whatever it took before."""
        self.soonest_at = EVER
        self.hurry()
