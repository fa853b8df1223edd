"""Each page is in the table of contents, and each link leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, broken_links, name, slug

IDS = [name(page) for page in PAGES]


def listed_in(page: Path) -> set[Path]:
    """The pages that a page's toctrees name."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    names = [line for line in lines if line and not line.startswith(":")]
    return {(page.parent / f"{one}.md").resolve() for one in names}


def test_every_page_stands_in_the_table_of_contents_once() -> None:
    index = DOCS / "index.md"
    assert listed_in(index) == set(DOCS.rglob("*.md")) - {index}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page, page.read_text("utf-8")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/design.md#1-words) [c](docs/design.md#no) [d](https://x)"
    assert broken_links(page, text) == ["docs/nowhere.md", "docs/design.md#no"]
    assert broken_links(page, "`[x](y)`\n\n```\n[x](y)\n```\n") == []
    assert slug("`[[throttle.levels]]`") == "throttlelevels"
