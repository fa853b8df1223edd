"""Agent spawn: never more than `max_agents` on this machine, whoever else starts some.

    python agent_spawn.py COUNT COMMAND [ARGUMENT …]

All are asked for at once. The daemon lets as many run as the level allows, the others wait for
their turn; where the level rises, no agent is ended, but none starts until fewer run.
"""

import os
import sys

import trio

from admission_client import aio


async def run_agent(command: list[str], task: str, statuses: list[int]) -> None:
    """One agent, once there is room for it."""
    async with aio.lease("agents", task=task) as granted:
        print(f"{task} starts at level {granted.level}", flush=True)
        # By its environment, the agent knows the level, and what it starts shares this lease.
        environment = os.environ | granted.environment()
        done = await trio.run_process(command, stdin=None, env=environment, check=False)
    statuses.append(done.returncode)


async def main(count: int, command: list[str]) -> int:
    statuses: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in range(1, count + 1):
            nursery.start_soon(run_agent, command, f"agent {number}", statuses)
    print(f"{statuses.count(0)} of {count} went well")
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(trio.run(main, int(sys.argv[1]), sys.argv[2:]))
