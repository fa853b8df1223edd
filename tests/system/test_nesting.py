"""Commands within commands: whose lease they share, and which wait could never end."""

import json

import pytest

from tests.system.stage import COMMAND, Stage


def _within(stage: Stage, *inner: str, outer: tuple[str, ...] = ()) -> tuple[int, str, str]:
    done = stage.run("run", *outer, "--", *COMMAND, *inner)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def narrow(stage: Stage) -> Stage:
    """One agent at a time, at every level."""
    stage.config.write_text(stage.config.read_text() + "[pools.agents]\ncapacity = 1\n")
    assert stage.run("reload").returncode == 0
    return stage


def test_a_command_within_a_command_shares_its_lease(narrow: Stage) -> None:
    status, out, _ = _within(narrow, "leases", "--json")
    (outer,) = json.loads(out)["leases"]
    status, out, err = _within(narrow, "run", "--no-wait", "--", *COMMAND, "leases", "--json")
    assert (status, err) == (0, "")
    (shared,) = json.loads(out)["leases"]
    assert shared["lease"] > outer["lease"]


def test_one_of_its_own_is_a_second_unit(stage: Stage) -> None:
    words = ("run", "--nested", "new", "--", *COMMAND, "leases", "--json")
    status, out, err = _within(stage, *words)
    assert (status, err) == (0, "")
    assert len(json.loads(out)["leases"]) == 2


def test_one_of_its_own_is_refused_where_it_could_never_be_granted(narrow: Stage) -> None:
    status, out, err = _within(narrow, "run", "--nested", "new", "--", "true")
    assert (status, out) == (64, "")
    assert err == (
        "admission: this runs under 1 of agents already, and 1 more can never be had as well: "
        "there are 1; share that lease, or ask from outside of it\n"
    )


def test_an_agent_is_not_waited_for_within_an_operation(stage: Stage) -> None:
    status, _, err = _within(stage, "run", "--", "true", outer=("--pool", "operations"))
    assert status == 64
    assert "agents is not to be waited for within operations: take agents first" in err


def test_an_operation_is_waited_for_within_an_agent(stage: Stage) -> None:
    status, out, err = _within(
        stage, "run", "--pool", "operations", "--", *COMMAND, "leases", "--json"
    )
    assert (status, err) == (0, "")
    assert sorted(one["pool"] for one in json.loads(out)["leases"]) == ["agents", "operations"]


def test_a_forged_environment_shares_nothing(narrow: Stage) -> None:
    holder = narrow.hold()
    narrow.until(lambda view: view.holders == {holder.pid})
    (lease,) = narrow.look().leases
    refused = narrow.run("run", "--no-wait", "--", "true", ADMISSION_LEASE=str(lease["lease"]))
    assert refused.returncode == 75
