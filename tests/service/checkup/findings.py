"""What the tests of all checks share."""

import os
from collections.abc import Iterator
from pathlib import Path

from admission import __version__
from admission.protocol import Frame
from admission.service.checkup.finding import Finding, State
from admission.service.checkup.scene import Contact, Scene
from tests.service.stage import is_one_short_line


def one(findings: Iterator[Finding]) -> Finding:
    """The one finding there is. Whatever it says fits a terminal, and is advice where it should."""
    (found,) = list(findings)
    for text in (found.says, found.advice):
        assert not text or is_one_short_line(text), text
    assert (found.state is State.OK) == (not found.advice)
    return found


def mended(found: Finding) -> str:
    """What its mend says that it did."""
    assert found.mend is not None
    return found.mend()


def served(path: Path, pid: int = 0, **status: object) -> Scene:
    """A daemon serves there, which is this very process if no other is given."""
    pid = pid or os.getpid()
    answer: Frame = {"pid": pid, "version": __version__, "degraded": [], "uptime_s": 5.0}
    return Scene(path, contact=Contact.SERVES, peer_pid=pid, status={**answer, **status})
