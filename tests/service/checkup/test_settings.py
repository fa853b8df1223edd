"""Configuration, environment and command."""

import re
import sys
from pathlib import Path

import pytest

from admission.service.checkup import settings
from admission.service.checkup.finding import State
from admission.service.checkup.scene import Scene
from tests.service.checkup.findings import one

ROOT = Path(__file__).parents[3]


# --- configuration, environment, command --------------------------------------------------------


def test_the_configuration_that_is_read_is_named_or_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[throttle]\ninterval_s = 20\n")
    file.chmod(0o644)
    at = Scene(None, config=str(file), environ={"MEMORY_HIGH_PCT": "75"})
    found = one(settings.check_configuration(at))
    assert found.state is State.OK
    assert found.says == f"{file}; the environment sets MEMORY_HIGH_PCT"
    file.chmod(0o666)
    assert one(settings.check_configuration(at)).state is State.WARNING
    file.write_text("[throttle]\nintervall_s = 20\n")
    found = one(settings.check_configuration(at))
    assert (found.state, 'did you mean "interval_s"?' in found.says) == (State.PROBLEM, True)
    file.unlink()
    assert one(settings.check_configuration(at)).state is State.PROBLEM


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMISSION_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = one(settings.check_configuration(Scene(None)))
    assert (found.state, found.says[:12]) == (State.OK, "the defaults")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ADMISSION_SOCKTE": "/run/a"}, "did you mean ADMISSION_SOCKET?"),
        ({"ADMISSION_AUTOSTART": "false"}, 'write "0", or unset it'),
        ({"ADMISSION_FAIL": "yes"}, 'write "open", or unset it'),
        ({"WVO_DISABLE_THROTTLE": "1"}, "unset WVO_DISABLE_THROTTLE"),
        ({"ADMISSION_DISABLE_THROTTLE": "1"}, "unset ADMISSION_DISABLE_THROTTLE"),
    ],
)
def test_variables_that_do_what_one_may_not_mean_are_told(
    environ: dict[str, str], said: str
) -> None:
    found = one(settings.check_environment(Scene(None, environ=environ)))
    assert (found.state, found.advice) == (State.WARNING, said)


def test_variables_that_are_as_they_should_be_are_shown() -> None:
    environ = {"ADMISSION_LOG": "DEBUG", "ADMISSION_AUTOSTART": "0", "ADMISSION_LEASE": "7"}
    found = one(settings.check_environment(Scene(None, environ=environ)))
    assert found.says == "ADMISSION_AUTOSTART=0, ADMISSION_LEASE=7, ADMISSION_LOG=DEBUG"


def test_every_variable_that_is_read_or_set_anywhere_is_known() -> None:
    sources = [*(ROOT / "admission").rglob("*.py"), *(ROOT / "clients" / "python").rglob("*.py")]
    named = {
        name for one in sources for name in re.findall(r"\bADMISSION_[A-Z_]+\b", one.read_text())
    }
    assert named == set(settings.KNOWN)


def test_a_command_that_is_not_found_or_is_another_one_is_told(tmp_path: Path) -> None:
    found = one(settings.check_command(Scene(None, environ={"PATH": str(tmp_path)})))
    assert (found.state, "no command admission" in found.says) == (State.WARNING, True)
    own = Path(sys.executable).parent
    if not (own / "admission").exists():
        pytest.skip("the command is not installed beside this interpreter")
    assert one(settings.check_command(Scene(None, environ={"PATH": str(own)}))).state is State.OK
    other = tmp_path / "admission"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    found = one(settings.check_command(Scene(None, environ={"PATH": f"{tmp_path}:{own}"})))
    assert (found.state, str(other) in found.says) == (State.WARNING, True)
