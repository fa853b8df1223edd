"""Real build tools under `run --jobserver`: how many jobs at once, as the jobs themselves say."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.jobs import Jobs, within
from tests.system.stage import Stage, intervals, most_at_once, now_s

JOBSERVER = ("run", "--pool", "operations", "--weight", "3", "--jobserver")


def version_of(tool: str) -> tuple[int, ...]:
    """What it says of itself; () where it is not on this machine."""
    path = shutil.which(tool)
    if path is None:
        return ()
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return () if found is None else tuple(map(int, found.groups()))


def make(jobs: Jobs) -> list[str]:
    if "GNU" not in subprocess.getoutput("make --version"):
        pytest.skip("GNU make is not on this machine")
    jobs.write_makefile()
    return ["make", "-s"]


def make_by_name(jobs: Jobs) -> list[str]:
    if version_of("make") < (4, 4):
        pytest.skip("make 4.4 or newer is not on this machine")
    return make(jobs)


def ninja(jobs: Jobs) -> list[str]:
    if version_of("ninja") < (1, 13):
        pytest.skip("ninja 1.13 or newer is not on this machine")
    jobs.write_ninja()
    return ["ninja", "--quiet"]


def tool(jobs: Jobs) -> list[str]:
    return jobs.write_tool()


Builder = Callable[[Jobs], list[str]]
BUILDERS = [
    pytest.param(make, "pipe", id="make"),
    pytest.param(make_by_name, "fifo", id="make-by-name"),
    pytest.param(ninja, "fifo", id="ninja"),
    pytest.param(tool, "fifo", id="tool"),
    pytest.param(tool, "pipe", id="tool-pipe"),
]


@pytest.fixture
def clean(stage: Stage) -> Stage:
    """As if no make had started the tests."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CARGO_MAKEFLAGS"):
        stage.env.pop(name, None)
    return stage


def build(stage: Stage, line: list[str], style: str) -> "subprocess.Popen[bytes]":
    words = (*JOBSERVER, "--jobserver-style", style, "--", *line)
    return stage.spawn(*words, stdout=subprocess.DEVNULL)


def set_level(stage: Stage, level: int) -> None:
    stage.set_level(level)


@pytest.mark.parametrize(("builder", "style"), BUILDERS)
def test_as_many_jobs_as_the_lease_has_units_fewer_under_pressure_and_more_again(
    builder: Builder, style: str, clean: Stage
) -> None:
    jobs = Jobs(clean.folder, 40)
    process = build(clean, builder(jobs), style)
    jobs.until_running(3)
    set_level(clean, 3)
    fewer_between = jobs.until_alone()
    set_level(clean, 0)
    jobs.until_three_again()
    jobs.end_all()
    assert process.wait() == 0
    ran = jobs.ran()
    assert len(ran) == 40
    assert most_at_once(ran) == 3
    assert most_at_once(list(within(ran, *fewer_between))) == 1
    assert not clean.look().leases


def test_makes_below_make_share_its_tokens(clean: Stage) -> None:
    jobs = Jobs(clean.folder, 16)
    make(jobs)
    (clean.folder / "Makefile").rename(clean.folder / "below.mk")
    halves = (" ".join(jobs.names[:8]), " ".join(jobs.names[8:]))
    (clean.folder / "Makefile").write_text(
        "all: left right\n"
        f"left:\n\t@+$(MAKE) -s -f below.mk {halves[0]}\n"
        f"right:\n\t@+$(MAKE) -s -f below.mk {halves[1]}\n"
    )
    process = clean.spawn(*JOBSERVER, "--", "make", "-s")
    jobs.until_running(3)
    jobs.end_all()
    assert process.wait() == 0
    assert len(jobs.ran()) == 16
    assert most_at_once(jobs.ran()) == 3


