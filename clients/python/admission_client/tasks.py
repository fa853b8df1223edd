"""The list of tasks that the autopilot runs: a shell command a line, or a JSON object a line."""

import json
import os
import time
from dataclasses import dataclass, field, replace
from math import inf

from admission.protocol import LABEL_CHARS_MAX
from admission_client.durations import parse_duration, parse_when
from admission_client.options import Options, WrongUsage

KEYS = {"task", "command", "cwd", "env", "weight", "by", "max_hold", "end_after_max"}
KEYS |= {"resume_command", "defer"}
EXAMPLE = '{"task": "name", "command": "make test", "cwd": "…", "env": {…}, "weight": 1}'


@dataclass(frozen=True)
class Task:
    """One command for the shell. `weight`: units of the pool. `cwd` is relative to the caller's.

    `by_at`: by when it must have started, on the monotonic clock; `max_hold_s`: held for longer,
    its lease raises an alarm; `end_after_max`: and it is asked to end. With a `resume_command` it
    can be parked; `resumes` is then the lease that it goes on with. `defer`: it waits until the
    load is low. `overflow`: options by which it may run on another node.
    """

    number: int
    command: str
    name: str
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    weight: int = 1
    by_at: float = inf
    max_hold_s: float | None = None
    end_after_max: bool = False
    resume_command: str | None = None
    resumes: int | None = None
    defer: bool = False
    overflow: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What is to be run now."""
        again = self.resume_command if self.resumes is not None else None
        return again or self.command

    @property
    def program(self) -> str:
        """What the command begins with, less variables before it; empty where that is no name."""
        for word in self.command.split():
            if "=" not in word:
                name = os.path.basename(word.strip("'\""))
                return _label(name) if name[:1].isalnum() else ""
        return ""

    def within(self, options: Options) -> "Task":
        """The same within what is asked of all tasks, where it has nothing of its own."""
        task = self
        if task.by_at == inf and options.by_s is not None:
            task = replace(task, by_at=time.monotonic() + options.by_s)
        if task.max_hold_s is None and options.max_hold_s is not None:
            ends = options.end_after_max
            task = replace(task, max_hold_s=options.max_hold_s, end_after_max=ends)
        task = replace(task, defer=task.defer or options.defer)
        if options.overflow:
            words = ["--overflow", f"--labels={options.labels}"]
            if options.overflow_after_s is not None:
                words.append(f"--overflow-after={options.overflow_after_s:.3f}")
            if task.env:
                words.append(f"--pass-env={','.join(task.env)}")
            task = replace(task, overflow=tuple(words))
        return task

    def limits(self, now: float) -> list[str]:
        """Its bounds, and where it may run, as options of `run`."""
        words = [] if self.by_at == inf else [f"--by={max(0.0, self.by_at - now):.3f}"]
        words += [] if self.max_hold_s is None else [f"--max-hold={self.max_hold_s:.3f}"]
        words += ["--end-after-max"] * self.end_after_max + ["--defer"] * self.defer
        return [*words, *self.overflow]


def read_tasks(lines: list[str], source: str) -> list[Task]:
    """The tasks in these lines. Empty ones, and those that begin with #, are passed over.

    Raises:
        WrongUsage: a line is broken. Nothing has been started yet.
    """
    tasks: list[Task] = []
    for number, line in enumerate(lines, 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        try:
            tasks.append(_checked(_task(len(tasks) + 1, written)))
        except ValueError as problem:
            raise WrongUsage(f"{source}, line {number}: {problem}") from None
    if not tasks:
        raise WrongUsage(f"{source} holds no tasks; write a shell command a line")
    return tasks


def _task(number: int, written: str) -> Task:
    if not written.startswith("{"):
        return Task(number, written, _label(written))
    try:
        found = json.loads(written)
    except json.JSONDecodeError as problem:
        what = f"{problem.msg} at character {problem.pos + 1}"
        raise ValueError(f"this is no JSON ({what}); write {EXAMPLE}") from None
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        raise ValueError(f"this is no JSON that can be read; write {EXAMPLE}") from None
    return _from_json(number, found)


def _from_json(number: int, found: dict[str, object]) -> Task:
    unknown = set(found) - KEYS
    if unknown:
        raise ValueError(f"{json.dumps(min(unknown))} is not known here; write {EXAMPLE}")
    command, name = found.get("command"), found.get("task", "")
    cwd, env, weight = found.get("cwd"), found.get("env", {}), found.get("weight", 1)
    if not isinstance(command, str) or not command.strip():
        raise ValueError(f'"command" must be a shell command; write {EXAMPLE}')
    if not isinstance(name, str) or not isinstance(cwd, (str, type(None))):
        raise ValueError(f'"task" and "cwd" must be strings; write {EXAMPLE}')
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise ValueError(f'"env" must be an object of strings; write {EXAMPLE}')
    if type(weight) is not int or weight < 1:
        raise ValueError('"weight" must be a whole number from 1 up')
    bounds = _limits(found)
    again = found.get("resume_command")
    if again is not None and (not isinstance(again, str) or not again.strip()):
        raise ValueError('"resume_command" must be a shell command, which goes on with the task')
    defer = found.get("defer", False)
    if not isinstance(defer, bool):
        raise ValueError('"defer" must be true or false')
    task = Task(number, command, _label(name or command), cwd, env, weight, *bounds, again)
    return replace(task, defer=defer)


def _limits(found: dict[str, object]) -> tuple[float, float | None, bool]:
    """Its bounds of time, as they stand in the list: "18:00" or "20m", "2h", true."""
    by, max_hold, ends = found.get("by"), found.get("max_hold"), found.get("end_after_max", False)
    if not isinstance(by, (str, type(None))) or not isinstance(max_hold, (str, type(None))):
        raise ValueError('"by" and "max_hold" must be strings, as in "18:00" or "20m"')
    if not isinstance(ends, bool) or (ends and not max_hold):
        raise ValueError('"end_after_max" must be true or false, and needs "max_hold"')
    by_at = inf if by is None else time.monotonic() + parse_when(by)
    return by_at, None if max_hold is None else parse_duration(max_hold), ends


def _checked(task: Task) -> Task:
    """The task, where a process can be given what it holds."""
    texts = (task.command, task.resume_command or "", task.name, task.cwd or "")
    for written in (*texts, *task.env, *task.env.values()):
        for char in written:
            if char == "\0" or "\ud800" <= char <= "\udfff":
                raise ValueError(f"no process can be given the character {char!a}")
    for name in task.env:
        if not name or "=" in name:
            raise ValueError(f"{json.dumps(name)} is no name of a variable")
    return task


def _label(written: str) -> str:
    return " ".join(written.split())[:LABEL_CHARS_MAX]
