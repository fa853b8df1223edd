"""Command lines are completed as the shells themselves do it."""

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission_client.cli import COMMANDS
from admission_client.completion import commands
from tests.clients.daemons import Daemon

COMMAND = [sys.executable, "-P", "-m", "admission_client.cli"]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`admission` on the path, as a shell finds it."""
    program = tmp_path / "admission"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    return found


def script(name: str) -> str:
    return subprocess.run(
        [*COMMAND, "completion", name], capture_output=True, text=True, check=True
    ).stdout


def in_bash(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    program = (
        'eval "$(admission completion bash)"\n'
        'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n'
        "_admission\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    line = [shell("bash"), "--norc", "-c", program, "bash", "admission", *words]
    found = subprocess.run(line, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return found.stdout.split()


def in_fish(line: str) -> list[str]:
    program = "admission completion fish | source; complete -C $argv[1]"
    words = [shell("fish"), "--no-config", "-c", program, line]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return [one.split("\t")[0] for one in found.stdout.splitlines()]


def test_every_command_shows_its_options_and_does_nothing() -> None:
    found = {one.name: one for one in commands()}
    assert {name for name, *_ in COMMANDS} <= set(found)
    assert found["run"].takes_command
    assert found["release"].asks == "leases"
    assert found["level"].words == ("0", "1", "2", "3", "off", "auto")
    assert found["hook"].words == found["service"].words == ("install", "uninstall", "status")
    assert "--dry-run" in [name for one in found["hook install"].options for name in one.names]


@pytest.mark.usefixtures("on_path")
def test_bash_completes_commands_options_and_values() -> None:
    assert in_bash("rel") == ["release", "reload"]
    assert in_bash("run", "--cl") == ["--class"]
    assert in_bash("run", "--class", "") == ["critical", "normal", "batch"]
    assert in_bash("level", "a") == ["auto"]
    assert in_bash("hook", "install", "--dr") == ["--dry-run"]
    assert in_bash("hook", "install", "--agent", "c") == ["claude", "codex"]
    assert "printf" in in_bash("run", "--", "print")
    assert in_bash("run", "--task", "") == []


@pytest.mark.usefixtures("on_path")
def test_bash_completes_files_after_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    assert in_bash("run", "--", "cat", "no") == ["notes.txt"]
    assert in_bash("serve", "--config", "no") == ["notes.txt"]


@pytest.mark.usefixtures("on_path")
def test_what_only_the_daemon_knows_is_asked_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    assert "one" in in_bash("run", "--pool", "")
    monkeypatch.setenv("ADMISSION_SOCKET", "/nonesuch/a.sock")
    assert in_bash("run", "--pool", "") == in_bash("release", "") == []


@pytest.mark.usefixtures("on_path")
def test_fish_completes_commands_options_and_values() -> None:
    assert in_fish("admission rel") == ["release", "reload"]
    assert "--class" in in_fish("admission run --cl")
    assert in_fish("admission run --class ") == ["batch", "critical", "normal"]
    assert in_fish("admission hook install --agent c") == ["claude", "codex"]
    assert "auto" in in_fish("admission level a")


@contextmanager
def terminal(*words: str, cwd: Path) -> Iterator[int]:
    """A program on a terminal of its own; the terminal's other end."""
    pid, end = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(words[0], words, os.environ | {"TERM": "dumb", "PS1": "", "ZDOTDIR": str(cwd)})
    try:
        yield end
    finally:
        os.close(end)
        os.waitpid(pid, 0)


def read_until(end: int, wanted: str) -> str:
    said = ""
    while wanted not in said:
        assert select.select([end], [], [], 30)[0], f"no {wanted!r} in {said!r}"
        said += os.read(end, 4096).decode(errors="replace")
    return said


@pytest.mark.usefixtures("on_path")
def test_zsh_completes_commands_options_and_values(tmp_path: Path) -> None:
    start = (
        'autoload -U compinit && compinit -u; eval "$(admission completion zsh)"; '
        "setopt no_prompt_sp; echo re''ady\n"
    )
    with terminal(shell("zsh"), "-f", "-i", cwd=tmp_path) as end:
        os.write(end, start.encode())
        read_until(end, "ready\r\n")
        for typed, completed in (
            ("admission expl\t--js\t", "admission explain --json"),
            ("admission hook uninst\t--ag\tgem\t", "admission hook uninstall --agent gemini"),
            ("admission run --class ba\t", "admission run --class batch"),
        ):
            # At the beginning of the line, so that it is printed as it stands, and not done.
            os.write(end, typed.encode() + b"\x01print -r -- '<\x05>'\n")
            said = read_until(end, ">\r\n")
            assert f"\n<{completed}>" in said.replace(" >", ">").replace("\x1b[?2004l", "").replace(
                "\r", ""
            )
        os.write(end, b"\x15exit\n")


def test_no_shell_finds_a_mistake_in_its_script(tmp_path: Path) -> None:
    for name in ("bash", "zsh", "fish"):
        if program := shutil.which(name):
            path = tmp_path / name
            path.write_text(script(name))
            checked = subprocess.run([program, "-n", path], capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, b"")
