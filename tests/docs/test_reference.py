"""The reference has all that there is, and what people wrote beside it says the same."""

import re

import msgspec
import pytest

import admission_client
from admission.protocol import AdmissionError
from admission.service import config_file, requests
from admission_client import aio
from admission_client.cli import COMMANDS
from admission_client.completion import commands
from scripts import reference
from scripts.reference import keys, wire, words
from tests.docs.pages import DOCS

CONFIGURATION = (DOCS / "configuration.md").read_text("utf-8")
MONITORING = (DOCS / "monitoring.md").read_text("utf-8")
DESIGN = (DOCS / "design.md").read_text("utf-8")


def tables_of(text: str) -> dict[str, dict[str, str]]:
    """The keys that a page on the configuration describes, each with its default, by table."""
    found: dict[str, dict[str, str]] = {}
    title, heads = "", [""]
    for line in text.splitlines():
        if match := re.match(r"## `(\[.*\])`", line):
            title = match[1]
            found[title] = {}
        elif line.startswith("## "):
            title = ""
        elif line.startswith("| key"):
            heads = [one.strip() for one in line.strip("|").split("|")]
        elif title and line.startswith("| `"):
            cells = line.strip("|").split(" | ")
            keys = re.findall(r"`([a-z_]+)`", cells[0])
            has_defaults = "default" in heads
            values = cells[1].split(", ") if has_defaults and len(keys) > 1 else [cells[1]]
            for at, key in enumerate(keys):
                default = values[at] if has_defaults and at < len(values) else ""
                found[title][key] = default.strip()
    return found


HERE = tables_of(CONFIGURATION)
THERE = dict(keys.tables_of_the_file())


@pytest.mark.parametrize("title", THERE)
def test_each_key_of_the_file_is_described_and_no_other(title: str) -> None:
    described = set(HERE.get(title, ()))
    if title in ("[[throttle.levels]]", "[pools.NAME]", "[overflow.nodes.NAME]"):  # in prose
        described = {key for key in THERE[title] if f"`{key}" in CONFIGURATION}
    assert described == set(THERE[title])


@pytest.mark.parametrize("title", HERE)
def test_a_default_that_is_written_is_the_one_in_force(title: str) -> None:
    wrong = {}
    for key, written in HERE[title].items():
        if match := re.match(r'`?([\d,.]+|true|false|"[a-z]+")`?(?=$|[:.]|\s*$)', written):
            said = match[1].rstrip(".").replace(",", "")
            real = words.plain(THERE[title][key])
            if said != real:
                wrong[key] = (said, real)
    # Of the document's thresholds, what holds where none is given is in the table of levels.
    thresholds = {key for key in wrong if key.endswith(("medium_pct", "high_pct", "critical_pct"))}
    assert {key: both for key, both in wrong.items() if key not in thresholds} == {}


def test_each_series_is_described_and_no_other() -> None:
    there = set(re.findall(r"`(admission_\w+)`", reference.metrics()))
    assert set(re.findall(r"`(admission_\w+)`", MONITORING)) == there


def test_each_op_has_its_fields_and_a_row_in_the_design() -> None:
    page = wire.protocol()
    answers = wire.op_answers(DESIGN)
    assert set(requests.OPS) - set(answers) == {"hello"}
    for op, kind in requests.OPS.items():
        assert f"### `{op}`" in page
        row = next((row for row in DESIGN.splitlines() if re.match(rf"\| [^|]*`{op}`", row)), "")
        fields = {one.encode_name for one in msgspec.structs.fields(kind)}
        assert op == "hello" or {name for name in fields if f"`{name}`" not in row} == set()


def test_each_error_stands_there_with_its_status() -> None:
    page = wire.errors()
    for kind in AdmissionError.__subclasses__():
        for code in kind.codes:
            assert f"`{code}`" in page
    statuses = {str(kind.exit_status) for kind in AdmissionError.__subclasses__() if kind.codes}
    assert statuses <= set(re.findall(r"^\| (\d+) \|", wire.exit_statuses(), re.MULTILINE))


def test_each_command_stands_there_with_its_options() -> None:
    page = reference.command_line()
    for name, *_ in COMMANDS:
        assert f"## {name}\n" in page
    for given in commands():
        assert all(f"`{name}" in page for option in given.options for name in option.names)


def test_each_public_name_is_documented() -> None:
    page = reference.python()
    for module in (admission_client, aio):
        for name in module.__all__:
            assert f":: {module.__name__}.{name}\n" in page
            assert getattr(module, name).__doc__


def test_every_shape_of_a_key_has_words() -> None:
    pages = keys.configuration() + wire.protocol()
    assert "a value" not in pages
    assert config_file.File.__name__ not in pages


def test_a_mark_of_nothing_is_found() -> None:
    assert "| `admission_level` | gauge |" in reference.filled("x\n<!-- generated: metrics -->\n")
    with pytest.raises(KeyError):
        reference.filled("<!-- generated: nothing -->")
