"""`admission top` on a real terminal: tmux's, which says what stands on it."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from admission_client.top.letters import large
from tests.system.stage import CALM, COMMAND, Stage

LOOK_AGAIN_S = 0.08  # each look is a process
ONE_AGENT = CALM + "[pools.agents]\ncapacity = 1\n"
COLOURS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
# A key breaks it, as a mistake in it would.
BROKEN = """
import sys
from admission_client import cli
from admission_client.top.app import Top

Top.action_help = lambda self: 1 / 0
sys.exit(cli.main(["top"]))
"""


class Terminal:
    """One of tmux's, with a shell on it."""

    def __init__(self, stage: Stage, *command: str) -> None:
        self._folder = stage.folder
        self._env = stage.env | {"LC_ALL": "C.UTF-8", "PS1": "$ ", "ENV": "", "TERM": "xterm"}
        self._env.pop("NO_COLOR", None)
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", *(command or ("sh",)))

    def tmux(self, *words: str) -> str:
        """One of its commands; what that prints."""
        socket = str(self._folder / "tmux.sock")
        return subprocess.run(
            ["tmux", "-f", "/dev/null", "-u", "-S", socket, *words],
            env=self._env,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def run(self, *line: str) -> None:
        """A command on the shell, with how the terminal was before it and after."""
        written = shlex.join(line)
        self.type(
            f"stty -g > before; {written}; echo status=$?; stty -g > after; echo over", "Enter"
        )

    def lines(self, *options: str) -> list[str]:
        return self.tmux("capture-pane", "-p", *options).splitlines()

    def until(self, *texts: str) -> list[str]:
        """What stands on it once all of these do. Of that there is no news."""
        lines: list[str] = []
        try:
            while not all(one in "\n".join(lines) for one in texts):
                time.sleep(LOOK_AGAIN_S)
                lines = self.lines()
        except BaseException as problem:
            problem.add_note("\n".join(lines))  # why it fails
            raise
        return lines

    def until_gone(self, text: str) -> list[str]:
        while text in "\n".join(lines := self.lines()):
            time.sleep(LOOK_AGAIN_S)
        return lines

    @property
    def pid(self) -> int:
        """The process that it was made with."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def assert_as_before(self) -> None:
        """The usual screen, a cursor, no mouse, and all that stty knows."""
        flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_cursor_flag}"
        assert self.tmux("display-message", "-p", flags).split() == ["0", "1", "0", "0"]
        before, after = ((self._folder / name).read_text() for name in ("before", "after"))
        assert before == after


@pytest.fixture
def terminal(empty_stage: Stage) -> Iterator[Callable[..., Terminal]]:
    """Makes them; the stage has one agent, and no daemon yet."""
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux on this machine")
    empty_stage.config.write_text(ONE_AGENT)
    empty_stage.env["ADMISSION_AUTOSTART"] = "0"
    made: list[Terminal] = []

    def make(*command: str) -> Terminal:
        made.append(Terminal(empty_stage, *command))
        return made[-1]

    yield make
    if made:
        made[0].tmux("kill-server")


def test_on_80_by_24_it_shows_everything_follows_it_and_acts(
    empty_stage: Stage, terminal: Callable[..., Terminal]
) -> None:
    stage = empty_stage
    stage.serve()
    first = stage.hold("--task", "refactor")
    stage.until(lambda view: first.pid in view.holders)
    second = stage.hold("--task", "[red]x[/]\x1b[2J\x9b31m", "--class", "batch")
    stage.until(lambda view: second.pid in view.waiters)

    screen = terminal()
    screen.run(*COMMAND, "top", "--interval", "200ms")
    lines = screen.until("agents 1/1 ■ 1 waiting", "refactor", "1 of 1 agents run")
    assert len(lines) == 24
    assert [
        line[: len(word)] for line, word in zip(lines, large("normal") or [], strict=False)
    ] == (large("normal"))
    assert "level 0 for" in lines[0]
    for name in ("memory ", "CPU ", "stalls "):
        assert any(line.startswith(name) for line in lines)
    (row,) = [line for line in lines if line.lstrip().startswith("1 agents refactor")]
    assert f"{first.pid} held" in row
    (row,) = [line for line in lines if "1 of 1 agents run" in line and "batch" in line]
    assert "[red]x[/]\N{REPLACEMENT CHARACTER}[2J" in row
    assert lines[-1].startswith("q quit")
    assert lines[-1].endswith("tab queue")

    stage.set_level(3)
    lines = screen.until("level 3 for", "by hand")
    assert lines[0].startswith((large("heavy") or [])[0])

    screen.tmux("resize-window", "-x", "60", "-y", "15")
    screen.until("HEAVY  level 3 for")
    screen.tmux("resize-window", "-x", "100", "-y", "30")
    screen.until((large("heavy") or [])[1], " FROM")

    screen.type("x")
    screen.until("release lease 1 (refactor)", "y yes, any other key no")
    screen.type("y")
    stage.until(lambda view: second.pid in view.holders)
    screen.until("lease 1 (refactor) is released", "QUEUE 0")

    stage.kill_daemon()
    screen.until("no daemon for", "refactor")
    stage.serve()
    screen.until_gone("no daemon for")

    screen.type("q")
    lines = screen.until("status=0", "over")
    assert any("stty -g > before" in line for line in lines), "what was there is there again"
    screen.assert_as_before()


def test_a_signal_leaves_the_terminal_as_it_was(
    empty_stage: Stage, terminal: Callable[..., Terminal]
) -> None:
    empty_stage.serve()
    screen = terminal()
    screen.run(*COMMAND, "top")
    screen.until("level 0 for", "q quit")
    assert COLOURS.search("\n".join(screen.lines("-e")))
    (process,) = psutil.Process(screen.pid).children()
    process.send_signal(signal.SIGTERM)
    screen.until("status=143", "over")
    screen.assert_as_before()


def test_a_crash_leaves_the_terminal_as_it_was_and_no_color_leaves_colours_out(
    empty_stage: Stage, terminal: Callable[..., Terminal]
) -> None:
    empty_stage.serve()
    screen = terminal()
    path = empty_stage.folder / "broken.py"
    path.write_text(BROKEN)
    screen.run("env", "NO_COLOR=1", sys.executable, "-P", str(path))
    screen.until("level 0 for", "q quit")
    assert not COLOURS.search("\n".join(screen.lines("-e")))
    screen.type("?")
    screen.until("ZeroDivisionError", "status=1", "over")
    screen.assert_as_before()


def test_it_ends_with_its_terminal(empty_stage: Stage, terminal: Callable[..., Terminal]) -> None:
    empty_stage.serve()
    screen = terminal(*COMMAND, "top")
    screen.until("level 0 for")
    process = psutil.Process(screen.pid)
    screen.tmux("set-option", "-s", "exit-empty", "off")  # so that its end is noticed
    screen.tmux("kill-pane")
    process.wait()
