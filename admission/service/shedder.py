"""Carries out what the ladder asks for: advice in a file, holders that are stopped for a while, and
holders that are asked to end.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import trio

from admission.core import shedding
from admission.core.leases import Holder, Lease
from admission.protocol import Frame
from admission.service.ending import ask_to_end
from admission.service.standstill import CantStop, Standstill, release_all
from admission.service.traces import Traces, traces_of_this_machine

ADVICE = "finish what you do, and begin nothing large"

log = logging.getLogger(__name__)

# What is known of a lease's tree: who was seen below its holder, the pool's other holders, and the
# cgroup that is its own.
Known = tuple[Iterable[Holder], Iterable[Holder], str | None]


class Shedder:
    """See the module.

    Args:
        socket: beside which its files lie; None: there are none, and nobody is stopped.
        known: what is known of a lease's tree.
        publish: tells those who watch.
        tell: tells the one who took a lease.
    """

    def __init__(
        self,
        socket: Path | None,
        known: Callable[[Lease], Known],
        publish: Callable[[Frame], None],
        tell: Callable[[Lease, Frame], None],
        traces: Traces | None = None,
    ) -> None:
        self.advice_path = None if socket is None else advice_path(socket)
        self.record_path = None if socket is None else record_path(socket)
        self._known, self._publish, self._tell = known, publish, tell
        self._traces = traces or traces_of_this_machine(socket)
        self._wanted: deque[shedding.Freeze | shedding.Thaw] = deque()
        self._is_wanted = trio.Event()
        self._standing: dict[int, Standstill] = {}

    def begin(self) -> None:
        """To be called before anything else: whoever was left stopped goes on, and no advice of an
        earlier daemon stands.
        """
        if self.record_path is not None and self.record_path.exists():
            try:
                log.warning(
                    "%d processes were left stopped and go on", release_all(self.record_path)
                )
            except OSError as problem:
                log.warning("%s can't be removed: %s", self.record_path, problem)
        self._note_advice("")

    def do(self, effect: shedding.Effect) -> None:
        """Begins to carry out; what may block is done by `run`, in order."""
        match effect:
            case shedding.Advised(level, reason):
                said = f"{reason}: {ADVICE}" if level else ""
                log.warning("advice: %s", said or "it is over")
                self._note_advice(said)
                self._publish({"event": "advice", "level": level, "reason": reason})
            case shedding.Park(lease, reason):
                self._park(lease, reason)
            case shedding.Freeze() | shedding.Thaw():
                self._wanted.append(effect)
                self._is_wanted.set()

    def _park(self, lease: Lease, reason: str) -> None:
        _log(logging.WARNING, lease, f"is to be parked: {reason}")
        if lease.claim.park_signal:
            ask_to_end(lease, lease.claim.park_signal, "to make room")
        self._tell(lease, {"event": "park", "lease": lease.id, "reason": reason})

    def remind(self, lease: Lease) -> None:
        """The holder speaks of it, and may not have heard: the daemon was away, or its client."""
        self._tell(lease, {"event": "park", "lease": lease.id, "reason": "memory was short"})

    def _note_advice(self, said: str) -> None:
        """The file is there, whole, as long as the advice stands."""
        if (path := self.advice_path) is None:
            return
        try:
            if not said:
                path.unlink(missing_ok=True)
                return
            new = path.with_name(f"{path.name}-new")
            new.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(new, flags, 0o644), "w", encoding="utf-8") as file:
                file.write(f"{said}\n")
            os.replace(new, path)
        except OSError as problem:
            log.warning("the advice can't be written to %s: %s", path, problem)

    # --- who stands still -------------------------------------------------------------------------

    async def run(self) -> None:
        """Stops and starts, one after the other. Once it is cancelled everybody goes on."""
        try:
            while True:
                await self._is_wanted.wait()
                self._is_wanted = trio.Event()
                while self._wanted:
                    await self._carry_out(self._wanted.popleft())
        finally:
            for one in self._standing.values():
                one.end()
            self._standing.clear()
            self._note_advice("")

    async def _carry_out(self, effect: shedding.Freeze | shedding.Thaw) -> None:
        lease = effect.lease
        if isinstance(effect, shedding.Thaw):
            if one := self._standing.pop(lease.id, None):
                # Not to be abandoned: it would leave somebody stopped.
                await trio.to_thread.run_sync(one.end)
                _log(logging.INFO, lease, "goes on")
            return
        if self.record_path is None or self._is_over(lease):
            return
        one = self._standing[lease.id] = Standstill(lease, self.record_path, self._traces)
        seen, others, group = self._known(lease)
        try:
            count = await trio.to_thread.run_sync(one.begin, tuple(seen), tuple(others), group)
        # Most of all CantStop; but whatever it is, it must not end the daemon.
        except Exception as problem:  # noqa: BLE001
            self._standing.pop(lease.id)
            why = str(problem) if isinstance(problem, CantStop) else repr(problem)
            _log(logging.INFO, lease, f"is not stopped: {why}")
        else:
            said = f"stands still ({count} processes): {effect.reason}"
            _log(logging.WARNING, lease, said)

    def _is_over(self, lease: Lease) -> bool:
        """Whether it is to go on before it was stopped."""
        return any(
            isinstance(one, shedding.Thaw) and one.lease.id == lease.id for one in self._wanted
        )


def _log(level: int, lease: Lease, said: str) -> None:
    log.log(level, "lease %d %s", lease.id, said, extra={"lease": lease.id})


def advice_path(socket: Path) -> Path:
    """Where shells find the advice."""
    return socket.with_suffix(".advice")


def record_path(socket: Path) -> Path:
    """Where it stands who is stopped."""
    return socket.with_suffix(".stopped")
