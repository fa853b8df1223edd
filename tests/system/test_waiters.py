"""Waiters that give up, are interrupted, or are killed: status, message and queue are right."""

import os
import shlex
import signal
import subprocess

from tests.system.stage import COMMAND, Stage, View

ADMISSION = shlex.join(COMMAND)


def _full(stage: Stage) -> "subprocess.Popen[bytes]":
    """Level 3 takes one; it is taken."""
    stage.set_level(3)
    holder = stage.hold("--task", "busy")
    stage.until(lambda view: view.in_use() == 1)
    return holder


def _nobody_waits(view: View) -> bool:
    return view.waiting == []


def _said(process: "subprocess.Popen[bytes]") -> str:
    return process.communicate()[1].decode()


def test_a_wait_that_expires_says_where_it_stood_and_why(stage: Stage) -> None:
    _full(stage)
    waiter = stage.run("run", "--wait", "300ms", "--", "true")
    assert waiter.returncode == 75
    assert waiter.stderr == (
        'admission: no slot within 0.3 s: 1 of 1 agents run, you were 1st; see "admission leases"\n'
    )
    assert _nobody_waits(stage.look())


def test_no_wait_is_refused_at_once(stage: Stage) -> None:
    _full(stage)
    refused = stage.run("run", "--no-wait", "--", "true")
    assert refused.returncode == 75
    assert refused.stderr.startswith("admission: no slot now: 1 of 1 agents run")
    assert refused.stderr.count("\n") == 1


def test_a_waiter_ended_by_sigkill_leaves_the_queue(stage: Stage) -> None:
    holder = _full(stage)
    first, second = stage.hold(), stage.hold()
    stage.until(lambda view: set(view.waiters) == {first.pid, second.pid})
    first.kill()
    stage.until(lambda view: view.waiters == [second.pid])
    holder.kill()
    stage.until(lambda view: view.holders == {second.pid})


def test_a_waiter_ended_by_sigterm_leaves_the_queue(stage: Stage) -> None:
    _full(stage)
    waiter = stage.hold()
    stage.until(lambda view: view.waiters == [waiter.pid])
    waiter.terminate()
    assert waiter.wait() == -signal.SIGTERM
    stage.until(_nobody_waits)


def test_ctrl_c_takes_a_waiter_out_of_the_queue_and_ends_it_by_sigint(stage: Stage) -> None:
    _full(stage)
    waiter = stage.hold("--wait", "60s")
    stage.until(lambda view: view.waiters == [waiter.pid])
    os.killpg(waiter.pid, signal.SIGINT)
    said = _said(waiter)
    assert waiter.returncode == -signal.SIGINT  # a shell shows 130, and stops its script
    assert "Traceback" not in said
    stage.until(_nobody_waits)


def test_where_no_terminal_is_one_line_says_queued_and_one_says_admitted(stage: Stage) -> None:
    holder = _full(stage)
    waiter = stage.spawn("run", "--", "true")
    assert waiter.stderr is not None
    queued = waiter.stderr.readline().decode()
    assert queued.startswith("admission: waiting: place 1 of 1, 1 of 1 agents run")
    holder.kill()
    admitted = _said(waiter)
    assert admitted.startswith("admission: admitted after ")
    assert admitted.count("\n") == 1


def test_a_quiet_waiter_says_nothing(stage: Stage) -> None:
    _full(stage)
    waiter = stage.run("run", "--quiet", "--wait", "700ms", "--", "true")
    assert waiter.stderr.count("\n") == 1  # why it gave up; nothing before


def test_a_command_run_under_a_lease_shares_it(stage: Stage) -> None:
    stage.set_level(3)
    command = f"{ADMISSION} run -- {ADMISSION} run -- echo inside"
    assert stage.run("run", "--no-wait", "--", "sh", "-c", command).stdout == "inside\n"


def test_an_acquire_in_a_script_under_a_lease_shares_it_and_its_release_spares_it(
    stage: Stage,
) -> None:
    stage.set_level(3)
    script = f"lease=$({ADMISSION} acquire --no-wait) && {ADMISSION} release $lease && cat"
    outer = stage.spawn("run", "--", "sh", "-c", script)
    assert outer.stdout is not None
    assert b"is the one this runs under" in outer.stdout.readline()
    assert stage.look().holders == {outer.pid}


def test_a_script_acquires_and_releases(stage: Stage) -> None:
    script = (
        f"lease=$({ADMISSION} acquire --pool operations --task build) || exit\n"
        f"{ADMISSION} leases\n"
        f'{ADMISSION} renew "$lease"\n'
        f'{ADMISSION} release "$lease"\n'
        f"{ADMISSION} leases\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=stage.env, capture_output=True, text=True, check=True
    )
    assert "operations  build" in done.stdout
    assert "has no ttl" in done.stdout
    assert done.stdout.endswith("released\nno leases\n")


def test_a_lease_with_a_ttl_ends_by_itself(stage: Stage) -> None:
    holder = stage.hold("--ttl", "200ms")
    stage.until(lambda view: view.in_use() == 1)
    stage.until(lambda view: view.in_use() == 0)
    assert holder.poll() is None  # the process goes on; what it held is over


def test_the_exit_status_is_the_commands_own(stage: Stage) -> None:
    assert stage.run("run", "--", "sh", "-c", "exit 42").returncode == 42
    assert stage.run("run", "--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    # SIGPIPE, which Python ignores, is the command's again: `yes` ends instead of complaining.
    piped = stage.run("run", "--", "sh", "-c", "{ yes; echo $? >&2; } | head -1")
    assert piped.stderr == "141\n"


def test_a_command_finds_what_it_was_granted_in_its_environment(stage: Stage) -> None:
    stage.set_level(2)
    found = stage.run("run", "--", "env").stdout.splitlines()
    variables = dict(line.split("=", 1) for line in found if line.startswith("ADMISSION_"))
    assert int(variables["ADMISSION_LEASE"]) == int(variables["ADMISSION_FENCE"]) > 0
    assert variables["ADMISSION_LEVEL"] == "2"
    assert variables["ADMISSION_BATCH_SIZE"] == "25"
    assert variables["ADMISSION_DELAY_MS"] == "20"
    assert variables["ADMISSION_MAX_CONCURRENT"] == "1"
    assert variables["ADMISSION_REASONING_EFFORT"] == "medium"


def test_no_daemon_and_none_to_be_started_runs_nothing(empty_stage: Stage) -> None:
    refused = empty_stage.run("run", "--", "echo", "ran", ADMISSION_AUTOSTART="0")
    assert refused.returncode == 69
    assert refused.stdout == ""
    assert "forbids to start one" in refused.stderr


def test_fail_open_runs_the_command_and_says_so(empty_stage: Stage) -> None:
    ran = empty_stage.run(
        "run", "--", "echo", "ran", ADMISSION_AUTOSTART="0", ADMISSION_FAIL="open"
    )
    assert (ran.returncode, ran.stdout) == (0, "ran\n")
    assert ran.stderr.startswith("admission: running without a lease:")
