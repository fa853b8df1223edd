"""Run as a program: becomes another one, with the limit of open files that there was before the
daemon raised its own. The usual limit is for programs that use `select`.

It imports next to nothing, as it starts without site-packages.
"""

import os
import resource
import sys

# As in the shell.
NOT_FOUND, NOT_EXECUTABLE = 127, 126


def become(soft: int, words: list[str]) -> int:
    """Does not return where that works; else the exit status."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        os.execvp(words[0], words)
    except FileNotFoundError:
        return NOT_FOUND
    except OSError:
        return NOT_EXECUTABLE


if __name__ == "__main__":
    sys.exit(become(int(sys.argv[1]), sys.argv[2:]))
