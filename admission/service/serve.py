"""Starts the daemon in its place, with its journal, and ends it tidily."""

import logging
import os
import signal
import socket
import sys
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
from admission.service.background import serve_in_background
from admission.service.config import Config, load
from admission.service.connections import accept_connections
from admission.service.daemon import Daemon
from admission.service.descriptors import make_room
from admission.service.history import history_path, state_folder
from admission.service.history.recorder import History
from admission.service.holders import is_living
from admission.service.journal import Journal, boot_id
from admission.service.place import listening, lock, prepare_folder
from admission.service.workspaces import Workspaces

BACKLOG = 1024

log = logging.getLogger(__name__)


def run(
    given_socket: str | None = None, given_config: str | None = None, *, detach: bool = False
) -> int:
    """Serves until SIGTERM or SIGINT; leases stay in the journal.

    Args:
        given_socket: where to listen; without it, the usual place.
        given_config: the configuration file; likewise.
        detach: serve in the background; return as soon as the socket answers.

    Raises:
        AdmissionError: the configuration, the folder or the lock does not allow it.
    """
    path = Path(socket_path(given_socket))
    load_config = partial(load, _found_from_anywhere(given_config))
    gid = load_config().access.gid  # a mistake in it is to be told here, not in a log
    prepare_folder(path.parent, gid)
    serve = partial(_serve_locked, path, gid, load_config)
    if detach:
        serve_in_background(path.with_suffix(".log"), serve)
    else:
        serve(lambda: None)
    return 0


def _found_from_anywhere(given_config: str | None) -> str | None:
    """The configuration file, where one is named: a daemon in the background leaves its folder,
    and reads the file again when it is told to.
    """
    named = given_config or os.environ.get("ADMISSION_CONFIG")
    return os.path.abspath(named) if named else None


def _serve_locked(
    path: Path, gid: int | None, load_config: Callable[[], Config], say_ready: Callable[[], None]
) -> None:
    _log_to_stderr()
    with lock(path):
        journal = Journal(path.with_suffix(".journal"), boot_id())
        try:
            records = journal.read()
        except OSError as problem:
            raise Unavailable(
                f"the journal {journal.path} can't be read ({problem}), and without it leases "
                "that are out would be granted twice; repair or remove it",
                "journal_unavailable",
            ) from None
        with listening(path, gid) as listener:
            trio.run(_serve, listener, path, journal, records, load_config, say_ready)


def _log_to_stderr() -> None:
    level = os.environ.get("ADMISSION_LOG", "info").upper()
    known = level if level in logging.getLevelNamesMapping() else "INFO"
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=known, format=form)


async def _serve(
    listener: socket.socket,
    path: Path,
    journal: Journal,
    records: list[ev.Record],
    load_config: Callable[[], Config],
    say_ready: Callable[[], None],
) -> None:
    config = load_config()
    make_room(config.connections_max)
    core = Admission(config.pools, Governor(throttle=config.throttle), config.core_limits)
    daemon = Daemon(
        core,
        journal,
        config,
        history=History(history_path(), journal.boot),
        workspaces=Workspaces(config.workspaces, state_folder() / "workspaces.json"),
        load_config=load_config,
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run, records, _living(records))
            listener.listen(BACKLOG)
            log.info("serving %s (process %d)", path, os.getpid())
            say_ready()
            nursery.start_soon(accept_connections, listener, daemon)
            async for number in signals:
                if number == signal.SIGHUP:
                    with suppress(BadConfiguration):  # said in the log and by `status`
                        daemon.reload()
                    continue
                daemon.stop()
                log.info("%s: %s", signal.Signals(number).name, _farewell(core))
                nursery.cancel_scope.cancel()
    journal.close()


def _living(records: list[ev.Record]) -> frozenset[Holder]:
    """Who of those that the journal names is still the same living process."""
    claims = [record.lease.claim for record in records if isinstance(record, ev.Granted)]
    claims += [record.waiter.claim for record in records if isinstance(record, ev.Queued)]
    holders = {claim.holder for claim in claims}
    return frozenset(holder for holder in holders if is_living(holder))


def _farewell(core: Admission) -> str:
    ledger = core.ledger
    return (
        f"ending; {ledger.granted} granted, {ledger.ended} ended, {ledger.held} held "
        "and kept in the journal"
    )