def test_a_run_below_a_run_shares_the_outer_tokens(clean: Stage) -> None:
    """Two builds side by side below one lease, each by a `run` of its own: three jobs in all."""
    jobs = Jobs(clean.folder, 12)
    line = tool(jobs)
    inner = [sys.executable, "-P", "-m", "admission_client.cli", *JOBSERVER, "--"]
    (clean.folder / "Makefile").write_text(
        "all: left right\n"
        f"left:\n\t@+{' '.join([*inner, *line[:5], *jobs.names[:6]])}\n"
        f"right:\n\t@+{' '.join([*inner, *line[:5], *jobs.names[6:]])}\n"
    )
    make_is_here = make(Jobs(clean.folder / "run", 1))
    process = clean.spawn(*JOBSERVER, "--", *make_is_here)
    jobs.until_running(3)
    assert len(list((clean.folder / "run" / "jobservers").iterdir())) == 1
    jobs.end_all()
    assert process.wait() == 0
    assert len(jobs.ran()) == 12
    assert most_at_once(jobs.ran()) == 3


def test_what_a_killed_make_had_is_lost_until_the_lease_ends_and_no_longer(clean: Stage) -> None:
    jobs = Jobs(clean.folder, 6)
    line = make(jobs)
    script = f"{' '.join(line)}; touch killed; exec {' '.join(line)}"
    process = clean.spawn(*JOBSERVER, "--", "sh", "-c", script)
    running = jobs.until_running(3)
    (make_pid,) = {
        int(Path(f"/proc/{shell_of(jobs, name)}/stat").read_text().rpartition(")")[2].split()[1])
        for name in running
    }
    os.kill(make_pid, signal.SIGKILL)
    for name in running:
        jobs.end(name)  # nobody gives back what was taken for them
    while not (clean.folder / "killed").exists():
        pass
    killed_at = now_s()
    jobs.end_all()
    assert process.wait() == 0
    assert most_at_once(list(within(jobs.ran(), killed_at, now_s()))) == 1
    for left in [*clean.folder.glob("*.ran"), *clean.folder.glob("*.began")]:
        left.unlink()
    for left in clean.folder.glob("*.end"):
        left.unlink()
    process = clean.spawn(*JOBSERVER, "--", *line)
    jobs.until_running(3)
    jobs.end_all()
    assert process.wait() == 0


def shell_of(jobs: Jobs, name: str) -> int:
    return int((jobs.folder / f"{name}.began").read_text())


# Stands before rustc, and records as RECORDER does when it ran; without `--crate-name` cargo only
# asks what it is.
WRAPPER = """#!{python} -SE
import os, subprocess, sys, time
begun = time.clock_gettime(time.CLOCK_MONOTONIC)
status = subprocess.call(sys.argv[1:], close_fds=False)
ended = time.clock_gettime(time.CLOCK_MONOTONIC)
if "--crate-name" in sys.argv and "___" not in sys.argv:
    with open(f"{folder}/{{os.getpid()}}.ran", "w") as file:
        file.write(f"{{begun}} {{ended}}")
sys.exit(status)
"""


@pytest.mark.skipif(version_of("cargo") < (1, 70), reason="cargo is not on this machine")
@pytest.mark.parametrize("style", ["fifo", "pipe"])
def test_cargo_compiles_as_many_crates_at_once_as_the_lease_has_units(
    style: str, clean: Stage
) -> None:
    """Six that need nothing of each other, and one that needs them all; `-j` would allow eight."""
    crates = [f"part{number}" for number in range(6)]
    needs = "".join(f'{name} = {{ path = "{name}" }}\n' for name in crates)
    for name, more in [*((name, "") for name in crates), (".", needs)]:
        (clean.folder / name / "src").mkdir(parents=True)
        manifest = f'[package]\nname = "{name.strip(".") or "whole"}"\nversion = "0.1.0"\n'
        (clean.folder / name / "Cargo.toml").write_text(f"{manifest}\n[dependencies]\n{more}")
        (clean.folder / name / "src" / "lib.rs").write_text("pub fn one() -> u32 { 1 }\n")
    wrapper = clean.folder / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, folder=clean.folder))
    wrapper.chmod(0o755)
    process = clean.spawn(
        *("run", "--pool", "operations", "--weight", "2", "--jobserver-style", style, "--"),
        *("cargo", "build", "--offline", "--quiet", "-j8"),
        env={"RUSTC_WRAPPER": str(wrapper)},
    )
    assert process.wait() == 0
    ran = list(intervals(clean.folder))
    assert len(ran) == 7
    assert most_at_once(ran) <= 2
