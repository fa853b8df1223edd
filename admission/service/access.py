"""Who may do what: the one table, and the one place that is asked.

The operator, root and the user that the daemon runs as, may all. Nobody else is let in, but in the
system-wide mode (`[access] group = "NAME"`): there the members of that group are. A member may
take leases for his own processes, ends and keeps what is his own user's, and may look; of another
user's lease or waiter he sees that it is there, and how large, and not what it is.
"""

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from admission.core.leases import Claim, Lease
from admission.protocol import BadConfiguration, Frame, NotPermitted
from admission.service import requests as rq
from admission.service.peers import Peer, groups_by_database

# The table. A request is in one of these, or the operator's alone: so is one that is added later
# and forgotten here.
MEMBERS = (
    rq.Hello,
    rq.AcquireRequest,  # for a process of his own user's: `dispatch` looks whose it is
    rq.CancelRequest,  # of his own user's requests: the core looks whose they are
    rq.LeasesRequest,
    rq.StatusRequest,
    rq.ExplainRequest,
    rq.MetricsRequest,
    rq.WatchRequest,
    rq.TasksRequest,  # his own user's: `tasks` looks whose they are
    rq.OrphansRequest,  # of his own user's processes: `survey` looks whose they are
)
MEMBERS_OF_THEIR_OWN = (
    rq.ReleaseRequest,
    rq.RenewRequest,
    rq.YieldRequest,
    rq.RegainRequest,
    rq.ResumeRequest,
)
# What a row about another user's lease or waiter says; every other field is left empty.
# fmt: off
SHOWN_OF_OTHERS = frozenset((
    "id", "ok", "event", "seq", "user", "lease", "fence", "ticket", "pool", "weight", "class",
    "state", "age_s", "held_s", "waited_ms", "waiting_s", "position", "of", "reason", "eta_s",
    "level", "name", "params", "shared", "kind", "waited_s",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Viewer:
    """What one who asks may see."""

    uid: int = 0
    sees_all: bool = True
    is_shared: bool = False

    def sees(self, claim: Claim) -> bool:
        """Whether he may know what this is, and not only that it is there."""
        return self.sees_all or claim.uid == self.uid

    def row(self, claim: Claim, row: Frame) -> Frame:
        """What is told of a lease or waiter: with its user, where there are several, and without
        what is not this one's to know.
        """
        if self.is_shared:
            row = {**row, "user": name_of(claim.uid)}
        if self.sees(claim):
            return row
        return {key: one if key in SHOWN_OF_OTHERS else type(one)() for key, one in row.items()}


OPERATOR = Viewer()


@dataclass(frozen=True, slots=True)
class Access:
    """See the module. `gid`: the group whose members are let in; None: there is none."""

    gid: int | None = None
    operators: frozenset[int] = frozenset((0, os.getuid()))

    def lets_in(self, peer: Peer) -> bool:
        """Whether this one may be here at all; to be asked before its first byte is read."""
        if peer.uid in self.operators:
            return True
        if self.gid is None:
            return False
        return self.gid in (groups_by_database(peer.uid) if peer.gids is None else peer.gids)

    def said_to_strangers(self) -> str:
        if self.gid is None:
            return "this daemon serves the user it runs as and no other"
        name = group_name(self.gid)
        return f'this daemon serves the members of the group "{name}" and nobody else; ask to join'

    def viewer(self, peer: Peer) -> Viewer:
        return Viewer(peer.uid, peer.uid in self.operators, self.gid is not None)

    def row(self, peer: Peer, claim: Claim, row: Frame) -> Frame:
        """What this peer is told of a lease or waiter; see `Viewer.row`."""
        return row if self.gid is None else self.viewer(peer).row(claim, row)

    def check(
        self, peer: Peer, request: rq.Request, find_lease: Callable[[int], Lease | None]
    ) -> None:
        """Returns where this peer may ask for this.

        Raises:
            NotPermitted: he may not; it says who may.
        """
        if peer.uid in self.operators or isinstance(request, MEMBERS) or _only_looks(request):
            return
        if not isinstance(request, MEMBERS_OF_THEIR_OWN):
            raise NotPermitted(f"{request.op}: only {self._who()} may do this; ask one of them")
        lease = find_lease(request.lease)
        if lease is not None and lease.claim.uid != peer.uid:
            raise NotPermitted(
                f"{request.op}: lease {request.lease} is of {name_of(lease.claim.uid)}; "
                f"only they and {self._who()} may do this"
            )

    def _who(self) -> str:
        """The operators, for a person."""
        return " and ".join(name_of(uid) for uid in sorted(self.operators))


def _only_looks(request: rq.Request) -> bool:
    return isinstance(request, rq.LevelRequest | rq.FleetRequest) and not request.is_change


@lru_cache(maxsize=1024)
def name_of(uid: int) -> str:
    """A user's name; his number where the system knows none. Asked once each: a directory on the
    network may take a while.
    """
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """A group's name; its number where the system knows none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def access_for(group: str | None, where: str) -> Access:
    """The access that the configuration asks for; `where` is for messages.

    Raises:
        BadConfiguration: there is no such group.
    """
    if group is None:
        return Access()
    try:
        return Access(grp.getgrnam(group).gr_gid)
    except (KeyError, ValueError):  # a NUL in it
        shown = "".join(char if char.isprintable() else "?" for char in group)
        raise BadConfiguration(
            f'{where}: group: there is no group "{shown}" on this machine; '
            "make it (groupadd), or leave it out for this user alone"
        ) from None
