"""The planted bugs keep up with the core; that each is found is `make plants`' affair."""

from pathlib import Path

import pytest

from tests.core.bugs import BUGS
from tests.core.planting import Bug

CORE = Path(__file__).resolve().parents[1] / "admission" / "core"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_what_a_planted_bug_replaces_is_there_and_only_once(bug: Bug) -> None:
    for edit in bug.edits:
        assert (CORE / edit.file).read_text(encoding="utf-8").count(edit.before) == 1


def test_no_two_bugs_have_one_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
