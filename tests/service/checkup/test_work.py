"""The daemon, its leases and what outlived them."""

import os
from pathlib import Path

import pytest

from admission import __version__
from admission.protocol import Frame
from admission.service.checkup import work
from admission.service.checkup.finding import State
from admission.service.checkup.scene import Scene
from admission.service.holders import identify
from tests.service.checkup.findings import one, served
from tests.service.children import child, end

# --- the daemon and its leases ------------------------------------------------------------------


def test_another_version_than_the_installed_one_is_told(path: Path) -> None:
    assert one(work.check_daemon(served(path))).state is State.OK
    found = one(work.check_daemon(served(path, version="0.0.1")))
    assert f"version 0.0.1 runs and {__version__} is installed" in found.says
    assert "serve --replace" in found.advice
    assert list(work.check_daemon(Scene(path))) == []


def test_what_the_daemon_says_of_itself_is_passed_on(path: Path) -> None:
    found = one(work.check_daemon(served(path, degraded=["CPU: lost"])))
    assert (found.state, found.says) == (State.WARNING, "CPU: lost")


def told(monkeypatch: pytest.MonkeyPatch, *answers: Frame) -> None:
    """What the daemon answers, one request after the other; the last one again and again."""
    left = list(answers)

    def ask(_: Scene, op: str, **fields: object) -> Frame:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(Scene, "ask", ask)
    monkeypatch.setattr(work, "AGAIN_S", 0.0)


def held(number: int, pid: int, age_s: float = 5.0, **more: object) -> Frame:
    about = {"lease": number, "pid": pid, "task": "refactor", "bound": "process", "age_s": age_s}
    return {**about, **more}


def leases(*rows: Frame, waiting: list[Frame] | None = None) -> Frame:
    return {"leases": list(rows), "waiting": waiting or []}


def test_a_lease_without_a_holder_is_a_fault_of_the_daemon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with child() as process:
        end(process, reap=True)
        gone, alive = held(12, process.pid), held(13, os.getpid())
        told(monkeypatch, leases(gone, alive))
        found = one(work.check_leases(served(path)))
        assert identify(process.pid) is None
    assert (found.state, "lease 12" in found.says) == (State.PROBLEM, True)
    assert "admission release 12" in found.advice


def test_a_lease_that_is_about_to_end_or_need_not_have_a_holder_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = held(12, 2**30)
    others = held(13, 2**30, bound="tree"), held(14, 0, bound="connection")
    # By the second look one has been heard of, and another is just about to be.
    told(monkeypatch, leases(ending, *others), leases(held(15, 2**30), *others))
    assert one(work.check_leases(served(path))).state is State.OK


def test_old_leases_hopeless_waits_and_too_much_out_are_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hopeless = {"pid": 7, "pool": "agents", "weight": 3}
    page = {**leases(held(12, os.getpid(), age_s=90_000.0)), "more": [12, 0]}
    told(monkeypatch, page, leases(waiting=[hopeless, {**hopeless, "weight": 2}]))
    capacity, over = {"agents": 2, "operations": 1}, {"agents": 3, "operations": 0}
    findings = list(work.check_leases(served(path, capacity=capacity, overcommitted=over)))
    assert [found.state for found in findings] == [State.WARNING] * 3
    assert "lease 12 (refactor)" in findings[0].says
    assert "25.0 h old" in findings[0].says
    assert "process 7 waits for 3 of agents, which holds 2 at this level" in findings[1].says
    assert "agents is overcommitted by 3" in findings[2].says


def test_orphans_are_counted_with_their_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survivor = {"pid": 1, "memory_bytes": 100 << 20}
    told(monkeypatch, {"survivors": [survivor, survivor], "agents": [survivor]})
    found = one(work.check_orphans(served(path)))
    assert (found.state, found.mend) == (State.WARNING, None)
    assert "2 processes outlived a lease, 200 MiB in all" in found.says
    assert "admission orphans --stop" in found.advice
    told(monkeypatch, {"survivors": [], "agents": [survivor]})
    assert one(work.check_orphans(served(path))).state is State.OK
