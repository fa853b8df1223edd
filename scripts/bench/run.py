"""`admission run` and `admission hook`, from start to end, against an interpreter that does
nothing, and against other commands that run a command.
"""

import compileall
import os
import sys
import time
from pathlib import Path

import admission
import admission_client
from scripts.bench.figures import Figure, ratios, skipped
from scripts.bench.peers import why_skipped
from scripts.bench.peers.commands import TRUE, commands
from scripts.bench.stage import COMMAND, Broken, Stage, progress

RUNS_A_ROUND = 5
# A light command of an agent's: the hook is called for it, and has nothing to do.
EVENT = (
    b'{"session_id": "s", "hook_event_name": "PreToolUse", "tool_name": "Bash", '
    b'"tool_input": {"command": "ls -la"}, "tool_use_id": "toolu_1"}'
)


OURS, HOOK, BARE, SEM_FG = "admission run", "admission hook", "python -c pass", "sem --fg"


def bench_run(stage: Stage, rounds: int) -> list[Figure]:
    for package in (admission, admission_client):
        compileall.compile_dir(package.__path__[0], quiet=2)
    stage.serve()
    event = stage.folder / "event.json"
    event.write_bytes(EVENT)
    with commands(stage) as peers:
        here = {name: words for name, (words, needs) in peers.items() if not why_skipped(*needs)}
        times_ms = _time_all(
            stage,
            {
                OURS: (COMMAND, "run", "--", TRUE),
                HOOK: (COMMAND, "hook", "--agent", "claude"),
                BARE: (sys.executable, "-c", "pass"),
                "true": (TRUE,),
            }
            | here,
            event,
            rounds * RUNS_A_ROUND,
        )
    figures = [
        Figure("run: admission run -- true", "ms", times_ms[OURS]),
        Figure("run: admission hook, no lease", "ms", times_ms[HOOK]),
        Figure("run: python -c pass", "ms", times_ms[BARE]),
        Figure("run: true", "ms", times_ms["true"]),
    ]
    for name, (_, needs) in peers.items():
        row = f"run: {name} true"
        why = why_skipped(*needs)
        figures.append(skipped(row, why) if why else Figure(row, "ms", times_ms[name]))
    by_bare = ratios(times_ms[OURS], times_ms[BARE])
    hook_by_bare = ratios(times_ms[HOOK], times_ms[BARE])
    figures += [
        Figure("run: admission run / python", "", by_bare, at_most=1.7),
        Figure("run: admission hook / python", "", hook_by_bare, at_most=2.5),
    ]
    if SEM_FG in times_ms:
        by_sem = ratios(times_ms[OURS], times_ms[SEM_FG])
        figures.append(Figure("run: admission run / sem --fg", "", by_sem, at_most=1 / 3))
    return figures


def _time_all(
    stage: Stage, words_of: dict[str, tuple[str, ...]], stdin: Path, count: int
) -> dict[str, list[float]]:
    """What each takes in milliseconds, in turns, there and back."""
    times_ms: dict[str, list[float]] = {name: [] for name in words_of}
    for words in words_of.values():
        time_command_s(stage, words, stdin)  # once for nothing, so that all files are in memory
    for number in range(count):
        progress(f"run: {number + 1} of {count}")
        for name in list(words_of) if number % 2 else reversed(words_of):
            times_ms[name].append(1000 * time_command_s(stage, words_of[name], stdin))
    return times_ms


def time_command_s(stage: Stage, words: tuple[str, ...], stdin: Path = Path(os.devnull)) -> float:
    """From a command's start to its end. `subprocess` would add its own time to both."""
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),  # some say what they do
    ]
    begun_at = time.perf_counter()
    # In a group of its own: Ctrl-C is for us.
    pid = os.posix_spawn(words[0], words, stage.env, setpgroup=0, file_actions=streams)
    _, status = os.waitpid(pid, 0)
    elapsed_s = time.perf_counter() - begun_at
    if status:
        raise Broken(f"{' '.join(words)} ended with status {os.waitstatus_to_exitcode(status)}")
    return elapsed_s
