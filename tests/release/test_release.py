"""What has to be right in the repository before anything is released of it."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from admission import __version__
from scripts import manual

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_manual_page_is_what_the_tables_of_options_give() -> None:
    said = manual.PAGE.read_text(encoding="utf-8")
    assert said == manual.page(), 'after a change of options: "make manual"'
    assert said.isascii(), "troff takes any other letter for bytes"


def test_no_line_of_the_manual_page_is_taken_for_a_request_of_troff() -> None:
    known = ("TH", "SH", "SS", "TP", "PP", "B", "I", "RI", "nf", "fi", '\\"')
    for line in manual.page().splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or line[1:].split(" ")[0] in known, line


def test_both_packages_have_the_same_version() -> None:
    for name in ("package.json", "package-lock.json"):
        found = json.loads((ROOT / "clients" / "typescript" / name).read_text(encoding="utf-8"))
        assert found["version"] == __version__, name


def test_a_commit_that_is_tagged_has_the_version_of_its_tag() -> None:
    """A clone without tags, and what was unpacked of an archive, has nothing to say here."""
    asked = ["git", "tag", "--points-at", "HEAD", "--list", "v*"]
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.split() in ([], [f"v{__version__}"])


@pytest.mark.parametrize("path", sorted((ROOT / "changelog.d").glob("*.md")), ids=lambda p: p.name)
def test_every_piece_of_news_has_a_name_that_is_found_at_a_release(path: Path) -> None:
    kinds = "|".join(one["directory"] for one in PROJECT["tool"]["towncrier"]["type"])
    if path.name != "README.md":
        assert re.fullmatch(rf"(\d+|\+[\w-]+)\.({kinds})\.md", path.name)
        assert path.read_text(encoding="utf-8").strip()


def test_the_changelog_has_the_place_where_a_release_is_put() -> None:
    place = PROJECT["tool"]["towncrier"]["start_string"]
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").count(place) == 1
