"""Pressure stall information (Linux): how much of the time tasks waited for what they need.

The kernel's own averages lag by ten seconds and more, so its `total` is differenced instead. Load
averages need 45 s to show what this shows within one, and CPU percent can't tell two runnable
tasks from twenty.

Source: Documentation/accounting/psi.rst in the kernel's tree.
"""

import errno
from collections.abc import Callable

from admission.service.sensors.cgroup import UNIFIED, Groups
from admission.service.sensors.source import Nonsense, Share, count_in, text_of

# A total is summed up over CPUs that are read one after the other: over a short while it may grow
# by a little more than time itself.
AT_MOST_PCT = 200.0
# Of `cpu` only `some` is defined for a whole system. Of the others `some` is also what any program
# that reads a file meets; `full` is when nothing useful went on.
LINES = {"cpu": "some", "memory": "full", "io": "full"}


def parse_pressure(text: str) -> dict[str, int]:
    """The totals in microseconds, by `some` and `full`."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, *rest = line.split()
        total = next((word for word in rest if word.startswith("total=")), None)
        if total is not None:
            found[name] = count_in(total.removeprefix("total="))
    return found


class Stalls:
    """The system's stalls and those of the daemon's own control group, whichever is worse."""

    def __init__(self, proc: str, groups: Groups, clock: Callable[[], float]) -> None:
        self._folder = f"{proc}/pressure"
        self._groups = groups
        self._clock = clock
        self._shares: dict[str, Share] = {}

    def pct(self, resource: str) -> float | None:
        """Percent of the time since the last reading, of one of `LINES`.

        None at the first reading, and where the kernel does not keep it.
        """
        paths = [f"{self._folder}/{resource}"]
        if own := self._groups.folders(UNIFIED):
            paths.append(f"{own[0]}/{resource}.pressure")
        found = [self._share_pct(path, LINES[resource]) for path in paths]
        return max((pct for pct in found if pct is not None), default=None)

    def _share_pct(self, path: str, line: str) -> float | None:
        try:
            totals = parse_pressure(text_of(path))
        except FileNotFoundError:
            return None
        except OSError as problem:
            # Switched off, at boot or for this group; or the group has just been removed.
            if problem.errno in (errno.EOPNOTSUPP, errno.ENODEV):
                return None
            raise
        if line not in totals:
            raise Nonsense(f"{path} has no line {line!r}")
        share = self._shares.setdefault(path, Share(AT_MOST_PCT))
        return share.pct(totals[line] / 1e6, self._clock())
