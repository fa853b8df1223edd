"""A daemon, and many who make its life hard, for a bounded time: does it keep its word?

Clients ask, work, are killed, stopped and continued, fork, exec, hang up in the middle of a frame
and flood; the daemon is killed and started again all the while, and the level changes. Each holder
writes down itself when it held what, and a judge that knows nothing else finds any moment at which
more was out than may be, any slot that was lost, any waiter forgotten, any order broken.

Everything runs in a temporary folder, on a socket of its own, and ends with this process.
The exit status is 1 where something was found. docs/torture.md has more.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from random import SystemRandom

from scripts.torture.conductor import Conductor, Plan
from scripts.torture.plants import PLANTS
from scripts.torture.report import as_map, verdict
from scripts.torture.stage import Broken, staged

ACTORS = 32
ROUND_S = 12.0
# What a run may take beyond its time: a last round, and its calm.
BEYOND_S = 150.0
SHOWN = 10


def main() -> int:
    options = _options()
    if sys.platform != "linux":
        print("torture: who loses its parent is found by prctl, which is Linux's", file=sys.stderr)
        return 1
    plan = Plan(options.seconds, options.kills, options.seed, options.actors, options.round_seconds)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with staged(options.socket, options.seconds + BEYOND_S, options.plant) as stage:
            conductor = Conductor(stage, plan)
            conductor.run()
            report = as_map(plan, options.plant, conductor, stage.book.read())
    except Broken as problem:
        print(f"torture: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("torture: interrupted", file=sys.stderr)
        return 130
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    for violation in conductor.violations[:SHOWN]:
        print(f"{violation.kind}: {violation.what}")
        for record in violation.evidence:
            print(f"  {record}")
    print(verdict(conductor.violations, report, conductor.kills))
    return 1 if conductor.violations else 0


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("torture", description=__doc__, formatter_class=raw)
    parser.add_argument("--seconds", type=float, default=60.0, help="for about so long")
    parser.add_argument("--kills", type=int, help="or until so many daemons are killed")
    parser.add_argument("--seed", type=int, default=None, help="of what is done, not of its timing")
    parser.add_argument("--actors", type=int, default=ACTORS, help="so many at once")
    parser.add_argument("--round-seconds", type=float, default=ROUND_S, help="between two calms")
    parser.add_argument("--plant", choices=PLANTS, default="", help="a daemon with this bug")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    parser.add_argument("--socket", metavar="PATH", help="where the daemon is to listen")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = SystemRandom().randrange(1 << 32)
    return options


if __name__ == "__main__":
    sys.exit(main())
