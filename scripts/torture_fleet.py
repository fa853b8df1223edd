"""A fleet under torture: sixty processes, three nodes, a pool of seven, and whatever can be killed.

    python -m scripts.torture_fleet [--seconds 30] [--processes 60] [--capacity 7] [--members 3]

All the while daemons, holders and etcd are killed and started again, a daemon is stopped and a node
cut off, each for longer than its lease. Each holder writes one line as it starts and one as it
ends, into one file; the judge reads that file alone, and knows nothing of daemons. A holder that is
told that its unit is lost ends at once; one that nobody could tell, as its own daemon was stopped
or dead for longer than its lease, is counted by itself.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.system.fleet import POOL, Cluster, Fleet, Node, Relay, Server

TTL_S = 3.0
# A lease was renewed a third of it ago at most, so nobody has what is under it before that.
SURELY_S = 0.6 * TTL_S
# Longer than a lease lasts, whatever it was doing.
LONG_S = 2 * TTL_S

# Takes units one after the other until its standard input ends. What it writes: the time, what
# happened, the node, its PID and the token.
HOLDER = """
import os, random, select, sys, threading, time
from admission.protocol import AdmissionError
from admission_client import lease
path, node, pool, seed = sys.argv[1:5]
luck = random.Random(int(seed))
record = os.open(path, os.O_WRONLY | os.O_APPEND)

def note(word, fence=0):
    line = f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f} {word} {node} {os.getpid()} {fence}\\n"
    os.write(record, line.encode())

def is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0])

while not is_over():
    lost = threading.Event()
    try:
        with lease(pool=pool, bound="connection", wait=20, on_lost=lambda _: lost.set()) as granted:
            note("start", granted.fence)
            told = lost.wait(luck.uniform(0.02, 0.4) if luck.random() < 0.9 else 6.0)
            note("told" if told else "end", granted.fence)
    except AdmissionError as problem:
        time.sleep(0.05)
"""


class Torturer:
    """What is done to a fleet, at random, and written down.

    Args:
        fleet: to which.
        etcd: of one member, or of three.
        ways: by which each node reaches etcd's members.
        luck: what decides.
    """

    def __init__(
        self, fleet: Fleet, etcd: Server | Cluster, ways: list[list[Relay]], luck: random.Random
    ) -> None:
        self.fleet, self.etcd, self.ways, self.luck = fleet, etcd, ways, luck
        self.done: Counter[str] = Counter()
        self._holders: list[tuple[Node, subprocess.Popen[bytes]]] = []

    def start_holders(self, count: int) -> None:
        for number in range(count):
            self._start_holder(self.fleet.nodes[number % len(self.fleet.nodes)])

    def _start_holder(self, node: Node) -> None:
        seed = str(self.luck.randrange(1 << 30))
        process = node.start(
            *(sys.executable, "-P", "-c", HOLDER, str(self.fleet.record), node.name, POOL, seed),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"ADMISSION_AUTOSTART": "0"},
        )
        self._holders.append((node, process))

    def end_holders(self) -> None:
        for _, process in self._holders:
            assert process.stdin is not None
            process.stdin.close()
        for _, process in self._holders:
            process.wait()

    # --- what can be done -------------------------------------------------------------------------

    def kill_holder(self) -> None:
        node, process = self._holders.pop(self.luck.randrange(len(self._holders)))
        # From now on it may be dead, and its unit another's.
        self._note("killed", node.name, process.pid)
        process.kill()
        self._start_holder(node)

    def kill_daemon(self) -> None:
        node = self.luck.choice(self.fleet.nodes)
        node.kill_daemon()
        time.sleep(self.luck.uniform(0, 0.3))
        node.serve()

    def leave_daemon_dead(self) -> None:
        """For longer than its lease: nobody can tell its holders."""
        node = self.luck.choice(self.fleet.nodes)
        node.kill_daemon()
        time.sleep(SURELY_S)
        self._note("blind", node.name)
        time.sleep(LONG_S - SURELY_S)
        node.serve()

    def stop_daemon(self) -> None:
        node = self.luck.choice(self.fleet.nodes)
        os.kill(node.daemon_pid, signal.SIGSTOP)
        time.sleep(SURELY_S)
        self._note("blind", node.name)
        time.sleep(LONG_S - SURELY_S)
        os.kill(node.daemon_pid, signal.SIGCONT)

    def cut_off(self) -> None:
        way = self.luck.choice(self.ways)
        for relay in way:
            relay.cut()
        time.sleep(self.luck.choice([0.3, LONG_S, LONG_S]))
        for relay in way:
            relay.mend()

    def restart_etcd(self) -> None:
        """All of it; of three members, one or two."""
        if isinstance(self.etcd, Cluster):
            self.etcd.lose(self.luck.choice([1, 2]))
        else:
            self.etcd.kill()
        time.sleep(self.luck.choice([0.0, 0.5, LONG_S]))
        self.etcd.start()

    def _note(self, word: str, node: str, pid: int = 0) -> None:
        with self.fleet.record.open("a") as record:
            record.write(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f} {word} {node} {pid} 0\n")

    def torture(self, seconds: float) -> None:
        """Once each, in an order of its own, and then as luck has it."""
        until = time.monotonic() + seconds
        deeds = [
            *(self.kill_daemon, self.restart_etcd, self.cut_off, self.stop_daemon),
            *(self.kill_holder, self.leave_daemon_dead),
        ]
        self.luck.shuffle(deeds)
        while time.monotonic() < until:
            deed = deeds.pop() if deeds else self.luck.choice(self._often())
            self.done[deed.__name__] += 1
            deed()
            time.sleep(self.luck.uniform(0, 0.4))

    def _often(self) -> list:  # type: ignore[type-arg]
        return (
            [self.kill_holder] * 4
            + [self.kill_daemon] * 3
            + [*(self.restart_etcd, self.cut_off, self.stop_daemon, self.leave_daemon_dead)]
        )


class Judge:
    """Reads the record from its beginning, and counts."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most = self.most_of_all = 0
        self.grants = self.told = self.blind = 0
        self.busy_s = 0.0
        self._out: dict[str, str] = {}
        self._blind: set[str] = set()

    def read(self, record: Path) -> None:
        before = None
        for line in record.read_text().splitlines():
            at, word, node, pid, _ = line.split()
            now = float(at)
            if before is not None and self._out:
                self.busy_s += (now - before) * len(self._out)
            before = now
            match word:
                case "start":
                    self.grants += 1
                    self._out[pid] = node
                case "end" | "told" | "killed":
                    self.told += word == "told"
                    self._out.pop(pid, None)
                    self._blind.discard(pid)
                case "blind":  # from here on nobody can tell these that their units are lost
                    self._blind |= {one for one, where in self._out.items() if where == node}
                case _:
                    raise ValueError(f"no line of ours: {line}")
            self.most_of_all = max(self.most_of_all, len(self._out))
            self.most = max(self.most, len(self._out.keys() - self._blind))

    @property
    def is_content(self) -> bool:
        return self.most <= self.capacity and self.grants > 0


