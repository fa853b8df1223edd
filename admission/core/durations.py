"""Durations as people read them."""


def said(seconds: float) -> str:
    """For a sentence: `38 s`, `5 min`, `3.2 h`, `4 d`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} d"
