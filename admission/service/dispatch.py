"""From a request to an event for the core, or to an answer where nothing is to be decided."""

import os
import secrets
from collections.abc import Callable
from functools import partial

from admission import __version__
from admission.core import by_hand
from admission.core import events as ev
from admission.core.leases import UNSEEN, Bound, Caller, Claim, Class, Holder
from admission.protocol import (
    VERSION,
    AdmissionError,
    BadRequest,
    Frame,
    LeaseLost,
    NotPermitted,
    Unavailable,
    decode,
)
from admission.service import requests as rq
from admission.service.daemon import Daemon
from admission.service.explaining import explain_map
from admission.service.holders import ancestors, identify, numbers_below, owner_uid
from admission.service.tasks import Wish
from admission.service.telling import Line
from admission.service.views import Wanted, leases_map, level_event, level_map

SECRET_BYTES = 16
_RANKS = {one.name.lower(): one for one in Class}
_BOUNDS = {one.value: one for one in Bound}


def dispatch(daemon: Daemon, line: Line, body: bytes) -> None:
    """Handles what stands in one frame. A request with which something is wrong is answered, and
    changes nothing.

    Raises:
        BadFrame: it is no request at all.
    """
    found = rq.read(body)
    frame = {} if found else decode(body)
    message_id = 0
    try:
        if found:
            message_id, request = found
        else:
            message_id = rq.message_id(frame)
            request = rq.parse(frame)
        daemon.access.check(line.peer, request, daemon.core.ledger.lease)
        caller = Caller(line.number, message_id)
        event = _looked_up(daemon, line, caller, request)
        if event is not None:
            daemon.feed(event)
        elif isinstance(request, rq.WorkspaceRequest):
            answer = partial(_tell_workspace, line, message_id)
            daemon.workspaces.wish(request.path, answer, forget=request.forget)
        elif isinstance(request, rq.OrphansRequest):
            tell = partial(_tell_found, line, message_id)
            daemon.survey.wish(tuple(request.pids), line.peer.uid, tell)
        elif isinstance(request, rq.TasksRequest):
            tell = partial(_tell_found, line, message_id)
            viewer = daemon.access.viewer(line.peer)
            daemon.tasks.wish(Wish(viewer, request.task, request.since_s, tell))
        elif isinstance(request, rq.RecommendationsRequest):
            daemon.recommendations.wish(partial(_tell_found, line, message_id))
        elif isinstance(request, rq.FleetRequest):
            _ask_fleet(daemon, request, partial(_tell_found, line, message_id))
        else:
            line.send({"id": message_id, "ok": True, **_look(daemon, line, message_id, request)})
    except AdmissionError as error:
        daemon.counts.refused[error.code] += 1
        line.send(_refusal(message_id, error))


def _refusal(message_id: int, error: AdmissionError) -> Frame:
    return {"id": message_id, "ok": False, "error": {"code": error.code, "message": str(error)}}


def _tell_workspace(line: Line, message_id: int, error: AdmissionError | None) -> None:
    line.send({"id": message_id, "ok": True} if error is None else _refusal(message_id, error))


def _tell_found(line: Line, message_id: int, found: Frame | AdmissionError) -> None:
    if isinstance(found, AdmissionError):
        line.send(_refusal(message_id, found))
    else:
        line.send({"id": message_id, "ok": True, **found})


def _ask_fleet(
    daemon: Daemon, request: rq.FleetRequest, tell: Callable[[Frame | AdmissionError], None]
) -> None:
    if request.set is None:
        tell(daemon.fleet.told())
    elif not request.node:
        raise BadRequest('fleet: "set" needs "node", the one that it is for')
    else:
        daemon.fleet.order(request.node, request.set, tell)


def _looked_up(daemon: Daemon, line: Line, caller: Caller, request: rq.Request) -> ev.Event | None:
    """The event, for which a look at the process table may be needed.

    Raises:
        Unavailable: no descriptor is left for that look. It says nothing about the process.
    """
    try:
        return _event(daemon, line, caller, request)
    except OSError as problem:
        raise Unavailable(
            f"the machine has nothing left to look at a process with: {problem}; try again later",
            "too_many_connections",
        ) from None


def _event(daemon: Daemon, line: Line, caller: Caller, request: rq.Request) -> ev.Event | None:
    match request:
        case rq.AcquireRequest():
            return _acquire(line, caller, request)
        case rq.CancelRequest(request=by_request, target=target, ticket=ticket):
            if by_request is None and target is None and ticket is None:
                raise BadRequest(
                    'cancel: name what to cancel by "request", by "target" or by "ticket"'
                )
            uid = None if daemon.access.viewer(line.peer).sees_all else line.peer.uid
            return ev.Cancel(caller, by_request, target, uid, ticket)
        case rq.ReleaseRequest(lease=lease):
            return ev.Release(caller, lease, _above(daemon, line, lease))
        case rq.RenewRequest(lease=lease):
            return ev.Renew(caller, lease)
        case rq.YieldRequest(lease=lease):
            return ev.Yield(caller, lease)
        case rq.RegainRequest(lease=lease, wait_s=wait_s):
            return ev.Regain(caller, lease, wait_s)
        case rq.ResumeRequest(lease=lease, secret=secret):
            return ev.Resume(caller, lease, _secret(secret))
        case rq.LevelRequest() if request.is_change:
            level = None if request.auto else request.set or 0
            return ev.SetLevel(caller, level, request.for_s, is_off=request.off)
        case _:
            return _by_hand(line, caller, request)


