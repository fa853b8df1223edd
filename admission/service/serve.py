"""Starts the daemon in its place, with its journal, and ends it tidily."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Holder
from admission.protocol import BadConfiguration, Unavailable, socket_path
from admission.service import signals
from admission.service.background import serve_in_background
from admission.service.config import Config, load
from admission.service.connections import accept_connections
from admission.service.daemon import Daemon
from admission.service.following import Following
from admission.service.history import history_path, state_folder
from admission.service.history.recorder import History
from admission.service.holders import is_living
from admission.service.journal import Journal, boot_id
from admission.service.logs import log_to_stderr
from admission.service.place import Place, already_served, listening, lock
from admission.service.systemd import Notifier, path_of, take_socket
from admission.service.takeover import take_over
from admission.service.trees import Trees
from admission.service.workspaces import Workspaces

BACKLOG = 1024
SUMMARY_INTERVAL_S = 5.0

log = logging.getLogger(__name__)


def run(
    given_socket: str | None = None,
    given_config: str | None = None,
    *,
    detach: bool = False,
    replace: bool = False,
    log_format: str | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; leases stay in the journal.

    Args:
        given_socket: where to listen; without it, where systemd does, or the usual place.
        given_config: the configuration file; likewise.
        detach: serve in the background; return as soon as the socket answers.
        replace: end the daemon that serves there, if any, once all is ready that can fail, and go
            on in its place.
        log_format: "text" or "json"; without it, what the environment says.

    Raises:
        AdmissionError: the configuration, the folder or the lock does not allow it.
    """
    log_to_stderr(log_format)
    handed = take_socket()
    notifier = Notifier()
    load_config = partial(load, _found_from_anywhere(given_config))
    gid = load_config().access.gid  # a mistake in it is to be told here, not in a log
    place = _place(given_socket, handed, gid)
    place.prepare()
    if replace:
        _read(Journal(place.journal, boot_id()))  # it is still the other's; whether it can be read
    make_way = partial(take_over, is_handed=handed is not None) if replace else already_served
    serve = partial(_serve_locked, place, make_way, load_config, notifier)
    if detach:
        serve_in_background(place.log, serve)
    else:
        serve(lambda: None)
    return 0


def _place(given_socket: str | None, handed: socket.socket | None, gid: int | None) -> Place:
    """Where to serve, and for which group besides this user."""
    if handed is None:
        return Place(Path(socket_path(given_socket)), gid)
    path = path_of(handed)
    if given_socket is not None and Path(socket_path(given_socket)) != path:
        log.warning("systemd hands over %s, so that --socket %s is not used", path, given_socket)
    return Place(path, gid, handed)


def _found_from_anywhere(given_config: str | None) -> str | None:
    """The configuration file, where one is named: a daemon in the background leaves its folder,
    and reads the file again when it is told to.
    """
    named = given_config or os.environ.get("ADMISSION_CONFIG")
    return os.path.abspath(named) if named else None


def _serve_locked(
    place: Place,
    make_way: Callable[[Path], int],
    load_config: Callable[[], Config],
    notifier: Notifier,
    say_ready: Callable[[], None],
) -> None:
    with signals.held(), lock(place.path, make_way):
        journal = Journal(place.journal, boot_id())
        records = _read(journal)
        with listening(place.path, place.gid, place.handed) as listener:
            trio.run(_serve, listener, place, journal, records, load_config, notifier, say_ready)
        signals.forget()  # asked twice to end


def _read(journal: Journal) -> list[ev.Record]:
    try:
        records = journal.read()
    except OSError as problem:
        raise Unavailable(
            f"the journal {journal.path} can't be read ({problem}), and without it leases "
            "that are out would be granted twice; repair or remove it",
            "journal_unavailable",
        ) from None
    if journal.lost:
        log.warning(
            "%d records of the journal %s were damaged beyond repair", journal.lost, journal.path
        )
    return records


async def _serve(
    listener: socket.socket,
    place: Place,
    journal: Journal,
    records: list[ev.Record],
    load_config: Callable[[], Config],
    notifier: Notifier,
    say_ready: Callable[[], None],
) -> None:
    config = load_config()
    governor = Governor(throttle=config.throttle)
    core = Admission(config.pools, governor, config.core_limits, config.ageing)
    daemon = Daemon(
        core,
        journal,
        config,
        history=History(history_path(), journal.boot),
        workspaces=Workspaces(config.workspaces, state_folder() / "workspaces.json"),
        load_config=load_config,
        socket=str(place.path),
        following=Following(Trees(place.path)),
    )
    if config.fleet.endpoints:
        _join_fleet(daemon, place, config)
    with trio.open_signal_receiver(*signals.SIGNALS) as received, signals.let_through():
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run, records, _living(records))
            if place.handed is None:  # else it listens, and the kernel names systemd as who does
                listener.listen(BACKLOG)
            log.info("serving %s (process %d)", place.path, os.getpid())
            say_ready()
            nursery.start_soon(accept_connections, listener, daemon)
            await notifier.ready(_summary(core))
            if notifier:
                nursery.start_soon(_keep_telling, notifier, core)
            async for number in received:
                if number == signal.SIGHUP:
                    await _reload(daemon, notifier)
                    continue
                daemon.stop()
                log.info("%s: %s", signal.Signals(number).name, _farewell(core))
                await notifier.stopping(_farewell(core))
                nursery.cancel_scope.cancel()
    journal.close()


def _join_fleet(daemon: Daemon, place: Place, config: Config) -> None:
    """The daemon is one of several from its start on.

    Raises:
        BadConfiguration: what that takes is not installed.
    """
    try:
        from admission.service.fleet.fleet import Fleet  # late: who is alone needs none of it
    except ModuleNotFoundError as problem:
        raise BadConfiguration(
            f"[fleet] needs {problem.name}, which is not installed: pip install 'admission[fleet]'"
        ) from None
    daemon.fleet = Fleet(
        config.fleet, daemon.core, daemon.clock, daemon.feed, daemon.tell_holder, place.fleet
    )


async def _reload(daemon: Daemon, notifier: Notifier) -> None:
    await notifier.reloading()
    with suppress(BadConfiguration):  # said in the log and by `status`
        daemon.reload()
    await notifier.ready(_summary(daemon.core))


async def _keep_telling(notifier: Notifier, core: Admission) -> None:
    """How it is, for `systemctl status`. Only people read it, so now and then is often enough."""
    told = _summary(core)
    while True:
        await trio.sleep(SUMMARY_INTERVAL_S)
        if (now := _summary(core)) != told:
            told = now
            await notifier.tell(f"STATUS={told}")


def _summary(core: Admission) -> str:
    agents = core.pools.get("agents")
    run, waiting = (agents.in_use, len(agents.waiters)) if agents else (0, 0)
    return f"{run} agents at level {core.level.level}" + (f", {waiting} wait" if waiting else "")


def _living(records: list[ev.Record]) -> frozenset[Holder]:
    """Who of those that the journal names is still the same living process."""
    holders: set[Holder] = set()
    for record in records:
        match record:
            case ev.Granted(lease):
                holders |= {lease.claim.holder, *lease.tree}
            case ev.Followed(left=left):
                holders |= {*left}
            case ev.Queued(waiter):
                holders.add(waiter.claim.holder)
            case _:
                pass
    return frozenset(holder for holder in holders if is_living(holder))


def _farewell(core: Admission) -> str:
    ledger = core.ledger
    return (
        f"ending; {ledger.granted} granted, {ledger.ended} ended, {ledger.held} held "
        "and kept in the journal"
    )
