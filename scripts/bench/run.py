"""`admission run`, from start to end, against an interpreter that does nothing."""

import compileall
import os
import shutil
import sys
import time

import admission
import admission_client
from scripts.bench.figures import Figure
from scripts.bench.stage import COMMAND, Broken, Stage, progress

RUNS_A_ROUND = 5


def bench_run(stage: Stage, rounds: int) -> list[Figure]:
    for package in (admission, admission_client):
        compileall.compile_dir(package.__path__[0], quiet=2)
    stage.serve()
    ours = (COMMAND, "run", "--", shutil.which("true") or "true")
    bare = (sys.executable, "-c", "pass")
    times_ms: dict[tuple[str, ...], list[float]] = {ours: [], bare: []}
    for words in times_ms:
        time_command_s(stage, words)  # once for nothing, so that all files are in memory
    for number in range(rounds * RUNS_A_ROUND):
        progress(f"run: {number + 1} of {rounds * RUNS_A_ROUND}")
        for words in (ours, bare) if number % 2 else (bare, ours):
            times_ms[words].append(1000 * time_command_s(stage, words))
    ratios = [run / pass_ for run, pass_ in zip(times_ms[ours], times_ms[bare], strict=True)]
    return [
        Figure("run: admission run -- true", "ms", times_ms[ours]),
        Figure("run: python -c pass", "ms", times_ms[bare]),
        Figure("run: admission run / python", "", ratios, at_most=2.0),
    ]


def time_command_s(stage: Stage, words: tuple[str, ...]) -> float:
    """From a command's start to its end. `subprocess` would add its own time to both."""
    begun_at = time.perf_counter()
    pid = os.posix_spawn(words[0], words, stage.env, setpgroup=0)  # Ctrl-C is for us
    _, status = os.waitpid(pid, 0)
    elapsed_s = time.perf_counter() - begun_at
    if status:
        raise Broken(f"{' '.join(words)} ended with status {os.waitstatus_to_exitcode(status)}")
    return elapsed_s
