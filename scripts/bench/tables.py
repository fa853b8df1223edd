"""The tables of docs/performance.md: `python -m scripts.bench.tables FIGURES`, a file that
`python -m scripts.bench --json` has written.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from scripts.bench.figures import said

HEAD = "| figure | median | middle half | target | met |\n|---|---|---|---|---|"
SERVERS_HEAD = (
    "| connections | server | pairs/s | p50 of acquire | p99 of acquire |\n|---|---|---|---|---|"
)
SERVER = re.compile(r"pairs, (\d+) connections?: (daemon|trio echo|asyncio echo|Redis semaphore)")
PERCENTILE = re.compile(r"(.*), p\d+ of acquire")


def tables(figures: list[dict[str, Any]]) -> str:
    """What each server does, by the number of connections; then all the rest, one row a figure."""
    servers: dict[str, list[str]] = {}
    rows: list[str] = []
    for one in figures:
        name = one["name"]
        owner = PERCENTILE.fullmatch(name)
        if match := SERVER.fullmatch(owner[1] if owner else name):
            servers.setdefault(match[0], [match[1], match[2]]).append(in_the_middle(one))
        else:
            rows.append(row(one))
    parts = [[HEAD, *rows]]
    if servers:
        wide = [f"| {' | '.join(cells)} |" for cells in servers.values()]
        parts.insert(0, [SERVERS_HEAD, *wide])
    return "\n\n".join("\n".join(part) for part in parts)


def row(one: dict[str, Any]) -> str:
    half = one["middle_half"]
    between = f"{said(half[0])} to {said(half[1])}" if half else ""
    met = {True: "yes", False: "**no**", None: ""}[one["met"]]
    cells = (one["name"], in_the_middle(one), between, one["target"] or "", met)
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def in_the_middle(one: dict[str, Any]) -> str:
    if one["median"] is None:
        return f"skipped: {one['skipped']}"
    return f"{said(one['median'])} {one['unit']}".strip()


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())["figures"]))
