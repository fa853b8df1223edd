"""The daemon that serves, its leases, and what outlived them. Silent where there is none."""

import time
from collections.abc import Iterator

from admission import __version__
from admission.core.durations import said
from admission.protocol import AdmissionError, Frame
from admission.service.checkup.finding import Finding, ok, problem, warning
from admission.service.checkup.scene import Scene, is_locked, is_there
from admission.service.shedder import record_path
from admission.service.standstill import read_record, release_all

OLD_S = 86_400.0
# An end of this very moment is no lost one.
AGAIN_S = 0.2
MIB = 1 << 20


def check_daemon(scene: Scene) -> Iterator[Finding]:
    """Its version, and what it says of itself."""
    if not scene.is_served:
        return
    version = scene.status.get("version")
    if version != __version__:
        yield warning(
            "daemon",
            f"version {version} runs and {__version__} is installed",
            'replace it with "admission serve --replace"; all leases are kept',
        )
    degraded = scene.status.get("degraded")
    lines = degraded if isinstance(degraded, list) else []
    for line in lines:
        yield warning("daemon", str(line), 'see "admission status" and the daemon\'s log')
    if version == __version__ and not lines:
        yield ok("daemon", f"version {version}, for {said(_number(scene.status, 'uptime_s'))}")


def check_leases(scene: Scene) -> Iterator[Finding]:
    """Leases whose holder is gone or which are very old, and waits that can't end as things are."""
    if not scene.is_served:
        return
    held, waiting = _leases(scene)
    found = [*_lost(scene, held), *_old(held), *_hopeless(scene, waiting), *_over(scene)]
    yield from found
    if not found:
        yield ok("leases", f"{len(held)} out or yielded, {len(waiting)} waiting")


def _leases(scene: Scene) -> tuple[list[Frame], list[Frame]]:
    held: list[Frame] = []
    waiting: list[Frame] = []
    after: object = [0, 0]
    while after is not None:
        part = scene.ask("leases", after=after)
        held += _rows(part, "leases")
        waiting += _rows(part, "waiting")
        after = part.get("more")
    return held, waiting


def _lost(scene: Scene, held: list[Frame]) -> Iterator[Finding]:
    """The daemon hears of every end at once, so that there are none of these."""
    if not _holderless(held):
        return
    time.sleep(AGAIN_S)
    before = {one["lease"] for one in _holderless(held)}
    for lease in _holderless(_leases(scene)[0]):
        if lease["lease"] in before:
            yield problem(
                "leases",
                f"process {lease['pid']}, the holder of lease {lease['lease']}, is gone, and the "
                "daemon has not noticed: that is a fault of it; please report it with its log",
                f'give the slot back with "admission release {lease["lease"]}"',
            )


def _holderless(held: list[Frame]) -> list[Frame]:
    """Leases of a process that is not there. What follows the holder's tree may well be without
    it; and one in another PID namespace can't be seen from here.
    """
    return [
        one
        for one in held
        if one.get("bound") != "tree" and _pid(one) > 0 and not is_there(_pid(one))
    ]


def _old(held: list[Frame]) -> Iterator[Finding]:
    for lease in held:
        age_s = _number(lease, "age_s")
        if age_s > OLD_S:
            task = f" ({lease['task']})" if lease.get("task") else ""
            yield warning(
                "leases",
                f"lease {lease['lease']}{task} of process {_pid(lease)} is {said(age_s)} old",
                "see whether that still works; ending it gives the slot back",
            )


def _hopeless(scene: Scene, waiting: list[Frame]) -> Iterator[Finding]:
    capacity = scene.status.get("capacity")
    most = capacity if isinstance(capacity, dict) else {}
    for one in waiting:
        now = most.get(one.get("pool"))
        if isinstance(now, int) and _number(one, "weight") > now:
            yield warning(
                "leases",
                f"process {_pid(one)} waits for {one['weight']} of {one['pool']}, which holds "
                f"{now} at this level",
                'it goes on once the level has fallen; "admission explain" says what that takes',
            )


def _over(scene: Scene) -> Iterator[Finding]:
    over = scene.status.get("overcommitted")
    for pool, by in (over if isinstance(over, dict) else {}).items():
        if by:
            yield warning(
                "leases",
                f"{pool} is overcommitted by {by}: the capacity shrank, and nobody loses a lease",
                "nothing has to be done: none is granted until what is out fits again",
            )


def check_orphans(scene: Scene) -> Iterator[Finding]:
    """What outlived its lease, and how much memory it takes."""
    if not scene.is_served:
        return
    try:
        found = scene.ask("orphans")
    except (AdmissionError, OSError) as why:
        yield warning("orphans", f"they can't be told: {why}", 'see "admission status"')
        return
    survivors, agents = _rows(found, "survivors"), _rows(found, "agents")
    about = f"{_counted(len(agents), 'agent')} under no lease" if agents else "no agent without one"
    if not survivors:
        yield ok("orphans", f"nothing outlived its lease; {about}")
        return
    size = sum(_number(one, "memory_bytes") for one in survivors) / MIB
    yield warning(
        "orphans",
        f"{_counted(len(survivors), 'process')} outlived a lease, {size:.0f} MiB in all; {about}",
        '"admission orphans" names them, "admission orphans --stop" ends them',
    )


def check_stopped(scene: Scene) -> Iterator[Finding]:
    """Whom a daemon left stopped that did not come back. Silent while one is there."""
    if scene.path is None or is_locked(scene.path):
        return
    path = record_path(scene.path)
    record = read_record(path)
    if not record:
        return

    def mend() -> str:
        return f"{_counted(release_all(path), 'process')} stopped by a daemon that is gone go on"

    yield problem(
        "stopped",
        f"a daemon is gone that had stopped {_counted(len(record.splitlines()), 'process')} "
        "for a few seconds, and nobody has had them go on",
        'have them go on with "admission doctor --fix", or start a daemon, which does it',
        mend,
    )


def _counted(how_many: int, what: str) -> str:
    if how_many == 1:
        return f"1 {what}"
    return f"{how_many} {what}{'es' if what.endswith('s') else 's'}"


def _rows(frame: Frame, name: str) -> list[Frame]:
    value = frame.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(frame: Frame, name: str) -> float:
    value = frame.get(name)
    return value if isinstance(value, (int, float)) else 0.0


def _pid(frame: Frame) -> int:
    value = frame.get("pid")
    return value if isinstance(value, int) else 0
