"""The command itself: its table, its help, and how it says that something went wrong."""

import inspect
import os
import subprocess
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest

from admission import __version__
from admission.protocol import AdmissionError
from admission_client import options
from admission_client.cli import COMMANDS
from admission_client.options import Option, build_parser
from tests.clients.commands import Caller, command, run
from tests.clients.daemons import Daemon

NAMES = [name for name, _, _, _ in COMMANDS]
# What scripts and agents rely on; there may be more. "The same wherever they stand."
CLAIM = ["--pool", "--weight", "--task", "--class", "--group", "--ttl", "--wait", "--no-wait"]
PROMISED = {
    "run": [*CLAIM, "--quiet", "--socket", "--lease-fd"],
    "acquire": [*CLAIM, "--quiet", "--socket", "--pid", "--json"],
    "release": ["--force", "--json", "--socket"],
    "renew": ["--json", "--socket"],
    "autopilot": ["--agents", "--results", "--logs", "--quiet", "--socket"],
    "leases": ["--pool", "--task", "--pid", "--json", "--socket"],
    "status": ["--json", "--socket"],
    "watch": ["--topics", "--json", "--socket"],
    "level": ["--for", "--json", "--socket"],
    "serve": ["--socket", "--config", "--detach"],
}


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "module", "function", "about"), COMMANDS, ids=NAMES)
def test_every_command_has_a_function_that_says_what_it_does(
    name: str, module: str, function: str, about: str
) -> None:
    command = getattr(import_module(f"admission_client.{module}"), function)
    assert list(inspect.signature(command).parameters) == ["words"]
    assert inspect.getdoc(command)
    assert about == about.strip() != ""


def test_every_command_is_named_once() -> None:
    assert len(NAMES) == len({*NAMES})
    assert {*PROMISED} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("asked", [("NAME", "--help"), ("NAME", "-h"), ("help", "NAME")])
def test_help_on_a_command_ends_well_and_tells_of_all_its_options(
    name: str, asked: tuple[str, str], call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Option] = []

    def build_and_tell(table: tuple[Option, ...], usage: str, about: str) -> ArgumentParser:
        found.extend(table)
        return build_parser(table, usage, about)

    monkeypatch.setattr(options, "build_parser", build_and_tell)
    status, out, err = call(*(word.replace("NAME", name) for word in asked))
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: admission {name}")
    told = " ".join(out.split())
    assert all(option_name in told for option in found for option_name in option.names)
    assert all(option.help in told for option in found)
    assert {*PROMISED.get(name, [])} <= {word for option in found for word in option.names}


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",), ("help", "nonsense")])
def test_help_lists_the_commands(words: tuple[str, ...], call: Caller) -> None:
    status, out, err = call(*words)
    assert (status, err) == (0, "")
    for name, _, _, about in COMMANDS:
        assert f"  {name:<10} {about}\n" in out


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_the_version_is_the_packages(word: str, call: Caller) -> None:
    assert call(word) == (0, f"admission {__version__}\n", "")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("relase", 'did you mean "release"?'),
        ("statsu", 'did you mean "status"?'),
        ("xyzzy", '"admission --help" lists them'),
        ("", '"admission --help" lists them'),
    ],
)
def test_an_unknown_command_is_wrong_usage_and_the_nearest_is_named(
    word: str, hint: str, call: Caller
) -> None:
    assert call(word) == (2, "", f'admission: there is no command "{word}"; {hint}\n')


