"""How often a question is asked: never so often that answering is a load."""

from dataclasses import dataclass
from math import inf

EVER = -inf


@dataclass(slots=True)
class Pace:
    """After an answer it is not asked again for `times` what that cost, at least `least_s` and at
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

    def ask(self, now: float) -> None:
        """It is asked now; a cause from now on is one to ask again."""
        self._asked_at, self._has_cause = now, False

    def note(self, now: float, cost_s: float = inf) -> None:
        """It is answered now. That cost no more than it took, which on a busy machine is much more
        than it cost; `cost_s` is what it should have.
        """
        took_s = min(now - self._asked_at, cost_s)
        self.soonest_at = now + min(max(self.times * took_s, self.least_s), self.most_s)
        self.due_at = self.soonest_at if self._has_cause else now + self.most_s

    def hurry(self) -> None:
        """There is a cause to ask again."""
        self._has_cause = True
        self.due_at = min(self.due_at, self.soonest_at)

    def begin(self) -> None:
        """It is to be asked at once, whatever it took before."""
        self.soonest_at = EVER
        self.hurry()