def main() -> int:
    options = parse()
    luck = random.Random(options.seed)
    print(f"seed {options.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as folder,
        (Cluster if options.members == 3 else Server)(Path(folder)) as etcd,
        ExitStack() as stack,
    ):
        members = etcd.members if isinstance(etcd, Cluster) else [etcd]
        # Each node has a way of its own to each member, and all of them are cut at once.
        ways = [[stack.enter_context(Relay(one)) for one in members] for _ in range(3)]
        urls = [[relay.url for relay in way] for way in ways]
        with Fleet(Path(folder), urls, TTL_S, options.capacity) as fleet:
            torturer = Torturer(fleet, etcd, ways, luck)
            return run(torturer, options)


def run(torturer: Torturer, options: argparse.Namespace) -> int:
    fleet = torturer.fleet
    torturer.start_holders(options.processes)
    began = time.monotonic()
    torturer.torture(options.seconds)
    torturer.end_holders()
    took_s = time.monotonic() - began
    left = wait_until_idle(fleet)
    judge = Judge(options.capacity)
    judge.read(fleet.record)
    print(f"{judge.grants} grants in {took_s:.0f} s, of a pool of {options.capacity}")
    print(f"done: {', '.join(f'{name} {count}' for name, count in sorted(torturer.done.items()))}")
    print(f"at once: {judge.most} at most; with those that nobody could tell: {judge.most_of_all}")
    print(f"told that their unit is lost: {judge.told}")
    print(f"in use: {100 * judge.busy_s / (took_s * options.capacity):.0f} % of what there is")
    print(f"left in etcd when all had ended: {left}")
    return 0 if judge.is_content and not left else 1


def wait_until_idle(fleet: Fleet, at_most_s: float = 30) -> int:
    """How many units are still out in the end."""
    give_up_at = time.monotonic() + at_most_s
    left = -1
    while left and time.monotonic() < give_up_at:
        with suppress(Exception):
            pools = fleet.nodes[0].fleet()["pools"]
            left = pools[0]["held"] + pools[0]["waiting"]  # type: ignore[index]
        time.sleep(0.1)
    return left


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="a fleet under torture")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=60)
    parser.add_argument("--capacity", type=int, default=7)
    parser.add_argument("--members", type=int, choices=(1, 3), default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