# --- what went wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "code", "says"),
    [
        (["status", "please"], 2, "bad_request", 'status: "please" is one word too many'),
        (["release"], 2, "bad_request", "release: name a lease"),
        (["level", "4"], 2, "bad_request", 'level: "4" is no level; write 0, 1, 2, 3, off or auto'),
        (["level", "1", "2"], 2, "bad_request", 'level: "1 2" is no level'),
        (["level", "--for", "10m"], 2, "bad_request", "level: --for goes with a level"),
        (["level", "auto", "--for", "1s"], 2, "bad_request", 'level: "auto" has no end'),
        (["watch", "--topics", "x"], 2, "bad_request", 'watch: there is no topic "x"; there are:'),
        (["acquire", "--pool", "none"], 64, "unknown_pool", 'there is no pool "none"'),
        (["acquire", "--pool", "one", "--weight", "2"], 64, "impossible", "weight 2 can never be"),
        (["release", "4711"], 75, "unknown_lease", "there is no lease 4711"),
        (["renew", "4711"], 75, "unknown_lease", "there is no lease 4711"),
        (["acquire", "--pid", "999999999"], 75, "holder_gone", "acquire: there is no process"),
    ],
)
def test_a_failure_is_a_sentence_a_code_and_an_exit_status(
    words: list[str], status: int, code: str, says: str, daemon: Daemon, call: Caller
) -> None:
    given = [words[0], "--socket", daemon.path, *words[1:]]
    plain = call(*given)
    assert (plain.status, plain.out) == (status, "")
    assert plain.err.startswith(f"admission: {says}")
    assert plain.err.count("\n") == 1
    as_json = call(given[0], "--json", *given[1:])
    assert (as_json.status, as_json.err) == (status, plain.err)
    message = plain.err.removeprefix("admission: ").rstrip("\n")
    assert as_json.error == {"code": code, "message": message}


@pytest.mark.parametrize("command", ["status", "leases", "watch", "level"])
def test_a_command_that_looks_starts_no_daemon(
    command: str, folder: Path, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMISSION_AUTOSTART")
    found = call(command, "--json", "--socket", str(folder / "a.sock"))
    assert found.status == 69
    assert found.error["code"] == "unreachable"
    assert list(folder.iterdir()) == []


def test_no_slot_is_a_status_of_its_own(daemon: Daemon, call: Caller) -> None:
    held = call("acquire", "--pool", "one", "--socket", daemon.path)
    found = call("acquire", "--pool", "one", "--no-wait", "--json", "--socket", daemon.path)
    assert (found.status, found.error["code"]) == (75, "timeout")
    assert call("release", held.out.strip(), "--socket", daemon.path).status == 0


def test_a_path_that_no_socket_can_have_is_bad_configuration(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", "/tmp/" + "x" * 120)
    found = call("status", "--json")
    assert (found.status, found.error["code"]) == (78, "bad_configuration")


def test_a_folder_that_others_may_enter_is_not_permitted(folder: Path, call: Caller) -> None:
    folder.chmod(0o755)
    found = call("serve", "--socket", str(folder / "a.sock"))
    assert (found.status, found.out) == (77, "")
    assert found.err.startswith(f"admission: {folder} is open to other users; ")


def test_what_stands_behind_two_dashes_is_not_asked_of_us(call: Caller) -> None:
    found = call("run", "--", "true", "--json")
    assert (found.status, found.out) == (69, "")
    assert found.err.startswith("admission: no daemon answers at ")


def test_a_bug_is_not_dressed_up_as_an_expected_failure(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: list[str]) -> int:
        raise AssertionError("a bug")

    monkeypatch.setattr("admission_client.look.status", broken)
    with pytest.raises(AssertionError, match="a bug"):
        call("status")
    assert not issubclass(AssertionError, AdmissionError)


# --- streams that are closed --------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["1", "2"])
@pytest.mark.parametrize(
    ("words", "status"),
    [(["level"], 0), (["release", "4711"], 75), (["run", "sh", "-c", "exit 5"], 5)],
    ids=["level", "release", "run"],
)
def test_a_closed_stream_changes_nothing_but_what_is_seen(
    closed: str, words: list[str], status: int, daemon: Daemon
) -> None:
    line = command(*words)
    found = run(
        "/bin/sh", "-c", f'exec "$@" {closed}>&-', "sh", *line, ADMISSION_SOCKET=daemon.path
    )
    assert found.status == status
    assert "Traceback" not in found.err
    assert "no lease" not in found.out, "what went wrong was said in the place of an answer"


def test_an_error_that_nobody_reads_has_its_exit_status(daemon: Daemon) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = command("release", "--socket", daemon.path, "4711")
    assert subprocess.run(line, stderr=writing, check=False).returncode == 75
    os.close(writing)


def test_the_words_are_taken_from_the_command_line() -> None:
    assert run(*command("version")) == (0, f"admission {__version__}\n", "")
