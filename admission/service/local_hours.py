"""Hours as the wall clock of the place counts them: what the core's profiles are told."""

import time

# 1970 began on a Thursday; hours are counted from the Monday before.
MONDAY_S = 3 * 86_400


def local_hours(at: float) -> float:
    """Hours since a Monday at 0:00, in the time zone of the machine.

    An hour that summer time skips is never there, and one that it repeats is there twice.

    Args:
        at: seconds since 1970 in UTC.
    """
    return (at + time.localtime(at).tm_gmtoff + MONDAY_S) / 3600


def local_hours_now() -> float:
    """Those of this instant."""
    return local_hours(time.time())
