"""Only what is still the process that was meant, is proven, and is ours to end, gets a signal."""

import os
import signal
from collections.abc import Callable

import pytest

from admission.protocol import Frame
from admission.service.holders import identify
from admission_client.stopping import Grip, Outcome, PidGrip, grip, stop
from tests.service.children import child, end, holder_of


def meant(pid: int, start_ticks: int) -> Frame:
    return {"pid": pid, "start_ticks": start_ticks}


def agree(pids: list[int]) -> set[tuple[int, int]]:
    """All are proven, whatever they are."""
    return {(pid, holder.start_ticks) for pid in pids if (holder := identify(pid)) is not None}


def test_a_process_with_a_reused_number_is_never_signalled() -> None:
    with child() as process:
        start_ticks = holder_of(process).start_ticks
        found = stop([meant(process.pid, start_ticks - 1)], agree, 0.0)
        assert found == [Outcome(process.pid, "ended", "it had ended by itself")]
        assert process.poll() is None


def test_one_whose_number_is_reused_while_the_daemon_is_asked_is_never_signalled() -> None:
    def prove(pids: list[int]) -> set[tuple[int, int]]:
        return {(pid, start_ticks + 1) for pid, start_ticks in agree(pids)}

    with child() as process:
        (found,) = stop([meant(process.pid, holder_of(process).start_ticks)], prove, 0.0)
        assert (found.how, process.poll()) == ("left", None)


def test_one_that_is_not_proven_any_more_is_left() -> None:
    with child() as process:
        target = meant(process.pid, holder_of(process).start_ticks)
        (found,) = stop([target], lambda _: set(), 0.0)
        assert found.how == "left"
        assert found.why == "it is no longer proven to have outlived its lease"
        assert process.poll() is None


def test_the_proof_is_asked_for_once_each_process_is_held() -> None:
    asked: list[list[int]] = []

    def prove(pids: list[int]) -> set[tuple[int, int]]:
        asked.append(pids)
        return agree(pids)

    with child() as one, child() as gone:
        targets = [meant(each.pid, holder_of(each).start_ticks) for each in (gone, one)]
        end(gone, reap=True)
        found = stop(targets, prove, 10.0)
        assert asked == [[one.pid]]
        assert [(each.pid, each.how) for each in found] == [(gone.pid, "ended"), (one.pid, "ended")]
        assert one.wait() == -15


def test_we_and_those_above_us_are_spared() -> None:
    me = holder_of_self()
    (found,) = stop([me], agree, 0.0)
    assert (found.how, found.why) == ("left", "this command runs below it")


def holder_of_self() -> Frame:
    holder = identify(os.getpid())
    assert holder is not None
    return meant(holder.pid, holder.start_ticks)


def test_no_grip_is_left_of_another_process() -> None:
    before = len(os.listdir("/dev/fd"))
    with child() as process, pytest.raises(ProcessLookupError):
        grip(process.pid, holder_of(process).start_ticks + 1)
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("take", [grip, PidGrip])
def test_a_process_is_ended_by_its_grip(take: Callable[[int, int], Grip]) -> None:
    with child() as process:
        start_ticks = holder_of(process).start_ticks
        with pytest.raises(ProcessLookupError):
            take(process.pid, start_ticks + 1)
        held = take(process.pid, start_ticks)
        assert not held.ends_within(0.0)
        held.send(signal.SIGKILL)
        assert held.ends_within(60.0)
        process.wait()
        with pytest.raises(ProcessLookupError):
            held.send(signal.SIGKILL)
        held.close()
