"""A lease for as long as a script runs, in the shells that people have."""

import shlex
import shutil
import signal
from pathlib import Path

import pytest

from tests.system.stage import COMMAND, Stage

HELD = """
lease=$(admission acquire --task x) && trap 'admission release "$lease"' EXIT
echo "$lease"
read line
"""


@pytest.fixture
def shell(request: pytest.FixtureRequest, stage: Stage) -> str:
    """One that this machine has, with `admission` on its path."""
    name = str(request.param)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    program = Path(stage.folder) / "admission"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    stage.env["PATH"] = f"{stage.folder}:{stage.env['PATH']}"
    return found


SHELLS = pytest.mark.parametrize("shell", ["bash", "dash", "zsh"], indirect=True)


@SHELLS
def test_a_script_holds_a_lease_to_its_end(stage: Stage, shell: str) -> None:
    script = stage.start(shell, "-c", HELD)
    view = stage.until(lambda view: view.in_use() == 1)
    assert view.holders == {script.pid}
    assert view.leases[0]["task"] == "x"
    out, err = script.communicate(b"\n")
    assert out.decode().split() == ["1", "lease", "1", "released"]
    assert (script.returncode, err) == (0, b"")
    assert not stage.look().leases


@SHELLS
def test_a_script_that_is_killed_holds_none(stage: Stage, shell: str) -> None:
    script = stage.start(shell, "-c", HELD)
    stage.until(lambda view: view.in_use() == 1)
    script.send_signal(signal.SIGKILL)
    stage.until(lambda view: not view.leases)


@SHELLS
def test_a_script_that_gets_none_goes_no_further(stage: Stage, shell: str) -> None:
    stage.hold("--weight", "5")
    stage.until(lambda view: view.in_use() == 5)
    refused = "lease=$(admission acquire --no-wait) || exit; echo went on"
    script = stage.start(shell, "-c", refused)
    out, err = script.communicate()
    assert (script.returncode, out) == (75, b"")
    assert err.startswith(b"admission: no slot now: 5 of 5 agents run")
