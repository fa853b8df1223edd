"""The control groups the daemon lives in: what bounds it also bounds the agents it starts beside.

Version 1 has a hierarchy for each controller, version 2 one for all, and a hybrid has both.
"""

import re
from dataclasses import dataclass

from admission.service.sensors.source import text_of

# The key of version 2's one hierarchy, as it stands in /proc/self/cgroup.
UNIFIED = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a hierarchy is to be seen: the group `root` appears as the folder `point`."""

    root: str
    point: str


def parse_mounts(text: str) -> dict[str, Mount]:
    """The hierarchies in /proc/self/mountinfo, by controller; the first of several counts."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        place, _, filesystem = line.partition(" - ")
        places, words = place.split(" "), filesystem.split(" ")
        if len(places) < 5 or words[0] not in ("cgroup", "cgroup2"):
            continue
        mount = Mount(_unescaped(places[3]), _unescaped(places[4]))
        for name in [UNIFIED] if words[0] == "cgroup2" else words[-1].split(","):
            found.setdefault(name, mount)
    return found


def _unescaped(path: str) -> str:
    r"""The kernel writes a blank as \040, and likewise tab, newline and backslash."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def parse_own(text: str) -> dict[str, str]:
    """The group in each hierarchy, by controller, from /proc/self/cgroup."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            found[name] = path
    return found


def folders(path: str, mount: Mount) -> tuple[str, ...]:
    """The folders of a group and of all its ancestors that can be seen, nearest first.

    In a container the group may lie outside what is mounted; then the mount's root is the nearest.
    """
    root = mount.root.rstrip("/")
    inside = path[len(root) :] if path == root or path.startswith(f"{root}/") else ""
    names = [name for name in inside.split("/") if name]
    if ".." in names:
        names = []
    return tuple("/".join([mount.point, *names[:depth]]) for depth in range(len(names), -1, -1))


class Groups:
    """The daemon's own groups, looked up anew each time, as somebody may move it."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._mounts: dict[str, Mount] | None = None

    def folders(self, controller: str) -> tuple[str, ...]:
        """Its group and the ancestors for this controller, nearest first; none where it has none.

        Raises:
            OSError: it can't be told.
        """
        try:
            if self._mounts is None:
                self._mounts = parse_mounts(text_of(f"{self._proc}/self/mountinfo"))
            own = parse_own(text_of(f"{self._proc}/self/cgroup"))
        except FileNotFoundError:
            return ()  # a kernel without control groups
        if controller not in own or controller not in self._mounts:
            return ()
        return folders(own[controller], self._mounts[controller])


def setting(path: str) -> str | None:
    """A group's file, without the newline; None where this group has no such file."""
    try:
        return text_of(path).strip()
    except FileNotFoundError:
        return None
