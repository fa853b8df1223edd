"""ResourceMonitor: how hard-pressed the machine is, and what to do about it.

    monitor = ResourceMonitor(workspace_root)
    if monitor.is_under_pressure():
        agents = monitor.get_recommended_agent_count()
    monitor.apply_throttle()                       # waits 0 to 2 s
    if monitor.wait_for_resources(timeout_s=60):   # until the level is 1 or 0
        ...

`admission_client.aio` has the same for trio and asyncio.
"""

import os
import time

from admission.protocol import BadRequest, NotPermitted
from admission_client.blocking import Client
from admission_client.granted import whole
from admission_client.reading import (
    LOOK_AGAIN_S,
    NO_DAEMON,
    PRESSURE_LEVEL,
    Metrics,
    Notebook,
    Reading,
    check_level,
    look_alone,
    reading_of,
)

__all__ = ["Metrics", "ResourceMonitor"]


class ResourceMonitor:
    """Asks the daemon; where none runs, looks at the machine itself, which takes half a second.
    It never starts one. For one thread.

    Args:
        workspace_root: the folder whose `state/analytics/resource_metrics.json` is to be kept up
            to date: by the daemon, else at each reading.
        socket: the daemon's socket; without it, the usual place.

    Raises:
        BadRequest: there is no such folder.
    """

    def __init__(self, workspace_root: "str | os.PathLike[str]", socket: str | None = None) -> None:
        self._notebook = Notebook(workspace_root)
        self._socket = socket

    def get_metrics(self, force: bool = False) -> Metrics:
        """The readings, the level in force and its parameters.

        Args:
            force: read anew, even if the last reading is only a few seconds old.

        Raises:
            BadConfiguration: no daemon runs, and the configuration is wrong.
        """
        return self._read(force).metrics

    def is_under_pressure(self) -> bool:
        """Whether the level is 2 (medium) or 3 (heavy)."""
        return self.get_metrics().throttle_level >= PRESSURE_LEVEL

    def get_recommended_agent_count(self) -> int:
        """How many agents may run on this machine, all told; at least 1."""
        return self.get_metrics().throttle_params.max_agents

    def apply_throttle(self) -> float:
        """Waits as long as the level asks for between two tasks, 0 to 2 s unless configured
        otherwise. Returns the seconds waited.
        """
        delay_s = self.get_metrics().delay_s
        time.sleep(delay_s)
        return delay_s

    def wait_for_resources(self, timeout_s: float = 60.0, level: int = 1) -> bool:
        """Waits until the level is this one or lower. The daemon says when it changes; nobody
        asks again and again, except where there is none, every 2 s.

        Args:
            timeout_s: at most so many seconds; 0 or less only looks.
            level: 0 to 3.

        Returns:
            Whether it is; False after the time-out.
        """
        check_level(level)
        give_up_at = time.monotonic() + timeout_s
        while True:
            try:
                is_reached = self._await_level(level, give_up_at)
            except NO_DAEMON:
                is_reached = self._read(force=True).metrics.throttle_level <= level
            left_s = give_up_at - time.monotonic()
            if is_reached or left_s <= 0:
                return is_reached
            time.sleep(min(LOOK_AGAIN_S, left_s))

    def status_message(self) -> str:
        """Level, why, and what to do, in one line for people."""
        return self._read(force=False).message()

    def _read(self, force: bool) -> Reading:
        kept = None if force else self._notebook.fresh()
        if kept is not None:
            return kept
        try:
            reading = self._ask()
        except NO_DAEMON:
            reading = look_alone()
        if reading.daemon_pid is None or reading.daemon_pid != self._notebook.writer_pid:
            self._notebook.write(reading)
        return self._notebook.keep(reading)

    def _ask(self) -> Reading:
        with Client(self._socket) as client:
            reading = reading_of(client.ask("status"), time.time())
            if reading.daemon_pid != self._notebook.writer_pid:
                self._register(client, reading)
        return reading

    def _register(self, client: Client, reading: Reading) -> None:
        try:
            client.ask("workspace", {"path": self._notebook.workspace})
        except (BadRequest, NotPermitted) as problem:
            self._notebook.note(problem)
        else:
            self._notebook.writer_pid = reading.daemon_pid

    def _await_level(self, level: int, give_up_at: float) -> bool:
        with Client(self._socket) as client:
            for event in client.watch(["level"], give_up_at - time.monotonic()):
                if event.get("event") == "level" and whole(event, "level") <= level:
                    self._notebook.forget()
                    return True
        return False
