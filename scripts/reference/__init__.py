"""The reference pages of the documentation, made of the code as it stands: one function a page.

`docs/conf.py` puts what they return in the place of the line `<!-- generated: NAME -->`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import admission_client
from admission.protocol import AdmissionError, Frame
from admission_client import aio
from admission_client.cli import COMMANDS
from admission_client.completion import Given, commands
from admission_client.exposition import families_of
from admission_client.options import OneOf
from scripts.reference.keys import configuration
from scripts.reference.wire import exit_statuses, protocol
from scripts.reference.words import cell, code, table

ROOT = Path(__file__).parents[2]

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
