"""Mean and median of one value at least. `statistics` has them too; the daemon would import it for
these alone.
"""

from collections.abc import Iterable


def mean(values: Iterable[float]) -> float:
    """Their sum by their number."""
    found = list(values)
    return sum(found) / len(found)


def median(values: Iterable[float]) -> float:
    """The middle one; of an even number the mean of the two."""
    found = sorted(values)
    half = len(found) // 2
    return (found[half] + found[~half]) / 2
