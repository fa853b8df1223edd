"""Task assignment: a pause between two tasks, as long as the level asks for.

python task_delays.py WORKSPACE TASK …
"""

import sys
from collections.abc import Callable, Iterable

from admission_client import ResourceMonitor


def run_tasks(
    monitor: ResourceMonitor, tasks: Iterable[str], run: Callable[[str, str], None]
) -> None:
    """Runs one task after the other. The first one need not wait."""
    for place, task in enumerate(tasks):
        if place > 0:
            monitor.apply_throttle()
        run(task, monitor.get_metrics().throttle_params.reasoning_effort)


def run_task(task: str, reasoning_effort: str) -> None:
    print(f"{task}, with {reasoning_effort} effort")  # here, hand it to an agent


if __name__ == "__main__":
    workspace, *tasks = sys.argv[1:]
    run_tasks(ResourceMonitor(workspace), tasks, run_task)
