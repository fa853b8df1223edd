"""Socket, folder, lock and journal."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from admission.core import events as ev
from admission.protocol import SOCKET_PATH_BYTES_MAX, AdmissionError, BadConfiguration
from admission.service.checkup.finding import Finding, ok, problem, warning
from admission.service.checkup.scene import (
    Contact,
    Scene,
    is_locked,
    is_there,
    lock_held,
    pid_in_lock,
)
from admission.service.config import load
from admission.service.holders import identify, is_stopped
from admission.service.journal import Reading, boot_id, read

JOURNAL_BYTES_MANY = 64 << 20
FREE_BYTES_FEW = 1 << 20


def check_socket(scene: Scene) -> Iterator[Finding]:
    """Its path, and who answers there."""
    if scene.path is None:
        yield problem("socket", scene.why_no_path, "set ADMISSION_SOCKET to a shorter path")
        return
    path, who = scene.path, f"process {scene.peer_pid}"
    match scene.contact:
        case Contact.SERVES:
            yield _served(scene, path)
        case Contact.NOBODY:
            yield _unserved(scene, path)
        case Contact.DENIED:
            yield problem(
                "socket",
                f"{path} may not be connected to: {scene.said}",
                "ask as the user whose daemon it is, or choose your own with ADMISSION_SOCKET",
            )
        case Contact.SILENT:
            yield _silent(scene, path)
        case Contact.STRANGER:
            yield problem(
                "socket",
                f"what answers at {path} ({who}) is no admission daemon: {scene.said}",
                "choose another socket with ADMISSION_SOCKET or --socket",
            )
        case Contact.REFUSED:
            yield problem("socket", f"the daemon at {path} refuses: {scene.said}", "do as it says")


def _served(scene: Scene, path: Path) -> Finding:
    length = len(os.fsencode(path))
    about = f"process {scene.daemon_pid} serves {path}"
    mode = stat.S_IMODE(path.lstat().st_mode)
    if mode & 0o002:
        advice = f'make it yours alone: "chmod 600 {path}"'
        return warning("socket", f"everybody may connect to {path} (mode {mode:o})", advice)
    return ok("socket", f"{about} ({length} of {SOCKET_PATH_BYTES_MAX} bytes long)")


def _unserved(scene: Scene, path: Path) -> Finding:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if scene.environ.get("ADMISSION_AUTOSTART") == "0":
            return warning(
                "socket",
                f"no daemon runs at {path}, and ADMISSION_AUTOSTART=0 forbids to start one",
                'start it with "admission serve --detach"',
            )
        return ok("socket", f"no daemon runs at {path}; the first command that needs one starts it")
    if not stat.S_ISSOCK(mode):
        advice = "remove it, or choose another with ADMISSION_SOCKET"
        return problem("socket", f"{path} is no socket", advice)
    if is_locked(path):
        return problem(
            "socket",
            f"nobody listens at {path}, although process {pid_in_lock(path)} holds its lock",
            "it may be starting or ending; look again in a moment, then at its log",
        )
    return warning(
        "socket",
        f"{path} is left over from a daemon that was killed; nobody listens there",
        'nothing has to be done: the next daemon replaces it; "admission doctor --fix" removes it',
        partial(_remove_socket, path),
    )


def _remove_socket(path: Path) -> str:
    with lock_held(path) as is_ours:
        if not is_ours or not stat.S_ISSOCK(path.lstat().st_mode):
            raise AdmissionError(f"{path} is a daemon's by now, and stays")
        path.unlink()
    return f"removed the socket {path}, at which nobody listened"


def _silent(scene: Scene, path: Path) -> Finding:
    pid = scene.peer_pid
    holder = identify(pid)
    if holder is not None and is_stopped(holder):
        advice = f'resume it with "kill -CONT {pid}"'
        return problem("socket", f"the daemon at {path} (process {pid}) is stopped", advice)
    return problem(
        "socket",
        f"whoever listens at {path} (process {pid}) has not answered within a second",
        "look again; if it stays so, see its log and replace it with "
        '"admission serve --replace", which keeps all leases',
    )


def check_folder(scene: Scene) -> Iterator[Finding]:
    """Whose it is, and who else may enter it."""
    if scene.path is None:
        return
    folder = scene.path.parent
    try:
        found = folder.lstat()
    except FileNotFoundError:
        yield ok("folder", f"{folder} is not there yet; the daemon makes it")
        return
    elsewhere = "choose another with ADMISSION_SOCKET or --socket"
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        yield problem("folder", f"{folder} is a link, which no daemon follows", elsewhere)
    elif not stat.S_ISDIR(found.st_mode):
        yield problem("folder", f"{folder} is no folder", elsewhere)
    elif found.st_uid != os.getuid() and scene.is_served:
        yield ok("folder", f"{folder} is user {found.st_uid}'s, who lets you in")
    elif found.st_uid != os.getuid():
        yield problem("folder", f"{folder} belongs to another user ({found.st_uid})", elsewhere)
    elif mode & (0o077 if found.st_gid != _gid(scene) else 0o027):
        yield problem(
            "folder",
            f"{folder} is open to others (mode {mode:o}), and no daemon starts there",
            f'make it yours alone: "chmod 700 {folder}"',
            partial(_close_folder, folder),
        )
    else:
        yield from _check_room(folder)


def _gid(scene: Scene) -> int | None:
    """The group that the configuration lets in."""
    with suppress(BadConfiguration):  # which another check tells
        return load(scene.config).access.gid
    return None


def _close_folder(folder: Path) -> str:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(file).st_uid != os.getuid():
            raise AdmissionError(f"{folder} is another user's by now, and stays as it is")
        os.fchmod(file, 0o700)
    finally:
        os.close(file)
    return f"closed {folder} to others (chmod 700)"


def _check_room(folder: Path) -> Iterator[Finding]:
    room = os.statvfs(folder)
    free_bytes = room.f_bavail * room.f_frsize
    if free_bytes < FREE_BYTES_FEW:
        yield problem(
            "folder",
            f"the disk of {folder} is full: the journal can't be written, so nothing is granted",
            "make room there",
        )
    elif not os.access(folder, os.W_OK):
        yield problem("folder", f"{folder} can't be written to", "see how its disk is mounted")
    else:
        yield ok("folder", f"{folder} is this user's alone")


def check_lock(scene: Scene) -> Iterator[Finding]:
    """Who holds it: the daemon that answers, and nobody else."""
    if scene.path is None:
        return
    name, pid = scene.path.with_suffix(".lock"), pid_in_lock(scene.path)
    try:
        mode = name.lstat().st_mode
    except FileNotFoundError:
        if scene.is_served:
            yield problem(
                "lock",
                f"{name} is gone although a daemon serves: a second one could start beside it",
                'replace the daemon with "admission serve --replace"; all leases are kept',
            )
        else:
            yield ok("lock", "there is none, as no daemon has run here")
        return
    if not stat.S_ISREG(mode):
        yield problem("lock", f"{name} is no regular file", "remove it")
    elif scene.is_served and pid != scene.daemon_pid:
        yield problem(
            "lock",
            f"process {scene.daemon_pid} serves, and {name} names process {pid or 'none'}",
            'replace the daemon with "admission serve --replace"; all leases are kept',
        )
    elif scene.is_served:
        yield ok("lock", f"process {pid} holds it")
    elif scene.contact is Contact.NOBODY and is_locked(scene.path):
        alive = "runs" if is_there(pid) else "is gone, so another one has it"
        yield problem(
            "lock",
            f"{name} is held, and nobody answers; it names process {pid or 'none'}, which {alive}",
            f'see who has it open ("fuser {name}"), and end that one if it is stuck',
        )
    else:
        yield ok("lock", f"nobody holds it; process {pid or 'unknown'} was the last that did")


def check_journal(scene: Scene) -> Iterator[Finding]:
    """Whether the next daemon can read what this one wrote."""
    if scene.path is None:
        return
    journal = scene.path.with_suffix(".journal")
    try:
        found = journal.lstat()
        if not stat.S_ISREG(found.st_mode):
            yield problem("journal", f"{journal} is a link or no file", "remove it")
            return
        size_bytes, content = _content(journal)
        if scene.is_served and content.damaged_bytes:
            size_bytes, content = _content(journal)  # the daemon was just about to write
    except FileNotFoundError:
        if scene.is_served:
            advice = '"admission serve --replace" makes a new one; all leases are kept'
            yield problem("journal", f"{journal} is gone although a daemon serves", advice)
        else:
            yield ok("journal", "there is none, as no daemon has run here")
        return
    except OSError as why:
        yield problem(
            "journal",
            f"{journal} can't be read ({why.strerror}), and no daemon starts without it",
            "repair or remove it; without it, leases that are out are granted twice",
        )
        return
    yield _judge_journal(journal, size_bytes, content)


def _content(journal: Path) -> tuple[int, Reading]:
    data = journal.read_bytes()
    return len(data), read(data)


def _judge_journal(journal: Path, size_bytes: int, content: Reading) -> Finding:
    boot = boot_id()
    records = content.for_boot(boot)
    about = f"{len(records)} records in {size_bytes / 1024:.0f} KiB"
    if damaged := content.damaged_bytes:
        return warning(
            "journal",
            f"{damaged} of {size_bytes} bytes of {journal} are damaged; {about} are whole",
            "nothing has to be done: what is whole counts, and the next daemon writes it anew",
        )
    if size_bytes > JOURNAL_BYTES_MANY:
        return warning(
            "journal",
            f"{journal} is unusually large: {about}",
            'see "admission status" for why it can\'t be written anew',
        )
    if size_bytes and content.boot != boot:
        return ok("journal", "it is of an earlier boot; only the numbers given out count on")
    leases = sum(isinstance(record, ev.Granted) for record in records)
    return ok("journal", f"whole: {about}, {leases} of them grants")
