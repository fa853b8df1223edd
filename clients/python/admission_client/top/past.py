"""What the machine said before anybody looked, from the history that the daemon keeps."""

import time

from admission.protocol import AdmissionError
from admission_client.top.readings import STALLS, WINDOW_S, Reading


def readings_of_the_past() -> list[Reading]:
    """The last minutes, oldest first, by the monotonic clock; nothing where there is no history
    that this user may read.
    """
    # Late, and from the service: the file is what both know of it.
    from admission.service.history import history_path
    from admission.service.history.reading import read_samples

    now, monotonic = time.time(), time.monotonic()
    try:
        found = list(read_samples(history_path(), now - WINDOW_S))
    except (AdmissionError, OSError):
        return []
    return [
        Reading(
            monotonic - (now - one.at),
            one.sample.memory_used_pct,
            one.sample.cpu_used_pct,
            *(getattr(one.sample, name) for name in STALLS),
        )
        for one in found
        if one.at <= now
    ]
