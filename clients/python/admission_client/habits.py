"""The command `tasks`: what each task took before, as the daemon measured it."""

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.durations import parse_duration, said
from admission_client.granted import number, rows, text, whole
from admission_client.options import JSON, SOCKET, Option, Options, parse, take_no_words
from admission_client.output import as_json, printable, table

MIB = 1 << 20
SINCE_S = 7 * 86_400.0


def tasks(words: list[str]) -> int:
    """Shows it as a table, or as JSON."""
    options = parse(
        words,
        (
            Option("--task", "task", "only this one", "NAME"),
            Option("--since", "recorded_s", "how far back (7d)", "DURATION", parse_duration),
            JSON,
            SOCKET,
        ),
        "tasks [options]",
        "What each task took before: the memory, the CPU time and the time of its runs, with all\n"
        "that they started. A task is what --task named, or else the command's name. 19 OF 20: as\n"
        "many runs stayed within. FAILED: the kernel ended them for want of memory.",
    )
    take_no_words("tasks", options)
    asked: Frame = {"since_s": options.recorded_s or SINCE_S}
    if options.task:
        asked["task"] = options.task
    with Client(options.socket) as client:
        found = client.ask("tasks", asked)
    if options.json:
        print(as_json(found, indent=2))
    else:
        print(_told(rows(found, "tasks"), whole(found, "left_out"), options))
    return 0


def _told(found: list[Frame], left_out: int, options: Options) -> str:
    if not found:
        return _none(options)
    is_shared = "user" in found[0]
    head = ["TASK", "RUNS", "MEMORY", "19 OF 20", "CPU", "LASTED", "19 OF 20", "FAILED", "LAST"]
    shown = table([*["USER"] * is_shared, *head], [_cells(one, is_shared) for one in found])
    return shown + (f"\nand {left_out} more; --task NAME shows one" if left_out else "")


def _cells(one: Frame, is_shared: bool) -> list[object]:
    return [
        *([text(one, "user")] if is_shared else []),
        printable(text(one, "task")) or "-",
        whole(one, "runs"),
        f"{whole(one, 'memory_p50_bytes') / MIB:.0f} MiB",
        f"{whole(one, 'memory_p95_bytes') / MIB:.0f} MiB",
        _said(one, "cpu_p50_s"),
        _said(one, "lasted_p50_s"),
        _said(one, "lasted_p95_s"),
        whole(one, "failures") or "-",
        f"{said(number(one, 'last_seen_s'))} ago",
    ]


def _said(one: Frame, name: str) -> str:
    return "-" if one.get(name) is None else said(number(one, name))


def _none(options: Options) -> str:
    since = said(options.recorded_s or SINCE_S)
    if options.task:
        return f'no run of "{printable(options.task)}" is known of the last {since}; ' + (
            "look further back: admission tasks --since 30d"
        )
    return (
        f"no run of a task is known of the last {since}; they are measured under a lease: "
        "admission run --task tests -- make test"
    )
