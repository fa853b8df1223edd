"""A reading of the machine with the user's document's names, and what it says to people.

From what a daemon answers; where none does, from a look of our own: the one place, besides
`admission serve`, where a client uses the service.
"""

import logging
import math
import os
import time
from dataclasses import asdict, dataclass, fields

from admission.protocol import AdmissionError, BadRequest, Frame, Unavailable, Unreachable
from admission_client.granted import Params, mapping, text, whole, words_of

# From this level on, the document says, the machine is under pressure.
PRESSURE_LEVEL = 2
# What says that there is no daemon to go by; whatever else goes wrong is the caller's to know.
NO_DAEMON = (Unreachable, Unavailable)
# How long a monitor's reading is good for, in seconds.
FRESH_S = 3.0
# How often a monitor that waits without a daemon looks again, in seconds.
LOOK_AGAIN_S = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThrottleParams:
    """What the level in force asks of its agents; see `Params`."""

    level: int
    name: str
    max_agents: int
    batch_size: int
    delay_ms: int
    max_concurrent: int
    reasoning_effort: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """The map of the user's document, field by field. What is not known is None.

    Attributes:
        timestamp: when the sample was taken, `2025-10-23T16:30:00Z`.
        memory_used_pct: 0 to 100.
        cpu_used_pct: 0 to 100.
        claude_processes: how many run.
        node_processes: how many run.
        throttle_level: 0 normal, 1 light, 2 medium, 3 heavy.
        throttle_params: of this level.
    """

    timestamp: str
    memory_used_pct: int | None
    cpu_used_pct: int | None
    claude_processes: int | None
    node_processes: int | None
    throttle_level: int
    throttle_params: ThrottleParams

    @classmethod
    def of(cls, found: Frame) -> "Metrics":
        """From the map of the document.

        Raises:
            Unreachable: it is none.
        """
        params = Params(mapping(found, "throttle_params"))
        return cls(
            timestamp=text(found, "timestamp"),
            memory_used_pct=_whole_or_none(found, "memory_used_pct"),
            cpu_used_pct=_whole_or_none(found, "cpu_used_pct"),
            claude_processes=_whole_or_none(found, "claude_processes"),
            node_processes=_whole_or_none(found, "node_processes"),
            throttle_level=whole(found, "throttle_level"),
            throttle_params=ThrottleParams(
                **{field.name: getattr(params, field.name) for field in fields(ThrottleParams)}
            ),
        )

    def as_dict(self) -> Frame:
        """As it stands in `resource_metrics.json`."""
        return asdict(self)

    @property
    def delay_s(self) -> float:
        """The pause between two tasks."""
        return self.throttle_params.delay_ms / 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """The metrics, why the level is what it is, and the daemon that said so.

    Attributes:
        metrics: as in the document.
        reasons: of the level, in words; none where all is calm.
        degraded: a line for each source that has no reading.
        daemon_pid: None where no daemon was asked.
    """

    metrics: Metrics
    reasons: tuple[str, ...]
    degraded: tuple[str, ...] = ()
    daemon_pid: int | None = None

    def summary(self) -> list[str]:
        """What a person wants to know of it, in a few lines: level and why, readings, advice."""
        return [
            self.headline(),
            f"{self._readings()} ({self._source()})",
            self._advice(),
            *(f"! {line}" for line in self.degraded),
        ]

    def headline(self) -> str:
        """`level 2 (medium): memory 85 % is at or above 80 %`."""
        metrics = self.metrics
        why = "; ".join(self.reasons) or "all calm"
        return f"level {metrics.throttle_level} ({metrics.throttle_params.name}): {why}"

    def message(self) -> str:
        """The same in one line."""
        return f"{self.headline()}; {self._advice()}"

    def _readings(self) -> str:
        metrics = self.metrics
        known = [
            f"{word} {used_pct} %" if used_pct is not None else f"{word} unknown"
            for word, used_pct in (
                ("memory", metrics.memory_used_pct),
                ("CPU", metrics.cpu_used_pct),
            )
        ]
        counts = (("Claude", metrics.claude_processes), ("Node", metrics.node_processes))
        known += [f"{count} {word} processes" for word, count in counts if count is not None]
        return ", ".join(known)

    def _source(self) -> str:
        pid = self.daemon_pid
        return "no daemon was asked" if pid is None else f"as daemon {pid} sees it"

    def _advice(self) -> str:
        params = self.metrics.throttle_params
        pause = f", {params.delay_ms / 1000:g} s between tasks" if params.delay_ms else ""
        return (
            f"run up to {_counted(params.max_agents, 'agent')} and "
            f"{_counted(params.max_concurrent, 'heavy step')} at a time, in batches of "
            f"{params.batch_size}{pause}, reasoning effort {params.reasoning_effort}"
        )


