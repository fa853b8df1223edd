"""The commands that measure: throttle and guard. Both are of use without a daemon, and start none.

With one, its level and sample are used, so that everybody on the machine agrees.
"""

import fcntl
import math
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from admission.protocol import AdmissionError, Frame, NoSlot, socket_path
from admission_client.blocking import Client
from admission_client.options import JSON, SOCKET, Option, Options, parse, take_no_words
from admission_client.output import LEVEL_COLOURS, as_json, coloured, printable
from admission_client.reading import NO_DAEMON, Reading, look_alone, reading_of, write_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission.service.once import Consumer

NOT_FIT = NoSlot.exit_status
# Who takes less is not worth a look.
CPUS_SHOWN = 0.05
THRESHOLD_VARIABLES = tuple(
    f"{leg}_{step}_PCT" for leg in ("MEMORY", "CPU") for step in ("MEDIUM", "HIGH", "CRITICAL")
)
_SUFFIXES = ("k", "m", "g", "t")


def parse_percent(written: str) -> float:
    """0 to 100.

    Raises:
        ValueError: it is none.
    """
    try:
        percent = float(written)
    except ValueError:
        percent = math.nan
    if 0 <= percent <= 100:
        return percent
    raise ValueError(f'"{written}" is no percentage from 0 to 100')


def parse_bytes(written: str) -> int:
    """Bytes from `512M`, `2G`, `2GiB`, `1.5g` (each a power of 1,024), or plain bytes.

    Raises:
        ValueError: it is none of these, or negative.
    """
    digits = written.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = written[len(digits) :].lower().removesuffix("b").removesuffix("i")
    try:
        power = _SUFFIXES.index(unit) + 1 if unit else 0
        size_bytes = float(digits) * 1024.0**power
    except ValueError:
        size_bytes = math.nan
    if 0 <= size_bytes < math.inf:
        return int(size_bytes)
    raise ValueError(f'"{written}" is no size; write 512M, 2G, or plain bytes')


# --- throttle -------------------------------------------------------------------------------------


def throttle(words: list[str]) -> int:
    """One sample, one decision. The exit status says that it was made, never what it was: a shell
    takes any other status than 0 for a failure, and would throw the answer away.
    """
    options = parse(
        words,
        (
            Option("--level", "only_level", "print only the level, 0 to 3"),
            Option(
                "--memory-used-pct",
                "memory_used_pct",
                "decide for this reading, not the machine's",
                "PERCENT",
                parse_percent,
            ),
            Option("--cpu-used-pct", "cpu_used_pct", "likewise", "PERCENT", parse_percent),
            Option(
                "--workspace",
                "workspace",
                "write state/analytics/resource_metrics.json there, and have the daemon keep it",
                "FOLDER",
            ),
            Option("--config", "config", "decide by this configuration, not the daemon", "FILE"),
            JSON,
            SOCKET,
        ),
        "throttle [options]",
        "One look at the machine and what it calls for: JSON on standard output, a summary for\n"
        "people on standard error. The exit status is 0 whatever the level.\n\n"
        '  if JSON=$(admission throttle); then echo "$JSON" > metrics.json; fi\n'
        "  agents=$(admission throttle | jq .throttle_params.max_agents)",
    )
    take_no_words("throttle", options)
    reading = _supposed(options) or look(options.socket)
    if options.only_level:
        print(reading.metrics.throttle_level)
    else:
        print(as_json(reading.metrics.as_dict(), indent=2))
    sys.stdout.flush()
    _print_summary(reading)
    if options.workspace is not None:
        _keep_workspace(os.path.abspath(options.workspace), reading, options.socket)
    return 0


def _supposed(options: Options) -> Reading | None:
    """What would be decided, if that was asked."""
    memory_pct, cpu_pct, config = options.memory_used_pct, options.cpu_used_pct, options.config
    if memory_pct is None and cpu_pct is None and config is None:
        return None
    return look_alone(memory_pct, cpu_pct, config)


def look(socket: str | None) -> Reading:
    """As the daemon sees the machine; as we do, where none answers."""
    try:
        with Client(socket) as client:
            return reading_of(client.ask("status"), time.time())
    except NO_DAEMON:
        return look_alone()


def _print_summary(reading: Reading) -> None:
    """For people. Where nobody reads it, the answer is no less an answer."""
    head, *lines = map(printable, reading.summary())
    head = coloured(head, LEVEL_COLOURS[reading.metrics.throttle_level], sys.stderr)
    unused = [name for name in THRESHOLD_VARIABLES if os.environ.get(name)]
    if unused and reading.daemon_pid is not None:
        lines.append(
            f"! {', '.join(unused)} of this environment is not used: the daemon goes by its own; "
            'give it to "admission serve", or write it into the configuration'
        )
    with suppress(OSError):
        print(head, *lines, sep="\n", file=sys.stderr, flush=True)


