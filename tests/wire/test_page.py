"""docs/protocol.md has every op, field of an answer, code and event that there is."""

import re
from pathlib import Path

import pytest

from admission.protocol import AdmissionError
from admission.service.requests import OPS
from tests.wire.goldens import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text(encoding="utf-8")
ERRORS = PAGE.partition("## Errors")[2].partition("## Try")[0]
OF_CLIENTS = {"revoked", "unreachable", "already_served", "no_service_manager"}


def test_every_code_is_there_with_the_status_that_it_has() -> None:
    said = {
        code: int(row[2])
        for row in re.findall(r"^\| (`.*?) \| (.*?) \| (\d+)", ERRORS, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row[0])
    }
    kinds = AdmissionError.__subclasses__()
    known = {code: kind.exit_status for kind in kinds for code in kind.codes}
    assert said == {code: status for code, status in known.items() if code not in OF_CLIENTS}
    assert known.keys() >= OF_CLIENTS


def test_every_event_is_there() -> None:
    for golden in load("events.json"):
        assert f"`{golden.message['event']}`" in PAGE, golden.name


@pytest.mark.parametrize("op", OPS)
def test_every_op_is_in_the_table_of_ops(op: str) -> None:
    design = (DOCS / "design.md").read_text(encoding="utf-8")
    assert f"`{op}`" in design.partition("## 4. On the socket")[2].partition("## 5.")[0]
