"""An operator's hand in a real daemon's queue, over its death; and who holds for too long."""

import signal

import pytest

from admission_client.granted import rows, whole
from tests.system.stage import Stage

TOO_LONG_S = 0.2


@pytest.mark.parametrize("bound", ["process", "tree"])
def test_who_holds_for_too_long_and_wished_it_is_ended_and_the_next_one_runs(
    stage: Stage, bound: str
) -> None:
    holder = stage.start("sleep", "600")
    asked = {"pid": holder.pid, "bound": bound, "weight": 5, "task": "hangs"}
    with stage.client() as client:
        client.ask("acquire", {**asked, "max_hold_s": TOO_LONG_S, "end_after_max": True})
        # It waits, and is granted once the holder has ended.
        client.ask("acquire", {"pool": "agents"})
    assert holder.wait(20) == -signal.SIGTERM


def test_who_only_wanted_to_be_told_of_is_told_of_and_goes_on(stage: Stage) -> None:
    holder = stage.start("sleep", "600")
    with stage.client() as client, stage.client() as watcher:
        news = watcher.watch(["level", "alarms"])
        assert next(news)["event"] == "level"
        claim = {"pid": holder.pid, "bound": "process", "max_hold_s": TOO_LONG_S}
        lease = client.ask("acquire", claim)["lease"]
        alarm = next(news)
        assert (alarm["event"], alarm["kind"], alarm["lease"]) == ("alarm", "held", lease)
        assert [one["lease"] for one in rows(client.ask("status"), "alarms")] == [lease]
    assert holder.poll() is None


def test_reservations_and_pauses_hold_over_the_daemons_death(stage: Stage) -> None:
    with stage.client() as client:
        wish = {"units": 1, "for_s": 600, "class": "critical", "whole": True}
        number = whole(client.ask("reserve", wish), "reservation")
        client.ask("pause", {"pool": "operations"})
    stage.kill_daemon()
    stage.serve()
    with stage.client() as client:
        status = client.ask("status")
        assert [one["reservation"] for one in rows(status, "reservations")] == [number]
        assert status["paused"] == {"operations": None}
        assert client.ask("reserve", {**wish, "pool": "operations"})["reservation"] == number + 1
        held = client.ask("acquire", {"weight": 4, "wait_s": 0})
        with stage.client() as other:
            refused = stage.run("run", "--no-wait", "--", "true")
            assert refused.returncode == 75
            assert "1 of agents is reserved for class critical" in refused.stderr
            assert other.ask("acquire", {"class": "critical", "wait_s": 0})["lease"]
        assert held["lease"]
