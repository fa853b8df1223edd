"""What outlived its lease, told from tables: by proof, and by nothing less."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from admission.core import events as ev
from admission.core.leases import Claim, Holder, Lease, Reason
from admission.service.orphans import (
    Ending,
    Endings,
    Known,
    Mark,
    Orphan,
    find,
    leased_among,
    why_none,
)
from admission.service.sensors.kinds import OTHER, Kind
from admission.service.sensors.processes import Process

OURS, THEIRS = "/run/a.sock", "/run/b.sock"
CLAUDE = Kind("claude")
HOLDER = Holder(100, 1000)
ENDED = Ending(12, "refactor", HOLDER, Reason.HOLDER_EXITED, ended_at=700.0, granted_ticks=1000)
KNOWN = Known(
    now=1000.0,
    daemon=50,
    out=frozenset({13}),
    last_lease=20,
    endings={12: ENDED},
    sockets=frozenset({OURS}),
)
MARK = Mark(12, OURS)


def table(*rows: tuple[int, int] | tuple[int, int, Kind]) -> dict[int, Process]:
    """PID, parent and kind of each; it started at ten times its PID."""
    found = {}
    for pid, parent, *kind in rows:
        found[pid] = Process(pid, parent, 10 * pid, "x", kind[0] if kind else OTHER, 4096, 0.0)
    return found


def survivors(
    processes: Mapping[int, Process], marks: Mapping[int, Mark], known: Known = KNOWN
) -> dict[int, str]:
    found = find(processes, marks, known)
    return {one.process.pid: one.evidence for one in found if one.lease is not None}


def agents(
    processes: Mapping[int, Process], marks: Mapping[int, Mark], known: Known = KNOWN
) -> list[Orphan]:
    return [one for one in find(processes, marks, known) if one.lease is None]


def why(pid: int, processes: Mapping[int, Process], marks: Mapping[int, Mark], known: Known) -> str:
    return why_none(pid, processes, marks, known, leased_among(processes, known))


# --- by the mark --------------------------------------------------------------------------------


def test_the_mark_of_a_lease_that_has_ended_is_proof() -> None:
    said = "started under lease 12 (refactor), which ended 5 min ago"
    assert survivors(table((300, 1)), {300: MARK}) == {300: said}


def test_an_end_that_is_no_longer_remembered_is_an_end() -> None:
    """Also one before the daemon was started: numbers go on from one to the next."""
    found = survivors(table((300, 1)), {300: Mark(7, OURS)})
    assert found == {300: "started under lease 7, which has ended"}


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param(Mark(13, OURS), id="of a lease that is out"),
        pytest.param(Mark(21, OURS), id="never given out"),
        pytest.param(Mark(0, OURS), id="no lease at all"),
        pytest.param(Mark(12, THEIRS), id="of another daemon"),
        pytest.param(Mark(12, None), id="of the daemon at the usual place, which this is not"),
    ],
)
def test_no_other_mark_is_proof(mark: Mark) -> None:
    processes = table((300, 1))
    assert survivors(processes, {300: mark}) == {}
    assert find(processes, {300: mark}, KNOWN) == []


def test_a_mark_without_a_socket_counts_where_the_daemon_serves_the_usual_one() -> None:
    known = replace(KNOWN, sockets=frozenset({OURS, None}))
    assert set(survivors(table((300, 1)), {300: Mark(12)}, known)) == {300}


def test_one_that_is_older_than_the_lease_has_the_mark_of_another_of_that_number() -> None:
    """The journal was lost, and numbers began anew: the old lease may well be out still."""
    young = replace(ENDED, granted_ticks=3001)
    known = replace(KNOWN, endings={12: young})
    assert survivors(table((300, 1)), {300: MARK}, known) == {}
    assert set(survivors(table((301, 1)), {301: MARK}, known)) == {301}


def test_what_runs_below_a_holder_or_a_waiter_is_theirs_whatever_its_mark() -> None:
    processes = table((300, 1), (310, 300), (311, 310), (320, 1))
    known = replace(KNOWN, holders=frozenset({Holder(310, 3100)}))
    marks = dict.fromkeys(processes, MARK)
    assert set(survivors(processes, marks, known)) == {300, 320}


def test_a_holder_that_gave_its_lease_back_and_goes_on_is_left_alone_with_all_below_it() -> None:
    processes = table((100, 1), (300, 100), (301, 1))
    known = replace(KNOWN, endings={12: replace(ENDED, reason=Reason.RELEASED)})
    marks = dict.fromkeys(processes, MARK)
    assert survivors(processes, marks, known) == {}
    del processes[100]
    assert set(survivors(processes, marks, known)) == {300, 301}


def test_a_holder_whose_lease_was_revoked_runs_on_without_one() -> None:
    known = replace(KNOWN, endings={12: replace(ENDED, reason=Reason.REVOKED)})
    found = survivors(table((100, 1)), {100: MARK}, known)
    assert found == {100: "held lease 12 (refactor), which was revoked 5 min ago"}


def test_another_process_with_the_pid_of_the_holder_is_not_the_holder() -> None:
    known = replace(KNOWN, endings={12: replace(ENDED, holder=Holder(100, 7), granted_ticks=8)})
    found = survivors(table((100, 1)), {100: MARK}, known)
    assert found == {100: "started under lease 12 (refactor), which ended 5 min ago"}


# --- by memory, and by descent ------------------------------------------------------------------


def test_whom_the_daemon_saw_below_the_holder_has_proof_without_a_mark() -> None:
    known = replace(KNOWN, former={Holder(300, 3000): 12})
    said = "descends from the holder of lease 12 (refactor), which ended 5 min ago"
    assert survivors(table((300, 1)), {}, known) == {300: said}


def test_a_reused_pid_inherits_nothing() -> None:
    known = replace(KNOWN, former={Holder(300, 2999): 12})
    assert survivors(table((300, 1)), {}, known) == {}


def test_memory_of_a_lease_that_is_out_is_no_proof() -> None:
    known = replace(KNOWN, former={Holder(300, 3000): 13})
    assert survivors(table((300, 1)), {}, known) == {}


def test_what_a_survivor_started_is_one_too() -> None:
    processes = table((300, 1), (301, 300), (302, 301), (400, 1))
    said = "was started by process 300, which outlived lease 12 (refactor)"
    found = survivors(processes, {300: MARK})
    assert (set(found), found[302]) == ({300, 301, 302}, said)


def test_the_daemon_is_never_one() -> None:
    old = replace(ENDED, granted_ticks=0)
    known = replace(KNOWN, former={Holder(50, 500): 12}, endings={12: old})
    assert survivors(table((50, 1)), {50: MARK}, known) == {}
    assert why(50, table((50, 1)), {50: MARK}, known) == "it is the daemon"


# --- agents without a lease ---------------------------------------------------------------------


def test_an_agent_without_a_lease_is_named_with_all_below_it_and_proves_nothing() -> None:
    processes = table((300, 1, CLAUDE), (301, 300), (302, 301), (400, 1))
    (found,) = agents(processes, {})
    assert (found.process.pid, found.lease, found.pids) == (300, None, (300, 301, 302))
    assert survivors(processes, {}) == {}


def test_an_agent_that_survived_is_a_survivor_and_is_named_once() -> None:
    processes = table((300, 1, CLAUDE))
    assert [one.lease for one in find(processes, {300: MARK}, KNOWN)] == [12]


@pytest.mark.parametrize("is_below", [True, False])
def test_an_agent_of_a_lease_that_is_out_is_no_orphan(is_below: bool) -> None:
    holder = Holder(300, 3000) if is_below else Holder(299, 2990)
    known = replace(KNOWN, holders=frozenset({holder}))
    assert agents(table((300, 1, CLAUDE)), {300: Mark(13, OURS)}, known) == []


# --- why not ------------------------------------------------------------------------------------


def test_why_a_process_is_no_orphan_is_said() -> None:
    processes = table((300, 1), (301, 300), (400, 1), (500, 1))
    known = replace(KNOWN, holders=frozenset({Holder(300, 3000)}))
    marks = {400: Mark(13, OURS), 500: Mark(21, OURS)}
    said = {pid: why(pid, processes, marks, known) for pid in (301, 400, 500, 600)}
    assert said == {
        301: "it runs under a lease that is out, or waits for one",
        400: "it was started under lease 13, which has not ended",
        500: "nothing shows that it was started under a lease that has ended",
        600: "there is no such process, or it has ended",
    }


# --- what is remembered -------------------------------------------------------------------------


def lease(number: int) -> Lease:
    return Lease(number, Claim(HOLDER, task="refactor"), ticket=number, granted_at=0.0)


def test_ends_are_remembered_with_when_the_lease_was_granted() -> None:
    endings = Endings()
    endings.note(ev.Granted(lease(12)), 5.0, 1000)
    endings.note(ev.Ended(12, Reason.HOLDER_EXITED, lease(12)), 700.0, 70_500)
    endings.note(ev.Ended(11, Reason.REVOKED, lease(11)), 701.0, 70_600)
    unknown = Ending(11, "refactor", HOLDER, Reason.REVOKED, 701.0, granted_ticks=0)
    assert endings.snapshot() == {12: ENDED, 11: unknown}


def test_only_the_last_ends_are_remembered() -> None:
    endings = Endings(most=2)
    for number in (1, 2, 3):
        endings.note(ev.Ended(number, Reason.RELEASED, lease(number)), 0.0, 0)
    assert list(endings.snapshot()) == [2, 3]
