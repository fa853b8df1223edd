"""The system-wide mode for tests: a daemon that serves a group, and members of it."""

import os

from admission.core.limits import Limits
from admission.service.access import Access
from admission.service.config import Config
from admission.service.peers import Peer
from tests.service.stage import Recorder, Stage

ANN, BEN = 2001, 2002
GROUP = 77
OPERATORS = frozenset({0, os.getuid()})
SHARED = Config(
    access=Access(GROUP),
    core_limits=Limits(user_share_pct=50, unshared=OPERATORS),
    connections_max=8,
)


def member(stage: Stage, uid: int) -> Recorder:
    """A new connection of a member of the group."""
    line = stage.connect()
    line.peer = Peer(line.peer.holder, uid, frozenset({GROUP}))
    return line
