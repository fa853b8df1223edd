"""The tokens of a jobserver, counted. Nothing here reads or writes any."""


def units_at(units: int, max_concurrent: int, at_rest: int) -> int:
    """How many of so many units a throttle level leaves to work with; at least one.

    Args:
        units: of the lease.
        max_concurrent: of the level.
        at_rest: `max_concurrent` of level 0.
    """
    if at_rest < 1:
        return units
    return max(1, min(units, units * max_concurrent // at_rest))


class Tokens:
    """So many tokens, each of which is either issued (with a job, or in the pipe for the next one)
    or held back. One is never in the pipe: the command that was given the jobserver has it, as the
    protocol wants. To begin with it is the only one that is issued.

    `to_give` and `to_take` say what is to be done; `given` and `taken`, what was.
    """

    __slots__ = ("allowed", "held", "total")

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError(f"a jobserver has at least one token, not {total}")
        self.total = total
        self.allowed = total
        self.held = total - 1

    @property
    def issued(self) -> int:
        """Those that are with jobs, or in the pipe."""
        return self.total - self.held

    def allow(self, units: int) -> None:
        """So many may be issued from now on: at least one, and never more than there are."""
        self.allowed = max(1, min(units, self.total))

    @property
    def to_give(self) -> int:
        """How many to put into the pipe."""
        return max(0, self.allowed - self.issued)

    @property
    def to_take(self) -> int:
        """How many to take out of the pipe, as they come free."""
        return max(0, self.issued - self.allowed)

    def given(self, count: int) -> None:
        """So many were put into the pipe."""
        if not 0 <= count <= self.to_give:
            raise ValueError(f"{count} tokens given, where {self.to_give} were to be")
        self.held -= count

    def taken(self, count: int) -> None:
        """So many were taken out of it."""
        if not 0 <= count <= self.to_take:
            raise ValueError(f"{count} tokens taken, where {self.to_take} were to be")
        self.held += count
