"""The torture itself, for a few seconds: that it runs, finds a bug, and ends what it started."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.torture.plants import PLANTS

ROOT = Path(__file__).parents[2]
# Generous: it only ends a test that would hang.
LIMIT_S = 150

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc and needs prctl")


class Torture:
    """One run, in a process group of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        words = [sys.executable, "-m", "scripts.torture", "--actors", "10", *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def wait(self) -> int:
        out, errors = self.process.communicate(timeout=LIMIT_S)
        self.said = out + errors
        return self.process.returncode

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def end(self) -> None:
        if not self.is_over:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Torture, Torture]]:
    """An honest daemon and one with a bug, at once: each of them mostly waits."""
    short = ("--seed", "1", "--round-seconds", "2")
    honest = Torture(folder, "--seconds", "2", "--json", str(folder / "report"), *short)
    planted = Torture(folder, "--seconds", "60", "--plant", "over-admission", *short)
    yield honest, planted
    honest.end()
    planted.end()


def test_an_honest_daemon_is_found_innocent_and_a_planted_bug_is_found(
    pair: tuple[Torture, Torture], folder: Path
) -> None:
    honest, planted = pair
    assert honest.wait() == 0, honest.said
    assert honest.is_over
    found = json.loads((folder / "report").read_text())
    assert found["violations"] == []
    assert (found["seed"], found["rounds"], found["probes"]) == (1, 1, 2)
    assert found["granted"] > 0
    assert planted.wait() == 1, planted.said
    assert "over-admission" in planted.said
    assert [path.name for path in folder.iterdir()] == ["report"]


def test_who_kills_it_has_no_process_to_clean_up(folder: Path) -> None:
    torture = Torture(folder, "--seconds", "60")
    try:
        while len(psutil.Process(torture.process.pid).children()) < 5:
            time.sleep(0.02)
        torture.process.kill()
        torture.process.wait()
        while not torture.is_over:
            time.sleep(0.02)
    finally:
        torture.end()


def test_every_plant_still_finds_what_it_patches() -> None:
    """In a process of its own, as they stay."""
    code = "from scripts.torture.plants import PLANTS\nfor plant in PLANTS.values():\n    plant()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=LIMIT_S)
    assert len(PLANTS) >= 5
