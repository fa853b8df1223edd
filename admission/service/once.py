"""One reading and one decision, where no daemon runs; and what to look at before starting agents.

The sensors, the table and the rule are the daemon's own. What it has and this has not is a past:
no smoothing, no patience, only this moment.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from admission.core.governor import Governor
from admission.core.leases import Holder
from admission.core.levels import Level
from admission.core.sample import Sample
from admission.protocol import Frame, throttle_disabled_by
from admission.service.config import Config, load
from admission.service.holders import ancestors
from admission.service.metrics import metrics_map
from admission.service.sensors import Sensors
from admission.service.sensors.belonging import Consumer, Top, top

__all__ = ["Check", "Consumer", "Decision", "Top", "decide", "decide_now", "who_takes_most"]

# CPU is a difference, so its first reading takes a while.
CPU_INTERVAL_S = 0.5
LEVEL_CRITICAL = 3
# How many of the heaviest are named.
HEAVIEST = 3
MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Decision:
    """What one sample calls for, with its reasons in words. `taken_at`: seconds since 1970."""

    sample: Sample
    level: Level
    reasons: tuple[str, ...]
    taken_at: float

    @property
    def metrics(self) -> Frame:
        return metrics_map(self.sample, self.level, self.taken_at)


def decide(
    sample: Sample,
    config: Config,
    environ: "os._Environ[str] | dict[str, str]",
    taken_at: float = 0.0,
) -> Decision:
    """What a daemon would decide that has seen only this sample. What the sample does not know
    can't raise the level, and is said.

    Args:
        sample: one reading of the machine.
        config: the table, and whatever else the governor goes by.
        environ: where throttling may be switched off.
        taken_at: when the sample was taken, in seconds since 1970.
    """
    variable = throttle_disabled_by(environ)
    if variable is not None:
        why = f"{variable} is set: throttling is switched off"
        return Decision(sample, config.levels[0], (why,), taken_at)
    governor = Governor(throttle=config.throttle)
    governor.take(sample)
    readings = (("memory", sample.memory_used_pct), ("CPU", sample.cpu_used_pct))
    unknown = tuple(f"no reading of {what}" for what, used_pct in readings if used_pct is None)
    return Decision(sample, governor.row, governor.reasons + unknown, taken_at)


def suppose(
    sample: Sample, memory_used_pct: float | None = None, cpu_used_pct: float | None = None
) -> Sample:
    """The sample with these readings, 0 to 100, in place of all that the machine itself says of
    memory or CPU.
    """
    if memory_used_pct is not None:
        sample = replace(
            sample, memory_used_pct=memory_used_pct, memory_stall_pct=None, memory_pressure=None
        )
    if cpu_used_pct is not None:
        sample = replace(sample, cpu_used_pct=cpu_used_pct, cpu_stall_pct=None)
    return sample


def decide_now(
    config_path: str | None = None,
    memory_used_pct: float | None = None,
    cpu_used_pct: float | None = None,
) -> Decision:
    """Looks at the machine, and decides. Takes half a second unless the CPU reading is given.

    Args:
        config_path: the configuration file; without it, the usual place.
        memory_used_pct: 0 to 100, in place of the machine's own.
        cpu_used_pct: likewise.

    Raises:
        BadConfiguration: the file, or a threshold in the environment, is wrong.
    """
    config = load(config_path)
    sample = read_machine(0.0 if cpu_used_pct is not None else CPU_INTERVAL_S)
    sample = suppose(sample, memory_used_pct, cpu_used_pct)
    return decide(sample, config, os.environ, time.time())


def read_machine(
    cpu_interval_s: float = CPU_INTERVAL_S, sleep: Callable[[float], None] = time.sleep
) -> Sample:
    """One sample by the daemon's own sensors. CPU is the mean over the interval; with none, it is
    not known.
    """
    sensors = Sensors()
    sample = sensors.read(time.monotonic())
    if not cpu_interval_s:
        return sample
    sleep(cpu_interval_s)
    return sensors.read(time.monotonic())


# --- before agents are started --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `name` is for programs, `said` for people."""

    name: str
    ok: bool
    said: str


def check_memory(sample: Sample, needed_bytes: int | None = None) -> Check:
    """Whether there is memory for one more agent.

    Args:
        sample: one reading of the machine.
        needed_bytes: what has to be available; without it, 1 GiB, or a tenth of a machine that
            has less than ten.
    """
    available_bytes, total_bytes = sample.memory_available_bytes, sample.memory_total_bytes
    if available_bytes is None or total_bytes is None:
        return Check("memory", False, "it is not known how much memory is available")
    needed = min(GIB, total_bytes // 10) if needed_bytes is None else needed_bytes
    found = f"{said_bytes(available_bytes)} of {said_bytes(total_bytes)} memory are available"
    if available_bytes >= needed:
        return Check("memory", True, found)
    return Check("memory", False, f"{found}, and {said_bytes(needed)} have to be")


def check_level(level: int, name: str, reasons: tuple[str, ...]) -> Check:
    """Whether the throttle level, 0 to 3, is below the critical one."""
    why = f": {'; '.join(reasons)}" if reasons else ""
    return Check("level", level < LEVEL_CRITICAL, f"throttle level {level} ({name}){why}")


def check_autopilot(
    pid: int | None, above: Callable[[int], tuple[Holder, ...]] = ancestors
) -> Check:
    """Whether no other autopilot is at work.

    Args:
        pid: the process that holds the autopilots' lock; 0 where it is not known, None where there
            is none.
        above: what stands above a process: an autopilot that runs this is no second one.
    """
    if pid is None:
        return Check("autopilot", True, "no autopilot is at work")
    if pid in (one.pid for one in above(os.getpid())):
        return Check("autopilot", True, f"no autopilot but the one that runs this (process {pid})")
    who = f"process {pid}" if pid else "another process"
    return Check(
        "autopilot", False, f"an autopilot is at work already ({who}); give it more agents instead"
    )


def who_takes_most(interval_s: float = CPU_INTERVAL_S) -> Top:
    """The heaviest processes, put together by what they belong to; CPU as of this interval."""
    sensors = Sensors()
    before = sensors.read_processes(frozenset())
    time.sleep(interval_s)
    now = sensors.read_processes(frozenset())
    return Top((), ()) if now is None else top(now, before, {}, HEAVIEST)


def said_bytes(size_bytes: int) -> str:
    """For a person: `640 MiB`, `3.2 GiB`."""
    if size_bytes < GIB:
        return f"{size_bytes / MIB:.0f} MiB"
    return f"{size_bytes / GIB:.1f} GiB"
