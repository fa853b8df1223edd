"""Who does what to the daemon: each actor is a process of its own, for a second or two.

Whoever holds a lease writes down when it begins and when it is about to end it; whoever is killed
leaves that to its killer.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

from admission.protocol import encode
from scripts.torture.records import Book, now_s
from scripts.torture.wire import Asker, Confused, Gone, Line, Wait, answer_to, request

CLI = [sys.executable, "-P", "-m", "admission_client.cli"]
# What a command does under `admission run`: it writes down itself when it ran.
RECORDER = """
import json, os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
def note(kind, **facts):
    at = time.clock_gettime(time.CLOCK_MONOTONIC)
    line = json.dumps({"kind": kind, "at": at, "ask": sys.argv[2], **facts})
    os.write(file, line.encode() + b"\\n")
note("told", fence=int(os.environ["ADMISSION_FENCE"]), free_until=float(sys.argv[3]))
time.sleep(float(sys.argv[4]))
note("ending", how="exit")
"""


@dataclass
class Scene:
    """What an actor is given."""

    path: str
    book: Book
    who: int
    dice: Random
    env: dict[str, str]
    log: Path

    def asker(self, bound: str = "process", number: int = 1) -> Asker:
        """Someone who wants a lease: mostly one unit of `agents`, in the class most are in."""
        roll = self.dice.random
        return Asker(
            self.path,
            self.book,
            self.who,
            number,
            pool="agents" if roll() < 0.75 else "operations",
            weight=2 if roll() < 0.15 else 1,
            rank="normal" if roll() < 0.75 else self.dice.choice(["critical", "batch"]),
            group="" if roll() < 0.5 else self.dice.choice(["red", "blue"]),
            # An alarm, and nobody is asked to end.
            max_hold_s=0.1 if roll() < 0.1 else None,
            bound=bound,
        )

    def hold_s(self) -> float:
        """Mostly short; now and then long enough to outlive a daemon."""
        return self.dice.uniform(0.02, 0.4) if self.dice.random() < 0.85 else 1.5


# --- holders ------------------------------------------------------------------------------------


def work_and_release(scene: Scene) -> None:
    asker = scene.asker()
    if asker.acquire() and asker.hold(scene.hold_s()):
        asker.release()


def work_and_exit(scene: Scene) -> None:
    """Its end is all that gives the lease back."""
    asker = scene.asker()
    if asker.acquire() and asker.hold(scene.hold_s()):
        asker.note("ending", how="exit")


def hold_by_connection(scene: Scene) -> None:
    """Takes its lease up again after each daemon; gives it back by release, or by hanging up."""
    asker = scene.asker("connection")
    if asker.acquire() and asker.hold(2 * scene.hold_s()):
        if scene.dice.random() < 0.5:
            asker.release()
        else:
            asker.note("ending", how="closed")
            asker.drop()
            time.sleep(0.1)


def release_early(scene: Scene) -> None:
    asker = scene.asker()
    if asker.acquire() and asker.hold(scene.hold_s() / 2):
        asker.release()
        time.sleep(scene.dice.uniform(0.1, 0.6))


def leave_a_child(scene: Scene) -> None:
    """A child keeps the socket and lives on; the lease is its parent's."""
    asker = scene.asker(scene.dice.choice(["process", "connection"]))
    if asker.acquire():
        if os.fork() == 0:
            time.sleep(scene.dice.uniform(0.2, 0.8))
            os._exit(0)
        if asker.hold(scene.hold_s()):
            asker.note("ending", how="exit")


def become_another(scene: Scene) -> None:
    """An exec in the middle of the lease: the process is still the same."""
    asker = scene.asker()
    if asker.acquire():
        for_s = scene.hold_s()
        asker.note("ending", at=now_s() + for_s, how="exec")
        os.execvp("sleep", ["sleep", f"{for_s + 0.01:.3f}"])


