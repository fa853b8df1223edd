"""What could be wrong with an installation, looked at with a daemon and without one.

    finding.py    what a check says
    scene.py      what all checks look at: the path, the environment, and who answers there
    places.py     socket, folder, lock, journal
    machine.py    clock, limits, sensors
    work.py       the daemon and its leases, orphans
    settings.py   configuration, environment, command

A check is a function that yields findings. None of them starts a daemon, and none waits for longer
than a moment. A finding's mend is safe: it takes nothing away that anybody could still want.
"""

from collections.abc import Callable, Iterator

from admission.protocol import AdmissionError
from admission.service.checkup import machine, places, settings, work
from admission.service.checkup.finding import Finding, State
from admission.service.checkup.scene import Scene
from admission.service.sensors.source import SAID_CHARS_MAX, one_line

Check = Callable[[Scene], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("socket", places.check_socket),
    ("folder", places.check_folder),
    ("lock", places.check_lock),
    ("journal", places.check_journal),
    ("daemon", work.check_daemon),
    ("leases", work.check_leases),
    ("orphans", work.check_orphans),
    ("stopped", work.check_stopped),
    ("clock", machine.check_clock),
    ("limits", machine.check_limits),
    ("sensors", machine.check_sensors),
    ("configuration", settings.check_configuration),
    ("environment", settings.check_environment),
    ("command", settings.check_command),
)


def check_all(scene: Scene) -> list[Finding]:
    """All findings, those that all is well included."""
    return [finding for name, check in CHECKS for finding in _findings(name, check, scene)]


def _findings(name: str, check: Check, scene: Scene) -> list[Finding]:
    try:
        return list(check(scene))
    # Whatever a check comes upon, the others are still to be made.
    except Exception as problem:  # noqa: BLE001
        said = one_line(str(problem) or repr(problem), SAID_CHARS_MAX)
        is_plain = isinstance(problem, OSError | AdmissionError)
        why = said if is_plain else one_line(repr(problem), SAID_CHARS_MAX)
        return [Finding(name, State.PROBLEM, f"this can't be checked: {why}")]
