"""The test of the tests: plants known bugs in a copy of the core, one at a time, and wants red.

Each bug is a piece of the core's source and what to put in its place. For each, the tests of the
core run on the planted copy: every small world first, then the plain tests, then the random
interleavings; the first to fail has found it. A snippet that is no longer there, or there more
than once, is an error: a plant that plants nothing proves nothing.

    python scripts/plant_bugs.py            all of them, on two processors
    python scripts/plant_bugs.py --list     what there is
    python scripts/plant_bugs.py --all      every kind of test on every bug: who sees what

The exit status is 0 if every bug was found and the copy without a bug is green.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.core.bugs import BUGS
from tests.core.bugs_of_advice import WHAT_IS_RECOMMENDED
from tests.core.planting import Bug

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/core"
# The quick ones first.
WALKS = (
    f"{TESTS}/test_small_worlds_of_hand.py",
    f"{TESTS}/test_small_worlds_of_deferring.py",
    f"{TESTS}/test_every_small_world.py",
)
STORIES = (
    f"{TESTS}/test_interleavings_of_demand.py",
    f"{TESTS}/test_interleavings_of_shedding.py",
    f"{TESTS}/test_interleavings_of_deferring.py",
    f"{TESTS}/test_interleavings.py",
)
# A bug that makes a test hang is found as well, if late.
HUNG_S = 300.0

KINDS: dict[str, list[str]] = {
    "small worlds": [*WALKS],
    "plain tests": [TESTS, *(f"--ignore={one}" for one in (*WALKS, *STORIES))],
    "interleavings": [*STORIES, "--hypothesis-profile=plants"],
}


class NotPlanted(Exception):
    """The copy is not what it is meant to be; what the tests say of it means nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one kind of test had to say: `test` is the one that failed, None where all is green."""

    kind: str
    test: str | None
    took_s: float


def main() -> int:
    options = parse()
    if options.list:
        for bug in BUGS:
            print(f"{bug.name:62} {bug.files}")
        return 0
    bugs = [bug for bug in BUGS if options.only is None or bug.name in options.only]
    began = time.monotonic()
    try:
        is_green, missed = run(bugs, is_all=options.all, workers=options.workers)
    except NotPlanted as problem:
        print(f"plant_bugs: {problem}", file=sys.stderr)
        return 2
    took_s = time.monotonic() - began
    print(f"\n{len(bugs) - len(missed)} of {len(bugs)} bugs found in {took_s:.0f} s")
    for name in missed:
        print(f"MISSED: {name}")
    if not is_green:
        print("NOT GREEN: the copy without a bug")
    return 0 if is_green and not missed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="plants known bugs in the core and wants red")
    parser.add_argument("--list", action="store_true", help="show the bugs and stop")
    parser.add_argument("--all", action="store_true", help="run every kind of test on every bug")
    parser.add_argument("--only", metavar="NAME", action="append", help="this bug; may be repeated")
    parser.add_argument("-n", "--workers", type=int, default=2, help="how many at once (2)")
    options = parser.parse_args()
    unknown = set(options.only or ()) - {bug.name for bug in BUGS}
    if unknown:
        parser.error(f"there is no bug {', '.join(sorted(unknown))}; see --list")
    return options


def run(bugs: list[Bug], *, is_all: bool, workers: int) -> tuple[bool, list[str]]:
    """Whether the copy without a bug is green, and the names of the bugs that were missed."""
    missed = []
    with ThreadPoolExecutor(workers) as pool:
        sound = pool.submit(examine, None, is_all=True)
        runs = [(bug, pool.submit(examine, bug, is_all=is_all)) for bug in bugs]
        is_green = True
        for finding in sound.result():
            is_green = is_green and finding.test is None
            print(row("(none)", finding), flush=True)
        for bug, examined in runs:
            findings = examined.result()
            for finding in findings:
                print(row(bug.name, finding), flush=True)
            if not any(finding.test for finding in findings):
                missed.append(bug.name)
    return is_green, missed


def row(name: str, finding: Finding) -> str:
    found = finding.test or "green"
    return f"{name:62} {finding.kind:14} {finding.took_s:6.1f} s  {found}"


def examine(bug: Bug | None, *, is_all: bool) -> list[Finding]:
    """Runs the tests on a copy with this bug: up to the first that fails, or all kinds."""
    findings = []
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder)
        make_copy(copy)
        if bug is not None:
            plant(bug, copy)
        for kind in kinds_for(bug):
            finding = test(kind, copy)
            findings.append(finding)
            if finding.test and not is_all:
                break
    return findings


def kinds_for(bug: Bug | None) -> list[str]:
    """The quick ones first; but what is only recommended is part of no world and of no story."""
    is_advice = bug is not None and bug in WHAT_IS_RECOMMENDED
    return sorted(KINDS, key=lambda kind: kind != "plain tests") if is_advice else list(KINDS)


def make_copy(copy: Path) -> None:
    """What the tests of the core need, and no more."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copytree(ROOT / "admission", copy / "admission", ignore=without)
    shutil.copytree(ROOT / TESTS, copy / TESTS, ignore=without)
    for name in ("__init__.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, copy / "tests")
    where = python(copy, "-c", "import admission; print(admission.__file__)").stdout.strip()
    if Path(where).resolve() != (copy / "admission" / "__init__.py").resolve():
        raise NotPlanted(f"the tests would run on {where} and not on the copy")


def plant(bug: Bug, copy: Path) -> None:
    for edit in bug.edits:
        path = copy / "admission" / "core" / edit.file
        source = path.read_text()
        count = source.count(edit.before)
        if count != 1:
            raise NotPlanted(
                f"{bug.name}: this is {count} times in core/{edit.file}, not once:\n{edit.before}"
            )
        path.write_text(source.replace(edit.before, edit.after))


def test(kind: str, copy: Path) -> Finding:
    began = time.monotonic()
    try:
        run = python(copy, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *KINDS[kind])
    except subprocess.TimeoutExpired:
        return Finding(kind, "hung", HUNG_S)
    took_s = time.monotonic() - began
    if run.returncode not in (0, 1):
        raise NotPlanted(f"{kind} did not run:\n{run.stdout}{run.stderr}")
    return Finding(kind, next(failed(run.stdout), None), took_s)


def failed(output: str) -> Iterator[str]:
    """The tests that failed, less the folder that all are in."""
    for match in re.finditer(rf"^(?:FAILED|ERROR) {TESTS}/(.*?)(?: - .*)?$", output, re.MULTILINE):
        yield match[1]


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """This Python, where the copy comes before whatever is installed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("CI", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        timeout=HUNG_S,
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