def _whole_or_none(found: Frame, name: str) -> int | None:
    """Cut and not rounded, as the bounds of the levels are whole numbers."""
    value = found.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return math.floor(value) if math.isfinite(value) else None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- where a reading comes from -------------------------------------------------------------------


def reading_of(status: Frame, now: float) -> Reading:
    """The reading in what a daemon answers to `status`.

    Args:
        status: the answer.
        now: seconds since 1970.

    Raises:
        Unreachable: it is no answer of a daemon that we understand.
    """
    given = status.get("sample")
    sample: Frame = given if isinstance(given, dict) else {}
    age_s = sample.get("age_s")
    taken_at = now - age_s if isinstance(age_s, (int, float)) else now
    found = {
        **sample,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(taken_at)),
        "throttle_level": status.get("level"),
        "throttle_params": status.get("params"),
    }
    reasons, degraded = words_of(status, "reasons"), words_of(status, "degraded")
    return Reading(Metrics.of(found), tuple(reasons), tuple(degraded), whole(status, "pid"))


def look_alone(
    memory_used_pct: float | None = None,
    cpu_used_pct: float | None = None,
    config: str | None = None,
) -> Reading:
    """The reading by our own sensors. Takes half a second unless the CPU reading is given.

    Args:
        memory_used_pct: 0 to 100, in place of the machine's own.
        cpu_used_pct: likewise.
        config: the configuration file; without it, the usual place.

    Raises:
        BadConfiguration: the file, or a threshold in the environment, is wrong.
    """
    from admission.service.once import decide_now  # late: with a daemon, none of it is needed

    decision = decide_now(config, memory_used_pct, cpu_used_pct)
    return Reading(Metrics.of(decision.metrics), decision.reasons, decision.sample.failed)


def write_alone(workspace: str, metrics: Metrics) -> str:
    """Puts the metrics into the workspace's file, as a daemon would. Returns the file's path.

    Raises:
        BadRequest, NotPermitted: the workspace can't have it.
    """
    from admission.service.metrics import check_workspace, write_metrics  # late: see above

    return str(write_metrics(check_workspace(workspace), metrics.as_dict()))


class Notebook:
    """What a monitor remembers, blocking or not: its workspace, its last reading, and the daemon
    that writes the workspace's file.

    Args:
        workspace_root: the folder below which the file is.

    Raises:
        BadRequest: there is no such folder.
    """

    def __init__(self, workspace_root: "str | os.PathLike[str]") -> None:
        self.workspace = os.path.abspath(workspace_root)
        if not os.path.isdir(self.workspace):
            message = f"workspace {self.workspace}: there is no such folder; give the path of one"
            raise BadRequest(message)
        self.writer_pid: int | None = None
        self._reading: Reading | None = None
        self._read_at = -math.inf
        self._problem = ""

    def fresh(self) -> Reading | None:
        """The last reading, unless it is too old to go by."""
        age_s = time.monotonic() - self._read_at
        return self._reading if age_s < FRESH_S else None

    def keep(self, reading: Reading) -> Reading:
        self._reading, self._read_at = reading, time.monotonic()
        return reading

    def forget(self) -> None:
        """What is known by now is newer than the last reading."""
        self._reading = None

    def write(self, reading: Reading) -> None:
        """Writes the file, as no daemon does. Where it can't be, the monitor works all the same."""
        try:
            write_alone(self.workspace, reading.metrics)
        except AdmissionError as problem:
            self.note(problem)

    def note(self, problem: AdmissionError) -> None:
        """Logs what is wrong with the workspace, once. A daemon that knows nothing of workspaces
        is none of it.
        """
        if problem.code != "unknown_op" and str(problem) != self._problem:
            self._problem = str(problem)
            log.warning("%s", problem)


def check_level(level: int) -> None:
    """Refuses what is no throttle level."""
    if level not in range(4):
        raise ValueError(f"level is 0 to 3, not {level!r}")
