"""Who is asked to end, and who is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from admission.core.leases import UNSEEN, Bound, Claim, Holder, Lease
from admission.service.ending import end_gently
from admission.service.holders import identify
from tests.service.children import open_descriptors


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def lease_of(holder: Holder, uid: int = os.getuid()) -> Lease:
    return Lease(7, Claim(holder, bound=Bound.PROCESS, uid=uid), 1, 0.0)


def holder_of(child: subprocess.Popen[bytes]) -> Holder:
    holder = identify(child.pid)
    assert holder is not None
    return holder


def test_the_holder_gets_a_sigterm_and_no_descriptor_is_kept(
    child: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    before = open_descriptors()
    end_gently(lease_of(holder_of(child)))
    assert child.wait(10) == -signal.SIGTERM
    assert open_descriptors() == before
    assert f"lease 7: process {child.pid} was asked to end" in caplog.text


def test_of_a_tree_all_are_asked_who_are_left(child: subprocess.Popen[bytes]) -> None:
    lease = lease_of(Holder(child.pid, 1))
    lease = replace(lease, is_left=True, tree=(holder_of(child),))
    end_gently(lease)
    assert child.wait(10) == -signal.SIGTERM


def test_another_process_of_that_number_is_left_alone(
    child: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    end_gently(lease_of(replace(holder_of(child), start_ticks=1)))
    assert "is not asked to end: it has ended" in caplog.text
    assert child.poll() is None


def test_another_users_process_is_left_alone(
    child: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    end_gently(lease_of(holder_of(child), uid=os.getuid() + 1))
    assert "is not asked to end: it is another user's" in caplog.text
    assert child.poll() is None


def test_who_has_ended_can_not_be_seen_or_is_the_daemon_is_not_asked(
    child: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    gone = holder_of(child)
    child.kill()
    child.wait(10)
    me = identify(os.getpid())
    assert me is not None
    for holder in (gone, UNSEEN, me):
        end_gently(lease_of(holder))
    said = [one.message.rpartition(": ")[2] for one in caplog.records]
    assert said == ["it has ended", "it can't be seen from here", "it is the daemon"]
