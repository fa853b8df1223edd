"""The rules of the house, held by a test and not by a wiki: who may import whom, and how long a
file may be. Each rule is a function of source text, so that it can itself be seen to fail.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from admission.protocol import AdmissionError

ROOT = Path(__file__).parent.parent
CORE = ROOT / "admission" / "core"
SERVICE = ROOT / "admission" / "service"
SIMULATION = ROOT / "admission" / "simulation"
CLIENT = ROOT / "clients" / "python" / "admission_client"
STANDARD = frozenset(sys.stdlib_module_names)

# The core decides; whatever tells it the time or the weather comes in with the event.
CORE_MAY = frozenset(
    {
        "admission.core",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "heapq",
        "math",
        "statistics",
        "typing",
    }
)
CORE_MAY_NOT_CALL = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
PROTOCOL_MAY = frozenset({"os", "msgpack"})
SERVICE_MAY = STANDARD | {
    "admission.__version__",
    "admission.core",
    "admission.protocol",
    "admission.service",
    "msgspec",
    "psutil",
    "trio",
}
# What only one file of the service may do besides.
SERVICE_FILE_MAY = {
    "trying.py": {"admission.simulation"},  # a program of its own, which the daemon only starts
    "etcd.py": {"httpx2"},  # imported where there is a fleet
}
SIMULATION_MAY = STANDARD | {"admission.core", "admission.simulation"}
# Nothing of a run may depend on anything but its seed.
SIMULATION_MAY_NOT = frozenset({"random.random", "random.seed", "secrets", "time"})
CLIENT_MAY = STANDARD | {"admission.__version__", "admission.protocol", "admission_client"}
# What only one file of the client may do besides.
CLIENT_FILE_MAY = {
    "aio.py": {"anyio"},
    "aio_keeping.py": {"anyio"},
    "aio_leasing.py": {"anyio"},
    "aio_monitor.py": {"anyio"},
    "aio_operating.py": {"anyio"},
    # `admission top`, an extra.
    "app.py": {"rich.text", "textual"},
    "dialogs.py": {"textual"},
    "news.py": {"anyio"},
    "rows.py": {"rich.text", "textual"},
    "acting.py": {"trio"},
    "autopilot.py": {"trio"},
    # Work that goes to another node: who it goes to is decided as purely as all else.
    "contest.py": {"admission.core.placement", "trio"},
    "keeper.py": {"trio"},
    "line.py": {"trio"},
    "nodes.py": {"admission.service.config_file"},
    "peers.py": {"admission.core.placement", "trio"},
    "reach.py": {"trio"},
    "session.py": {"trio"},
    "streams.py": {"trio"},
    "troubles.py": {"admission.core.placement"},
    # `admission simulate` runs the rules themselves, with a configuration, on a history.
    "chores.py": {
        "admission.core.sample",
        "admission.service.config",
        "admission.service.history",
        "admission.simulation",
    },
    # Who stands above a hook, where there is no /proc.
    "caller.py": {"psutil"},
    # `admission history` reads the file itself, and draws the bounds of the configuration.
    "history.py": {"admission.service.config", "admission.service.history"},
    "exposition.py": {"prometheus_client"},
    "feed.py": {"trio"},
    "patience.py": {"trio"},
    "past.py": {"admission.service.history"},  # as `admission history`, for `top` and `dashboard`
    "doctor.py": {"admission.service.checkup"},  # what is checked needs no daemon
    "measure.py": {"admission.service.once"},  # `throttle` and `guard` need no daemon
    "reading.py": {"admission.service.metrics", "admission.service.once"},  # nor do monitors
    "site.py": {"admission.service.history", "starlette", "trio"},
    "stream.py": {"starlette", "trio"},
    "stopping.py": {"admission.service.holders"},  # who a process is, as the daemon sees it
    "runs.py": {"trio"},
    "serving.py": {"hypercorn", "trio"},
    # `admission service` leaves a daemon alone that a wrong configuration would not replace.
    "service.py": {"admission.service.config"},
    "steer.py": {"admission.service.serve"},  # `admission serve` starts the service
}
# These meet in the daemon, and know nothing of each other.
SERVICE_ALONE = ("config_file", "holders", "journal", "requests")
LINES_MAX = 400


# What npm and tsc put into the TypeScript client's folder, and what is shipped of others.
NOT_OURS = frozenset({"node_modules", "dist", "build", "vendor"})


def files(pattern: str, *folders: Path) -> list[Path]:
    found = (path for folder in folders for path in folder.rglob(pattern))
    return sorted(path for path in found if not NOT_OURS & set(path.relative_to(ROOT).parts))


def python_files(*folders: Path) -> list[Path]:
    return files("*.py", *folders)


def everything() -> list[Path]:
    names = ("admission", "clients", "examples", "scripts", "tests")
    folders = [ROOT / name for name in names]
    shown = [path for kind in ("*.ts", "*.js", "*.css") for path in files(kind, *folders)]
    return [*python_files(*folders), *shown]


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


# --- the rules ----------------------------------------------------------------------------------


def imports_of(source: str) -> Iterator[str]:
    """The full name of every module, or thing of a module, that is imported anywhere."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (f"{'.' * level}{module or ''}.{name.name}" for name in names)
            case _:
                pass


def forbidden_imports(source: str, may: frozenset[str] | set[str]) -> list[str]:
    """What is imported and is none of these modules, nor below one of them."""
    return [
        name
        for name in imports_of(source)
        if not any(name == one or name.startswith(f"{one}.") for one in may)
    ]


def forbidden_calls(source: str, may_not: frozenset[str]) -> list[str]:
    return [
        node.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in may_not
    ]


