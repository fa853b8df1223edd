"""The reference pages of the documentation, made of the code as it stands: one function a page.

`docs/conf.py` puts what they return in the place of the line `<!-- generated: NAME -->`.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import msgspec
from msgspec import inspect as shapes

import admission_client
from admission.protocol import AdmissionError, Frame
from admission.service import access, config_file, requests
from admission_client import aio
from admission_client.cli import COMMANDS
from admission_client.completion import Given, commands
from admission_client.exposition import families_of
from admission_client.options import OneOf

ROOT = Path(__file__).parent.parent
# What stands in no list of subclasses, as it is no failure of admission's own.
OTHER_STATUSES = (
    ("the command's own", "it ran"),
    ("1", "`doctor` found something, or `orphans --stop` left something"),
    ("2", "wrong usage"),
    ("126, 127", "the command is not executable, or was not found"),
)


def cell(text: str) -> str:
    """Text as it can stand in a table."""
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "\\<")


def code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table of these rows; nothing where there are none."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines, ""])


# --- the command line -----------------------------------------------------------------------------


def command_line() -> str:
    """Each command with its usage and options, by the table that the command itself reads."""
    below: dict[str, list[Given]] = {}
    for one in commands():
        below.setdefault(one.name.split()[0], []).append(one)
    about = {name: text for name, _, _, text in COMMANDS}
    return "\n".join(
        f"## {name}\n\n{about[name][0].upper()}{about[name][1:]}.\n\n{_command(below[name])}"
        for name in about
    )


def _command(given: list[Given]) -> str:
    parts = [f"```text\nadmission {one.usage}\n```\n\n{_options(one)}" for one in given[:1]]
    # A word of the command's that has the same options as another says them once.
    seen = [given[0].options]
    for one in given[1:]:
        if one.options not in seen:
            same = [other.name for other in given[1:] if other.options == one.options]
            parts.append(f"With {', '.join(code(name) for name in same)}:\n\n{_options(one)}")
            seen.append(one.options)
    return "\n".join(parts)


def _options(given: Given) -> str:
    return table(
        ("option", "does"),
        (
            (
                ", ".join(code(f"{name} {one.metavar}".strip()) for name in one.names),
                cell(one.help)
                + (
                    f": {', '.join(code(word) for word in one.convert.words)}"
                    if isinstance(one.convert, OneOf)
                    else ""
                ),
            )
            for one in given.options
        ),
    )


# --- the configuration ----------------------------------------------------------------------------

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
        f"## `{title}`\n\n{_key_table(list(keys.values()))}" for title, keys in tables_of_the_file()
    )


Keys = dict[str, shapes.Field]


def tables_of_the_file() -> Iterator[tuple[str, Keys]]:
    """Each table as it is written in the file, with its keys."""
    yield from _tables("", config_file.File)


def _tables(path: str, kind: type[msgspec.Struct]) -> Iterator[tuple[str, Keys]]:
    keys: Keys = {}
    deeper: list[tuple[str, Keys]] = []
    for key in _fields(kind):
        place = f"{path}.{key.encode_name}".lstrip(".")
        if place in WRITTEN:
            title, of_each = WRITTEN[place]
            deeper.append((title, {one.encode_name: one for one in _fields(of_each)}))
        elif isinstance(key.type, shapes.StructType):
            deeper += _tables(place, key.type.cls)
        else:
            keys[key.encode_name] = key
    if keys:
        yield f"[{path}]", keys
    yield from deeper


def _fields(kind: type) -> tuple[shapes.Field, ...]:
    found = shapes.type_info(kind)
    assert isinstance(found, shapes.StructType)
    return found.fields


def _key_table(keys: list[shapes.Field]) -> str:
    return table(
        ("key", "type", "default"),
        ((code(key.encode_name), cell(shape(key.type)), _default(key)) for key in keys),
    )


def _default(key: shapes.Field) -> str:
    text = plain(key)
    return text if text in ("none", "has to be given") else code(text)


def plain(key: shapes.Field) -> str:
    """What holds where the key is not given, as it would be written in the file."""
    if key.required:
        return "has to be given"
    default = key.default
    if default is msgspec.NODEFAULT:
        default = key.default_factory() if callable(key.default_factory) else None
    if default is None:
        return "none"
    if isinstance(default, float):
        return f"{default:.10g}" if default % 1 == 0 else f"{default:.4g}"
    if isinstance(default, tuple):
        default = list(default)
    return msgspec.json.encode(default).decode()


def shape(kind: shapes.Type) -> str:
    """What a value has to be, in words."""
    match kind:
        case shapes.UnionType(types=types):
            return " or ".join(shape(one) for one in types if not isinstance(one, shapes.NoneType))
        case shapes.ListType(item_type=item, min_length=least, max_length=most):
            exactly = f"{least} of: " if least and least == most else ""
            return f"list of {exactly}{shape(item)}"
        case shapes.VarTupleType(item_type=item):
            return f"list of {shape(item)}"
        case shapes.TupleType(item_types=items):
            return f"list of {len(items)} of: {shape(items[0])}"
        case shapes.DictType(value_type=value):
            return f"table of {shape(value)}"
        case _:
            return _plain_shape(kind)


def _plain_shape(kind: shapes.Type) -> str:
    match kind:
        case shapes.LiteralType(values=values):
            return ", ".join(f'`"{value}"`' for value in values)
        case shapes.IntType():
            return f"whole number{_bounds(kind)}"
        case shapes.FloatType():
            return f"number{_bounds(kind)}"
        case shapes.StrType(max_length=longest):
            return "text" + (f", up to {longest} characters" if longest else "")
        case shapes.BytesType(max_length=longest):
            return f"{longest} bytes"
        case shapes.BoolType():
            return "true or false"
        case _:
            return "a value"


def _bounds(kind: shapes.IntType | shapes.FloatType) -> str:
    words = [
        f"{word} {bound:.10g}"
        for word, bound in (
            ("above", kind.gt),
            ("from", kind.ge),
            ("below", kind.lt),
            ("up to", kind.le),
        )
        if bound is not None and bound < 2**31
    ]
    return f" {' '.join(words)}" if words else ""


# --- the protocol ---------------------------------------------------------------------------------


def protocol() -> str:
    """Each op with its fields and its answer, and the errors with their exit statuses."""
    parts = ["## The ops\n"]
    answers = op_answers((ROOT / "docs" / "design.md").read_text("utf-8"))
    for op, kind in requests.OPS.items():
        parts += [f"### `{op}`\n", f"For {who_may(kind)}.\n", _request(kind)]
        if answer := answers.get(op):
            parts.append(f"Answer: {answer}\n")
    parts += ["## The errors\n", errors()]
    return "\n".join(parts)


def _request(kind: type[requests.Request]) -> str:
    return table(
        ("field", "type", "default"),
        ((code(key.encode_name), cell(shape(key.type)), _default(key)) for key in _fields(kind)),
    )


def who_may(kind: type[requests.Request]) -> str:
    """Who may send this, by the table that the daemon asks."""
    if kind in access.MEMBERS:
        return "the daemon's user, root, and members of `[access] group`"
    if kind in access.MEMBERS_OF_THEIR_OWN:
        return "the daemon's user, root, and members of `[access] group` for their own leases"
    return "the daemon's user and root" + (
        " (a look that changes nothing: members of `[access] group`, too)"
        if kind is requests.LevelRequest
        else ""
    )


def op_answers(design: str) -> dict[str, str]:
    """What each op is answered, by the table in docs/design.md, section 4."""
    found: dict[str, str] = {}
    ops = design.partition("| op | fields |")[2].partition("\n\n")[0]
    for row in re.findall(r"^\| (`[a-z`, ]+) \|(.*)\|$", ops, re.MULTILINE):
        answer = row[1].rpartition(" | ")[2].strip().replace("](", "](../")
        for op in re.findall(r"`(\w+)`", row[0]):
            if op in requests.OPS:
                found.setdefault(op, answer)
    return found


def errors() -> str:
    """Each class of errors, with its codes and the exit status of a command."""
    return table(
        ("class", "codes", "exit status", "means"),
        (
            (
                code(kind.__name__),
                ", ".join(code(word) for word in kind.codes),
                str(kind.exit_status),
                cell((kind.__doc__ or "").split("\n\n")[0]),
            )
            for kind in AdmissionError.__subclasses__()
            if kind.codes
        ),
    )


def exit_statuses() -> str:
    """What a command's exit status says."""
    by_status: dict[int, list[str]] = {}
    for kind in AdmissionError.__subclasses__():
        if kind.codes:
            by_status.setdefault(kind.exit_status, []).append(
                (kind.__doc__ or "").split("\n\n")[0].rstrip(".")
            )
    ours = [(str(status), "; ".join(texts)) for status, texts in by_status.items()]
    rows = sorted([*OTHER_STATUSES, *ours], key=lambda row: (row[0].zfill(3), row[0]))
    return table(("exit status", "means"), ((status, cell(means)) for status, means in rows))