def _by_hand(line: Line, caller: Caller, request: rq.Request) -> by_hand.ByHand | None:
    """What an operator wants of the queue."""
    match request:
        case rq.ReserveRequest(rank=rank, group=group):
            if rank is None and not group:
                raise BadRequest('reserve: say for whom: by "class", by "group", or by both')
            return by_hand.Reserve(
                caller,
                request.pool,
                request.units,
                request.for_s,
                None if rank is None else Class[rank.upper()],
                group,
                request.from_s,
                request.whole,
                line.peer.uid,
            )
        case rq.UnreserveRequest(reservation=number):
            return by_hand.Unreserve(caller, number)
        case rq.PauseRequest(pool=pool, for_s=for_s):
            return by_hand.Pause(caller, pool, for_s)
        case rq.UnpauseRequest(pool=pool):
            return by_hand.Unpause(caller, pool)
        case rq.MoveRequest(ticket=ticket, to=end):
            return by_hand.Move(caller, ticket, is_back=end == "back")
        case _:
            return None


def _secret(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadRequest("resume: the secret is an even number of hexadecimal digits") from None


def _acquire(line: Line, caller: Caller, request: rq.AcquireRequest) -> ev.Acquire:
    holder, uid = _holder(line, request.pid)
    bound = _BOUNDS[request.bound]
    if holder == UNSEEN and bound is not Bound.CONNECTION:
        raise NotPermitted(
            f"acquire: your process can't be seen from here, as it is in another PID namespace "
            f"(such as a container's), so no lease can end with it; bind it to the connection: "
            f'--hold connection, or bound="{Bound.CONNECTION}"'
        )
    if request.end_after_max and request.max_hold_s is None:
        raise BadRequest('acquire: "end_after_max" needs "max_hold_s", after which it is to end')
    if request.park_signal and not request.parkable:
        raise BadRequest('acquire: "park_signal" needs "parkable", without which nobody asks')
    claim = Claim(
        holder=holder,
        pool=request.pool,
        weight=request.weight,
        task=request.task,
        rank=_RANKS[request.rank],
        group=request.group,
        bound=bound,
        ttl_s=request.ttl_s,
        request=request.request,
        secret=secrets.token_bytes(SECRET_BYTES),
        uid=uid,
        max_hold_s=request.max_hold_s,
        end_after_max=request.end_after_max,
        parkable=request.parkable,
        park_signal=request.park_signal,
        interactive=request.interactive,
        agent=request.agent,
        workspace=request.workspace,
    )
    is_new = request.nested == "new"
    above = _enclosing(line, claim.holder, request)
    return ev.Acquire(
        caller,
        claim,
        request.wait_s,
        request.parent,
        above,
        is_new,
        request.by_s,
        request.resumes,
        request.defer,
    )


def _enclosing(line: Line, holder: Holder, request: rq.AcquireRequest) -> tuple[Holder, ...]:
    """Whose leases the asking process may run under: itself and those above; or only those above
    the holder, which may have others for other work of its own.
    """
    if request.parent is None and request.nested == "share":
        return ()
    line_up = ancestors(line.peer.holder.pid)
    if request.nested == "above" and holder in line_up:
        return line_up[line_up.index(holder) + 1 :]
    return line_up


def _holder(line: Line, pid: int | None) -> tuple[Holder, int]:
    """The process that the lease is for, and its user: the peer, or another of the same user's."""
    peer = line.peer
    below = () if pid is None or peer.holder == UNSEEN else numbers_below(peer.holder.pid)
    if pid is None or pid in (peer.holder.pid, *below[-1:]):
        return peer.holder, peer.uid
    if below or peer.holder == UNSEEN:
        raise NotPermitted(
            f"acquire: {pid} is a number of your PID namespace (such as a container's), which is "
            "not the daemon's, where it is another process or none; leave the pid out"
        )
    holder = identify(pid)
    if holder is None:
        raise LeaseLost(f"acquire: there is no process {pid}; give a running one", "holder_gone")
    owner = owner_uid(pid)
    if peer.uid not in (0, owner):
        raise NotPermitted(f"acquire: process {pid} is another user's; a lease is for your own")
    return holder, peer.uid if owner is None else owner


def _above(daemon: Daemon, line: Line, number: int) -> tuple[Holder, ...]:
    """Who asks, and who stands above: needed only where a lease is not this connection's own."""
    lease = daemon.core.ledger.lease(number)
    if lease is None or (lease.caller is not None and lease.caller.connection == line.number):
        return ()
    return ancestors(line.peer.holder.pid)


def _look(daemon: Daemon, line: Line, message_id: int, request: rq.Request) -> Frame:
    """The answer to a request that changes nothing."""
    viewer = daemon.access.viewer(line.peer)
    match request:
        case rq.Hello():
            return {"version": VERSION, "server": __version__, "pid": os.getpid()}
        case rq.LeasesRequest(pool=pool, task=task, pid=pid, after=[lease, place]):
            wanted = Wanted(pool, task, pid, (lease, place), viewer)
            now = daemon.clock()
            stopped_s = partial(daemon.stopped.for_s, now=now)
            memory_bytes = daemon.measuring.memory_bytes
            return leases_map(daemon.core, now, wanted, stopped_s, memory_bytes, daemon.fleet.dress)
        case rq.WatchRequest(topics=topics):
            first = level_event(daemon.core.level, daemon.core.governor.reasons)
            daemon.watchers.add(line, message_id, topics, first)
            return {}
        case rq.ExplainRequest():
            score = daemon.places.foretold.score()
            return explain_map(daemon.core, daemon.clock(), daemon.sensors.looks, viewer, score)
        case rq.MetricsRequest():
            return {"version": __version__, "pid": os.getpid(), **daemon.metrics()}
        case rq.ReloadRequest():
            daemon.reload()
            return {}
        case rq.LevelRequest():
            return level_map(daemon.core.level)
        case _:
            return {"version": __version__, "pid": os.getpid(), **daemon.status(viewer)}
