"""What is built, installed where nothing of this repository is: `make dist-test`.

It takes a minute, most of which goes to pip and npm, so it is no part of `make test`. Where root
runs it, another user installs.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission import __version__
from tests.system.stage import Stage, end_process

ROOT = Path(__file__).parents[2]
DIST = ROOT / os.environ.get("ADMISSION_DIST", "none")
WHEEL = DIST / f"admission-{__version__}-py3-none-any.whl"
SOURCE = DIST / f"admission-{__version__}.tar.gz"
PACKAGE = DIST / f"admission-client-{__version__}.tgz"
NOBODY = 65534
LIMIT_S = 300

pytestmark = pytest.mark.skipif(
    "ADMISSION_DIST" not in os.environ, reason='"make dist-test" builds what is tested here'
)


def packed(path: Path, top: str) -> set[str]:
    """What is in this archive, all of which lies in one folder."""
    with tarfile.open(path) as archive:
        return {name.removeprefix(top) for name in archive.getnames()}


# --- the wheel ------------------------------------------------------------------------------------


def shipped() -> set[str]:
    """What of the tree belongs into the wheel's packages."""
    found = set()
    for place, package in ((ROOT, "admission"), (ROOT / "clients/python", "admission_client")):
        for path in (place / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(str(path.relative_to(place)))
    return found


def test_the_wheel_has_the_packages_and_nothing_else() -> None:
    info, data = f"admission-{__version__}.dist-info/", f"admission-{__version__}.data/data/"
    names = zipfile.ZipFile(WHEEL).namelist()
    packages = {name for name in names if not name.startswith((info, data))}
    assert packages == shipped()
    assert {"admission/py.typed", "admission_client/py.typed"} <= packages
    shared = {str(path.relative_to(ROOT)) for path in (ROOT / "share").rglob("*") if path.is_file()}
    assert {name.removeprefix(data) for name in names if name.startswith(data)} == shared
    assert {
        "share/man/man1/admission.1",
        "share/bash-completion/completions/admission",
        "share/zsh/site-functions/_admission",
        "share/fish/vendor_completions.d/admission.fish",
    } == shared


def test_the_licence_of_everything_in_the_wheel_is_in_the_wheel() -> None:
    licences = f"admission-{__version__}.dist-info/licenses/"
    names = zipfile.ZipFile(WHEEL).namelist()
    of_others = {str(Path(n).parent) for n in names if "/vendor/" in n and ".dist-info" not in n}
    of_others = {name for name in of_others if Path(name).parent.name == "vendor"}
    assert of_others, "uPlot is shipped"
    assert f"{licences}LICENSE" in names
    for folder in of_others:
        assert f"{licences}clients/python/{folder}/LICENSE" in names


def test_the_source_has_all_that_a_build_and_a_reader_needs() -> None:
    names = packed(SOURCE, f"admission-{__version__}/")
    assert {"LICENSE", "pyproject.toml", "docs/protocol.md", "tests/wire/requests.json"} <= names
    built = ("node_modules", "dist", ".venv", "__pycache__", "state")
    assert not [name for name in names if set(built) & set(name.split("/"))]


# --- installed ------------------------------------------------------------------------------------


def python() -> str:
    """One that is not this venv's, and that the other user can start, where there is another."""
    found = str(Path(sys.executable).resolve())
    if os.getuid() == 0 and not others_may(found):
        found = shutil.which("python3", path="/usr/local/bin:/usr/bin") or found
    asked = [found, "-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"]
    if not others_may(found) or subprocess.run(asked, check=False).returncode:
        pytest.skip("another user finds no Python 3.11 with venv on this machine")
    return found


def others_may(path: str) -> bool:
    """Whether any user can start this, or it is to be started by this one."""
    if os.getuid():
        return True
    asked = ["test", "-x", path]
    return not subprocess.run(
        asked, user=NOBODY, group=NOBODY, extra_groups=[], check=False
    ).returncode


class Elsewhere:
    """An empty folder of another user's, where that is possible, with nothing of ours on any path,
    and no compiler.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bin = path / "venv" / "bin"
        self.socket = path / "run" / "a.sock"
        kept = {
            k: v for k, v in os.environ.items() if k.startswith(("PIP_", "npm_config_", "SSL_"))
        }
        self.env = kept | {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(path),
            "LC_ALL": "C.UTF-8",
            "CC": "false",
            "CXX": "false",
            "ADMISSION_SOCKET": str(self.socket),
            "XDG_STATE_HOME": str(path / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *line: str) -> str:
        """What this command says; it has to end well."""
        is_root = os.getuid() == 0
        done = subprocess.run(
            line,
            cwd=self.path,
            env=self.env,
            user=NOBODY if is_root else None,
            group=NOBODY if is_root else None,
            extra_groups=[] if is_root else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(line)}:\n{done.stdout}"
        return done.stdout

    def files(self) -> set[str]:
        """What lies there, but for what the daemon keeps."""
        found = (path for path in (self.path / "venv").rglob("*") if path.is_file())
        return {str(path.relative_to(self.path)) for path in found}

    @contextmanager
    def served(self) -> Iterator[None]:
        """While the installed daemon serves."""
        self.run("admission", "serve", "--detach")
        pid = int(self.socket.with_suffix(".lock").read_text())
        try:
            yield
        finally:
            end_process(pid, signal.SIGTERM)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made:
        path = Path(made)
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        yield Elsewhere(path)


def test_the_wheel_is_installed_used_and_removed_again_without_a_trace(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.run(python(), "-m", "venv", str(elsewhere.path / "venv"))
    shutil.copy(WHEEL, elsewhere.path)
    elsewhere.run("pip", "install", "-q", str(elsewhere.path / WHEEL.name))
    assert elsewhere.run("admission", "--version") == f"admission {__version__}\n"
    where = "import admission_client; print(admission_client.__file__)"
    assert elsewhere.run("python", "-c", where).startswith(str(elsewhere.path))
    with elsewhere.served():
        assert elsewhere.run("admission", "run", "--", "sh", "-c", "echo $ADMISSION_LEASE") == "1\n"
        elsewhere.run("admission", "run", "--", "true")
        assert '"level"' in elsewhere.run("admission", "status", "--json")
        share = elsewhere.path / "venv" / "share"
        completed = f". {share}/bash-completion/completions/admission; complete -p admission"
        assert "_admission" in elsewhere.run("bash", "-c", completed)
        assert (share / "man" / "man1" / "admission.1").is_file()
    elsewhere.run("pip", "uninstall", "-q", "-y", "admission")
    assert [name for name in elsewhere.files() if "admission" in name] == []


# --- the npm package ------------------------------------------------------------------------------

HOLD = """
import { withLease } from "admission-client";
await withLease({ task: "try the package" }, async (lease) => console.log(lease.id));
"""


@pytest.fixture
def npm() -> None:
    if shutil.which("npm") is None or not PACKAGE.exists():
        pytest.skip("Node is not on this machine: the npm package is not tested")


@pytest.mark.usefixtures("npm")
def test_the_npm_package_has_what_is_built_and_its_licence_and_no_tests() -> None:
    names = packed(PACKAGE, "package/")
    beside = {name for name in names if not name.startswith("dist/")}
    assert beside == {"package.json", "README.md", "LICENSE"}
    assert {"dist/index.js", "dist/index.d.ts"} <= names
    sources = {path.stem for path in (ROOT / "clients" / "typescript" / "src").glob("*.ts")}
    assert {Path(name).name.partition(".")[0] for name in names - beside} == sources


@pytest.mark.usefixtures("npm")
def test_the_npm_package_in_an_empty_folder_gets_a_lease(elsewhere: Elsewhere) -> None:
    (elsewhere.path / "hold.mjs").write_text(HOLD)
    shutil.copy(PACKAGE, elsewhere.path)
    flags = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    elsewhere.run("npm", "install", *flags, str(elsewhere.path / PACKAGE.name))
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made, Stage(Path(made)) as stage:
        assert stage.run("serve", "--detach").returncode == 0
        env = elsewhere.env | {"ADMISSION_SOCKET": str(stage.socket)}
        line = ["node", "hold.mjs"]
        done = subprocess.run(
            line, cwd=elsewhere.path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
