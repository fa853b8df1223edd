"""Programs that are admitted though they are started as ever: by the shells that people have."""

import shlex
import shutil
from pathlib import Path

import pytest

from tests.system.stage import COMMAND, Stage, stopped

REAL = '#!/bin/sh\necho "real: $*"; echo "lease: $ADMISSION_LEASE"; exit 7\n'


class Shims:
    """Shims in a folder of their own, before that of the real programs on the path."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.folder = stage.folder / "shims"
        self.real = stage.folder / "real"
        self.real.mkdir()
        self.write(stage.folder / "admission", f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
        rest = f"{self.real}:{stage.folder}:{stage.env['PATH']}"
        stage.env["PATH"] = f"{self.folder}:{rest}"

    def write(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def install(self, name: str, *options: str) -> str:
        done = self.stage.run("shim", "install", name, "--dir", str(self.folder), *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, *words: str, **env: str) -> tuple[int, str, str]:
        process = self.stage.start("/usr/bin/env", *words, env=env)
        out, err = process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def shims(stage: Stage) -> Shims:
    return Shims(stage)


def test_the_real_one_runs_under_a_lease_with_all_its_words_and_its_own_status(
    shims: Shims,
) -> None:
    shims.write(shims.real / "claude", REAL)
    assert "installed" in shims.install("claude")
    status, out, err = shims.call("claude", "-p", "a  b", "$x", "--", "*")
    assert (status, out, err) == (7, "real: -p a  b $x -- *\nlease: 1\n", "")


def test_a_session_with_a_person_in_front_holds_no_slot_unless_told_to(shims: Shims) -> None:
    shims.write(shims.real / "claude", REAL)
    shims.install("claude")
    assert shims.call("claude", "--", "-p")[1] == "real: -- -p\nlease: \n"
    shims.install("claude", "--always")
    assert shims.call("claude")[1] == "real: \nlease: 1\n"


def test_it_never_calls_itself(shims: Shims) -> None:
    """Its folder twice on the path, a link to it, another shim: and then no real one at all."""
    shims.install("agent")
    other = shims.stage.folder / "other"
    other.symlink_to(shims.folder)
    copies = shims.stage.folder / "copies"
    shutil.copytree(shims.folder, copies)
    shims.stage.env["PATH"] = f"{other}:{copies}:{shims.stage.env['PATH']}"
    status, _, err = shims.call("agent")
    assert (status, err) == (
        127,
        "agent: there is no agent on the path but the shim of admission\n",
    )
    shims.write(shims.real / "agent", REAL)
    assert shims.call("agent", "x")[:2] == (7, "real: x\nlease: 1\n")


def test_calls_within_calls_share_the_lease(shims: Shims) -> None:
    shims.write(shims.real / "inner", REAL)
    shims.write(shims.real / "outer", "#!/bin/sh\ninner; admission leases --json; true\n")
    for name in ("inner", "outer"):
        shims.install(name)
    status, out, err = shims.call("outer")
    assert (status, err) == (0, "")
    assert "lease: 1\n" in out
    assert out.count('"lease": ') == 1


def test_where_admission_is_gone_the_real_one_runs_all_the_same(shims: Shims) -> None:
    shims.write(shims.real / "agent", REAL)
    shims.install("agent")
    script = shims.folder / "agent"
    script.write_text(script.read_text().replace(str(shims.stage.folder / "admission"), "/gone"))
    status, out, err = shims.call("agent")
    assert (status, out) == (7, "real: \nlease: \n")
    assert err == "agent: admission is gone: running without a slot\n"


def test_what_is_not_ours_is_left_alone_and_what_is_can_be_removed(shims: Shims) -> None:
    shims.folder.mkdir()
    mine = shims.write(shims.folder / "mine", REAL)
    options = ("--dir", str(shims.folder))
    assert shims.stage.run("shim", "install", "mine", *options).returncode == 77
    assert shims.stage.run("shim", "uninstall", "mine", *options).returncode == 77
    assert mine.read_text() == REAL
    shims.install("agent")
    assert "agent" in shims.stage.run("shim", "status", *options).stdout
    assert shims.stage.run("shim", "uninstall", "agent", *options).returncode == 0
    assert sorted(path.name for path in shims.folder.iterdir()) == ["mine"]
    assert shims.stage.run("shim", "install", "../x", *options).returncode == 2


@pytest.mark.parametrize("always", [(), ("--always",)])
def test_what_is_no_work_of_an_agents_takes_no_slot(shims: Shims, always: tuple[str, ...]) -> None:
    for name, words in (
        ("claude", ["mcp", "add", "x", "npx", "-p", "y"]),
        ("claude", ["--version"]),
        ("codex", ["login", "exec"]),
        ("agent", ["--help"]),
    ):
        shims.write(shims.real / name, REAL)
        shims.install(name, *always)
        assert shims.call(name, *words)[1] == f"real: {' '.join(words)}\nlease: \n"


def test_a_folder_on_the_path_may_have_any_name(shims: Shims) -> None:
    """As a pattern, this one's means another."""
    odd = shims.stage.folder / "x [1]"
    odd.mkdir()
    (shims.stage.folder / "x 1").mkdir()
    shims.write(odd / "claude", REAL)
    shims.install("claude")
    path = f"{shims.folder}:{odd}:{shims.stage.env['PATH']}"
    assert shims.call("claude", "-p", PATH=path)[1] == "real: -p\nlease: 1\n"


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_every_shell_reads_it_alike(shims: Shims, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    shims.write(shims.real / "claude", REAL)
    shims.install("claude")
    said = shims.call(shell, str(shims.folder / "claude"), "-p", "a  b", "$x", "*")
    assert said == (7, "real: -p a  b $x *\nlease: 1\n", "")


# --- the wrapper that must not wait ---------------------------------------------------------------


def test_a_wrapped_command_is_registered_and_starts_at_once(shims: Shims) -> None:
    shims.install("wrapper")
    wrapper = str(shims.folder / "admission-wrapper")
    # Within itself it registers once.
    process = shims.stage.start(wrapper, wrapper, "cat")
    view = shims.stage.until(lambda view: view.in_use() == 1)
    assert view.holders == {process.pid}
    assert view.leases[0]["task"] in ("cat", "admission-wrapper")
    process.kill()
    shims.stage.until(lambda view: view.in_use() == 0)


def test_a_wrapped_command_waits_for_nobody(shims: Shims) -> None:
    """Neither for a daemon that is stopped, nor for a slot that is not there."""
    shims.install("wrapper")
    wrapper = str(shims.folder / "admission-wrapper")
    with stopped(shims.stage.daemon_pid):
        assert shims.call(wrapper, "sh", "-c", 'echo "$1"; exit 5', "sh", "a b") == (5, "a b\n", "")
    shims.stage.hold("--weight", "5")
    shims.stage.until(lambda view: view.in_use() == 5)
    assert shims.call(wrapper, "echo", "on")[:2] == (0, "on\n")


def test_what_only_keeps_agents_is_not_registered(shims: Shims) -> None:
    """The script marks what it registers."""
    shims.install("wrapper")
    script = str(shims.folder / "admission-wrapper")
    show = str(shims.write(shims.real / "show", '#!/bin/sh\necho "$ADMISSION_WRAPPED|$*"\n'))
    for words in (["daemon", "run"], ["bg-pty-host"], ["bg-spare"], ["--bg-spare"]):
        assert shims.call(script, show, *words)[1] == f"|{' '.join(words)}\n"
    assert not shims.call(script, show, "-p", "daemon")[1].startswith("|")