# --- metrics, Python, TypeScript ------------------------------------------------------------------

_POOL: Frame = {"pool": "agents", "capacity": 1, "in_use": 0, "reserved": 0, "leases": 0}
_SAMPLE: Frame = {
    "level": 0,
    "pools": [{**_POOL, "is_paused": False, "waiting": {"normal": 0}}],
    "wait_bounds_s": [1.0],
    "waits": [{"pool": "agents", "class": "normal", "counts": [0, 0], "sum_s": 0.0}],
    "hold_bounds_s": [1.0],
    "holds": [{"pool": "agents", "counts": [0, 0], "sum_s": 0.0}],
    "ended": {"released": 0},
    "refused": {"timeout": 0},
    "level_changes": 0,
    "alarms": 0,
    "alarms_lasting": 0,
    "samples": 0,
    "sample_age_s": 0.0,
    "sources_failed": 0,
    "pressure_pct": {"memory": 0.0},
    "journal_works": True,
    "journal_bytes": 0,
    "connections": 0,
    "uptime_s": 0.0,
    "version": "0",
}


def metrics() -> str:
    """Each series, with its labels, by what `admission metrics` makes of an answer."""
    return table(
        ("series", "type", "labels", "is"),
        (
            (
                code(one.name + ("_total" if one.type == "counter" else "")),
                one.type,
                ", ".join(sorted({key for s in one.samples for key in s.labels} - {"le"})),
                cell(one.documentation),
            )
            for one in families_of(_SAMPLE)
        ),
    )


