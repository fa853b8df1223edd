"""Ends processes: gently, then for good, and never another one than was meant.

On Linux each is held by a pidfd that is opened first and checked afterwards, so that a signal can't
reach a later process of the same number. Elsewhere there is no such thing: the start time is
checked right before each signal, which leaves an instant.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from admission.protocol import Frame
from admission.service.holders import ancestors, identify, owner_uid
from admission_client.granted import whole

HAS_PIDFD = sys.platform == "linux"
# One that was killed and does not end waits in the kernel, for a disk.
KILLED_S = 5.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a process: `how` is ended, killed or left, `why` a few words."""

    pid: int
    how: str
    why: str


class Grip(Protocol):
    """One process, to be ended. Made with its start time, and raises ProcessLookupError where it is
    gone by then.
    """

    pid: int

    def send(self, number: int) -> None:
        """Raises ProcessLookupError where it is gone, OSError where it may not be signalled."""

    def ends_within(self, seconds: float) -> bool:
        """Waits for its end for so long at most."""

    def close(self) -> None:
        """Lets go of whatever it took."""


class PidGrip:
    """By its number and its start (macOS)."""

    def __init__(self, pid: int, start_ticks: int) -> None:
        self.pid = pid
        self._start_ticks = start_ticks
        self._check()

    def send(self, number: int) -> None:
        self._check()
        os.kill(self.pid, number)

    def ends_within(self, seconds: float) -> bool:
        give_up_at = time.monotonic() + seconds
        while _is_same(self.pid, self._start_ticks):
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(LOOK_S)
        return True

    def close(self) -> None:
        pass

    def _check(self) -> None:
        if not _is_same(self.pid, self._start_ticks):
            raise ProcessLookupError


if sys.platform == "linux":

    class PidfdGrip:
        """Whatever its number is used for later (Linux)."""

        def __init__(self, pid: int, start_ticks: int) -> None:
            self.pid = pid
            self._pidfd = os.pidfd_open(pid)
            try:
                if not _is_same(pid, start_ticks):
                    raise ProcessLookupError
            except BaseException:
                self.close()
                raise

        def send(self, number: int) -> None:
            signal.pidfd_send_signal(self._pidfd, number)

        def ends_within(self, seconds: float) -> bool:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            return bool(poll.poll(seconds * 1000))

        def close(self) -> None:
            os.close(self._pidfd)


def grip(pid: int, start_ticks: int) -> Grip:
    """The firmest that the system has."""
    if sys.platform == "linux":
        return PidfdGrip(pid, start_ticks)
    return PidGrip(pid, start_ticks)


def _is_same(pid: int, start_ticks: int) -> bool:
    found = identify(pid)
    return found is not None and found.start_ticks == start_ticks


# Which of these numbers are still proven, each with the start time of the process meant.
Prove = Callable[[list[int]], set[tuple[int, int]]]


def stop(targets: list[Frame], prove: Prove, grace_s: float) -> list[Outcome]:
    """Ends these processes, as far as each is what it was, is proven, and is the caller's to end.

    Args:
        targets: the `survivors` of an answer.
        prove: asks again; only once each process is held does the answer hold for it, too.
        grace_s: how long each has after SIGTERM, in seconds.
    """
    with ExitStack() as stack:
        outcomes: list[Outcome] = []
        grips: list[Grip] = []
        spared = {(one.pid, one.start_ticks) for one in ancestors(os.getpid())}
        meant = {whole(one, "pid"): whole(one, "start_ticks") for one in targets}
        for pid, start_ticks in meant.items():
            taken = _take(pid, start_ticks, spared)
            if isinstance(taken, Outcome):
                outcomes.append(taken)
            else:
                stack.callback(taken.close)
                grips.append(taken)
        proven = prove([one.pid for one in grips]) if grips else set()
        outcomes += [
            Outcome(one.pid, "left", "it is no longer proven to have outlived its lease")
            for one in grips
            if (one.pid, meant[one.pid]) not in proven
        ]
        outcomes += _end([one for one in grips if (one.pid, meant[one.pid]) in proven], grace_s)
        return sorted(outcomes, key=lambda one: list(meant).index(one.pid))


def _take(pid: int, start_ticks: int, spared: set[tuple[int, int]]) -> Grip | Outcome:
    if (pid, start_ticks) in spared:
        return Outcome(pid, "left", "this command runs below it")
    try:
        taken = grip(pid, start_ticks)
    except ProcessLookupError:
        return Outcome(pid, "ended", "it had ended by itself")
    except OSError as problem:
        return Outcome(pid, "left", f"it can't be held: {problem.strerror}")
    if owner_uid(pid) != os.getuid():
        taken.close()
        return Outcome(pid, "left", "it is another user's")
    return taken


def _end(grips: list[Grip], grace_s: float) -> list[Outcome]:
    outcomes = {one.pid: _signal(one, signal.SIGTERM) for one in grips}
    for one in grips:
        if outcomes[one.pid] is None:
            _signal(one, signal.SIGCONT)  # one that is stopped hears of nothing else
    give_up_at = time.monotonic() + grace_s
    for one in grips:
        if outcomes[one.pid] is None and one.ends_within(max(give_up_at - time.monotonic(), 0)):
            outcomes[one.pid] = Outcome(one.pid, "ended", "by SIGTERM")
    late = [one for one in grips if outcomes[one.pid] is None]
    for one in late:
        outcomes[one.pid] = _signal(one, signal.SIGKILL)
    give_up_at = time.monotonic() + KILLED_S
    for one in late:
        if outcomes[one.pid] is None:
            is_gone = one.ends_within(max(give_up_at - time.monotonic(), 0))
            why = "by SIGKILL" if is_gone else "it does not end; it may wait for a disk"
            outcomes[one.pid] = Outcome(one.pid, "killed" if is_gone else "left", why)
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _signal(one: Grip, number: int) -> Outcome | None:
    """None where the signal was sent."""
    try:
        one.send(number)
    except ProcessLookupError:
        return Outcome(one.pid, "ended", "it had ended by itself")
    except OSError as problem:
        return Outcome(one.pid, "left", f"it can't be signalled: {problem.strerror}")
    return None
