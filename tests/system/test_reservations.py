"""What is reserved is there for whom it is meant: at level 3, and after the daemon was killed."""

from tests.system.stage import Stage


def test_critical_work_starts_at_level_3_under_a_reservation_that_outlives_the_daemon(
    stage: Stage,
) -> None:
    reserve = ("reserve", "agents", "1", "--class", "critical", "--for", "1h", "--whole")
    assert stage.run(*reserve).returncode == 0
    stage.set_level(3)
    other = stage.hold("--task", "other")
    view = stage.until(lambda view: other.pid in view.waiters)
    assert "1 of agents is reserved for class critical" in str(view.waiting[0]["reason"])
    stage.kill_daemon()
    stage.serve()
    assert "1 of agents for class critical" in stage.run("status").stdout
    critical = stage.hold("--class", "critical")
    view = stage.until(lambda view: critical.pid in view.holders)
    assert view.status["level"] == 3
    assert other.pid in stage.until(lambda view: bool(view.waiting)).waiters
    critical.kill()
    critical.wait()
    assert stage.run("unreserve", "1").returncode == 0
    stage.until(lambda view: other.pid in view.holders)
