"""The picture of the architecture in docs/design.md shows the imports, and no others."""

import re
from collections import defaultdict
from pathlib import Path

from tests.docs.pages import DOCS
from tests.test_house import CLIENT, CORE, ROOT, SERVICE, SIMULATION, python_files

ROOMS = {
    "admission.protocol": [ROOT / "admission" / "protocol.py"],
    "admission.core": python_files(CORE),
    "admission.service": python_files(SERVICE),
    "admission.simulation": python_files(SIMULATION),
    "admission_client": python_files(CLIENT),
}
# An arrow is dashed where so few files import what it points to.
FEW = 12
# Read as text, since test_house.py has parsed all of them already and it takes seconds.
_IMPORT = re.compile(r"^\s*(?:from|import) (admission[\w.]*)(?: import (\w+))?", re.MULTILINE)
Arrows = dict[tuple[str, str], frozenset[str]]


def drawn(page: str) -> tuple[set[str], Arrows]:
    """The rooms of the picture, and its arrows: from, to, and by which files; none for all."""
    picture = next(block for block in page.split("```") if "══ frames" in block)
    rooms: set[str] = set()
    arrows: Arrows = {}
    room = ""
    for line in picture.splitlines():
        if match := re.match(r"(admission[._]\w+) ", line):
            room = match[1]
            rooms.add(room)
        elif match := re.search(r"[├└](──|╌╌)▶ (\S+) *(.*)$", line):
            files = match[3].split(", ") if match[3] else []
            assert bool(files) == (match[1] == "╌╌"), line
            arrows[room, match[2]] = frozenset(files)
    return rooms, arrows


def imported(rooms: dict[str, list[Path]]) -> Arrows:
    """Who imports from which room, likewise."""
    by_files: dict[tuple[str, str], set[str]] = defaultdict(set)
    count = {room: len(files) for room, files in rooms.items()}
    for room, files in rooms.items():
        for file in files:
            for module, thing in _IMPORT.findall(file.read_text("utf-8")):
                name = f"{module}.{thing}"
                for other in rooms:
                    if other != room and f"{name}.".startswith(f"{other}."):
                        by_files[room, other].add(file.stem)
    return {
        arrow: frozenset(files if len(files) < min(FEW, count[arrow[0]] / 2) else ())
        for arrow, files in by_files.items()
    }


def test_the_picture_shows_the_imports_and_no_others() -> None:
    rooms, arrows = drawn((DOCS / "design.md").read_text("utf-8"))
    assert rooms == set(ROOMS)
    assert arrows == imported(ROOMS)


def test_an_arrow_that_is_missing_or_too_many_is_found() -> None:
    page = (DOCS / "design.md").read_text("utf-8")
    without = page.replace("   └──▶ admission.core\n", "")
    arrows = drawn(page)[1]
    assert drawn(without)[1] != arrows
    other = page.replace("steer, stopping", "steer")
    assert drawn(other)[1] != arrows
