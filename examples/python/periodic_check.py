"""Runtime: an orchestrator looks every 30 s, and has more or fewer workers.

python periodic_check.py WORKSPACE [INTERVAL_S]      until Ctrl-C
"""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from admission_client import ResourceMonitor
from admission_client.reading import Metrics


def changes(monitor: ResourceMonitor, interval_s: float) -> Iterator[Metrics]:
    """The first reading, and each one that asks for something else."""
    level = None
    while True:
        metrics = monitor.get_metrics(force=True)
        if metrics.throttle_level != level:
            yield metrics
        level = metrics.throttle_level
        time.sleep(interval_s)


def main(workspace: str = ".", interval_s: str = "30") -> None:
    for metrics in changes(ResourceMonitor(workspace), float(interval_s)):
        params = metrics.throttle_params
        print(f"level {params.level} ({params.name}): run {params.max_agents} agents", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
    print("stopped")
