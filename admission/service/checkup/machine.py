"""Clock, limits and sensors."""

import os
import resource
import sys
import time
from collections.abc import Iterator

import psutil

from admission.core.durations import said
from admission.protocol import AdmissionError
from admission.service import descriptors
from admission.service.checkup.finding import Finding, ok, problem, warning
from admission.service.checkup.scene import Scene
from admission.service.config import Config, load
from admission.service.sampling import asleep_s
from admission.service.sensors import Sensors

FUTURE_S = 60.0
# Two readings this far apart are enough for what is said of an interval.
READINGS_APART_S = 0.1
NEARLY = 0.8
GIB = 1 << 30


def check_clock(scene: Scene) -> Iterator[Finding]:
    """No lease goes by the wall clock, but files and people do."""
    if sys.platform == "linux":
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                file.read()
        except OSError as why:
            yield warning(
                "clock",
                f"the boot's id can't be read ({why.strerror}): a journal of another boot is told "
                "by the boot's time, which moves with the clock",
                "let this user read /proc/sys/kernel/random/boot_id",
            )
    ahead_s = max(_file_times(scene), default=0.0) - time.time()
    if ahead_s > FUTURE_S:
        yield warning(
            "clock",
            f"the daemon's files are {said(ahead_s)} younger than now: the clock was set back",
            "see that the clock is right (timedatectl); no lease goes by it",
        )
    else:
        slept = asleep_s()
        nap = f"the machine was asleep for {said(slept)} since it was started" if slept > 1 else ""
        yield ok("clock", nap or "it goes as it should; the machine has not slept")


def _file_times(scene: Scene) -> Iterator[float]:
    for suffix in (".lock", ".journal", ".log"):
        try:
            if scene.path is not None:
                yield scene.path.with_suffix(suffix).lstat().st_mtime
        except OSError:
            continue


def check_limits(scene: Scene) -> Iterator[Finding]:
    """Whether the system lets a daemon have what its configuration promises."""
    try:
        config = load(scene.config)
    except AdmissionError:
        config = Config()  # said elsewhere
    yield _check_files(scene, config.connections_max)
    yield from _check_processes()


def _check_files(scene: Scene, connections: int) -> Finding:
    needed = descriptors.needed(connections)
    # A daemon that starts may raise its own limit as far as the hard one.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    used = 0
    if scene.is_served and sys.platform == "linux":
        try:
            allowed = resource.prlimit(scene.daemon_pid, resource.RLIMIT_NOFILE)[0]
            used = len(os.listdir(f"/proc/{scene.daemon_pid}/fd"))
        except OSError:
            pass  # another user's: what we may have is the best guess
    if allowed == resource.RLIM_INFINITY:
        return ok("limits", "as many open files as one likes")
    fit = descriptors.fitting(allowed)
    advice = f'raise it ("ulimit -n {needed}", LimitNOFILE=) or set [limits] connections = {fit}'
    if used > NEARLY * allowed:
        return problem("limits", f"the daemon has {used} of {allowed} files open", advice)
    if allowed < needed:
        return warning(
            "limits",
            f"{allowed} open files are allowed and {connections} connections take {needed}: about "
            f"{fit} fit",
            advice,
        )
    about = f", {used} of them open" if used else ""
    return ok("limits", f"{allowed} open files are allowed{about}; {needed} are needed at most")


def _check_processes() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft == resource.RLIM_INFINITY or os.getuid() == 0:
        return  # root is not held to it
    threads = sum(
        process.info["num_threads"] or 0
        for process in psutil.process_iter(["uids", "num_threads"])
        if process.info["uids"] and process.info["uids"].real == os.getuid()
    )
    if threads > NEARLY * soft:
        yield warning(
            "limits",
            f"{threads} of {soft} processes and threads that this user may have are there",
            'end some, or raise the limit ("ulimit -u", TasksMax=): agents will fail to start',
        )


def check_sensors(_: Scene) -> Iterator[Finding]:
    """Each source is read once, and once more for what is said of an interval."""
    sensors = Sensors()
    sensors.read(time.monotonic())
    time.sleep(READINGS_APART_S)
    sample = sensors.read(time.monotonic())
    for line in sample.failed:
        yield warning("sensors", line, "it is left out until it can be read; see why it can't")
    if sample.memory_used_pct is None or sample.cpu_used_pct is None:
        yield problem(
            "sensors",
            "memory or CPU can't be read, so the level can't follow them",
            "see that /proc is mounted and readable",
        )
        return
    about = [f"memory {sample.memory_used_pct:.0f} %, CPU {sample.cpu_used_pct:.0f} %"]
    total, machine = sample.memory_total_bytes, psutil.virtual_memory().total
    if total is not None and total < machine:
        about.append(f"within a cgroup limit of {total / GIB:.1f} of {machine / GIB:.1f} GiB")
    if sys.platform == "linux" and sample.memory_stall_pct is None:
        about.append("no pressure stalls, which this kernel tells only if booted with psi=1")
    yield ok("sensors", "; ".join(about))
