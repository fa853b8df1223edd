"""Owns the core: feeds it events, carries out its effects in order, and keeps its time.

Nobody else changes a lease. `feed` is one step and never awaits, so no two steps can mix.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, get_args

import trio

from admission.core import events as ev
from admission.core import shedding
from admission.core.admission import Admission
from admission.core.alarm import Alarm
from admission.core.estimates import Learnt
from admission.core.leases import Bound, Holder, Lease
from admission.core.sample import Sample
from admission.protocol import Frame
from admission.service.access import OPERATOR, Viewer
from admission.service.alone import ALONE, Alone
from admission.service.bookkeeping import Bookkeeper
from admission.service.config import Config, load
from admission.service.counting import Counts, counts_map
from admission.service.descriptors import make_room, shortage
from admission.service.ending import end_gently
from admission.service.following import Following
from admission.service.history.recorder import History
from admission.service.holders import Exit, exit_of
from admission.service.inforce import InForce
from admission.service.journal import Journal
from admission.service.local_hours import local_hours_now
from admission.service.measuring.measuring import Measuring
from admission.service.measuring.scales import Scales
from admission.service.metrics import metrics_map
from admission.service.notifying import Notifying, of_alarm, of_level
from admission.service.queue_views import alarm_map, hand_map, shed_map
from admission.service.recommending import Recommendations
from admission.service.sampler import Sampler
from admission.service.sampling import Sampling
from admission.service.sensors import Sensors
from admission.service.shedder import Shedder
from admission.service.stopped import Stopped
from admission.service.survey import Survey
from admission.service.tasks import Tasks
from admission.service.telling import Line, Places, Watchers
from admission.service.trees import Trees
from admission.service.views import (
    answer_map,
    claim_of,
    record_map,
    sample_map,
    status_map,
)
from admission.service.vigil import Vigil
from admission.service.workspaces import Workspaces

log = logging.getLogger(__name__)


class Daemon:
    """See the module. `clock` gives seconds that never go back; `run` keeps it all going."""

    def __init__(
        self,
        core: Admission,
        journal: Journal,
        config: Config,
        *,
        clock: Callable[[], float] = time.monotonic,
        watch_exit: Callable[[Holder], Exit] = exit_of,
        sensors: Sensors | None = None,
        sampler: Sampler | None = None,
        history: History | None = None,
        workspaces: Workspaces | None = None,
        socket: str = "",
        load_config: Callable[[], Config] = load,
        following: Following | None = None,
    ) -> None:
        self.core = core
        self._in_force = InForce(config, load_config)
        self.clock = clock
        self.counts = Counts()
        self.lines: dict[int, Line] = {}
        # As it was at the start, as are the modes of the socket.
        self.access = config.access
        self.watchers = Watchers(self.access)
        self.watchers.limits = config.core_limits
        self.started_at = clock()
        self.level_since = clock()
        self._books = Bookkeeper(journal, core.snapshot)
        self.sensors = sensors or Sensors()
        self.stopped = Stopped()
        self.workspaces = workspaces or Workspaces()
        self._history = history
        sampler = sampler or Sampler(self.sensors.read, clock)
        self._sampling = Sampling(
            core,
            lambda: self.config,
            sampler,
            clock,
            self._pass_on,
            wake=lambda: self.feed(ev.Woke()),
            is_close=lambda: self.sensors.is_close,
        )
        self._following = following or Following(Trees())
        self.survey = Survey(core, clock, socket, self._following.trees)
        self.tasks = Tasks(history)
        self.recommendations = Recommendations(core, clock, self, history)
        self.notifying = Notifying(lambda: self.config.notify, clock)
        path = Path(socket) if socket else None
        self.measuring = Measuring(self._following.trees, Scales(path))
        self.shedder = Shedder(
            path,
            self._following.known,
            lambda news: self.watchers.publish("shed", news),
            self.tell_holder,
        )
        self.fleet: Alone = ALONE
        self._doers = self._what_is_done()
        self.places = Places()
        self._inbox: deque[ev.Event] = deque()
        self._is_feeding = False
        self._is_stopping = False
        # By when the timekeeper wakes, if nobody wakes it before.
        self._due_at = inf
        self._rearmed = trio.Event()
        self._vigil = Vigil(
            lambda holder: self.feed(ev.HolderExited(holder)), core.needs, watch_exit
        )

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._in_force.config

    def stop(self) -> None:
        """From now on nothing ends a lease: they are the next daemon's, by the journal."""
        self._is_stopping = True

    # --- the step -------------------------------------------------------------------------------

    def feed(self, event: ev.Event) -> None:
        """One event, and all that follows from it at once: the only way to change a lease."""
        if self._is_stopping:
            return
        self.fleet.look_at_clock()
        self._inbox.append(event)
        if self._is_feeding:
            return  # an effect of the step that is under way; it comes right after
        self._is_feeding = True
        try:
            while self._inbox:
                self._carry_out(self.core.handle(self.clock(), self._inbox.popleft()))
            self._books.shorten()
            if self.core.wakeup() != self._due_at:
                self._rearmed.set()
            if self.core.ledger.waiting:
                self.places.changed.set()
        finally:
            self._is_feeding = False

    def _carry_out(self, effects: list[ev.Effect]) -> None:
        for index, effect in enumerate(effects):
            if isinstance(effect, ev.Persist):
                if not self._books.write(effect.record) and self._note_unwritten(effects[index:]):
                    return
                self._publish(effect.record)
            else:
                self._doers.get(type(effect), self._tell)(effect)

    def _what_is_done(self) -> dict[type[ev.Effect], Callable[[Any], None]]:
        """About each kind of effect that is neither written down nor an answer."""
        return {
            ev.Watch: lambda effect: self._vigil.watch(effect.holder),
            ev.Unwatch: lambda effect: self._vigil.unwatch(effect.holder),
            ev.FindTree: lambda effect: self._following.want(effect.lease.id),
            ev.Alarmed: lambda effect: self._alarm(effect.alarm),
            ev.EndGently: lambda effect: end_gently(effect.lease),
            Learnt: self._history.note_run if self._history else lambda effect: None,
            **dict.fromkeys(get_args(shedding.Effect), self.shedder.do),
        }

    def _tell(self, effect: ev.Answer) -> None:
        """Sends an answer to whoever asked, if that connection is still there."""
        if isinstance(effect, ev.Refused):
            self.counts.refused[effect.code] += 1
        line = self.lines.get(effect.caller.connection)
        if line is None:
            return
        answer = answer_map(effect, self.core.level, self.clock())
        if isinstance(effect, ev.Told):
            answer = self.access.row(line.peer, effect.lease.claim, self.fleet.dress(answer))
        line.send(answer)
        if isinstance(effect, ev.Told) and effect.lease.is_parking:
            self.shedder.remind(effect.lease)
        if isinstance(effect, ev.Told):
            self.fleet.remind(effect.lease)

    def tell_holder(self, lease: Lease, news: Frame) -> None:
        """News of a lease, to whoever took it."""
        if lease.caller is not None and (line := self.lines.get(lease.caller.connection)):
            line.send({"id": lease.caller.id, **news})

    def _note_unwritten(self, rest: list[ev.Effect]) -> bool:
        """A record could not be written. True where it was a promise, which is then taken back."""
        records = tuple(one.record for one in rest if isinstance(one, ev.Persist))
        is_promise = isinstance(records[0], ev.Promise)
        if is_promise or self.core.journal_works:
            self._fail_journal(records if is_promise else ())
        return is_promise

    def _fail_journal(self, records: tuple[ev.Record, ...]) -> None:
        self._books.note_failure()
        # Before anything else that waits to be fed: the core must know first.
        self._inbox.appendleft(ev.JournalFailed(records))

    def _publish(self, record: ev.Record) -> None:
        self.counts.note(record, self.clock())
        if isinstance(record, ev.LevelChanged):
            self._log_level(record)
            if self.core.governor.sample is not None:
                self._note_metrics(self.core.governor.sample)
        elif isinstance(record, ev.Granted):
            self.places.foretold.start(record.lease.ticket, record.lease.granted_at)
            # At once for a new tree; for all that are out, with each sample.
            self.sensors.is_close |= record.lease.claim.bound is Bound.TREE
            self.sensors.wanted_every_s = self.measuring.pass_every_s
            self._sampling.hurry()
        elif self.measuring.has_lost(record):
            self.sensors.wanted_every_s = 0  # whether the kernel ended it is seen soon or never
            self._sampling.hurry()
        self.fleet.note(record)
        self.survey.note(record)
        if self._history is not None:
            self._history.note_record(record)
        if self.watchers and (news := record_map(record, self.core.level, self.clock())):
            self.watchers.publish(news[0], self.fleet.dress(news[1]), claim_of(record))

    def _alarm(self, alarm: Alarm) -> None:
        self.counts.alarms += 1
        self.notifying.note(of_alarm(alarm))
        told = alarm_map(alarm)
        what = f"lease {alarm.number}" if alarm.is_held else f"ticket {alarm.number}"
        concerns = {"lease" if alarm.is_held else "ticket": alarm.number}
        log.warning("alarm: %s of %s: %s", what, alarm.claim.pool, alarm.reason, extra=concerns)
        self.watchers.publish("alarms", {"event": "alarm", **told}, alarm.claim)

    def _log_level(self, record: ev.LevelChanged) -> None:
        self.level_since = self.clock()
        row = self.core.governor.levels[record.level]
        self.notifying.note(notice := of_level(row, record.reasons))
        log.info("level %d (%s): %s", record.level, row.name, notice.text)

    # --- what can be asked ----------------------------------------------------------------------

    def status(self, viewer: Viewer = OPERATOR) -> Frame:
        now = self.clock()
        return {
            **status_map(self.core, now),
            **hand_map(self.core, now, viewer),
            "shed": shed_map(self.core, now),
            "level_since_s": round(now - self.level_since, 3),
            "uptime_s": round(now - self.started_at, 3),
            "degraded": self._degraded(viewer),
        }

    def metrics(self) -> Frame:
        """What a monitoring system gathers; `counting.py` says what is in it."""
        now = self.clock()
        return {
            **counts_map(self.counts, self.core, now),
            "uptime_s": round(now - self.started_at, 3),
            "connections": len(self.lines),
            "journal_bytes": self._books.size_bytes,
        }

    def _degraded(self, viewer: Viewer) -> list[str]:
        sample = self.core.governor.sample
        found = [] if sample is None else list(sample.failed)
        found += self._sampling.problems() + self._following.problems()
        found += self.measuring.problems()
        if viewer.sees_all:  # these name folders and processes
            found += self.workspaces.problems()
            found += self.stopped.problems(self.core, self.clock(), self.config.stopped_s)
        if self._history is not None:
            found += self._history.problems()
        if (problem := shortage(self.config.connections_max)) is not None:
            found.append(problem)
        found += self._in_force.problems() + self.fleet.problems()
        if not self.core.journal_works:
            found.append(f"{self._books.problem()}: no lease is granted")
        return found

    def reload(self) -> None:
        """Goes by the configuration as it stands now. No lease is lost by it.

        Raises:
            BadConfiguration: it is wrong; the old one stays in force, and `status` says so.
        """
        config = self._in_force.read_anew()
        make_room(config.connections_max)
        self.core.limits = self.watchers.limits = config.core_limits
        self.feed(ev.Configured(config.throttle, config.pools, config.ageing))
        self.fleet.note_configured()
        self._sampling.hurry()

    # --- lines and holders ----------------------------------------------------------------------

    def add_line(self, line: Line) -> None:
        self.lines[line.number] = line
        self._vigil.add_peer(line.peer.holder)

    def remove_line(self, line: Line) -> None:
        """The connection is closed: what hangs on it ends."""
        del self.lines[line.number]
        self.watchers.remove_line(line.number)
        self._vigil.remove_peer(line.peer.holder)
        self.feed(ev.ConnectionClosed(line.number))
        self._vigil.unwatch(line.peer.holder)

    # --- what goes on all the time --------------------------------------------------------------

    async def run(
        self,
        records: list[ev.Record],
        living: frozenset[Holder],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Takes over from an earlier daemon, says so, then keeps time until cancelled."""
        make_room(self.config.connections_max)
        async with trio.open_nursery() as nursery:
            self.shedder.begin()
            self._vigil.begin(nursery)
            self._following.begin(nursery, self.core, self.feed)
            self.measuring.begin(nursery, self.core, self.feed)
            self.feed(ev.Restarted(tuple(records), living))
            self._books.is_taking_over = False
            if not self._books.rewrite():
                self._fail_journal(())
                self.feed(ev.TimePassed())
            if self._history is not None:  # it tells of runs, which come after what goes on now
                unstalled_pct = self.config.throttle.patience.cpu_unstalled_pct
                await nursery.start(self._history.run, self.feed, unstalled_pct)
            task_status.started()
            nursery.start_soon(self._books.keep, lambda: self.feed(ev.JournalWorks()))
            nursery.start_soon(self.places.keep_telling, self.core.ledger, self.lines, self.clock)
            keepers = [self.shedder.run, self._sampling.run, self.workspaces.run, self.survey.run]
            keepers += [self.tasks.run, self.recommendations.run, self.notifying.run]
            keepers += [self._keep_time, self.fleet.run]
            for keep in keepers:
                nursery.start_soon(keep)

    async def _keep_time(self) -> None:
        """Feeds `TimePassed` when the core's one deadline has come, and not before."""
        while not self._is_stopping:
            self._rearmed = trio.Event()
            due_at = self._due_at = self.core.wakeup()
            left_s = due_at - self.clock()
            with trio.move_on_after(max(left_s, 0)) if due_at < inf else trio.CancelScope():
                await self._rearmed.wait()
            if self.clock() >= due_at:
                self.feed(ev.TimePassed())

    def _note_metrics(self, sample: Sample) -> None:
        taken_at = time.time() - (self.clock() - sample.at)
        self.workspaces.note(metrics_map(sample, self.core.level, taken_at))

    def _pass_on(self, sample: Sample) -> None:
        """A sample came: it goes to the core, to those who watch, and on record."""
        now = self.clock()
        self.counts.samples += 1
        self.feed(ev.Sampled(sample, local_hours_now()))
        self.stopped.note(self.sensors.looks[0], self.core.ledger.holders())
        self._following.note(self.sensors.looks[0])
        self.sensors.is_close = self._following.has_trees
        self.measuring.note(self.sensors.looks[0])
        self.sensors.wanted_every_s = self.measuring.pass_every_s
        if self.watchers:
            self.watchers.publish("sample", {"event": "sample", **sample_map(sample, now)})
        self._note_metrics(sample)
        level = self.core.level
        if self._history is not None and (agents := self.core.pools.get("agents")):
            waiting = len(agents.waiters)
            self._history.note_sample(sample, level.level, agents.in_use, waiting)
