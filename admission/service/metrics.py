"""The user's document's `resource_metrics.json`: its map, and the file in a workspace.

The file is replaced and never rewritten, so a reader sees a whole one, old or new. On the way to it
no link is followed: a workspace can't make the daemon write anywhere else.
"""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import floor
from pathlib import Path

from admission.core.levels import Level
from admission.core.sample import Sample
from admission.protocol import BadRequest, Frame, NotPermitted
from admission.service.views import params_map

FOLDERS = ("state", "analytics")
FILE = "resource_metrics.json"
# Where the file is, seen from the workspace.
METRICS_PATH = "/".join((*FOLDERS, FILE))

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What opening says where there is no folder; of a link, Linux says the second, macOS the third.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def metrics_map(sample: Sample, level: Level, taken_at: float) -> Frame:
    """The map of the user's document: these fields, in this order, and no others.

    Percents are cut to whole ones and not rounded, so that the bounds of the levels, which are
    whole numbers, read the same in it. What is not known is None.

    Args:
        sample: one reading of the machine.
        level: the level in force.
        taken_at: when the sample was taken, in seconds since 1970.
    """
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(taken_at)),
        "memory_used_pct": _whole(sample.memory_used_pct),
        "cpu_used_pct": _whole(sample.cpu_used_pct),
        "claude_processes": sample.claude_processes,
        "node_processes": sample.node_processes,
        "throttle_level": level.level,
        "throttle_params": params_map(level),
    }


def _whole(percent: float | None) -> int | None:
    return None if percent is None else floor(percent)


def check_workspace(given: str) -> Path:
    """The workspace at this path, with the links that lead to it followed once and for all.

    Raises:
        BadRequest: the path is not absolute, or no folder is there.
        NotPermitted: the folder is another user's, or can't be entered.
    """
    if not os.path.isabs(given) or "\0" in given:
        raise BadRequest(f"workspace {given!r}: give the absolute path of a folder")
    workspace = Path(os.path.realpath(given))
    with _refusals(workspace), _workspace_open(workspace):
        return workspace


def write_metrics(workspace: Path, metrics: Frame) -> Path:
    """Puts the map in its place in the workspace, in one step. Returns where that is.

    Args:
        workspace: what `check_workspace` returned, by now perhaps gone.
        metrics: what `metrics_map` returned.

    Raises:
        BadRequest: the workspace is no longer there.
        NotPermitted: it is no longer this user's, the way leads over a link or through another
            user's folder, or the file system takes nothing.
    """
    text = json.dumps(metrics, indent=2) + "\n"
    with (
        _refusals(workspace),
        _workspace_open(workspace) as root,
        _made_and_open(FOLDERS[0], root) as state,
        _made_and_open(FOLDERS[1], state) as folder,
    ):
        _replace(folder, text)
    return workspace / METRICS_PATH


def _replace(folder: int, text: str) -> None:
    # Several threads and processes may be at it, each with a name of its own.
    new = f".{FILE}.{threading.get_native_id()}"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)  # an earlier one of this number was killed here
    try:
        with open(os.open(new, _OPEN_NEW, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, FILE, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise


@contextmanager
def _workspace_open(workspace: Path) -> Iterator[int]:
    try:
        folder = os.open(workspace, _OPEN_FOLDER)
    except OSError as problem:
        if problem.errno in _NO_FOLDER:
            raise BadRequest(
                f"workspace {workspace}: there is no such folder; give the path of one"
            ) from None
        raise
    with _own(folder, "it"):
        yield folder


@contextmanager
def _made_and_open(name: str, above: int) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    try:
        folder = os.open(name, _OPEN_FOLDER, dir_fd=above)
    except OSError as problem:
        if problem.errno in _NO_FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, f'"{name}" is a link or no folder') from None
        raise
    with _own(folder, f'"{name}"'):
        yield folder


@contextmanager
def _own(folder: int, said: str) -> Iterator[None]:
    """Closes the descriptor at the end, and refuses the folder of another user."""
    try:
        if os.fstat(folder).st_uid != os.getuid():
            raise PermissionError(errno.EPERM, f"{said} is another user's")
        yield
    finally:
        os.close(folder)


@contextmanager
def _refusals(workspace: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise NotPermitted(
            f"workspace {workspace}: {METRICS_PATH} can't be written there: {why}"
        ) from None