def is_too_long(source: str) -> bool:
    return len(source.splitlines()) > LINES_MAX


def promises(source: str) -> list[str]:
    """The lines that put something off."""
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    return [line for line in source.splitlines() if any(word in line for word in words)]


def unknown_codes(source: str) -> list[str]:
    """Error codes, where they are given to whoever refuses, that have no class and no status."""
    known = {code for kind in AdmissionError.__subclasses__() for code in kind.codes}
    refusing = {"refuse", "leave", "drop_regain", "error_frame", "_say_last", "Refused"}
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name_of(node.func) in refusing:
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            found += [
                word
                for word in words
                if isinstance(word, str) and word.replace("_", "").isalpha() and word not in known
            ]
    return found


def _name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


# --- the house keeps them -----------------------------------------------------------------------


@pytest.mark.parametrize("path", named(python_files(CORE)))
def test_the_core_imports_only_itself_and_what_has_no_outside(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert forbidden_imports(source, CORE_MAY) == []
    assert forbidden_calls(source, CORE_MAY_NOT_CALL) == []


def test_nobody_in_the_core_is_imported_back() -> None:
    graph = {
        f"admission.core.{path.stem}": {
            ".".join(name.split(".")[:3])
            for name in imports_of(path.read_text(encoding="utf-8"))
            if name.startswith("admission.core.")
        }
        for path in python_files(CORE)
    }
    order = list(TopologicalSorter(graph).static_order())
    assert order[-1] == "admission.core.admission"


def test_the_protocol_imports_next_to_nothing() -> None:
    """A client comes through it on its way to an exec."""
    source = (ROOT / "admission" / "protocol.py").read_text(encoding="utf-8")
    assert forbidden_imports(source, PROTOCOL_MAY) == []
    assert list(imports_of((ROOT / "admission" / "__init__.py").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", named(python_files(SERVICE)))
def test_the_service_imports_the_core_and_never_a_client(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert forbidden_imports(source, SERVICE_MAY | SERVICE_FILE_MAY.get(path.name, set())) == []
    if path.stem in SERVICE_ALONE:
        assert forbidden_imports(source, SERVICE_MAY - {"admission.service"}) == []


@pytest.mark.parametrize("path", named(python_files(SIMULATION)))
def test_the_simulation_knows_the_core_and_nothing_of_the_service(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert forbidden_imports(source, SIMULATION_MAY) == []
    assert not SIMULATION_MAY_NOT & set(imports_of(source))
    assert "import random" not in source  # only `Random`, which is made of a seed


@pytest.mark.parametrize("path", named(python_files(CLIENT)))
def test_a_client_knows_the_protocol_and_nothing_else_of_the_service(path: Path) -> None:
    may = CLIENT_MAY | CLIENT_FILE_MAY.get(path.name, set())
    assert forbidden_imports(path.read_text(encoding="utf-8"), may) == []


@pytest.mark.parametrize("path", named(everything()))
def test_no_file_is_long_and_none_puts_anything_off(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not is_too_long(source), f"{len(source.splitlines())} lines: a room is missing"
    assert promises(source) == []


@pytest.mark.parametrize("path", named(python_files(CORE, SERVICE)))
def test_every_code_that_is_given_has_a_class_and_an_exit_status(path: Path) -> None:
    assert unknown_codes(path.read_text(encoding="utf-8")) == []


def test_every_exit_status_is_one_of_the_documented_ones() -> None:
    statuses = {kind.exit_status for kind in AdmissionError.__subclasses__()}
    assert statuses == {64, 69, 75, 77, 78}


# --- and each of them can fail ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("import time", ["time"]),
        ("import math, random", ["random"]),
        ("from os import path", ["os.path"]),
        ("def f():\n    from logging import getLogger", ["logging.getLogger"]),
        ("if TYPE_CHECKING:\n    import trio", ["trio"]),
        ("import mathematics", ["mathematics"]),
        ("from admission.service import daemon", ["admission.service.daemon"]),
        ("from admission import protocol", ["admission.protocol"]),
        ("from . import ledger", ["..ledger"]),
        ("from ..service import daemon", ["..service.daemon"]),
        ("import admission.core.pool as pool\nfrom collections.abc import Iterator", []),
        ("from admission.core import events as ev\nfrom math import inf", []),
    ],
)
def test_a_planted_import_is_found_in_the_core(planted: str, found: list[str]) -> None:
    assert forbidden_imports(planted, CORE_MAY) == found


def test_a_planted_import_is_found_in_a_client() -> None:
    for planted in ("import anyio", "from admission.service import serve", "import admission.core"):
        assert len(forbidden_imports(planted, CLIENT_MAY)) == 1
    allowed = "from admission.protocol import Frame\nfrom admission import __version__\nimport os"
    assert forbidden_imports(allowed, CLIENT_MAY) == []


def test_a_planted_call_is_found() -> None:
    source = "def f(path):\n    with open(path) as file:\n        return opened(file)"
    assert forbidden_calls(source, CORE_MAY_NOT_CALL) == ["open"]


def test_a_long_file_is_found() -> None:
    assert is_too_long("x = 1\n" * 401)
    assert not is_too_long("x = 1\n" * 400)


def test_a_promise_is_found() -> None:
    planted = "# TO" + "DO: tomorrow"
    assert promises(f"x = 1\n{planted}\n") == [planted]


def test_an_unknown_code_is_found() -> None:
    source = 'ledger.refuse(caller, "too_sunny", "no; wait")\nrefuse(caller, "timeout", "no; no")'
    assert unknown_codes(source) == ["too_sunny"]