def _keep_workspace(workspace: str, reading: Reading, socket: str | None) -> None:
    path = write_alone(workspace, reading.metrics)
    kept = ""
    if reading.daemon_pid is not None:
        try:
            with Client(socket) as client:
                client.ask("workspace", {"path": workspace})
            kept = "; the daemon keeps it up to date"
        except AdmissionError as problem:
            if problem.code != "unknown_op":
                raise
    print(printable(f"written to {path}{kept}"), file=sys.stderr)


# --- guard ----------------------------------------------------------------------------------------


def guard(words: list[str]) -> int:
    """Whether agents should be started now; 75 where not."""
    options = parse(
        words,
        (
            Option(
                "--min-memory",
                "min_memory_bytes",
                "how much has to be available: 512M, 2G (1G; on a small machine, a tenth)",
                "SIZE",
                parse_bytes,
            ),
            JSON,
            SOCKET,
        ),
        "guard [options]",
        "Whether the machine is fit to start agents: enough memory, a level below 3, no other\n"
        "autopilot; and which processes use the most. The exit status is 0, or 75 where it is "
        "not.\n\n"
        "  admission guard --min-memory 2G && make autopilot",
    )
    take_no_words("guard", options)
    reading = look(options.socket)
    findings = _Findings(reading, options)
    print(as_json(findings.as_map(), indent=2) if options.json else findings.text())
    return 0 if findings.is_fit else NOT_FIT


class _Findings:
    """What was looked at, and the processes that take most. The checks are the service's."""

    def __init__(self, reading: Reading, options: Options) -> None:
        from admission.service import once  # late: only this command needs it

        metrics = reading.metrics
        name = metrics.throttle_params.name
        self._checks = (
            once.check_memory(once.read_machine(cpu_interval_s=0), options.min_memory_bytes),
            once.check_level(metrics.throttle_level, name, reading.reasons),
            once.check_autopilot(autopilot_pid(socket_path(options.socket))),
        )
        self._top = once.who_takes_most()
        self._said_bytes = once.said_bytes

    @property
    def is_fit(self) -> bool:
        return all(check.ok for check in self._checks)

    def as_map(self) -> Frame:
        return {
            "fit": self.is_fit,
            "checks": [asdict(check) for check in self._checks],
            "most_memory": [_consumer_map(one) for one in self._top.by_memory],
            "most_cpu": [_consumer_map(one) for one in self._top.by_cpu],
        }

    def text(self) -> str:
        lines = []
        for check in self._checks:
            mark = coloured("ok", "green") if check.ok else coloured("!!", "red")
            lines.append(f"{mark}  {printable(check.said)}")
        memory = [
            f"{one.name} {self._said_bytes(one.rss_bytes)} ({_where(one.pid, one.processes)})"
            for one in self._top.by_memory
        ]
        cpu = [
            f"{one.name} {one.cpus:.1f} ({_where(one.pid, one.processes)})"
            for one in self._top.by_cpu
            if one.cpus is not None and one.cpus >= CPUS_SHOWN
        ]
        lines.append(printable(f"    most memory: {', '.join(memory) or 'not known'}"))
        lines.append(printable(f"    most CPUs: {', '.join(cpu) or 'nobody takes any'}"))
        return "\n".join(lines)


def _consumer_map(one: "Consumer") -> Frame:
    cpus = None if one.cpus is None else round(one.cpus, 2)
    found: Frame = {"name": one.name, "pid": one.pid, "processes": one.processes}
    return found | {"cpus": cpus, "rss_bytes": one.rss_bytes}


def _where(pid: int, processes: int) -> str:
    return f"process {pid}" if processes == 1 else f"{processes} processes, such as {pid}"


def autopilot_pid(socket: str) -> int | None:
    """The process that holds the autopilots' lock beside this socket; None where nobody does, and
    0 where it does not say who it is.

    Asking takes the lock for a moment, shared, and gives it back; there is no way to only look.
    """
    try:
        lock = os.open(Path(socket).with_name("autopilot.lock"), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None  # no autopilot has ever run here
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(lock, 32, 0).decode(errors="replace").strip()
        return int(who) if who.isascii() and who.isdigit() else 0
    else:
        return None
    finally:
        os.close(lock)
