"""The autopilot: works through a list of tasks with some agents at a time, as many as admitted.

Each task is an `admission run` of its own. So its lease belongs to the task's process and ends
with it, whatever becomes of the autopilot; and while there is no slot, the task waits.
"""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import trio

from admission.protocol import Frame, NoSlot, Unreachable, socket_path, throttle_disabled_by
from admission_client import aio
from admission_client.files import state_folder
from admission_client.granted import Lease, Params, mapping, whole, words_of
from admission_client.hold import NOT_EXECUTABLE, OVERFLOW
from admission_client.options import (
    LIMITS,
    QUIET,
    SOCKET,
    Option,
    WrongUsage,
    check_limits,
    parse,
    parse_count,
)
from admission_client.runs import Outcome, Run
from admission_client.screen import Screen
from admission_client.tasks import Task, read_tasks

AGENTS_SENSIBLE_MAX = 10
# What is ended gets so long to do it gently.
GENTLY_S = 5.0
INTERRUPTED = 130
RECONNECT_S = 1.0
# Throttling that is switched off comes back by itself after so long.
OFF_S = 30.0


def autopilot(words: list[str]) -> int:
    """Runs a list of tasks."""
    options = parse(
        words,
        (
            Option("--agents", "agents", "how many at a time, at most (5)", "N", parse_count),
            Option("--results", "results", "append a line of JSON for each task here", "FILE"),
            Option("--logs", "logs", "where the tasks' output goes", "FOLDER"),
            *LIMITS,
            *OVERFLOW,
            QUIET,
            SOCKET,
        ),
        "autopilot [options] [TASKS]",
        "Works through the tasks in the file TASKS, or on standard input: a shell command a line,\n"
        "or a line of JSON with task, command, cwd, env, weight, by, max_hold, end_after_max,\n"
        "resume_command, defer. Each waits for a slot. One with a resume_command may be asked to\n"
        "end (SIGTERM) where memory gets short, if the configuration says so, and goes on with\n"
        "that command.\n\n"
        "  admission autopilot --agents 3 tasks.txt\n"
        "  printf 'make lint\\nmake test\\n' | admission autopilot",
    )
    if len(options.words) > 1:
        raise WrongUsage(f'autopilot: "{options.words[1]}" is one word too many')
    check_limits("autopilot", options)
    tasks = [one.within(options) for one in _read(options.words[0] if options.words else "-")]
    logs = _log_folder(options.logs)
    screen = Screen(len(tasks), quiet=options.quiet)
    with _appending(options.results) as results:
        pilot = Autopilot(tasks, options.agents, options.socket, logs, results, screen)
        trio.run(pilot.run)
    screen.summary(pilot.outcomes, logs)
    if len(pilot.outcomes) < len(tasks):
        return INTERRUPTED
    return 1 if any(one.exit_status for one in pilot.outcomes) else 0


def _read(source: str) -> list[Task]:
    if source == "-":
        if sys.stdin.isatty():
            raise WrongUsage("autopilot: name a file of tasks, or write them to standard input")
        return read_tasks(sys.stdin.read().splitlines(), "standard input")
    try:
        return read_tasks(Path(source).read_text(encoding="utf-8").splitlines(), source)
    except (OSError, UnicodeDecodeError) as problem:
        raise WrongUsage(f"autopilot: {source} can't be read: {problem}") from None


def _log_folder(given: str | None) -> Path:
    name = time.strftime("%Y-%m-%dT%H-%M-%S") + f"-{os.getpid()}"
    folder = Path(given) if given else state_folder() / "autopilot" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise WrongUsage(f"--logs {folder} can't be made: {problem.strerror}") from None
    return folder


