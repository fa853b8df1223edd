"""Both ResourceMonitors, each spoken to as if it blocked, on clients that keep what they say."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from anyio.from_thread import BlockingPortal

from admission.protocol import AdmissionError, Frame
from admission_client import aio, blocking
from admission_client.aio_monitor import ResourceMonitor as AsyncMonitor
from admission_client.reading import Metrics


class Monitor(Protocol):
    """A ResourceMonitor, whichever it is."""

    def get_metrics(self, force: bool = False) -> Metrics: ...

    def is_under_pressure(self) -> bool: ...

    def get_recommended_agent_count(self) -> int: ...

    def apply_throttle(self) -> float: ...

    def wait_for_resources(self, timeout_s: float = 60.0, level: int = 1) -> bool: ...

    def status_message(self) -> str: ...


class OnLoop:
    """The asynchronous one, on the event loop of another thread."""

    def __init__(self, portal: BlockingPortal, workspace: Path, socket: str | None) -> None:
        self._portal = portal
        self._monitor = AsyncMonitor(workspace, socket)

    def get_metrics(self, force: bool = False) -> Metrics:
        return self._portal.call(self._monitor.get_metrics, force)

    def is_under_pressure(self) -> bool:
        return self._portal.call(self._monitor.is_under_pressure)

    def get_recommended_agent_count(self) -> int:
        return self._portal.call(self._monitor.get_recommended_agent_count)

    def apply_throttle(self) -> float:
        return self._portal.call(self._monitor.apply_throttle)

    def wait_for_resources(self, timeout_s: float = 60.0, level: int = 1) -> bool:
        return self._portal.call(partial(self._monitor.wait_for_resources, timeout_s, level))

    def status_message(self) -> str:
        return self._portal.call(self._monitor.status_message)


class Heard:
    """What the monitor's client asked for, and the levels it was told of.

    `on_workspace`: what becomes of the op `workspace`; without it the daemon decides.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.levels: SimpleQueue[object] = SimpleQueue()
        self.on_workspace: Callable[[Frame], Frame] | None = None

    def answer(self, op: str, fields: Frame | None) -> Frame | None:
        self.asked.append(op)
        if op == "workspace" and self.on_workspace is not None:
            return self.on_workspace(fields or {})
        return None


def overheard_client(heard: Heard) -> type[blocking.Client]:
    """A client of which we hear."""

    class Client(blocking.Client):
        def ask(self, op: str, fields: Frame | None = None) -> Frame:
            return heard.answer(op, fields) or super().ask(op, fields)

        def watch(
            self, topics: list[str] | None = None, wait_s: float | None = None
        ) -> Iterator[Frame]:
            for event in super().watch(topics, wait_s):
                heard.levels.put(event["level"])
                yield event

    return Client


def overheard_async_client(heard: Heard) -> type[aio.Client]:
    """The same for the asynchronous one."""

    class Client(aio.Client):
        async def ask(self, op: str, fields: Frame | None = None) -> Frame:
            return heard.answer(op, fields) or await super().ask(op, fields)

        async def watch(self, topics: list[str] | None = None) -> AsyncGenerator[Frame, None]:
            async with aclosing(super().watch(topics)) as news:
                async for event in news:
                    heard.levels.put(event["level"])
                    yield event

    return Client


def refusing(problem: AdmissionError) -> Callable[[Frame], Frame]:
    def refuse(_: Frame) -> Frame:
        raise problem

    return refuse
