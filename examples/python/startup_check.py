"""Startup: before an autopilot starts its agents, wait until the machine can bear them.

    python startup_check.py WORKSPACE [TIMEOUT_S [LEVEL]] && start-the-autopilot

The exit status is 0, or 75 where the machine is still too busy after the time-out.
"""

import sys

from admission_client import ResourceMonitor


def agents_to_start(monitor: ResourceMonitor, timeout_s: float, level: int) -> int:
    """How many agents to start with; 0 where now is no time to start any."""
    if not monitor.wait_for_resources(timeout_s, level):
        return 0
    return monitor.get_recommended_agent_count()


def main(workspace: str = ".", timeout_s: str = "60", level: str = "1") -> int:
    monitor = ResourceMonitor(workspace)
    agents = agents_to_start(monitor, float(timeout_s), int(level))
    if agents:
        print(f"start up to {agents} agents")
        return 0
    params = monitor.get_metrics().throttle_params
    print(f"not now: level {params.level} ({params.name})")
    return 75


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