def run_a_command(scene: Scene) -> None:
    """By `admission run`, with all that it does on its way."""
    asker = scene.asker()
    asker.note_asked()
    if scene.dice.random() < 0.2:
        os.setsid()
    words = ["run", "--pool", asker.pool, "--weight", str(asker.weight), "--class", asker.rank]
    words += ["--group", asker.group] if asker.group else []
    words += ["--", sys.executable, "-S", "-E", "-c", RECORDER, str(scene.book.path)]
    words += [asker.name, repr(now_s()), f"{scene.hold_s():.3f}"]
    log = os.open(scene.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.execve(CLI[0], [*CLI, *words], scene.env)


def work_until_told(scene: Scene) -> None:
    """Ends when it is asked to, as it holds for too long; else it never would."""
    asker = scene.asker()
    asker.max_hold_s, asker.end_after_max = scene.dice.uniform(0.05, 0.4), True
    is_told: list[int] = []

    def hear(number: int, _: object) -> None:
        is_told.append(number)
        asker.note("told to end")

    signal.signal(signal.SIGTERM, hear)
    if asker.acquire():
        while not is_told:
            time.sleep(0.02)
        asker.release()


def repeat_oneself(scene: Scene) -> None:
    asker = scene.asker()
    if asker.acquire():
        asker.hold(scene.hold_s() / 2)
        asker.repeat()
        asker.release()


def take_many(scene: Scene) -> None:
    """One after the other, over one connection."""
    line: Line | None = None
    for number in range(1, scene.dice.randint(2, 8)):
        asker = scene.asker(number=number)
        asker.line, asker.wait_s = line, 1.0
        if asker.acquire():
            asker.hold(scene.dice.uniform(0, 0.03))
            asker.release()
        line = asker.line


# --- waiters ------------------------------------------------------------------------------------


def think_better_of_it(scene: Scene) -> None:
    """Waits for a while, then cancels; what it may have been granted meanwhile is over as well."""
    asker = scene.asker(scene.dice.choice(["process", "connection"]))
    if asker.acquire(patience_s=scene.dice.uniform(0, 0.6)):
        asker.note("ending", how="cancelled")
    asker.cancel()
    time.sleep(scene.dice.uniform(0, 0.3))


def be_impatient(scene: Scene) -> None:
    asker = scene.asker()
    asker.wait_s = scene.dice.choice([0.0, 0.0, 0.05, 0.3])
    if asker.acquire():
        asker.hold(scene.hold_s() / 2)
        asker.note("ending", how="exit")


def be_on_time(scene: Scene) -> None:
    """Must have started soon, or need not at all; where the daemon knows that, it says so."""
    asker = scene.asker()
    asker.by_s = scene.dice.choice([0.05, 0.3, 1.0])
    if asker.acquire():
        asker.hold(scene.hold_s() / 2)
        asker.note("ending", how="exit")


def hang_up_waiting(scene: Scene) -> None:
    """Hangs up, and comes back to its place."""
    asker = scene.asker()
    asked_at = now_s()
    if asker.acquire(patience_s=scene.dice.uniform(0, 0.3)):
        asker.release()
        return
    asker.note("dropped")
    asker.drop()
    time.sleep(scene.dice.uniform(0, 0.4))
    if scene.dice.random() < 0.6:
        again = scene.asker(number=2)
        again.request, again.free_from, again.pool = asker.request, asked_at, asker.pool
        again.weight, again.rank, again.group = asker.weight, asker.rank, asker.group
        again.note_asked()
        again.note("dropped")
        if again.wait(Wait(again, None)):
            again.release()


def die_asking(scene: Scene) -> None:
    """Gone before it can know whether it was granted, perhaps in that very step."""
    asker = scene.asker(scene.dice.choice(["process", "process", "connection"]))
    asker.note_asked()
    try:
        asker.send(None)
    except Gone:
        return
    time.sleep(scene.dice.choice([0.0, 0.0, 0.001, 0.005, 0.02]))
    scene.book.note("killing", who=scene.who)
    os.kill(os.getpid(), signal.SIGKILL)


# --- pests --------------------------------------------------------------------------------------


def stop_in_a_frame(scene: Scene) -> None:
    line = Line(scene.path)
    half = scene.dice.choice([b"\0", b"\0\0\0\x40", b"\0\0\0\x40\x83\xa2id", b"\0\0\1\0" + b"\x80"])
    _quietly(lambda: line.send_bytes(half))
    time.sleep(scene.dice.uniform(0, 0.2))
    line.close()


def talk_nonsense(scene: Scene) -> None:
    """An answer or a closed connection, at once."""
    line = Line(scene.path)
    junk = scene.dice.randbytes(200)
    worst = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1\xc1", b"\0\0\0\xc8" + junk]
    sent = scene.dice.choice(worst)
    if not _quietly(lambda: line.send_bytes(sent)) and not line.until_closed(20.0):
        raise Confused(f"the daemon goes on listening after {sent!r}")


def flood(scene: Scene) -> None:
    """A great many requests, and no look at the answers."""
    line = Line(scene.path)
    ops = ["status", "leases", "hello", "explain", "level", "watch", "nonsense"]
    frames = [encode({"id": n, "op": scene.dice.choice(ops)}) for n in range(300)]
    line.flood(b"".join(frames))
    time.sleep(scene.dice.uniform(0, 0.3))
    line.close()


def flood_the_queue(scene: Scene) -> None:
    """More waiters than one connection may have; all of them go with it."""
    line = Line(scene.path)
    asks = [
        encode({"id": n, "op": "acquire", "pool": "operations", "class": "batch", "weight": 3})
        for n in range(100)
    ]
    line.flood(b"".join(asks))
    time.sleep(scene.dice.uniform(0, 0.2))
    line.close()


def look_on(scene: Scene) -> None:
    """Watches all that goes on; and does not read it, at times."""
    line = Line(scene.path)
    if _quietly(lambda: line.send({"id": 1, "op": "watch"})):
        return
    if scene.dice.random() < 0.5:
        time.sleep(0.5)
    else:
        _quietly(lambda: line.until_closed(0.5))
    line.close()


def ask_around(scene: Scene) -> None:
    """What the daemon says of itself must add up."""
    line = Line(scene.path)
    try:
        line.send({"id": 1, "op": "status"})
        status = answer_to(line, 1)
        request(line, {"id": 2, "op": "leases"})
    except Gone:
        return
    granted, ended, held = (cast(int, status[name]) for name in ("granted", "ended", "held"))
    if granted - ended != held:
        raise Confused(f"a status that does not add up: {status}")


def _quietly(act: Callable[[], object]) -> bool:
    """Whether the daemon went away meanwhile."""
    try:
        act()
    except Gone:
        return True
    return False


Actor = Callable[[Scene], None]

# How often each comes, against the others.
ACTORS: dict[Actor, int] = {
    work_and_release: 14,
    work_and_exit: 10,
    hold_by_connection: 10,
    release_early: 5,
    leave_a_child: 5,
    become_another: 5,
    run_a_command: 3,
    work_until_told: 4,
    repeat_oneself: 5,
    take_many: 3,
    think_better_of_it: 5,
    be_impatient: 5,
    be_on_time: 8,
    hang_up_waiting: 4,
    die_asking: 6,
    stop_in_a_frame: 2,
    talk_nonsense: 2,
    flood: 1,
    flood_the_queue: 1,
    look_on: 2,
    ask_around: 2,
}