def python() -> str:
    """The public names of `admission_client` and its `aio`, for Sphinx to document."""
    return "\n".join(
        f"## `{module.__name__}`\n\n```{{eval-rst}}\n{_documented(module)}\n```\n"
        for module in (admission_client, aio)
    )


def _documented(module: ModuleType) -> str:
    lines = []
    for name in module.__all__:
        found = getattr(module, name)
        is_class = isinstance(found, type)
        lines.append(f".. {'autoclass' if is_class else 'autofunction'}:: {module.__name__}.{name}")
        if is_class:
            lines.append("   :members:")
            if not issubclass(found, AdmissionError):
                lines.append("   :inherited-members:")
        lines.append("")
    return "\n".join(lines)


def typescript() -> str:
    """The client's own page, without its links to files that are no pages."""
    text = (ROOT / "clients" / "typescript" / "README.md").read_text("utf-8")
    return re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", text.partition("\n")[2])


PAGES: dict[str, Callable[[], str]] = {
    "command-line": command_line,
    "exit-statuses": exit_statuses,
    "configuration": configuration,
    "protocol": protocol,
    "metrics": metrics,
    "python": python,
    "typescript": typescript,
}
_MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """A page with what is generated in the place of its marks.

    Raises:
        KeyError: nothing of that name is generated.
    """
    return _MARK.sub(lambda match: PAGES[match[1]](), text)
