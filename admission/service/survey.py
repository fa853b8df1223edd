"""Looks for orphans when somebody asks: the table of processes, the marks in their environments,
and what they take. In a thread, since a /proc file of a process that is stuck in the kernel can
hold its reader up; and all who ask meanwhile get the answer of one look.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from admission.core import events as ev
from admission.core.admission import Admission
from admission.protocol import AdmissionError, Frame, Unavailable, usual_socket_path
from admission.service.desk import ANSWER_S, Answer, Desk
from admission.service.evidence import Probe, age_s, now_ticks
from admission.service.holders import describe
from admission.service.orphans import Endings, Known, Orphan, find, leased_among, why_none
from admission.service.queue_views import Room
from admission.service.sensors.processes import Processes
from admission.service.sensors.source import SAID_CHARS_MAX, one_line
from admission.service.trees import Trees
from admission.service.views import ROWS_BYTES_MAX

WISHES_MAX = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody asks. `pids`: only these; none: all. `uid`: who asks."""

    pids: tuple[int, ...]
    uid: int
    answer: Answer


class Survey:
    """See the module.

    Args:
        core: is only looked at.
        clock: the clock of the events, in seconds.
        socket: the daemon's; marks that name another are another daemon's.
        trees: what each lease's holder had started, as far as the daemon saw it.
        probe: reads processes.
    """

    def __init__(
        self,
        core: Admission,
        clock: Callable[[], float],
        socket: str = "",
        trees: Trees | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._core = core
        self._clock = clock
        self._sockets = _sockets(socket)
        self._trees = trees or Trees()
        self._probe = probe or Probe()
        self._endings = Endings()
        late = f"the processes could not be read within {ANSWER_S:g} s; try again later"
        self._desk = Desk[Wish](
            lambda wishes: partial(self._answers, wishes, self._known()),
            WISHES_MAX,
            "orphans",
            Unavailable(late, "too_many_connections"),
        )

    def note(self, record: ev.Record) -> None:
        """What was written down: grants and ends are remembered."""
        if isinstance(record, ev.Granted | ev.Ended):
            self._endings.note(record, self._clock(), now_ticks())

    def wish(self, pids: tuple[int, ...], uid: int, answer: Answer) -> None:
        """Asks for orphans, which are told later."""
        self._desk.wish(Wish(pids, uid, answer))

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.run()

    def _known(self) -> Known:
        ledger = self._core.ledger
        out = frozenset(lease for pool in self._core.pools.values() for lease in pool.leases)
        former, below = self._trees.former(), set(ledger.holders())
        for number, seen in self._trees.seen().items():
            if number in out:
                below |= seen
            else:  # it has ended since
                former |= dict.fromkeys(seen, number)
        return Known(
            now=self._clock(),
            daemon=os.getpid(),
            holders=frozenset(below),
            out=out,
            last_lease=ledger.last_lease,
            endings=self._endings.snapshot(),
            former=former,
            sockets=self._sockets,
        )

    # --- in the thread --------------------------------------------------------------------------

    def _answers(self, wishes: list[Wish], known: Known) -> list[Frame | AdmissionError]:
        try:
            processes = self._probe.rows()
            # Threads of the kernel too: their memory of 0 is that of a young program as well.
            marks = {pid: mark for pid in processes if (mark := self._probe.mark(pid)) is not None}
            leased = leased_among(processes, known)
            found = find(processes, marks, known)
            wanted = {pid for wish in wishes for pid in wish.pids}
            is_all = any(not wish.pids for wish in wishes)
            about = [one for one in found if is_all or one.process.pid in wanted]
            rows = [row for one in about if (row := self._row(one, processes)) is not None]
            rows.sort(key=lambda row: -_whole(row, "memory_bytes"))
            there = {one.process.pid for one in found}
            none = {pid: why_none(pid, processes, marks, known, leased) for pid in wanted - there}
            return [_told(wish, rows, none) for wish in wishes]
        # It must not end the daemon: whatever it is, there is no answer.
        except Exception as problem:  # noqa: BLE001
            why = one_line(repr(problem), SAID_CHARS_MAX)
            refusal = Unavailable(f"the processes can't be read: {why}", "too_many_connections")
            return [refusal] * len(wishes)

    def _row(self, one: Orphan, processes: Processes) -> Frame | None:
        """None where it has ended by now."""
        process = one.process
        uid = self._probe.uid(process.pid)
        if uid is None or not self._probe.lives(process):
            return None
        shares = [self._probe.pss_bytes(pid) for pid in one.pids]
        rss = [processes[pid].rss_bytes for pid in one.pids]
        pss = [share for share in shares if share is not None]
        is_pss = len(pss) == len(shares)
        return {
            "pid": process.pid,
            "start_ticks": process.start_ticks,
            "uid": uid,
            "lease": one.lease,
            "task": one.task,
            "name": process.kind.agent or process.name,
            "command": describe(process.pid),
            "processes": len(one.pids),
            "memory_bytes": sum(pss) if is_pss else sum(rss),
            "memory": "pss" if is_pss else "rss",
            "age_s": round(age_s(process.start_ticks), 1),
            "evidence": one.evidence,
        }


def _told(wish: Wish, rows: list[Frame], none: Mapping[int, str]) -> Frame:
    """What is another user's is none of the asker's business."""
    is_privileged = wish.uid in (0, os.getuid())
    about = [
        row
        for row in rows
        if (not wish.pids or row["pid"] in wish.pids) and (is_privileged or row["uid"] == wish.uid)
    ]
    room = Room(ROWS_BYTES_MAX // 2)
    shown = list(takewhile(room.takes, about))
    return {
        "survivors": [row for row in shown if row["lease"] is not None],
        "agents": [row for row in shown if row["lease"] is None],
        "left_out": len(about) - len(shown),
        "none": [{"pid": pid, "why": none[pid]} for pid in wish.pids if pid in none],
    }


def _whole(row: Frame, name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else 0


def _sockets(own: str) -> frozenset[str | None]:
    """What the marks of this daemon's leases name for a socket: none where it is the usual one."""
    path = os.path.realpath(own)
    return frozenset({path, None} if path == os.path.realpath(usual_socket_path()) else {path})
