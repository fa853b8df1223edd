"""The daemon ends and comes back, while bodies run under leases and commands wait for theirs."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from admission.protocol import Unreachable
from tests.system.stage import (
    CALM,
    RECORDER,
    Stage,
    View,
    intervals,
    most_at_once,
    now_s,
    stopped,
)

Process = subprocess.Popen[bytes]

BODY = Path(__file__).with_name("body.py")
# Three clients, and both of what a lease can be bound to.
KINDS = (
    ("blocking", "process"),
    ("blocking", "connection"),
    ("trio", "connection"),
    ("asyncio", "connection"),
)
FOUR = "[pools]\nfour = {capacity = 4}\n"


def _serve(stage: Stage, more: str = "") -> None:
    """Nobody but the test starts a daemon."""
    stage.env["ADMISSION_AUTOSTART"] = "0"
    stage.config.write_text(CALM + FOUR + more)
    stage.serve()


def _restart(stage: Stage, number: int = signal.SIGKILL) -> None:
    stage.kill_daemon(number)
    stage.serve()


def _enter(stage: Stage, client: str, bound: str, *words: str) -> Process:
    """A process in the body of its lease."""
    record = stage.folder / f"{client}-{bound}.ran"
    body = stage.start(sys.executable, "-P", str(BODY), client, bound, str(record), *words)
    assert _line(body) == "in"
    return body


def _line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _let_go(body: Process) -> list[str]:
    """Ends the body; all that it said since it began."""
    out, err = body.communicate(b"\n")
    assert err == b""
    return out.decode().splitlines()


def _all_held(view: View) -> bool:
    return bool(view.leases) and all(lease["state"] == "held" for lease in view.leases)


def _newcomer(stage: Stage, name: str) -> Process:
    words = (sys.executable, "-c", RECORDER, str(stage.folder / f"{name}.ran"), "0.1")
    return stage.spawn("run", "--pool", "four", "--task", name, "--", *words)


def test_bodies_notice_no_restart_and_nobody_gets_their_slots(empty_stage: Stage) -> None:
    stage = empty_stage
    _serve(stage)
    bodies = [_enter(stage, client, bound, "on_lost") for client, bound in KINDS]
    newcomers = [_newcomer(stage, "early")]
    stage.until(lambda view: len(view.waiting) == 1)
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        _restart(stage, number)
        refused = stage.run("run", "--pool", "four", "--no-wait", "--", "true")
        assert (refused.returncode, refused.stdout) == (75, "")
        newcomers.append(_newcomer(stage, f"late{len(newcomers)}"))
        view = stage.look_until(_all_held)
        assert view.in_use("four") == 4
        stage.until(lambda view: len(view.waiting) == len(newcomers))
    assert [_let_go(body) for body in bodies] == [["out"]] * 4
    assert [process.wait() for process in newcomers] == [0] * 4
    found = list(intervals(stage.folder))
    assert len(found) == 8
    assert most_at_once(found) <= 4


def test_commands_that_wait_keep_their_places_before_newcomers(empty_stage: Stage) -> None:
    stage = empty_stage
    _serve(stage)
    stage.set_level(3)
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    waiters: list[Process] = []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        waiters.append(stage.hold())
        stage.until(lambda view: view.waiters == [waiter.pid for waiter in waiters])
        _restart(stage, number)
    waiters.append(stage.hold())
    stage.until(lambda view: view.waiters == [waiter.pid for waiter in waiters])
    for waiter in waiters:
        holder.kill()
        stage.until(lambda view, pid=waiter.pid: view.holders == {pid})  # type: ignore[misc]
        holder = waiter


def _waiters(stage: Stage) -> list[int]:
    """Who waits; nobody where there is no daemon."""
    try:
        return stage.look().waiters
    except Unreachable:
        return []


def test_who_waits_starts_the_daemon_anew_where_nobody_else_does(stage: Stage) -> None:
    stage.set_level(3)
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    waiters = [stage.hold() for _ in range(4)]
    before = stage.until(lambda view: len(view.waiting) == 4).waiters
    stage.kill_daemon()
    while _waiters(stage) != before:
        time.sleep(0.02)
    holder.kill()
    stage.until(lambda view: view.holders == {before[0]})
    assert stage.log.read_text().count(" serving ") == 2
    assert {waiter.pid for waiter in waiters} == {*before}


def test_a_holder_is_told_that_its_lease_was_revoked_after_a_restart_too(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    _serve(stage)
    bodies = [_enter(stage, client, bound, "on_lost") for client, bound in KINDS]
    _restart(stage)
    leases = [str(lease["lease"]) for lease in stage.look_until(_all_held).leases]
    assert stage.run("release", *leases).returncode == 0
    for body in bodies:
        # The second where it was bound to its process, and the keeper had yet to come back.
        assert re.match(r"lost: (lease \d+ has ended: revoked|there is no lease)", _line(body))
        assert _let_go(body) == ["out"]


def test_a_daemon_that_is_away_for_longer_than_its_grace_has_lost_nothing(
    empty_stage: Stage,
) -> None:
    """The grace begins when it is back: until then, nobody can be given anything."""
    stage = empty_stage
    _serve(stage, "[limits]\ngrace_s = 1.5\n")
    bodies = [_enter(stage, client, bound, "on_lost") for client, bound in KINDS]
    stage.kill_daemon()
    back_at = now_s() + 1.6
    while now_s() < back_at:
        time.sleep(0.1)
    stage.serve()
    stage.look_until(_all_held)
    assert [_let_go(body) for body in bodies] == [["out"]] * 4


def test_who_does_not_come_back_within_the_grace_is_told_and_only_then_is_its_slot_given_away(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    _serve(stage, "[limits]\ngrace_s = 0.5\n")
    kinds = KINDS[1:]
    told = [_enter(stage, client, bound, "on_lost") for client, bound in kinds]
    raises = _enter(stage, "blocking", "connection")
    with stopped(*(body.pid for body in [*told, raises])):
        stage.kill_daemon()
        before = now_s()
        stage.serve()
        newcomer = _newcomer(stage, "newcomer")
        stage.until(lambda view: newcomer.pid in view.holders)
        assert newcomer.wait() == 0
    ((begun, _),) = intervals(stage.folder)
    assert begun >= before + 0.5
    for body in told:
        assert _line(body).startswith("lost: there is no lease ")
        assert _let_go(body) == ["out"]
    (said,) = _let_go(raises)
    assert said.startswith("LeaseLost: there is no lease ")


def test_a_connection_that_a_command_inherits_is_not_taken_up_again_by_anybody(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    _serve(stage, "[limits]\ngrace_s = 0.2\n")
    held = [stage.hold("--hold", hold) for hold in ("connection", "process")]
    stage.until(lambda view: view.in_use() == 2)
    _restart(stage)
    stage.until(lambda view: view.holders == {held[1].pid})
    assert held[0].poll() is None
