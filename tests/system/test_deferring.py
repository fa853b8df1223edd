"""What can wait until the load is low, on real processes."""

from tests.system.stage import CALM, Stage

# Nothing rests for so long, but for what has an end of its own.
NEVER = CALM + "\n[defer]\nidle_s = 100000\n"
# Whatever the machine is like, it has rested.
IDLE = (
    CALM
    + "\n[throttle]\ninterval_s = 0.5\n[throttle.budget]\nceiling_pct = 100\n"
    + "mean_mib = 1\npeak_mib = 1\n"
    + "[defer]\nidle_cpu_pct = 100\nidle_s = 0\n"
)


def test_what_is_put_off_starts_by_its_end_and_meanwhile_holds_up_nobody(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    stage.config.write_text(NEVER)
    stage.serve()
    put_off = stage.spawn("run", "--defer", "--by", "4s", "--", "true")
    view = stage.until(lambda view: put_off.pid in view.waiters)
    assert "deferred until the load is low" in str(view.waiting[0]["reason"])
    assert stage.run("run", "--no-wait", "--", "true").returncode == 0
    assert put_off.wait(30) == 0


def test_on_a_machine_that_rests_it_starts_long_before(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.config.write_text(IDLE)
    stage.serve()
    put_off = stage.spawn("run", "--defer", "--", "true")
    assert put_off.wait(60) == 0


def test_another_daemon_knows_who_is_put_off(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.config.write_text(NEVER)
    stage.serve()
    put_off = stage.hold("--defer")
    stage.until(lambda view: put_off.pid in view.waiters)
    stage.kill_daemon()
    stage.serve()
    view = stage.until(lambda view: put_off.pid in view.waiters)
    assert view.waiting[0]["deferred_s"] is not None
