"""ResourceMonitor in a process of its own, as somebody's program would use it."""

import json
import subprocess
import sys

import pytest

from tests.system.stage import Stage

# What the user's document shows, in Python; `await` is put in for the other two.
PROGRAM = """
import sys
from admission_client import ResourceMonitor

def main():
    monitor = ResourceMonitor(sys.argv[1])
    metrics = monitor.get_metrics()
    print(metrics.throttle_level, flush=True)
    if monitor.is_under_pressure():
        print(monitor.get_recommended_agent_count(), flush=True)
    print(monitor.apply_throttle(), flush=True)
    print(monitor.wait_for_resources(60, 1), flush=True)
    print(monitor.status_message(), flush=True)

main()
"""
ASYNC = """
import sys
import anyio
from admission_client.aio import ResourceMonitor

async def main():
    monitor = ResourceMonitor(sys.argv[1])
    metrics = await monitor.get_metrics()
    print(metrics.throttle_level, flush=True)
    if await monitor.is_under_pressure():
        print(await monitor.get_recommended_agent_count(), flush=True)
    print(await monitor.apply_throttle(), flush=True)
    print(await monitor.wait_for_resources(60, 1), flush=True)
    print(await monitor.status_message(), flush=True)

anyio.run(main, backend="{}")
"""
PROGRAMS = {
    "blocking": PROGRAM,
    "trio": ASYNC.format("trio"),
    "asyncio": ASYNC.format("asyncio"),
}


def _start(stage: Stage, kind: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAMS[kind], str(stage.folder)],
        stdout=subprocess.PIPE,
        env=stage.env,
        text=True,
    )


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_held_back_until_the_level_falls(stage: Stage, kind: str) -> None:
    stage.set_level(2)
    with _start(stage, kind) as program:
        assert program.stdout is not None
        assert [program.stdout.readline().strip() for _ in range(3)] == ["2", "2", "0.02"]
        stage.set_level(0)
        told, message = program.stdout.read().splitlines()
        assert told == "True"
        assert message.startswith("level 0 (normal): ")
    assert program.returncode == 0


@pytest.mark.parametrize("kind", PROGRAMS)
def test_without_a_daemon_it_looks_by_itself_and_writes_the_file(
    empty_stage: Stage, kind: str
) -> None:
    with _start(empty_stage, kind) as program:
        assert program.stdout is not None
        level, waited, told, message = program.stdout.read().splitlines()
    assert (level, waited, told) == ("0", "0.0", "True")
    assert message.startswith("level 0 (normal): all calm; run up to 5 agents")
    path = empty_stage.folder / "state" / "analytics" / "resource_metrics.json"
    assert json.loads(path.read_text())["throttle_level"] == 0
    assert not empty_stage.socket.parent.exists()
