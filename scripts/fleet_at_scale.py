"""How much a fleet of so many nodes costs etcd and each node: real etcd, and nodes that only talk.

    python -m scripts.fleet_at_scale [--nodes 10 30 100] [--seconds 10] [--grants 5]

Each node has a lease that it renews, watches all, and writes an offer as often as it may, as if it
changed all the time. Then, besides, `--grants` a second are granted in a fleet pool, of two writes
each. Printed are writes a second, events that all nodes hear, and what that takes of etcd.
"""

import argparse
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import trio

from admission.service.fleet.etcd import Account, Etcd, News
from admission.service.fleet.fleet import offer_every_s
from admission.service.fleet.keys import Keys, Offer
from tests.system.fleet import Server

KEYS = Keys("/admission")
TTL_S = 15.0
LABELS = ["gpu", "cloud", "eu-west"]


@dataclass
class Heard:
    """How much all nodes have heard of."""

    events: int = 0

    def note(self, news: News) -> None:
        self.events += len(news.events)


async def live(etcd: Etcd, name: str, nodes: int, heard: Heard) -> None:
    """One node, until cancelled."""
    lease, _ = await etcd.grant(TTL_S)
    found = await etcd.range(KEYS.prefix)

    async def offer() -> None:
        every_s = offer_every_s(nodes)
        await trio.sleep(secrets.randbelow(1000) / 1000 * every_s)
        while True:
            said = Offer(name, secrets.token_hex(8), labels=LABELS, at_s=time.time())
            await etcd.put_all([(KEYS.node(name), msgspec.json.encode(said))], lease)
            await trio.sleep(every_s)

    async def renew() -> None:
        await trio.sleep(secrets.randbelow(1000) / 1000 * TTL_S / 3)
        while True:
            await etcd.keep_alive(lease)
            await trio.sleep(TTL_S / 3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(etcd.watch, KEYS.prefix, found.revision, heard.note)
        nursery.start_soon(offer)
        nursery.start_soon(renew)


async def grant(etcd: Etcd, per_s: float) -> None:
    """Permits that are asked for and given back."""
    number = 0
    while True:
        number += 1
        key = KEYS.permit("api", "someone", str(number))
        await etcd.put_all([(key, b"x")], 0)
        await trio.sleep(0.5 / per_s)
        await etcd.delete_all([key])
        await trio.sleep(0.5 / per_s)


async def measure(server: Server, nodes: int, seconds: float, grants: float) -> None:
    heard = Heard()
    process = psutil.Process(server.pid)
    async with (
        Etcd(Account((server.url,)), answer_s=10, connections_max=2 * nodes + 50) as etcd,
        trio.open_nursery() as nursery,
    ):
        for number in range(nodes):
            nursery.start_soon(live, etcd, f"node{number}", nodes, heard)
            await trio.sleep(0.02)
        await trio.sleep(3)
        for with_grants in (False, True):
            if with_grants:
                nursery.start_soon(grant, etcd, grants)
            events, busy_s = heard.events, cpu_s(process)
            revision, began = await etcd.range("/nothing"), time.monotonic()
            await trio.sleep(seconds)
            took_s = time.monotonic() - began
            writes = (await etcd.range("/nothing")).revision - revision.revision
            cpu_pct = 100 * (cpu_s(process) - busy_s) / took_s
            rss_mib = process.memory_info().rss / (1 << 20)
            what = f"{grants:g} grants/s" if with_grants else "offers alone"
            print(
                f"{nodes:5} nodes, {what:14} {writes / took_s:6.1f} writes/s "
                f"{(heard.events - events) / took_s:8.0f} events/s "
                f"etcd {cpu_pct:5.1f} % of a core, {rss_mib:4.0f} MiB"
            )
        nursery.cancel_scope.cancel()


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description="what a fleet costs")
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--grants", type=float, default=5.0)
    options = parser.parse_args()
    for nodes in options.nodes:
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
            trio.run(measure, server, nodes, options.seconds, options.grants)


if __name__ == "__main__":
    main()
