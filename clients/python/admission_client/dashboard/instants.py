"""Instants in the place of ages, the same ones at each look: else all would change with each."""

# Two looks reckon the same instant from two ages.
SAME_S = 1.0


def settled(instant: float, told: object) -> float:
    """The instant as it was told before, if it is still the same."""
    if isinstance(told, float) and abs(told - instant) < SAME_S:
        return told
    return round(instant, 1)


class Instants:
    """What was told by which name at the last look. Several things may have one name."""

    def __init__(self) -> None:
        self._told: dict[tuple[object, ...], list[float]] = {}
        self._now: dict[tuple[object, ...], list[float]] = {}

    def of(self, instant: float, *named: object) -> float:
        """This instant, as it was told by that name."""
        near = [told for told in self._told.get(named, ()) if abs(told - instant) < SAME_S]
        found = settled(instant, near[0] if near else None)
        self._now.setdefault(named, []).append(found)
        return found

    def turn(self) -> None:
        """A look is over: what was not named in it is forgotten."""
        self._told, self._now = self._now, {}
