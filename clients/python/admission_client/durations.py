"""Durations as people write them, and as people read them."""

import time

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION_MAX_S = 1e9
DAY_S = 86_400


def parse_duration(written: str) -> float:
    """Seconds from `500ms`, `30s`, `10m`, `2h`, `1d` or plain seconds.

    Raises:
        ValueError: it is none of these, negative, or longer than 30 years.
    """
    digits = written.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit_s = _UNITS_S.get(written[len(digits) :] or "s")
    try:
        seconds = float(digits) * unit_s if unit_s else -1.0
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= DURATION_MAX_S:
        return seconds
    raise ValueError(f'"{written}" is no duration; write 500ms, 30s, 10m, 2h, or plain seconds')


def parse_when(written: str) -> float:
    """In how many seconds: `10m`, or the next time that the clock on the wall says `14:00`.

    Raises:
        ValueError: it is neither.
    """
    if ":" not in written:
        return parse_duration(written)
    hour, _, minute = written.partition(":")  # `strptime` takes as long to import as all of `run`
    is_time = all(part.isascii() and part.isdigit() and len(part) <= 2 for part in (hour, minute))
    if not is_time or int(hour) > 23 or int(minute) > 59:
        raise ValueError(f'"{written}" is no time of the day; write 14:00, or 10m for "in 10 min"')
    now = time.localtime()
    today_s = 3600 * now.tm_hour + 60 * now.tm_min + now.tm_sec
    return float((3600 * int(hour) + 60 * int(minute) - today_s) % DAY_S)


def said(seconds: float) -> str:
    """For a person: `0.4 s`, `38 s`, `5 min`, `3.2 h`, `4 d`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} d"