@contextmanager
def _appending(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 -- closed below; opening may fail
    except OSError as problem:
        raise WrongUsage(f"--results {path} can't be written: {problem.strerror}") from None
    with file:
        yield file


class Autopilot:
    """The tasks, those under way, and how the others went."""

    def __init__(
        self,
        tasks: list[Task],
        agents: int,
        socket: str | None,
        logs: Path,
        results: TextIO | None,
        screen: Screen,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._ahead = deque(tasks)
        self._batch: deque[Task] = deque()
        self._agents = agents
        self._socket = socket_path(socket)
        self._logs = logs
        self._results = results
        self._screen = screen
        self._runs: dict[int, Run] = {}
        self._to_park: set[int] = set()
        self._params: Params | None = None
        self._stopping = trio.Event()

    async def run(self) -> None:
        """Until all tasks have ended, or those that run after Ctrl-C."""
        if self._agents > AGENTS_SENSIBLE_MAX:
            self._screen.warn(
                f"{self._agents} agents are more than a machine likes to bear; watch it"
            )
        async with (
            aio.Client(self._socket, autostart=True) as client,
            trio.open_nursery() as nursery,
        ):
            self._adopt_level(await client.ask("status"))
            with self._only_autopilot(), self._screen:
                if variable := throttle_disabled_by(os.environ):
                    self._screen.warn(f"{variable} is set: NOTHING THROTTLES until this ends")
                    await nursery.start(self._hold_throttling_off)
                nursery.start_soon(self._follow_level)
                nursery.start_soon(self._listen_for_signals)
                nursery.start_soon(self._redraw)
                async with trio.open_nursery() as workers:
                    for _ in range(min(self._agents, len(self._ahead))):
                        workers.start_soon(self._work)
            nursery.cancel_scope.cancel()

    # --- tasks ----------------------------------------------------------------------------------

    async def _work(self) -> None:
        while task := self._next_task():
            await self._carry_out(task)
            if self._params is not None and self._params.delay_ms:
                with trio.move_on_after(self._params.delay_ms / 1000):
                    await self._stopping.wait()

    def _next_task(self) -> Task | None:
        """From the batch in hand, or of the next one, as large as the level says."""
        if self._stopping.is_set():
            return None
        if not self._batch:
            size = len(self._ahead) if self._params is None else self._params.batch_size
            while self._ahead and len(self._batch) < size:
                self._batch.append(self._ahead.popleft())
        return self._batch.popleft() if self._batch else None

    async def _carry_out(self, task: Task) -> None:
        log = self._logs / f"{task.number:03}-{_file_name(task.name)}.log"
        begun_at = time.monotonic()
        if task.by_at <= begun_at:
            log.write_text("admission autopilot: its turn came after it was to start\n")
            self._end(Outcome(task, NoSlot.exit_status, None, 0.0, 0.0, log))
            return
        try:
            process, pipe = await self._start(task, log)
        except OSError as problem:  # its folder is not there, or no process can be had
            log.write_text(f"admission autopilot: {problem}\n")
            self._end(Outcome(task, NOT_EXECUTABLE, None, 0.0, 0.0, log))
            return
        run = self._runs[task.number] = Run(task, process, pipe.fileno())
        async with pipe:
            lease = await _read_lease(pipe)
            run.lease_fd = -1  # nobody may ask the kernel of it once it is closed
        node = None if lease is None else lease.reply.get("node")
        if lease is not None:
            run.admitted_at, run.lease = time.monotonic(), None if node else lease.id
            self._park(self._to_park)
        status = await process.wait()
        del self._runs[task.number]
        now = time.monotonic()
        admitted_at = run.admitted_at or now
        if lease is None and self._stopping.is_set():
            return  # it was still waiting when we were told to stop: it never began
        if run.is_parked and not self._stopping.is_set():
            self._screen.parked(task)
            self._batch.appendleft(replace(task, resumes=run.lease))
            return
        self._end(
            Outcome(
                task,
                status if status >= 0 else 128 - status,
                None if lease is None else lease.id,
                admitted_at - begun_at if lease is None else lease.waited_s,
                now - admitted_at,
                log,
                None if node is None else str(node),
            )
        )

    async def _start(self, task: Task, log: Path) -> tuple[trio.Process, trio.lowlevel.FdStream]:
        """The task's process, and where it says that it was admitted."""
        listening, speaking = os.pipe()
        command = [sys.executable, "-P", "-m", "admission_client.cli", "run", "--quiet"]
        command += [f"--lease-fd={speaking}", f"--task={task.name}", f"--weight={task.weight}"]
        command += [f"--group=autopilot-{os.getpid()}", f"--socket={self._socket}"]
        if task.program:  # else it is the shell's name
            command.append(f"--agent={task.program}")
        command += task.limits(time.monotonic())
        if task.resume_command is not None:
            command.append("--park-signal=none")  # we hear of it, and ask all that it started
        if task.resumes is not None:
            command.append(f"--resumes={task.resumes}")
        try:
            with log.open("wb" if task.resumes is None else "ab") as output:
                # A session of its own: Ctrl-C in the terminal is for us, and we decide what
                # becomes of it.
                process = await trio.lowlevel.open_process(
                    [*command, "--", "/bin/sh", "-c", task.words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(speaking,),
                    cwd=task.cwd,
                    env={**os.environ, **task.env},
                    start_new_session=True,
                )
        except OSError:
            os.close(listening)
            raise
        finally:
            os.close(speaking)
        return process, trio.lowlevel.FdStream(listening)

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._screen.ended(outcome, len(self.outcomes))
        if self._results is not None:
            print(outcome.line(), file=self._results, flush=True)

    # --- what goes on beside --------------------------------------------------------------------

    async def _redraw(self) -> None:
        while True:
            running = sum(run.admitted_at is not None for run in self._runs.values())
            self._screen.draw(len(self.outcomes), running, len(self._runs) - running, self._params)
            await trio.sleep(self._screen.redraw_s)

    async def _follow_level(self) -> None:
        """Says when the level changes, and parks what is to be. A daemon that is away is waited
        for.
        """
        while True:
            with suppress(Unreachable):
                async with (
                    aio.Client(self._socket) as client,
                    aclosing(client.watch(["level", "shed"])) as news,
                ):
                    async for event in news:
                        await self._hear(event)
            await trio.sleep(RECONNECT_S)

    async def _hear(self, event: Frame) -> None:
        if event.get("event") == "parking":
            self._park({whole(event, "lease")})
        elif event.get("event") == "level":
            self._adopt_level(event)
            # It comes first of all, so that what was missed while the daemon was away is found.
            async with aio.Client(self._socket) as client:
                shed = mapping(await client.ask("status"), "shed")
            self._park({int(number) for number in words_of(shed, "parking")})

    def _park(self, leases: set[int]) -> None:
        """Asks these to end, with all that they started, if we can have them go on. Of one of them
        we may not have read yet that it is ours.
        """
        self._to_park |= leases
        for run in self._runs.values():
            if run.lease in leases and not run.is_parked and run.task.resume_command is not None:
                run.is_parked = True
                run.signal(signal.SIGTERM)

    def _adopt_level(self, news: Frame) -> None:
        before, self._params = self._params, Params(mapping(news, "params"))
        known = 0 if before is None else before.level
        if self._params.level != known:
            self._screen.level(known, self._params, words_of(news, "reasons"))

    async def _hold_throttling_off(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Throttles nothing from now on. It ends with us, and soon after us if we are killed."""
        async with aio.Client(self._socket) as client:
            try:
                await client.ask("level", {"off": True, "for_s": OFF_S})
                task_status.started()
                while True:
                    await trio.sleep(OFF_S / 2)
                    await client.ask("level", {"off": True, "for_s": OFF_S})
            finally:
                with trio.move_on_after(1, shield=True):
                    await client.ask("level", {"auto": True})

    async def _listen_for_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self._stopping.is_set() or number == signal.SIGTERM:
                    self._stopping.set()
                    await self._end_running()
                else:
                    self._stop_taking()

    def _stop_taking(self) -> None:
        self._stopping.set()
        running = 0
        for run in self._runs.values():
            if run.only_waits:
                run.signal(signal.SIGTERM)
            else:
                running += 1
        self._screen.say(f"no more tasks are taken; {running} still run, Ctrl-C again ends them")

    async def _end_running(self) -> None:
        self._screen.say("ending what runs")
        for run in self._runs.values():
            run.signal(signal.SIGTERM)
        await trio.sleep(GENTLY_S)
        for run in self._runs.values():
            run.signal(signal.SIGKILL)

    @contextmanager
    def _only_autopilot(self) -> Iterator[None]:
        """Warns where another autopilot is at work: one with more agents does better than two."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(Path(self._socket).with_name("autopilot.lock"), flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as problem:
            if problem.errno == errno.EWOULDBLOCK:
                who = os.pread(lock, 32, 0).decode(errors="replace").strip()
                self._screen.warn(
                    f"another autopilot runs on this machine (process {who}); "
                    "one with more agents does better than two"
                )
        try:
            yield
        finally:
            os.close(lock)


async def _read_lease(pipe: trio.lowlevel.FdStream) -> Lease | None:
    """The lease that the task was granted; None where its process ended without one."""
    said = b""
    async for data in pipe:
        said += data
    return Lease(json.loads(said)) if said else None


def _file_name(label: str) -> str:
    kept = "".join(char if char.isalnum() else "-" for char in label.lower())
    return "-".join(filter(None, kept.split("-")))[:40] or "task"
