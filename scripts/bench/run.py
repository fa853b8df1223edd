"""`admission run` and `admission hook`, from start to end, against an interpreter that does
nothing.
"""

import compileall
import os
import shutil
import sys
import time
from pathlib import Path

import admission
import admission_client
from scripts.bench.figures import Figure
from scripts.bench.stage import COMMAND, Broken, Stage, progress

RUNS_A_ROUND = 5
# A light command of an agent's: the hook is called for it, and has nothing to do.
EVENT = (
    b'{"session_id": "s", "hook_event_name": "PreToolUse", "tool_name": "Bash", '
    b'"tool_input": {"command": "ls -la"}, "tool_use_id": "toolu_1"}'
)


def bench_run(stage: Stage, rounds: int) -> list[Figure]:
    for package in (admission, admission_client):
        compileall.compile_dir(package.__path__[0], quiet=2)
    stage.serve()
    event = stage.folder / "event.json"
    event.write_bytes(EVENT)
    ours = (COMMAND, "run", "--", shutil.which("true") or "true")
    hook = (COMMAND, "hook", "--agent", "claude")
    bare = (sys.executable, "-c", "pass")
    times_ms: dict[tuple[str, ...], list[float]] = {ours: [], hook: [], bare: []}
    for words in times_ms:
        time_command_s(stage, words, event)  # once for nothing, so that all files are in memory
    for number in range(rounds * RUNS_A_ROUND):
        progress(f"run: {number + 1} of {rounds * RUNS_A_ROUND}")
        for words in (ours, hook, bare) if number % 2 else (bare, hook, ours):
            times_ms[words].append(1000 * time_command_s(stage, words, event))
    return [
        Figure("run: admission run -- true", "ms", times_ms[ours]),
        Figure("run: admission hook, no lease", "ms", times_ms[hook]),
        Figure("run: python -c pass", "ms", times_ms[bare]),
        Figure("run: admission run / python", "", _ratios(times_ms, ours, bare), at_most=2.0),
        Figure("run: admission hook / python", "", _ratios(times_ms, hook, bare), at_most=2.5),
    ]


def _ratios(
    times_ms: dict[tuple[str, ...], list[float]], ours: tuple[str, ...], bare: tuple[str, ...]
) -> list[float]:
    return [our / its for our, its in zip(times_ms[ours], times_ms[bare], strict=True)]


def time_command_s(stage: Stage, words: tuple[str, ...], stdin: Path = Path(os.devnull)) -> float:
    """From a command's start to its end. `subprocess` would add its own time to both."""
    open_stdin = (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0)
    begun_at = time.perf_counter()
    # In a group of its own: Ctrl-C is for us.
    pid = os.posix_spawn(words[0], words, stage.env, setpgroup=0, file_actions=[open_stdin])
    _, status = os.waitpid(pid, 0)
    elapsed_s = time.perf_counter() - begun_at
    if status:
        raise Broken(f"{' '.join(words)} ended with status {os.waitstatus_to_exitcode(status)}")
    return elapsed_s
