"""Room for descriptors: real limits, in processes of their own."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import admission.service
from admission.service.descriptors import needed, shortage

RAISE = """
import resource, sys
from admission.service.descriptors import make_room, shortage
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
make_room(connections)
print(*resource.getrlimit(resource.RLIMIT_NOFILE), shortage(connections) or "enough")
"""


def raised(soft: int, hard: int, connections: int) -> list[str]:
    """The limits afterwards, and what is said of them."""
    words = [sys.executable, "-c", RAISE, *map(str, (soft, hard, connections))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.strip().split(" ", 2)


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "after"),
    [
        (100, 400, 50, (164, 400)),  # as far as it is needed
        (100, 120, 28, (120, 120)),
        (200, 400, 50, (200, 400)),  # and never lowered
    ],
)
def test_the_soft_limit_is_raised_as_far_as_it_is_needed(
    soft: int, hard: int, connections: int, after: tuple[int, int]
) -> None:
    assert raised(soft, hard, connections) == [*map(str, after), "enough"]


def test_where_the_hard_limit_is_too_small_it_is_said_what_fits() -> None:
    soft, hard, said = raised(100, 264, 1024)
    assert (soft, hard) == ("264", "264")
    assert said == (
        "264 open files are allowed and 1024 connections take 2112, so about 100 fit; "
        'raise the hard limit ("ulimit -Hn", LimitNOFILE=), or set [limits] connections'
    )


def test_no_limit_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: no_limit)
    assert shortage(1_000_000) is None
    assert needed(1_000_000) > 2_000_000


def starts_programs(source: str) -> list[str]:
    """Whatever in this source starts a program, which would inherit the raised limit."""
    by_trio = {"open_process", "run_process"}
    by_os = ("fork", "posix_spawn", "spawn", "system", "popen", "execv", "execl")
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) if name in by_trio:
                found.append(name)
            case ast.Attribute(ast.Name("os"), name) if name.startswith(by_os):
                found.append(name)
            case ast.Import(names=modules):
                found += [one.name for one in modules if one.name in STARTERS]
            case ast.ImportFrom(module=str(module)) if module in STARTERS:
                found.append(module)
    return found


STARTERS = ("subprocess", "multiprocessing", "pty", "concurrent.futures")


def test_the_daemon_starts_no_program_that_would_inherit_its_limit() -> None:
    (folder,) = map(Path, admission.service.__path__)
    found = {
        str(path.relative_to(folder)): names
        for path in folder.rglob("*.py")
        if (names := starts_programs(path.read_text(encoding="utf-8")))
    }
    assert found == {
        # Before there is an event loop, and before the limit is raised.
        "background.py": ["fork"],
        # For as long as somebody stands still, his guardian, which opens next to nothing.
        "standstill.py": ["subprocess"],
        # By `starting`, which lowers the limit again.
        "notifying.py": ["subprocess", "run_process"],
        "starting.py": ["execvp"],
        # Our own, which starts nothing and does not use `select`.
        "trials.py": ["subprocess", "run_process"],
    }


def test_one_that_starts_a_program_is_found() -> None:
    for planted in ("import subprocess", "os.execv(a, b)", "from multiprocessing import Pool"):
        assert starts_programs(planted)
