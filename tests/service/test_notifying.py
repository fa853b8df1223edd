"""Whoever asked for it is told of levels and long waits, by real programs where one can run."""

import json
import os
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core.alarm import Alarm
from admission.core.leases import Claim, Holder
from admission.core.levels import LEVELS
from admission.protocol import BadConfiguration
from admission.service import notifying
from admission.service.config import Config, parse
from admission.service.config_file import NotifyTable
from admission.service.notifying import (
    Notice,
    Notifying,
    environment,
    of_alarm,
    of_level,
    programs,
    run_program,
)
from tests.service.conftest import Start
from tests.service.stage import rest

pytestmark = pytest.mark.trio
CALM = of_level(LEVELS[0], ())
BUSY = of_level(LEVELS[2], ("memory 85 % is above 80 %",))
WAIT = of_alarm(Alarm(False, 12, Claim(Holder(1, 1), task="secret"), 2040.0, "5 of 5 agents run"))
HOLD = of_alarm(Alarm(True, 7, Claim(Holder(1, 1)), 900.0, "held for 15 min"))
# Writes down what it was given; the folder is its own argument.
RECORD = """\
import json, os, resource, signal, sys
told = {name: one for name, one in os.environ.items() if name.startswith("ADMISSION_")}
held = [int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
with open(sys.argv[1] + "/new", "w") as file:
    json.dump({"words": sys.argv[2:], "env": told, "held": held, "pid": os.getpid(),
               "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, file)
os.rename(sys.argv[1] + "/new", sys.argv[1] + "/told")
"""
PATIENCE_S = 60


# --- the words ------------------------------------------------------------------------------------


async def test_a_notice_says_what_and_why_and_names_no_task() -> None:
    assert BUSY.words == ("admission: level 2 (medium)", "memory 85 % is above 80 %")
    assert CALM.words == ("admission: level 0 (normal)", "all calm")
    title, text = WAIT.words
    assert title == "admission: ticket 12 of agents waits for too long"
    assert text == "for 34 min: 5 of 5 agents run"
    assert HOLD.words == ("admission: lease 7 of agents is held for too long", "held for 15 min")


async def test_nothing_that_is_told_is_an_option_or_breaks_its_line() -> None:
    title, text = Notice("level", "t", "--config=/etc\n\x1b[2J" + "x" * 900).words
    assert text.startswith(" --config=/etc??[2Jx")
    assert len(text) == notifying.TEXT_CHARS_MAX + 1
    assert title == "t"


async def test_notify_send_and_osascript_are_given_it_as_arguments() -> None:
    evil = Notice("level", "admission: level 1", 'a" & <b>quit</b>')
    desktop = NotifyTable(desktop=True)
    (linux,) = programs(desktop, evil, "linux")
    assert linux[:3] == ("notify-send", "--app-name=admission", "--")
    assert linux[3:] == ("admission: level 1", 'a" &amp; &lt;b&gt;quit&lt;/b&gt;')
    (macos,) = programs(desktop, evil, "darwin")
    assert macos[0] == "osascript"
    assert macos[-3:] == ("--", "admission: level 1", 'a" & <b>quit</b>')
    assert not any("quit" in word for word in macos[:-1])


async def test_a_command_keeps_its_own_arguments_and_comes_after_the_desktop() -> None:
    both = NotifyTable(desktop=True, command=("tell", "-v"))
    _, mine = programs(both, BUSY, "linux")
    assert mine == ("tell", "-v", *BUSY.words)
    told = environment(BUSY)
    assert told["ADMISSION_NOTICE"] == "level"
    assert (told["ADMISSION_TITLE"], told["ADMISSION_TEXT"]) == BUSY.words
    assert (told["ADMISSION_LEVEL"], told["PATH"]) == ("2", os.environ["PATH"])
    assert "ADMISSION_LEVEL" not in set(environment(WAIT)) - set(os.environ)


# --- the configuration ----------------------------------------------------------------------------


