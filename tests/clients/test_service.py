"""`admission service`, with stand-ins for systemctl and launchctl that note what they hear."""

import json
import os
import plistlib
import sys
from pathlib import Path

import pytest

from admission_client import managers
from admission_client.managers import Launchd, Systemd
from tests.clients.commands import Caller
from tests.clients.daemons import Daemon

# Writes down what it is told, says what it is to say, and fails where it is to fail.
STAND_IN = """\
#!/bin/sh
echo "$*" >> '{folder}/told'
if grep -qxF -e "$*" '{folder}/fails'; then echo 'it says why' >&2; exit 1; fi
case "$*" in
*DefaultOOMScoreAdjust*) echo DefaultOOMScoreAdjust=200 ;;
*show*|print*) cat '{folder}/state' ;;
esac
"""
PROBE = "--user show --property=DefaultOOMScoreAdjust"
LOOK = (
    "--user show admission.service admission.socket --property=Id,UnitFileState,ActiveState,MainPID"
)
INSTALL = ["--user daemon-reload", "--user enable --now admission.socket"]
RESTART = "--user restart admission.service"
UNINSTALL = ["--user disable --now admission.socket", "--user stop admission.service"]


class Standing:
    """A folder with both stand-ins, on PATH, and a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("systemctl", "launchctl"):
            (folder / name).write_text(STAND_IN.format(folder=folder))
            (folder / name).chmod(0o755)
        for name in ("told", "fails", "state"):
            (folder / name).touch()
        (folder / "run").mkdir()
        self.units = folder / "config" / "systemd" / "user"
        self.service = self.units / "admission.service"
        self.socket = self.units / "admission.socket"
        self.agent = folder / "Library" / "LaunchAgents" / "local.admission.plist"

    def told(self) -> list[str]:
        """What it was told to do since it was asked last; what was only asked is left out."""
        lines = (self.folder / "told").read_text().splitlines()
        (self.folder / "told").write_text("")
        return [one for one in lines if one not in (PROBE, LOOK) and not one.startswith("print ")]

    def fail(self, *lines: str) -> None:
        (self.folder / "fails").write_text("".join(f"{line}\n" for line in lines))

    def say(self, pid: int = 0, socket: str = "active", state: str = "enabled") -> None:
        (self.folder / "state").write_text(
            f"Id=admission.service\nUnitFileState=indirect\nActiveState=active\nMainPID={pid}\n\n"
            f"Id=admission.socket\nUnitFileState={state}\nActiveState={socket}\n"
        )

    def files(self) -> set[str]:
        return {one.name for one in self.units.iterdir()} if self.units.exists() else set()


@pytest.fixture
def standing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.delenv("ADMISSION_SOCKET")
    monkeypatch.setattr(managers, "manager", Systemd)
    return Standing(folder)


@pytest.fixture
def mac(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> Standing:
    monkeypatch.setattr(managers, "manager", Launchd)
    monkeypatch.setenv("ADMISSION_SOCKET", str(standing.folder / ".admission" / "a.sock"))
    standing.fail(f"print gui/{os.getuid()}/local.admission")
    return standing


# --- systemd ------------------------------------------------------------------------------------


def test_install_writes_two_files_and_enables_the_socket(
    standing: Standing, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/my state")
    installed = call("service", "install")
    assert (installed.status, installed.err) == (0, "")
    assert f"written: {standing.service}\n" in installed.out
    assert "the daemon starts when it is needed" in installed.out
    assert standing.told() == INSTALL
    assert standing.files() == {"admission.service", "admission.socket"}
    service, socket = standing.service.read_text(), standing.socket.read_text()
    assert f"ExecStart=:{sys.executable} -P -m admission_client.cli serve --replace\n" in service
    assert 'Environment="XDG_STATE_HOME=/my state"\n' in service
    assert "OOMScoreAdjust=100\n" in service
    assert "ListenStream=%t/admission/admission.sock\n" in socket
    assert standing.service.stat().st_mode & 0o777 == 0o644

    again = call("service", "install")
    assert (again.status, standing.told()) == (0, INSTALL)
    assert again.out.startswith("nothing to write: it is installed already\n")
    assert standing.service.read_text() == service


def test_install_says_what_it_would_do(standing: Standing, call: Caller) -> None:
    dry = call("service", "install", "--dry-run", "--socket", "/s/50%.sock")
    assert dry.status == 0
    assert f"write {standing.socket}\n    [Unit]\n" in dry.out
    assert "    ListenStream=/s/50%%.sock\n" in dry.out
    assert dry.out.endswith("".join(f"run systemctl {one}\n" for one in INSTALL))
    assert (standing.told(), standing.files()) == ([], set())
    shown = call("service", "install", "--dry-run", "--json").json
    assert shown["run_after"] == [["systemctl", *one.split()] for one in INSTALL]


def test_a_daemon_that_runs_hands_over(standing: Standing, daemon: Daemon, call: Caller) -> None:
    words = ("service", "install", "--socket", daemon.path, "--config", str(daemon.config))
    standing.say(socket="inactive", state="disabled")
    installed = call(*words)
    assert f"process {daemon.pid}, which served until now, hands over" in installed.out
    assert standing.told() == [*INSTALL, RESTART]
    assert f"--config {daemon.config}\n" in standing.service.read_text()
    # Now it is the service's: nothing is to be done, unless its files are others.
    standing.say(daemon.pid)
    assert "hands over" not in call(*words).out
    assert standing.told() == INSTALL
    standing.socket.write_text("[Socket]\n")
    assert f"kept as it was: {standing.socket}.before-1" in call(*words).out
    assert standing.told() == [INSTALL[0], "--user stop admission.socket", INSTALL[1], RESTART]


def test_what_somebody_else_wrote_is_kept(standing: Standing, call: Caller) -> None:
    standing.units.mkdir(parents=True)
    standing.service.write_text("# mine\n")
    standing.socket.symlink_to("/dev/null")  # as `systemctl mask` does
    installed = call("service", "install", "--json").json
    assert installed["kept"] == [f"{standing.service}.before-1", f"{standing.socket}.before-1"]
    assert Path(f"{standing.service}.before-1").read_text() == "# mine\n"
    assert os.readlink(f"{standing.socket}.before-1") == "/dev/null"
    standing.service.write_text("# mine again\n")
    assert call("service", "install", "--json").json["kept"] == [f"{standing.service}.before-2"]
    standing.service.write_text("# and again\n")
    standing.told()
    removed = call("service", "uninstall")
    assert removed.status == 0
    assert f"kept, as it was changed: {standing.service}.before-3" in removed.out
    assert standing.files() == {
        *(f"admission.service.before-{n}" for n in (1, 2, 3)),
        "admission.socket.before-1",
    }
    assert standing.told() == [*UNINSTALL, INSTALL[0]]


def test_uninstall_undoes_it_and_leaves_the_journal(standing: Standing, call: Caller) -> None:
    journal = standing.folder / "run" / "admission" / "admission.journal"
    journal.parent.mkdir()
    journal.touch()
    call("service", "install")
    standing.told()
    dry = call("service", "uninstall", "--dry-run")
    assert f"remove {standing.service}\n" in dry.out
    assert standing.told() == []
    standing.fail(UNINSTALL[0])  # somebody disabled it before
    assert call("service", "uninstall").status == 0
    assert (standing.told(), standing.files()) == ([*UNINSTALL, INSTALL[0]], set())
    assert call("service", "uninstall").out == "no service is installed\n"
    assert standing.told() == []
    assert journal.exists()


@pytest.mark.parametrize("failing", INSTALL)
def test_where_a_command_fails_the_files_are_as_before(
    standing: Standing, call: Caller, failing: str
) -> None:
    standing.units.mkdir(parents=True)
    standing.service.write_text("# mine\n")
    standing.fail(failing)
    failed = call("service", "install")
    assert failed.status == 69
    assert failed.err.startswith(f'admission: "systemctl {failing}" failed: it says why; the files')
    assert standing.files() == {"admission.service"}
    assert standing.service.read_text() == "# mine\n"


def test_a_first_install_that_fails_leaves_no_socket_behind(
    standing: Standing, call: Caller
) -> None:
    standing.fail(INSTALL[1])
    assert call("service", "install").status == 69
    assert standing.told() == [*INSTALL, *UNINSTALL, INSTALL[0]]
    assert standing.files() == set()


def test_where_a_file_can_not_be_written_it_says_so(standing: Standing, call: Caller) -> None:
    standing.units.parent.mkdir(parents=True)
    standing.units.touch()
    failed = call("service", "install")
    assert failed.status == 69
    assert "can't be written" in failed.err
    assert "Traceback" not in failed.err


@pytest.mark.parametrize("doing", ["install", "uninstall"])
def test_where_no_systemd_is_nothing_is_written(
    standing: Standing, call: Caller, doing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing.fail(PROBE)
    refused = call("service", doing)
    assert refused.status == 69
    assert refused.err == (
        "admission: systemd does not answer for this user (it says why); nothing was changed. The "
        'daemon starts by itself when it is needed, or by "admission serve --detach"\n'
    )
    monkeypatch.setenv("PATH", "/nonexistent")
    refused = call("service", doing, "--json")
    assert refused.err.startswith("admission: there is no systemctl here; nothing was changed. ")
    assert refused.error["code"] == "no_service_manager"
    assert standing.files() == set()


def test_a_wrong_configuration_is_no_service(standing: Standing, call: Caller) -> None:
    config = standing.folder / "wrong.toml"
    config.write_text("nonsense = 1\n")
    assert call("service", "install", "--config", str(config)).status == 78
    assert (standing.told(), standing.files()) == ([], set())


def test_a_program_that_systemd_would_not_start_is_refused(
    standing: Standing, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", '/opt/"quoted"/python')
    refused = call("service", "install")
    assert (refused.status, standing.files()) == (69, set())
    assert "systemd starts no program with quotes" in refused.err


@pytest.mark.parametrize("words", [(), ("start",), ("install", "status")])
def test_what_else_is_asked_is_wrong_usage(call: Caller, words: tuple[str, ...]) -> None:
    refused = call("service", *words)
    assert refused.status == 2
    assert "is none of install, uninstall and status" in refused.err


# --- its status ---------------------------------------------------------------------------------


def test_status_of_a_service_that_serves(standing: Standing, daemon: Daemon, call: Caller) -> None:
    call("service", "install", "--socket", daemon.path)
    standing.say(daemon.pid)
    found = call("service", "status", "--socket", daemon.path)
    assert found.out.splitlines()[0] == (
        f"service: systemd, installed, enabled, running as process {daemon.pid}"
    )
    assert f"\nprocess {daemon.pid} answers, version " in found.out
    assert found.out.endswith(": the service\n")
    standing.service.write_text("# mine\n")
    shown = call("service", "status", "--socket", daemon.path, "--json").json
    assert shown["changed_by_hand"] == [str(standing.service)]
    assert (shown["installed"], shown["enabled"], shown["running"]) == (True, True, True)


def test_status_of_none_beside_a_daemon(standing: Standing, daemon: Daemon, call: Caller) -> None:
    standing.say(socket="inactive", state="")
    found = call("service", "status", "--socket", daemon.path)
    assert found.status == 0
    assert found.out.startswith("service: systemd, not installed, not enabled, not running\n")
    assert found.out.endswith(": not the service\n")


def test_status_starts_no_daemon_where_systemd_would(
    standing: Standing, daemon: Daemon, call: Caller
) -> None:
    """To connect would start it. So nobody is asked, though here somebody would answer."""
    standing.say()
    found = call("service", "status", "--socket", daemon.path)
    assert "systemd listens there, and starts the daemon when somebody connects" in found.out
    assert call("service", "status", "--socket", daemon.path, "--json").json["answers"] is None


def test_status_where_no_systemd_is(standing: Standing, call: Caller) -> None:
    standing.fail(PROBE)
    found = call("service", "status")
    assert found.status == 0
    assert "! systemd does not answer for this user (it says why)\n" in found.out
    assert found.out.endswith("nobody answers there\n")


# --- launchd ------------------------------------------------------------------------------------

DOMAIN = f"gui/{os.getuid()}"
LOADED = """\
{domain}/local.admission = {{
	active count = 1
	path = /Users/me/Library/LaunchAgents/local.admission.plist
	state = running

	pid = {pid}
}}
"""


def test_launchd_installs_looks_and_removes(mac: Standing, call: Caller) -> None:
    start = [
        f"enable {DOMAIN}/local.admission",
        f"bootstrap {DOMAIN} {mac.agent}",
    ]
    dry = call("service", "install", "--dry-run")
    assert f"write {mac.agent}\n" in dry.out
    assert not mac.agent.exists()
    assert call("service", "install").status == 0
    assert mac.told() == start
    agent = plistlib.loads(mac.agent.read_bytes())
    words = ["-P", "-m", "admission_client.cli", "serve", "--replace"]
    socket = str(mac.folder / ".admission" / "a.sock")
    assert agent["ProgramArguments"] == [sys.executable, *words, "--socket", socket]
    assert agent["StandardErrorPath"] == str(mac.folder / ".admission" / "a.log")
    assert (mac.folder / ".admission").stat().st_mode & 0o777 == 0o700, "for launchd to log into"

    mac.fail()
    (mac.folder / "state").write_text(LOADED.format(domain=DOMAIN, pid=4711))
    assert call("service", "install").status == 0
    assert mac.told() == [], "repeating it is harmless"
    shown = call("service", "status", "--json").json
    assert (shown["manager"], shown["enabled"], shown["pid"]) == ("launchd", True, 4711)
    mac.agent.write_text("mine")
    assert call("service", "install").status == 0
    assert mac.told() == [f"bootout {DOMAIN}/local.admission", *start]
    assert call("service", "uninstall").status == 0
    assert mac.told() == [f"bootout {DOMAIN}/local.admission"]
    assert {one.name for one in mac.agent.parent.iterdir()} == {"local.admission.plist.before-1"}


def test_where_no_launchd_answers_it_says_so(mac: Standing, call: Caller) -> None:
    mac.fail(f"print {DOMAIN}")
    refused = call("service", "install")
    assert refused.status == 69
    assert "launchd does not answer for this user (it says why)" in refused.err
    assert not mac.agent.exists()


def test_what_is_printed_as_json_is_json(standing: Standing, call: Caller) -> None:
    for words in (("install",), ("status",), ("uninstall", "--dry-run"), ("uninstall",)):
        assert json.loads(call("service", *words, "--json").out)
