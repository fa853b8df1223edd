"""The nodes that work may go to, and how each is reached: `[overflow]` of the configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from admission.protocol import BadConfiguration, Frame
from admission.service.config_file import File, NodeTable, OverflowTable, read_file
from admission_client.files import config_path

# What ssh takes for a host, and for no option of its own; also a node's name, which is a file's.
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:%-]{0,200}")
PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
PLACEHOLDERS = ("node", "host", "cwd", "folder")


@dataclass(frozen=True)
class Node:
    """A machine that takes work: by `runner`, or where there is none by ssh to `host`.

    `command`: what admission is called there. `sync`: what brings the working directory there, and
    `fetch` back; `folder`: where it is then. These three and `runner` hold placeholders.
    """

    name: str
    host: str
    runner: tuple[str, ...]
    command: tuple[str, ...]
    sync: tuple[str, ...]
    fetch: tuple[str, ...]
    folder: str
    labels: frozenset[str] = frozenset()
    cost: float = 0.0

    def filled(self, words: tuple[str, ...], cwd: str) -> list[str]:
        """These words with their placeholders filled in. A word stays one, whatever stands in it
        then.
        """
        found = {"node": self.name, "host": self.host, "cwd": cwd}
        found["folder"] = _fill(self.folder, found)
        return [_fill(word, found) for word in words]

    def folder_for(self, cwd: str) -> str:
        """Where it works for somebody who is in `cwd` here."""
        return self.filled(("{folder}",), cwd)[0]


def _fill(word: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word)


@dataclass(frozen=True)
class Settings:
    """`[overflow]`, checked; `nodes` are those that it names."""

    table: OverflowTable
    path: str
    nodes: dict[str, Node]

    def of_fleet(self, offer: Frame) -> Node | None:
        """How a node of the fleet is reached; None where it does not say so, or not well.

        Of what it says, only the name of its host is heeded: a command that others wrote is not
        run here. One that the configuration names is reached as that says.
        """
        name, reach = offer.get("node"), offer.get("reach")
        if not isinstance(name, str) or not HOST.fullmatch(name):
            return None
        if name in self.nodes:
            return self.nodes[name]
        host = reach.get("ssh") if isinstance(reach, dict) else None
        if not isinstance(host, str) or not HOST.fullmatch(host):
            return node_of(name, NodeTable(), self.table) if self.table.runner else None
        return node_of(name, NodeTable(ssh=host), self.table)


def read_settings() -> Settings:
    """What the configuration says, where there is one.

    Raises:
        BadConfiguration: it can't be read, or is wrong.
    """
    path = config_path()
    try:
        file = read_file(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        file = File()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfiguration(f"{path} can't be read: {problem}") from None
    table = file.overflow
    nodes = {name: node_of(name, one, table) for name, one in table.nodes.items()}
    settings = Settings(table, str(path), nodes)
    for node in nodes.values():
        _check(node, settings.path)
    return settings


def _check(node: Node, path: str) -> None:
    where = f"{path}, [overflow.nodes.{node.name}]"
    for what in (node.name, node.host):
        if not HOST.fullmatch(what):
            raise BadConfiguration(
                f"{where}: {what!a} is no name of a host; write letters, digits and _ . @ : % -, "
                "and no - in front"
            )
    for word in (*node.runner, *node.sync, *node.fetch, node.folder):
        for name in PLACEHOLDER.findall(word):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise BadConfiguration(f"{where}: {{{name}}} in {word!a} is none of {known}")


def node_of(name: str, table: NodeTable, whole: OverflowTable) -> Node:
    """The node that a table of its own says, and `[overflow]` where that says nothing."""
    return Node(
        name=name,
        host=name if table.ssh is None else table.ssh,
        # Who is said to be reached by ssh is not reached by the runner of all others.
        runner=tuple(table.runner or ([] if table.ssh else whole.runner)),
        command=tuple(whole.command if table.command is None else table.command),
        sync=tuple(whole.sync if table.sync is None else table.sync),
        fetch=tuple(whole.fetch if table.fetch is None else table.fetch),
        folder=whole.folder if table.folder is None else table.folder,
        labels=frozenset(table.labels),
        cost=table.cost,
    )