async def test_nobody_is_told_of_anything_unless_the_file_asks_for_it() -> None:
    assert Config().notify == NotifyTable()
    assert (NotifyTable().desktop, NotifyTable().command) == (False, ())
    found = parse(
        '[notify]\ndesktop = true\ncommand = ["tell", "-v"]\non = ["hold"]\nmin_interval_s = 5\n',
        "c.toml",
    ).notify
    assert found == NotifyTable(True, ("tell", "-v"), ("hold",), 5.0)


@pytest.mark.parametrize(
    "text",
    ['on = ["levels"]', "min_interval_s = 0", 'command = "tell me"', 'command = [""]', "desk = 1"],
)
async def test_a_mistake_in_it_is_named(text: str) -> None:
    with pytest.raises(BadConfiguration, match=r"c\.toml, \[notify\]: "):
        parse(f"[notify]\n{text}\n", "c.toml")


# --- when -----------------------------------------------------------------------------------------


class Told:
    """Runs nothing, and keeps what it was to run."""

    def __init__(self) -> None:
        self.words: list[tuple[str, ...]] = []
        self.problem: OSError | None = None

    async def run(self, words: Sequence[str], env: dict[str, str]) -> None:
        self.words.append(tuple(words[1:]))
        if self.problem is not None:
            raise self.problem

    def take(self) -> list[str]:
        """The titles since the last time."""
        found, self.words = [title for title, _ in self.words], []
        return [title.removeprefix("admission: ") for title in found]


ALL = NotifyTable(command=("tell",), on=("level", "wait", "hold"), min_interval_s=60)


async def begun(nursery: trio.Nursery, settings: NotifyTable = ALL) -> tuple[Notifying, Told]:
    told = Told()
    notifying = Notifying(lambda: settings, trio.current_time, told.run)
    nursery.start_soon(notifying.run)
    await wait_all_tasks_blocked()
    return notifying, told


