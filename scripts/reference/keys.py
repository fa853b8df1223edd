"""The page of the configuration: every key, by the structs that the file is read into."""

from collections.abc import Iterator

import msgspec
from msgspec import inspect as shapes

from admission.service import config_file
from scripts.reference.words import fields_of, key_table

# How a table is written in the file, where its key alone does not say it.
WRITTEN = {
    "throttle.levels": ("[[throttle.levels]]", config_file.LevelTable),
    "pools": ("[pools.NAME]", config_file.PoolTable),
    "agents": ("[agents.NAME]", config_file.AgentTable),
    "overflow.nodes": ("[overflow.nodes.NAME]", config_file.NodeTable),
}


def configuration() -> str:
    """Each table and key, with type and default, by the structs that the file is read into."""
    return "\n".join(
        f"## `{title}`\n\n{key_table(list(keys.values()))}" for title, keys in tables_of_the_file()
    )


Keys = dict[str, shapes.Field]


def tables_of_the_file() -> Iterator[tuple[str, Keys]]:
    """Each table as it is written in the file, with its keys."""
    yield from _tables("", config_file.File)


def _tables(path: str, kind: type[msgspec.Struct]) -> Iterator[tuple[str, Keys]]:
    keys: Keys = {}
    deeper: list[tuple[str, Keys]] = []
    for key in fields_of(kind):
        place = f"{path}.{key.encode_name}".lstrip(".")
        if place in WRITTEN:
            title, of_each = WRITTEN[place]
            deeper.append((title, {one.encode_name: one for one in fields_of(of_each)}))
        elif isinstance(key.type, shapes.StructType):
            deeper += _tables(place, key.type.cls)
        else:
            keys[key.encode_name] = key
    if keys:
        yield f"[{path}]", keys
    yield from deeper
