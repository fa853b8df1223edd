"""How often a question is asked: never so often that answering is a load."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """After an answer it is not asked again for `times` what that took, at least `least_s` and at
    most `most_s`, in seconds; and without a cause not before `most_s`.

    Attributes:
        soonest_at: when it may be asked again, where there is a cause.
        due_at: when it is to be asked again.
    """

    times: float
    least_s: float
    most_s: float
    soonest_at: float = float("-inf")
    due_at: float = float("-inf")

    def note(self, begun_at: float, now: float) -> None:
        """It was asked at `begun_at`, and answered now."""
        pause_s = min(max(self.times * (now - begun_at), self.least_s), self.most_s)
        self.soonest_at, self.due_at = now + pause_s, now + self.most_s

    def hurry(self) -> None:
        """There is a cause to ask again."""
        self.due_at = min(self.due_at, self.soonest_at)