async def test_the_first_is_told_at_once_and_the_newest_after_the_interval(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    notifying, told = await begun(nursery)
    notifying.note(BUSY)
    await wait_all_tasks_blocked()
    assert told.take() == ["level 2 (medium)"]
    for level in (3, 1):
        notifying.note(of_level(LEVELS[level], ()))
    await rest(59.9)
    assert told.take() == []
    await rest(0.2)
    assert told.take() == ["level 1 (light)"]


async def test_a_level_that_is_back_where_it_was_is_no_news(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    notifying, told = await begun(nursery)
    notifying.note(BUSY)
    await wait_all_tasks_blocked()
    notifying.note(CALM)
    notifying.note(BUSY)
    await rest(200)
    assert told.take() == ["level 2 (medium)"]
    notifying.note(CALM)
    await wait_all_tasks_blocked()
    assert told.take() == ["level 0 (normal)"]


async def test_each_kind_has_an_interval_of_its_own_and_says_how_many_came(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    notifying, told = await begun(nursery)
    for notice in (BUSY, WAIT, HOLD):
        notifying.note(notice)
    await wait_all_tasks_blocked()
    assert len(told.take()) == 3
    for _ in range(3):
        notifying.note(WAIT)
    await rest(61)
    ((_, text),) = told.words
    assert text == "for 34 min: 5 of 5 agents run (and 2 more)"


async def test_what_is_not_asked_for_is_not_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    notifying, told = await begun(nursery, NotifyTable(command=("tell",), on=("wait",)))
    notifying.note(BUSY)
    notifying.note(HOLD)
    await rest(200)
    assert told.words == []
    nobody, told = await begun(nursery, NotifyTable())
    nobody.note(WAIT)
    await rest(200)
    assert told.words == []


async def test_a_program_that_can_not_be_started_is_a_line_in_the_log(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    notifying, told = await begun(nursery)
    told.problem = FileNotFoundError(2, "No such file or directory", "tell")
    notifying.note(WAIT)
    await wait_all_tasks_blocked()
    (line,) = caplog.messages
    assert line.startswith("nobody is notified by tell: [Errno 2]")
    told.problem = None
    await rest(61)
    told.take()
    notifying.note(HOLD)
    await wait_all_tasks_blocked()
    assert len(told.take()) == 1


async def test_the_daemon_tells_of_its_level_and_of_who_waits_for_too_long(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(Config(notify=ALL))
    told = Told()
    stage.daemon.notifying._run = told.run
    line = stage.connect()
    stage.ask(line, "level", set=3)
    stage.hold(line, max_hold_s=100)
    stage.send(line, "acquire")
    await rest(601)
    titles = told.take()
    assert titles[:2] == ["level 3 (heavy)", "lease 1 of agents is held for too long"]
    assert titles[2].startswith("ticket ")


# --- real programs --------------------------------------------------------------------------------


async def told_in(folder: Path) -> dict[str, object]:
    with trio.fail_after(PATIENCE_S):
        while not (folder / "told").exists():  # noqa: ASYNC110 -- the other side is a program
            await trio.sleep(0.02)
    found = json.loads((folder / "told").read_text())
    assert isinstance(found, dict)
    return found


async def test_a_command_is_given_the_words_as_they_are(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    program = (sys.executable, "-c", RECORD, str(tmp_path))
    notifying = Notifying(lambda: NotifyTable(command=program), time.monotonic)
    nursery.start_soon(notifying.run)
    evil = Notice("level", "admission: $(id) `id`", "; rm -rf ~ 'x' \"y\"", 1)
    notifying.note(evil)
    found = await told_in(tmp_path)
    assert found["words"] == list(evil.words)
    env = found["env"]
    assert isinstance(env, dict)
    assert env["ADMISSION_TEXT"] == evil.text
    assert found["held"] == []
    with trio.fail_after(PATIENCE_S):  # and nobody is left, not even a zombie
        while psutil.pid_exists(int(str(found["pid"]))):  # noqa: ASYNC110 -- likewise
            await trio.sleep(0.02)


async def test_a_stand_in_for_notify_send_on_the_path_is_found(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "notify-send"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.argv[1:1] = ['{tmp_path}']\n{RECORD}")
    stand_in.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(notifying.programs, "__defaults__", ("linux",))
    keeper = Notifying(lambda: NotifyTable(desktop=True), time.monotonic)
    nursery.start_soon(keeper.run)
    keeper.note(WAIT)
    found = await told_in(tmp_path)
    assert found["words"] == ["--app-name=admission", "--", *WAIT.words]


async def test_one_that_hangs_is_ended_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifying, "LASTS_S", 0.05)
    with trio.fail_after(PATIENCE_S):
        await run_program(("sleep", "1000"), dict(os.environ))
    assert caplog.messages == ["sleep, which was to notify, took longer than 0.05 s"]


async def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    hang = f"sleep 1000 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/told; wait"
    told = tmp_path / "told"
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_program, ("sh", "-c", hang), dict(os.environ))
            while not told.exists():  # noqa: ASYNC110 -- the other side is a program
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        pids = [int(word) for word in told.read_text().split()]
        while any(_runs(pid) for pid in pids):  # noqa: ASYNC110 -- init reaps the second
            await trio.sleep(0.02)
    assert not psutil.pid_exists(pids[0])


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_one_that_fails_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    await run_program(("sh", "-c", "exit 3"), dict(os.environ))
    assert caplog.messages == ["sh, which was to notify, ended with 3"]


async def test_one_that_is_not_there_or_no_program_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await run_program(("no-such-program",), dict(os.environ))
    await run_program((str(tmp_path),), dict(os.environ))
    assert caplog.messages == [
        "no-such-program, which is to notify, was not found",
        f"{tmp_path}, which is to notify, can't be executed",
    ]


async def test_it_has_the_limit_of_open_files_that_there_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "SOFT_AT_START", 200)
    await run_program((sys.executable, "-c", RECORD, str(tmp_path)), dict(os.environ))
    assert json.loads((tmp_path / "told").read_text())["files"] == 200
