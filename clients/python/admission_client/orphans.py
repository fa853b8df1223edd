"""The command `orphans`: what outlived its lease, agents without one, and an end to the former."""

import sys
from typing import TYPE_CHECKING

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.durations import parse_duration, said
from admission_client.granted import number, rows, text, whole
from admission_client.options import JSON, SOCKET, Option, WrongUsage, parse, parse_count
from admission_client.output import as_json, coloured, printable, table

if TYPE_CHECKING:
    from admission_client.stopping import Outcome

MIB = 1 << 20
LEFT = 1

OPTIONS = (
    Option("--stop", "stop", "end what outlived its lease, after asking"),
    Option("--yes", "yes", "do not ask"),
    Option(
        "--grace",
        "grace_s",
        "how long each has after SIGTERM, before SIGKILL (10s)",
        "DURATION",
        parse_duration,
    ),
    JSON,
    SOCKET,
)


def orphans(words: list[str]) -> int:
    """What outlived its lease, and agents without one."""
    options = parse(
        words,
        OPTIONS,
        "orphans [options] [PID ...]",
        "Processes that outlived the lease they were started under, and agents that run under\n"
        "none. With --stop, the former are ended: only what is proven to be one, each held by a\n"
        "pidfd while its proof is checked again. Ends with 1 where --stop left any.",
    )
    pids = _pids(options.words)
    if options.stop and not options.yes and not sys.stdin.isatty():
        raise WrongUsage("orphans: --stop asks, and there is no terminal to ask on; add --yes")
    with Client(options.socket) as client:
        found = client.ask("orphans", {"pids": pids})
        if not options.json:
            print(_told(found))
        if not options.stop:
            if options.json:
                print(as_json(found, indent=2))
            return 0
        stopped = _stop(client, rows(found, "survivors"), options.grace_s, options.yes)
    if options.json:
        about = [{"pid": one.pid, "how": one.how, "why": one.why} for one in stopped]
        print(as_json({**found, "stopped": about}, indent=2))
    else:
        for one in stopped:
            print(f"{one.pid} {_outcome(one)}")
    is_left = any(one.how == "left" for one in stopped) or rows(found, "none")
    return LEFT if is_left or whole(found, "left_out") else 0


def _pids(words: list[str]) -> list[int]:
    try:
        return [parse_count(word) for word in words]
    except ValueError as problem:
        raise WrongUsage(f"orphans: a process is named by its PID: {problem}") from None


def _stop(
    client: Client, survivors: list[Frame], grace_s: float, is_agreed: bool
) -> "list[Outcome]":
    from admission_client.stopping import HAS_PIDFD, stop  # late: it brings the service along

    if not survivors or not (is_agreed or _agrees(len(survivors))):
        return []
    if not HAS_PIDFD:
        print("no pidfd here: start times are checked right before each signal", file=sys.stderr)

    def prove(pids: list[int]) -> set[tuple[int, int]]:
        again = rows(client.ask("orphans", {"pids": pids}), "survivors")
        return {(whole(one, "pid"), whole(one, "start_ticks")) for one in again}

    return stop(survivors, prove, grace_s)


def _agrees(how_many: int) -> bool:
    what = "this process" if how_many == 1 else f"these {how_many} processes"
    print(f"end {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _outcome(one: "Outcome") -> str:
    words = {"ended": "ended", "killed": "killed", "left": "left alone"}
    return f"{words[one.how]}: {one.why}"


def _told(found: Frame) -> str:
    survivors, agents = rows(found, "survivors"), rows(found, "agents")
    parts = [_survivors(survivors) if survivors else "nothing outlived its lease"]
    if agents:
        parts += ["", _agents(agents)]
    lines = [f"{whole(one, 'pid')} is none: {text(one, 'why')}" for one in rows(found, "none")]
    if whole(found, "left_out"):
        lines.append(f"{whole(found, 'left_out')} more are not shown; name PIDs to see others")
    return "\n".join(parts + [printable(line) for line in lines])


def _survivors(found: list[Frame]) -> str:
    title = f"{_counted(found)} outlived a lease, {_sum(found)}:"
    head = ("PID", "LEASE", "MEMORY", "AGE", "COMMAND", "EVIDENCE")
    shown = [
        (
            whole(one, "pid"),
            whole(one, "lease"),
            _memory(one),
            said(number(one, "age_s")),
            text(one, "command") or text(one, "name"),
            text(one, "evidence"),
        )
        for one in found
    ]
    return f"{coloured(title, 'yellow')}\n{table(head, shown)}"


def _agents(found: list[Frame]) -> str:
    title = f"{len(found)} under no lease, which --stop never touches, {_sum(found)}:"
    head = ("PID", "AGENT", "PROCESSES", "MEMORY", "AGE", "COMMAND")
    shown = [
        (
            whole(one, "pid"),
            text(one, "name"),
            whole(one, "processes"),
            _memory(one),
            said(number(one, "age_s")),
            text(one, "command"),
        )
        for one in found
    ]
    return f"{title}\n{table(head, shown)}"


def _counted(found: list[Frame]) -> str:
    return "1 process" if len(found) == 1 else f"{len(found)} processes"


def _sum(found: list[Frame]) -> str:
    return f"{sum(whole(one, 'memory_bytes') for one in found) / MIB:.0f} MiB in all"


def _memory(one: Frame) -> str:
    """By proportional share; RSS counts what is shared with others in full."""
    shown = f"{whole(one, 'memory_bytes') / MIB:.1f} MiB"
    return shown if text(one, "memory") == "pss" else f"{shown} RSS"
