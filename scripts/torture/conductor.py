"""Brings the actors on, rounds of them: a storm, in which the daemon is killed again and again; a
while without that; then calm, in which all must end and every slot must be there again.
"""

import heapq
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from random import Random

from scripts.torture import hands
from scripts.torture.actors import ACTORS, Actor, Scene, run_a_command
from scripts.torture.judge import judge
from scripts.torture.reading import Violation
from scripts.torture.records import now_s
from scripts.torture.rest import check_rest
from scripts.torture.stage import RULES, Keeper, Stage
from scripts.torture.wire import Confused, Gone, Line, request

ROUND_MIN_S = 2.0
# So many reserve, pause, put ahead and take out, beside the one that changes the level.
HANDS = 2
# In this part of each round nobody touches the daemon: it must not be a restart that heals.
TAME_SHARE = 0.25
CALM_S = 20.0
TICK_S = 0.01
# What `admission run` ends with where no daemon was to be had just then.
UNLUCKY = (69, 75)


@dataclass(frozen=True)
class Plan:
    seconds: float
    kills: int | None
    seed: int
    actors: int
    round_s: float


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A signal that an actor will get."""

    at: float
    pid: int
    number: int


class Conductor:
    """See the module."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.keeper = Keeper(stage, Random(f"{plan.seed} daemon"))
        self.played: Counter[str] = Counter()
        self.signals: Counter[str] = Counter()
        self.rounds = 0
        self.violations: list[Violation] = []
        self._stage = stage
        self._plan = plan
        self._dice = Random(plan.seed)
        self._living: dict[int, tuple[int, Actor]] = {}
        self._due: list[Due] = []
        self._hands: set[int] = set()
        self._last_who = 0

    def run(self) -> None:
        """Until the time is up, so many daemons are killed, or something was found."""
        ends_at = now_s() + self._plan.seconds
        self._settle_at_level_0()
        while not self.violations and now_s() < ends_at and not self._has_killed_enough():
            self._storm(min(self._plan.round_s, max(ROUND_MIN_S, ends_at - now_s())))
            self._calm_down()
            self._look_around()
            self.rounds += 1
            self._say()
            self.violations = judge(self._stage.book.read(), RULES)
            self.violations += [
                Violation("failure", f"said on the way: {text}", [])
                for text in self._stage.tracebacks()
            ]

    @property
    def kills(self) -> int:
        return self.keeper.counts.get("killed", 0)

    def _has_killed_enough(self) -> bool:
        return self._plan.kills is not None and self.kills >= self._plan.kills

    def _say(self) -> None:
        print(
            f"round {self.rounds}: {self.kills} daemons killed, {self.played.total()} actors, "
            f"{self.signals['SIGKILL']} of them killed",
            file=sys.stderr,
            flush=True,
        )

    # --- a round ----------------------------------------------------------------------------------

    def _storm(self, for_s: float) -> None:
        dice = Random(self._dice.random())
        self._hands.add(self._stage.fork(lambda: steer(self._stage, dice)))
        for seed in [dice.random() for _ in range(HANDS)]:
            meddle = partial(hands.meddle, self._stage, Random(seed))
            self._hands.add(self._stage.fork(meddle))
        tame_at = now_s() + for_s * (1 - TAME_SHARE)
        ends_at = now_s() + for_s
        while (now := now_s()) < ends_at:
            self.keeper.is_wild = now < tame_at and not self._has_killed_enough()
            while len(self._living) < self._plan.actors:
                self._bring_on()
            self._tick()

    def _calm_down(self) -> None:
        """Nobody else comes, and all who are there find a slot and end."""
        self.keeper.is_wild = False
        for hand in self._hands:
            os.kill(hand, signal.SIGTERM)
        while self._hands:
            self._tick()
        self._settle_at_level_0()
        overdue_at = now_s() + CALM_S
        while self._living and now_s() < overdue_at:
            self._tick()
        for pid, (who, actor) in self._living.items():
            self._stage.book.note("overdue", who=who, actor=actor.__name__)
            os.kill(pid, signal.SIGKILL)
        while self._living:
            self._tick()

    def _settle_at_level_0(self) -> None:
        while True:
            while not self.keeper.is_serving:
                self._tick()
            if change_level(self._stage, 0):
                return
            self._tick()  # it ended by itself, which is noted, and another one comes

    def _look_around(self) -> None:
        try:
            check_rest(self._stage)
        except (Gone, Confused) as problem:
            self._stage.book.note("failed", what=f"at rest: {problem!r}")

    def _tick(self) -> None:
        self._reap()
        self.keeper.tick()
        while self._due and self._due[0].at <= now_s():
            self._send(heapq.heappop(self._due))
        time.sleep(TICK_S)

    # --- actors -----------------------------------------------------------------------------------

    def _bring_on(self) -> None:
        self._last_who += 1
        who, stage = self._last_who, self._stage
        (actor,) = self._dice.choices(list(ACTORS), list(ACTORS.values()))
        dice = Random(self._dice.random())
        scene = Scene(str(stage.socket), stage.book, who, dice, stage.env, stage.said)
        pid = stage.fork(lambda: actor(scene))
        self._living[pid] = (who, actor)
        self.played[actor.__name__] += 1
        self._plan_signals(pid)

    def _plan_signals(self, pid: int) -> None:
        roll, now = self._dice.random(), now_s()
        if roll < 0.25:
            at = now + self._dice.uniform(0, 1.2)
            heapq.heappush(self._due, Due(at, pid, signal.SIGKILL))
        elif roll < 0.37:
            at = now + self._dice.uniform(0, 0.6)
            heapq.heappush(self._due, Due(at, pid, signal.SIGSTOP))
            at += self._dice.uniform(0.05, 0.4)
            heapq.heappush(self._due, Due(at, pid, signal.SIGCONT))

    def _send(self, due: Due) -> None:
        if due.pid not in self._living:
            return  # it ended before that
        if due.number == signal.SIGKILL:
            self._stage.book.note("killing", who=self._living[due.pid][0])
        os.kill(due.pid, due.number)
        self.signals[signal.Signals(due.number).name] += 1

    def _reap(self) -> None:
        """Buries whoever has ended, also those whose parent is gone."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._hands:
                self._hands.remove(pid)
                self._ended_hand(os.waitstatus_to_exitcode(status))
            elif pid in self._living:
                self._ended(*self._living.pop(pid), os.waitstatus_to_exitcode(status))
            else:
                self.keeper.ended(pid, status)

    def _ended_hand(self, status: int) -> None:
        if status:
            self._stage.book.note("failed", what=f"a hand ended with {status}")

    def _ended(self, who: int, actor: Actor, status: int) -> None:
        if actor is run_a_command and status in UNLUCKY:
            return
        if status not in (0, -signal.SIGKILL):
            what = f"actor {who}, {actor.__name__}, ended with {status}"
            self._stage.book.note("failed", what=what)


# --- the level ----------------------------------------------------------------------------------


def change_level(stage: Stage, level: int) -> bool:
    """Sets the level, and writes down between which instants it came into force; False where it is
    not known whether it did.
    """
    line = Line(str(stage.socket))
    before = now_s()
    try:
        answer = request(line, {"id": 1, "op": "level", "set": level})
    except Gone:
        stage.book.note("level", at=before, after=None, level=level)
        return False
    finally:
        line.close()
    assert answer["ok"], answer
    stage.book.note("level", at=before, after=now_s(), level=level)
    return True


def steer(stage: Stage, dice: Random) -> None:
    """Changes the level all the while, until told to end."""
    is_told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: is_told.append(number))
    while not is_told:
        change_level(stage, dice.choice([0, 0, 0, 1, 1, 2, 3]))
        time.sleep(dice.uniform(0.05, 0.4))
