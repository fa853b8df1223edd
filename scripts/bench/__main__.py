"""What admission costs, as ratios within one run, so that the machine's speed cancels out.

pairs    acquire and release over 1 to 256 connections, against bare echo servers and a semaphore in
         Redis; and over 64 by each one's Python client
loop     one Python process, one pair after the other: ours, redis-py, etcd, and the kernel's own
handover from a release to the next of a hundred waiters, against a round trip to an echo
run      `admission run -- true` with a warm daemon, and a hook that needs no lease, against
         `python -c pass`, flock, sem, tsp and etcdctl lock
idle     what a daemon takes while nobody asks it anything, and what is left of `admission run`
trees    what it takes to measure five leases with twenty processes each
pages    what three dashboards with an open page each add to the daemon
memory   of a daemon at rest, against its imports; of a connection, and of a waiter
reap     from the SIGKILL of a holder to the next waiter's grant, against a bare kill and wait
sample   what one look at a machine with 500 processes takes
decision what the core takes to decide who is next, by the number of those that wait
beside   acquire and release beside clients that misbehave, against the same alone
restart  a daemon that is killed with 1,000 leases out, against its interpreter and imports

What is compared takes turns, so that whatever else the machine does hits both. The figures are
medians, with the middle half of the rounds. docs/performance.md says what bounds each of them.

What it is compared with may be missing: then it is left out by name. `--install` gets it first, as
far as apt and pip can.

Everything runs in a temporary folder and ends with this process. A missed target is no failure:
the exit status is 1 only where something broke.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from admission.protocol import AdmissionError
from scripts.bench.beside import bench_beside
from scripts.bench.decision import bench_decision
from scripts.bench.figures import Figure, as_map, print_table
from scripts.bench.handover import bench_handover
from scripts.bench.idle import bench_idle
from scripts.bench.loop import bench_loop
from scripts.bench.memory import bench_memory
from scripts.bench.pages import bench_pages
from scripts.bench.pairs import bench_pairs
from scripts.bench.peers import install
from scripts.bench.reap import bench_reap
from scripts.bench.restart import bench_restart
from scripts.bench.run import bench_run
from scripts.bench.sample import bench_sample
from scripts.bench.stage import Broken, Stage, catch_signals, progress, staged
from scripts.bench.trees import bench_trees

NAMES = (
    *("pairs", "loop", "handover", "run", "idle", "trees", "pages"),
    *("memory", "reap", "sample", "decision", "beside", "restart"),
)


def main() -> int:
    if sys.platform != "linux":
        print("bench: what this reads, /proc and pidfds, is Linux's alone", file=sys.stderr)
        return 1
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=raw)
    parser.add_argument(
        "--only",
        choices=NAMES,
        action="append",
        help="just this one; may be given again for another",
    )
    parser.add_argument("--rounds", type=int, default=9, help="7 at least for figures to quote")
    parser.add_argument("--idle-s", type=float, default=20.0, help="for how long idle looks on")
    parser.add_argument(
        "--install", action="store_true", help="first install what it is compared with (Debian)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there too")
    options = parser.parse_args()
    rounds = max(1, options.rounds)
    benches: dict[str, Callable[[Stage], list[Figure]]] = {
        "pairs": lambda stage: bench_pairs(stage, rounds),
        "loop": lambda stage: bench_loop(stage, rounds),
        "handover": lambda stage: bench_handover(stage, rounds),
        "run": lambda stage: bench_run(stage, rounds),
        "idle": lambda stage: bench_idle(stage, options.idle_s),
        "trees": lambda stage: bench_trees(stage, options.idle_s),
        "pages": lambda stage: bench_pages(stage, options.idle_s),
        "memory": lambda stage: bench_memory(stage, rounds),
        "reap": lambda stage: bench_reap(stage, rounds),
        "sample": lambda _: bench_sample(rounds),
        "decision": lambda _: bench_decision(rounds),
        "beside": lambda stage: bench_beside(stage, rounds),
        "restart": lambda stage: bench_restart(stage, rounds),
    }
    if options.install and (missing := install()):
        print(f"bench: left out: {missing}", file=sys.stderr)
    catch_signals()
    figures: list[Figure] = []
    try:
        for name in options.only or NAMES:
            with staged() as stage:
                figures += benches[name](stage)
            progress("")
    except (Broken, OSError, AdmissionError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{os.cpu_count()} CPUs, {python}, {rounds} rounds\n")
    print_table(figures)
    print("\nWhat has a unit is this machine's, at this moment; what has none is a ratio.")
    if options.json is not None:
        found = {"python": python, "rounds": rounds, "figures": [as_map(one) for one in figures]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
