"""`admission throttle`, `admission guard` and their scripts: the user's document, run for real."""

import fcntl
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admission.protocol import Frame
from tests.system.stage import COMMAND, Stage

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
# The document's table: where each level begins, by memory and by CPU, and its parameters.
BEGINS = {1: (70, 60), 2: (80, 75), 3: (90, 90)}
PARAMS = {
    0: ("normal", 5, 100, 0, 3, "high"),
    1: ("light", 3, 50, 500, 2, "medium"),
    2: ("medium", 2, 25, 1000, 1, "medium"),
    3: ("heavy", 1, 10, 2000, 1, "low"),
}
NAMES = ("name", "max_agents", "batch_size", "delay_ms", "max_concurrent", "reasoning_effort")


@pytest.fixture
def bare_stage(empty_stage: Stage) -> Stage:
    """No daemon, and the document's own table."""
    empty_stage.config.write_text("")
    for name in [name for name in empty_stage.env if name.endswith("_PCT")]:
        del empty_stage.env[name]
    return empty_stage


def _throttle(stage: Stage, memory: float, cpu: float, *options: str, **env: str) -> str:
    readings = (f"--memory-used-pct={memory}", f"--cpu-used-pct={cpu}")
    done = stage.run("throttle", *readings, *options, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _level(stage: Stage, memory: float, cpu: float, **env: str) -> int:
    """What `admission throttle --level` says, in this process: there are many to be asked."""
    words = ["throttle", f"--memory-used-pct={memory}", f"--cpu-used-pct={cpu}", "--level"]
    done = stage.call(*words, **env)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _params(level: int) -> Frame:
    return {"level": level} | dict(zip(NAMES, PARAMS[level], strict=True))


def _script(
    stage: Stage, name: str, *words: str, path: str = "", home: Path = SCRIPTS
) -> "subprocess.CompletedProcess[str]":
    """A script, by bash, with a PATH that starts with this folder."""
    return subprocess.run(
        ["bash", str(home / name), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=stage.env | {"PATH": f"{path}:/usr/bin:/bin"},
        cwd=stage.folder,
        check=False,
    )


def _bin(stage: Stage) -> str:
    """A folder with this very `admission` in it."""
    folder = stage.folder / "bin"
    folder.mkdir()
    command = folder / "admission"
    words = " ".join(f"'{word}'" for word in COMMAND)
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o700)
    return str(folder)


# --- the document's examples ----------------------------------------------------------------------


def test_memory_85_and_cpu_72_is_level_2_with_exactly_its_parameters(bare_stage: Stage) -> None:
    found = json.loads(_throttle(bare_stage, 85, 72))
    assert found["memory_used_pct"] == 85
    assert found["cpu_used_pct"] == 72
    assert found["throttle_level"] == 2
    assert found["throttle_params"] == {
        "level": 2,
        "name": "medium",
        "max_agents": 2,
        "batch_size": 25,
        "delay_ms": 1000,
        "max_concurrent": 1,
        "reasoning_effort": "medium",
    }


@pytest.mark.parametrize("level", BEGINS)
def test_each_level_begins_at_its_bounds_and_not_just_below(bare_stage: Stage, level: int) -> None:
    memory, cpu = BEGINS[level]
    for above, expected in ((-0.1, level - 1), (0, level), (0.1, level)):
        assert _level(bare_stage, memory + above, 0) == expected
        assert _level(bare_stage, 0, cpu + above) == expected


def test_the_json_has_the_documents_fields_with_their_types_and_no_others(
    bare_stage: Stage,
) -> None:
    found = json.loads(bare_stage.run("throttle").stdout)
    assert [(name, type(value)) for name, value in found.items()] == [
        ("timestamp", str),
        ("memory_used_pct", int),
        ("cpu_used_pct", int),
        ("claude_processes", int),
        ("node_processes", int),
        ("throttle_level", int),
        ("throttle_params", dict),
    ]
    params = found["throttle_params"]
    assert [(name, type(value)) for name, value in params.items()] == [
        ("level", int),
        ("name", str),
        ("max_agents", int),
        ("batch_size", int),
        ("delay_ms", int),
        ("max_concurrent", int),
        ("reasoning_effort", str),
    ]
    assert 0 <= found["memory_used_pct"] <= 100
    assert 0 <= found["cpu_used_pct"] <= 100
    assert params == _params(found["throttle_level"])
    taken = datetime.strptime(found["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - taken).total_seconds()) < 60


def test_the_summary_for_people_is_on_standard_error(bare_stage: Stage) -> None:
    done = bare_stage.run("throttle", "--memory-used-pct=85", "--cpu-used-pct=10")
    head, readings, advice = done.stderr.splitlines()
    assert head == "level 2 (medium): memory 85 % is at or above 80 %"
    assert readings.startswith("memory 85 %, CPU 10 %, ")
    assert advice.startswith("run up to 2 agents and 1 heavy step at a time, in batches of 25, 1 s")


# --- thresholds -----------------------------------------------------------------------------------


def test_thresholds_of_the_environment_and_the_configuration_are_obeyed(bare_stage: Stage) -> None:
    assert _level(bare_stage, 72, 0) == 1
    assert _level(bare_stage, 72, 0, MEMORY_HIGH_PCT="70") == 2
    bare_stage.config.write_text("[throttle]\nmemory_high_pct = 71\ncpu_critical_pct = 80\n")
    assert _level(bare_stage, 72, 0) == 2
    assert _level(bare_stage, 0, 81) == 3
    assert _level(bare_stage, 72, 0, MEMORY_HIGH_PCT="75") == 1


def test_a_wrong_threshold_is_one_sentence_with_its_name(bare_stage: Stage) -> None:
    for command in (("throttle", "--level"), ("serve", "--detach")):
        done = bare_stage.run(*command, CPU_HIGH_PCT="a lot")
        assert done.returncode == 78
        assert done.stderr == (
            'admission: CPU_HIGH_PCT is "a lot", which is no percentage; '
            "write a number above 0, such as 80\n"
        )


def test_a_daemon_obeys_the_thresholds_of_its_environment(bare_stage: Stage) -> None:
    for name in ("MEMORY_MEDIUM_PCT", "MEMORY_HIGH_PCT", "MEMORY_CRITICAL_PCT"):
        bare_stage.env[name] = "0.001"  # less than any machine uses
    bare_stage.serve()
    view = bare_stage.until(lambda view: view.status["level"] == 3)
    assert "is at or above 0.001 %" in str(view.status["reasons"])


# --- with a daemon --------------------------------------------------------------------------------


def test_everybody_agrees_with_the_daemon(stage: Stage) -> None:
    for level in "2", "0":
        stage.set_level(int(level))
        assert stage.run("throttle", "--level").stdout == f"{level}\n"
    done = stage.run("throttle", MEMORY_HIGH_PCT="75")
    assert f"as daemon {stage.daemon_pid} sees it" in done.stderr
    assert "MEMORY_HIGH_PCT of this environment is not used" in done.stderr


def test_given_readings_are_judged_without_the_daemon(stage: Stage) -> None:
    stage.set_level(2)
    stage.config.write_text("")
    assert _level(stage, 95, 0) == 3


def test_neither_command_starts_a_daemon(bare_stage: Stage) -> None:
    bare_stage.run("throttle")
    bare_stage.run("guard")
    assert not bare_stage.socket.parent.exists()


@pytest.mark.parametrize("has_daemon", [False, True])
def test_the_workspaces_file_is_what_was_printed(empty_stage: Stage, has_daemon: bool) -> None:
    if has_daemon:
        empty_stage.serve()
        empty_stage.set_level(1)
    done = empty_stage.run("throttle", "--workspace", ".")
    assert done.returncode == 0, done.stderr
    path = empty_stage.folder / "state" / "analytics" / "resource_metrics.json"
    written, printed = json.loads(path.read_text()), json.loads(done.stdout)
    assert list(written) == list(printed)
    assert written["throttle_params"] == printed["throttle_params"]


def test_a_workspace_that_is_none_is_a_clear_error_after_the_answer(bare_stage: Stage) -> None:
    done = bare_stage.run("throttle", "--level", "--workspace", "gone")
    assert done.stdout in ("0\n", "1\n", "2\n", "3\n")
    assert done.returncode == 64
    assert "there is no such folder" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("throttle", "--memory-used-pct", "101"),
        ("throttle", "--cpu-used-pct", "nan"),
        ("throttle", "now"),
        ("guard", "--min-memory", "much"),
        ("guard", "--min-memory", "1X"),
        ("guard", "now"),
    ],
)
def test_a_wrong_command_line_is_status_2(bare_stage: Stage, words: tuple[str, ...]) -> None:
    done = bare_stage.run(*words)
    assert done.returncode == 2
    assert words[-1] in done.stderr
    assert done.stdout == ""


# --- the guard ------------------------------------------------------------------------------------


def _guard(stage: Stage, *options: str) -> tuple[int, dict[str, bool]]:
    """The exit status, and what each check said."""
    done = stage.run("guard", "--json", *options)
    found = json.loads(done.stdout)
    assert found["fit"] is (done.returncode == 0)
    assert {"name", "pid", "processes", "cpus", "rss_bytes"} == set(found["most_memory"][0])
    return done.returncode, {check["name"]: check["ok"] for check in found["checks"]}


def test_a_calm_machine_is_fit_with_a_daemon_and_without(empty_stage: Stage) -> None:
    fit = {"memory": True, "level": True, "autopilot": True}
    assert _guard(empty_stage, "--min-memory", "1M") == (0, fit)
    empty_stage.serve()
    empty_stage.set_level(2)
    assert _guard(empty_stage, "--min-memory", "1MiB") == (0, fit)


def test_too_little_memory_is_75(empty_stage: Stage) -> None:
    status, checks = _guard(empty_stage, "--min-memory", "1000T")
    assert (status, checks["memory"], checks["level"]) == (75, False, True)


def test_level_3_is_75(stage: Stage) -> None:
    stage.set_level(3)
    status, checks = _guard(stage, "--min-memory", "1M")
    assert (status, checks["level"], checks["memory"]) == (75, False, True)


def test_a_second_autopilot_is_75_until_the_first_has_ended(stage: Stage) -> None:
    (stage.folder / "tasks.txt").write_text("exec sleep 600\n")
    autopilot = stage.spawn("autopilot", "tasks.txt")
    stage.until(lambda view: view.in_use() == 1)
    status, checks = _guard(stage, "--min-memory", "1M")
    assert (status, checks["autopilot"]) == (75, False)
    said = stage.run("guard", "--min-memory", "1M").stdout
    assert f"!!  an autopilot is at work already (process {autopilot.pid})" in said
    autopilot.terminate()
    autopilot.wait()
    assert _guard(stage, "--min-memory", "1M")[0] == 0


def test_the_autopilot_that_runs_the_guard_is_no_second_one(stage: Stage) -> None:
    guard = " ".join([*COMMAND, "guard", "--min-memory", "1M", "> said.txt"])
    (stage.folder / "tasks.txt").write_text(f"{guard}\n")
    assert stage.run("autopilot", "tasks.txt").returncode == 0
    assert "no autopilot but the one that runs this" in (stage.folder / "said.txt").read_text()


def test_the_guard_names_who_takes_most_a_line_for_each_check(empty_stage: Stage) -> None:
    done = empty_stage.run("guard", "--min-memory", "1M")
    marks = [line[:4] for line in done.stdout.splitlines()]
    assert marks == ["ok  ", "ok  ", "ok  ", "    ", "    "]
    assert done.stdout.splitlines()[3].startswith("    most memory: ")


def test_looking_at_the_autopilots_lock_leaves_it_free(empty_stage: Stage) -> None:
    empty_stage.socket.parent.mkdir(mode=0o700)
    with open(empty_stage.socket.with_name("autopilot.lock"), "w") as lock:
        assert _guard(empty_stage, "--min-memory", "1M")[0] == 0
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write("nonsense")
        lock.flush()
        status, checks = _guard(empty_stage, "--min-memory", "1M")
        assert (status, checks["autopilot"]) == (75, False)


# --- the scripts ----------------------------------------------------------------------------------

# The line that never worked with the script that the document describes.
LAUNCHER = """
if JSON=$(bash "$1" 2>/dev/null); then echo "then: $JSON"; else echo else; fi
"""


@pytest.mark.parametrize("level", "0123")
def test_a_shell_takes_the_then_branch_at_every_level(stage: Stage, level: str) -> None:
    stage.set_level(int(level))
    done = subprocess.run(
        ["bash", "-c", LAUNCHER, "launcher", str(SCRIPTS / "dynamic_throttle.sh")],
        capture_output=True,
        text=True,
        env=stage.env | {"PATH": f"{_bin(stage)}:/usr/bin:/bin"},
        cwd=stage.folder,
        check=True,
    )
    assert done.stdout.startswith("then: ")
    assert json.loads(done.stdout.removeprefix("then: "))["throttle_level"] == int(level)


def test_the_throttle_script_hands_its_options_on(bare_stage: Stage) -> None:
    words = ("--memory-used-pct", "85", "--cpu-used-pct", "72", "--level")
    done = _script(bare_stage, "dynamic_throttle.sh", *words, path=_bin(bare_stage))
    assert (done.returncode, done.stdout) == (0, "2\n")


def test_a_threshold_written_into_the_script_counts(bare_stage: Stage) -> None:
    text = (SCRIPTS / "dynamic_throttle.sh").read_text()
    changed = text.replace("MEMORY_HIGH_PCT=${MEMORY_HIGH_PCT-}", "MEMORY_HIGH_PCT=70")
    assert changed != text
    scripts = bare_stage.folder / "scripts"
    scripts.mkdir()
    (scripts / "dynamic_throttle.sh").write_text(changed)
    words = ("--memory-used-pct=72", "--cpu-used-pct=0", "--level")
    done = _script(bare_stage, "dynamic_throttle.sh", *words, path=_bin(bare_stage), home=scripts)
    assert done.stdout == "2\n", done.stderr


def test_the_guard_script_ends_with_the_guards_status(empty_stage: Stage) -> None:
    path = _bin(empty_stage)
    for size, status in (("1M", 0), ("1000T", 75)):
        done = _script(empty_stage, "resource_guard.sh", "--min-memory", size, path=path)
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize("name", ["dynamic_throttle.sh", "resource_guard.sh"])
def test_a_script_takes_the_checkouts_own_command_else_says_what_to_do(
    empty_stage: Stage, name: str
) -> None:
    checkout = empty_stage.folder / "a check out"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPTS / name, checkout / "scripts")
    done = _script(empty_stage, name, home=checkout / "scripts")
    assert done.returncode == 127
    assert done.stderr.startswith(f"{name}: there is no admission on PATH, nor in {checkout}/.venv")
    own = checkout / ".venv" / "bin" / "admission"
    own.parent.mkdir(parents=True)
    own.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n")
    own.chmod(0o700)
    done = _script(empty_stage, name, "a b", home=checkout / "scripts")
    word = "throttle" if name == "dynamic_throttle.sh" else "guard"
    assert done.stdout == f"['{word}', 'a b']\n"
