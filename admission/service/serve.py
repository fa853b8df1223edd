"""Starts the daemon: its folder, its lock, its journal, its socket; and ends it tidily."""

import fcntl
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import trio

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Holder
from admission.protocol import (
    AlreadyServed,
    BadConfiguration,
    NotPermitted,
    Unavailable,
    socket_path,
)
from admission.service.background import serve_in_background
from admission.service.config import Config, load
from admission.service.connections import accept_connections
from admission.service.daemon import Daemon
from admission.service.following import Following
from admission.service.history import history_path, state_folder
from admission.service.history.recorder import History
from admission.service.holders import identify
from admission.service.journal import Journal, boot_id
from admission.service.trees import Trees
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
    load_config()  # a mistake in it is to be told here, not in a log
    prepare_folder(path.parent)
    if detach:
        serve_in_background(path.with_suffix(".log"), partial(_serve_locked, path, load_config))
    else:
        _serve_locked(path, load_config, lambda: None)
    return 0


def _found_from_anywhere(given_config: str | None) -> str | None:
    """The configuration file, where one is named: a daemon in the background leaves its folder,
    and reads the file again when it is told to.
    """
    named = given_config or os.environ.get("ADMISSION_CONFIG")
    return os.path.abspath(named) if named else None


def _serve_locked(
    path: Path, load_config: Callable[[], Config], say_ready: Callable[[], None]
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
        with listening(path) as listener:
            trio.run(_serve, listener, path, journal, records, load_config, say_ready)


def _log_to_stderr() -> None:
    level = os.environ.get("ADMISSION_LOG", "info").upper()
    known = level if level in logging.getLevelNamesMapping() else "INFO"
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=known, format=form)


def prepare_folder(folder: Path) -> None:
    """Makes the socket's folder, or checks that it is this user's alone.

    Raises:
        NotPermitted: it can't be made, is a link, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as problem:
        raise NotPermitted(
            f"the folder {folder} can't be used: {problem.strerror}; choose another with --socket"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise NotPermitted(f"{folder} is a link or no folder; choose another with --socket")
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise NotPermitted(
            f"{folder} is open to other users; make it yours alone (chmod 700), "
            "or choose another folder with --socket"
        )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds the lock beside the socket: one daemon per socket, with no guessing from the file.

    Raises:
        AlreadyServed: another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(path.with_suffix(".lock"), flags, 0o600)
    except OSError as problem:
        name = path.with_suffix(".lock")
        raise NotPermitted(f"the lock {name} can't be opened: {problem.strerror}") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            message = f"a daemon serves {path} already (process {who}); it is left alone"
            raise AlreadyServed(message) from None
        with suppress(OSError):  # a full disk: the number is for people only
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket at this path that only this user can connect to. Whoever calls holds the lock, so
    one that lies there is nobody's.

    Raises:
        NotPermitted: none can be made, or what lies there is no socket and may be dear to somebody.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock:
        # By umask, so that there is no moment at which others could connect.
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError as problem:
            raise NotPermitted(f"no socket can be made at {path}: {problem.strerror}") from None
        finally:
            os.umask(before)
        sock.setblocking(False)
        yield sock
        with suppress(FileNotFoundError):
            path.unlink()


def _remove_stale(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise NotPermitted(f"{path} is no socket; remove it, or choose another with --socket")
        path.unlink()


async def _serve(
    listener: socket.socket,
    path: Path,
    journal: Journal,
    records: list[ev.Record],
    load_config: Callable[[], Config],
    say_ready: Callable[[], None],
) -> None:
    config = load_config()
    core = Admission(config.pools, Governor(throttle=config.throttle), config.core_limits)
    daemon = Daemon(
        core,
        journal,
        config,
        history=History(history_path(), journal.boot),
        workspaces=Workspaces(config.workspaces, state_folder() / "workspaces.json"),
        load_config=load_config,
        socket=str(path),
        following=Following(Trees(path)),
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
    return frozenset(holder for holder in holders if identify(holder.pid) == holder)


def _farewell(core: Admission) -> str:
    ledger = core.ledger
    return (
        f"ending; {ledger.granted} granted, {ledger.ended} ended, {ledger.held} held "
        "and kept in the journal"
    )
