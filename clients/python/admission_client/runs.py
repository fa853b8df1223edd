"""One task of the autopilot's: under way, and how it went."""

import json
import os
import select
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from admission.protocol import Frame
from admission_client.tasks import Task


@dataclass(frozen=True)
class Outcome:
    """How one task went. `exit_status` as a shell shows it; no `lease`: it never started. With a
    `node` it ran there, and the lease is that node's.
    """

    task: Task
    exit_status: int
    lease: int | None
    waited_s: float
    ran_s: float
    log: Path
    node: str | None = None

    def line(self) -> str:
        """As a line of JSON."""
        found: Frame = {"task": self.task.name, "command": self.task.command}
        found |= {"exit_status": self.exit_status, "lease": self.lease, "log": str(self.log)}
        found |= {"waited_s": round(self.waited_s, 3), "ran_s": round(self.ran_s, 3)}
        found |= {} if self.node is None else {"node": self.node}
        return json.dumps(found, ensure_ascii=False)


@dataclass
class Run:
    """A task under way. `lease_fd` becomes readable when it is admitted, or ended without."""

    task: Task
    process: trio.Process
    lease_fd: int
    admitted_at: float | None = None
    lease: int | None = None
    is_parked: bool = False

    @property
    def only_waits(self) -> bool:
        """Whether its command has not begun; asked of the kernel, as the news may not be read."""
        has_news = select.select([self.lease_fd], [], [], 0)[0] if self.lease_fd >= 0 else True
        return self.admitted_at is None and not has_news

    def signal(self, number: int) -> None:
        """To the task and all that it started, unless they left its session."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
