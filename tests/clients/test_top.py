"""What `admission top` shows: pictures and tables, without a terminal."""

import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.protocol import Frame, Unreachable
from admission.service.history import history_path
from admission_client.top import picture, terminal
from admission_client.top.columns import GAP
from admission_client.top.letters import LINES, large
from admission_client.top.past import readings_of_the_past
from admission_client.top.readings import FIGURES, WINDOW_S, Reading, Readings
from admission_client.top.scene import Scene, Table
from tests.clients.commands import Caller, run
from tests.clients.test_output import HOSTILE
from tests.service.notes import NOON, Notes

ARROWS = ("▲", "▼")
SAMPLE: Frame = {
    "age_s": 0.0,
    "memory_used_pct": 91.2,
    "cpu_used_pct": 40.0,
    "memory_total_bytes": 16 * 2**30,
    "cpus": 8.0,
    "load_1min": 3.2,
    "cpu_stall_pct": 12.0,
    "memory_stall_pct": 30.0,
    "io_stall_pct": 0.0,
}


def status(**changes: object) -> Frame:
    found: Frame = {"level": 2, "name": "medium", "level_since_s": 240.0, "by_hand": None}
    found |= {"reasons": ["memory 91 % is above 80 %"], "degraded": []}
    found |= {"capacity": {"agents": 2}, "in_use": {"agents": 2}, "waiting": {"agents": 1}}
    found |= {"overcommitted": {"agents": 0}, "paused": {}, "alarms": [], "reservations": []}
    return found | {"held": 2, "sample": SAMPLE} | changes


def lease(number: int, **changes: object) -> Frame:
    found: Frame = {"lease": number, "pool": "agents", "task": f"task {number}", "pid": 40_000}
    found |= {"state": "held", "class": "normal", "weight": 1, "age_s": 60.0, "group": ""}
    found |= {"memory_bytes": number * 2**20, "from": "claude in ~/shop", "agent": "claude"}
    return found | {"stopped_s": None, "max_hold_s": None, "workspace": "~/shop"} | changes


def waiter(ticket: int, position: int, **changes: object) -> Frame:
    found: Frame = {"ticket": ticket, "position": position, "pool": "agents", "task": "tests"}
    found |= {"class": "normal", "weight": 1, "waiting_s": 12.0, "eta_s": 180.0, "group": ""}
    return found | {"reason": "2 of 2 agents run", "moved": "", "climbed": 0} | changes


def scene(leases: list[Frame], queue: list[Frame], **changes: object) -> Scene:
    found = Scene(status(**changes), 0.0)
    found.take(status(**changes), leases, queue, 0.0)
    return found


def drawn(table: Table, width: int, wanted: str = "") -> list[str]:
    """A table as it stands on the terminal, its heads first."""
    fitted = table.fitted(table.shown(wanted), 0.0, width, ARROWS)
    lines = zip(*([one.head, *one.cells] for one in fitted), strict=True)
    return [(" " * GAP).join(line) for line in lines]


def texts(lines: "list[picture.Line]") -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


# --- the tables ---------------------------------------------------------------------------------


def test_at_80_columns_nothing_essential_is_cut_off() -> None:
    found = scene([lease(41_712, task="refactor the cart")], [waiter(123_456, 10)])
    head, row = drawn(found.leases, 80)
    assert len(head) <= 80
    for one in ("LEASE▲", "POOL", "TASK", "PID", "STATE", "CLASS", "UNITS", "AGE", "MEMORY"):
        assert one in head
    for one in ("41712", "refactor the cart", "40000", "held", "60 s", "41G"):
        assert one in row
    head, row = drawn(found.waiting, 80)
    for one in ("123456", "tests", "normal", "12 s", "3 min", "2 of 2 agents run"):
        assert one in row


@given(
    st.lists(st.tuples(st.text("aé漢\x1b[\n", max_size=60), st.integers(1, 10**7)), max_size=3),
    st.integers(35, 200),
)
@settings(max_examples=25, deadline=None)
def test_a_table_is_never_wider_than_the_terminal(rows: list[tuple[str, int]], width: int) -> None:
    found = scene([lease(number, task=task) for task, number in rows], [])
    lines = drawn(found.leases, width)
    assert all(len(line) <= width and line.isprintable() for line in lines)
    assert len({len(line) for line in lines}) <= 1


def test_rows_are_sorted_by_each_column_in_turn_and_the_other_way_round() -> None:
    found = scene([lease(1, age_s=5.0), lease(2, age_s=90.0), lease(3, age_s=30.0)], [])
    table = found.leases
    shown = [one.column.head for one in table.fitted(table.rows, 0.0, 80, ARROWS)]
    while table.sorted_by != "AGE":
        table.sort_by_next(shown)
    assert [row["lease"] for row in table.shown("")] == [1, 3, 2]
    table.sort_by("AGE")
    assert [row["lease"] for row in table.shown("")] == [2, 3, 1]
    for _ in shown:
        table.sort_by_next(shown)
    assert (table.sorted_by, table.is_reversed) == ("AGE", False), "all of them, and round again"


def test_what_is_not_known_comes_last() -> None:
    found = scene([lease(1, memory_bytes=None), lease(2), lease(3)], [])
    found.leases.sort_by("MEMORY")
    assert [row["lease"] for row in found.leases.shown("")] == [2, 3, 1]


def test_places_are_those_of_their_pool() -> None:
    found = scene([], [waiter(1, 1, pool="b"), waiter(2, 1, pool="a"), waiter(3, 2, pool="a")])
    assert [row["ticket"] for row in found.waiting.shown("")] == [2, 3, 1]


def test_the_filter_looks_at_all_of_a_row() -> None:
    found = scene([lease(1, task="Docs"), lease(2), lease(3, workspace="~/docs")], [])
    assert [row["lease"] for row in found.leases.shown("dOCs")] == [1, 3]
    assert "2 with docs" in texts([picture.title("LEASES", found.leases, 2, "docs")])[0]


def test_whose_it_is_stands_there_where_there_are_several_users() -> None:
    found = scene([lease(1, user="ann", task="", **{"from": ""}), lease(2, user="bob")], [])
    head, first, _ = drawn(found.leases, 100)
    assert "USER" in head
    assert "ann" in first


# --- all else -----------------------------------------------------------------------------------


def test_the_level_is_a_large_word_with_its_reasons() -> None:
    found = scene([], [], by_hand={"until_s": 480.0, "off": False})
    lines = texts(picture.head(found, 60.0, 80, is_large=True))
    assert len(lines) == LINES
    assert "level 2 for 5 min, by hand for another 7 min" in lines[0]
    assert "memory 91 % is above 80 %" in lines[1]
    assert all(len(line) <= 80 for line in lines)
    assert texts(picture.head(found, 0.0, 40, is_large=False))[0].startswith("MEDIUM  level 2")


def test_every_level_has_a_large_word() -> None:
    for word in ("normal", "light", "medium", "heavy", "away"):
        rows = large(word) or []
        assert len(rows) == LINES
        assert len({len(row) for row in rows}) == 1
    assert large("") is large("7") is None


def test_a_daemon_that_is_gone_is_said_and_what_it_said_last_stays() -> None:
    found = scene([lease(1)], [])
    found.lose("no daemon answers at \x1b[2J/a.sock", 10.0)
    found.lose("no daemon answers at /a.sock", 14.0)
    lines = texts(picture.head(found, 16.0, 80, is_large=True))
    assert "no daemon for 6 s; below is what was 16 s ago" in lines[0]
    assert "/a.sock" in " ".join(lines)
    assert found.leases.rows
    found.take(status(), [], [], 20.0)
    assert "level 2" in texts(picture.head(found, 20.0, 80, is_large=True))[0]


def test_figures_have_their_history_beside_them() -> None:
    found = scene([], [])
    found.readings.begin([Reading(-at, 50.0, None, 0.0) for at in range(500, 0, -10)])
    memory, cpu, stalls = texts(picture.figures(found, 1.0, 80))
    assert "91 %" in memory
    assert memory.count("▄") > 20
    assert "of 16.0 GiB" in memory
    assert cpu.count("▃") == 1, "there was nothing known of it before"
    assert "30 %" in stalls, "the worst of them"
    assert "CPU 12, memory 30, disk 0" in stalls
    assert {len(line) for line in (memory, cpu)} <= set(range(81))


def test_pools_that_are_full_over_or_paused_say_so() -> None:
    found = status(
        capacity={"agents": 1, "big": 1000},
        in_use={"agents": 2, "big": 1},
        waiting={"agents": 3, "big": 0},
        overcommitted={"agents": 1, "big": 0},
        paused={"big": None},
    )
    (line,) = texts(picture.pools(found, 80))
    assert "agents 2/1 ■ 3 waiting 1 over" in line
    assert "big 1/1000 ■□□□□□□□□□ paused" in line
    assert len(picture.pools(found, 40)) == 2


def test_what_somebody_should_know_comes_before_what_is_recommended() -> None:
    alarm: Frame = {"kind": "held", "lease": 7, "held_s": 9.0, "pool": "agents", "class": "normal"}
    alarm |= {"task": "", "reason": "it is late"}
    found = scene([], [], alarms=[alarm], degraded=["x"] * 3)
    found.advice = [{"rule": "r", "what": "2 autopilots run", "why": "w", "command": "admission x"}]
    lines = texts(picture.notices(found, 3))
    assert lines[:2] == ["! x", "! x"]
    assert lines[2] == 'and 2 more; "admission status" has all'
    assert lines[3] == "→ 2 autopilots run: admission x"


def test_labels_draw_nothing() -> None:
    """Not on the terminal, and not by the markup of the library that draws."""
    evil = HOSTILE + "[red]x[/red]"
    found = scene(
        [lease(1, task=evil, agent=evil, workspace=evil, **{"from": evil})],
        [waiter(2, 1, task=evil, reason=evil)],
        reasons=[evil],
        degraded=[evil],
        **{name: {evil: 1} for name in ("capacity", "in_use", "overcommitted", "waiting")},
    )
    found.advice = [{"rule": "r", "what": evil, "why": evil, "command": evil}]
    lines = drawn(found.leases, 200) + drawn(found.waiting, 200)
    lines += texts(picture.head(found, 0.0, 80, is_large=True) + picture.notices(found))
    lines += texts(picture.pools(found.status, 80))
    lines += [picture.detail(found.leases.rows[0]), picture.detail(found.waiting.rows[0])]
    assert all(line.isprintable() for line in lines)
    assert any("[red]x[/red]" in line for line in lines), "it is shown as it was written"


def test_answers_of_something_else_are_refused_before_they_are_drawn() -> None:
    found = scene([], [])
    for bad in (status(level=None), status(waiting={}), status(alarms=[{}])):
        with pytest.raises(Unreachable):
            found.take(bad, [], [], 1.0)
    half: Frame = {"lease": 1}
    for bad_row in (lease(1, age_s="x"), half):
        with pytest.raises(Unreachable):
            found.take(status(), [bad_row], [], 1.0)
    assert found.leases.rows == []


def test_in_ascii_it_is_as_wide() -> None:
    for line in texts(picture.figures(scene([], []), 0.0, 80)):
        assert len(picture.plain(line)) == len(line)
        assert picture.plain(line).isascii()
    assert picture.plain("né ▁█…") == "n? .#~"


# --- the last minutes -----------------------------------------------------------------------------


@given(st.lists(st.floats(0, WINDOW_S), max_size=50), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_no_peak_is_lost_between_two_columns(ages_s: list[float], count: int) -> None:
    found = Readings()
    ages_s = sorted(set(ages_s), reverse=True)
    for index, age_s in enumerate(ages_s):
        found.add(Reading(1000.0 - age_s, float(index), None))
    columns = found.columns("memory_used_pct", 1000.0, count)
    assert len(columns) == count
    within = [i for i, age_s in enumerate(ages_s) if age_s < WINDOW_S * (1 - 1 / count)]
    if within and all(a - b > 0.1 for a, b in pairwise(ages_s)):
        assert max(one for one in columns if one is not None) == max(within)


def test_what_nobody_saw_is_left_empty() -> None:
    found = Readings()
    found.begin([Reading(0.0, 50.0, 50.0)])
    columns = found.columns("cpu_used_pct", 300.0, 60)
    assert columns[29] == 50.0
    assert columns[29 + 9] == 50.0, "the daemon may look only so often"
    assert columns[29 + 10] is None
    assert found.columns(FIGURES[2], 300.0, 3) == [None] * 3


def test_it_begins_with_what_the_daemon_wrote_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOON + 1000.0)
    assert readings_of_the_past() == [], "there is no history yet"
    history_path().parent.mkdir(parents=True)
    notes = Notes(history_path())
    for notes.now, memory in ((100.0, 10.0), (700.0, 70.0), (940.0, 94.0)):
        notes.sample(memory, memory / 2)
    notes.close()
    found = [
        (round(time.monotonic() - one.at), one.memory_used_pct, one.cpu_used_pct)
        for one in readings_of_the_past()
    ]
    assert found == [(300, 70.0, 35.0), (60, 94.0, 47.0)], "the last ten minutes"
    readings = Readings()
    readings.add(Reading(time.monotonic(), 99.0, 9.0))
    readings.begin(readings_of_the_past())
    assert readings.latest("memory_used_pct") == 99.0
    assert len(readings) == 3


# --- where it can't be shown ----------------------------------------------------------------------


def test_without_a_terminal_it_says_what_to_use(call: Caller) -> None:
    shown = call("top")
    assert shown.status == 2
    assert shown.err.startswith("admission: top: it needs a terminal for input and output; ")
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["dumb", "", "unknown"])
def test_a_terminal_that_can_show_no_screen_is_refused(
    name: str, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.setenv("TERM", name)
    shown = call("top")
    assert shown.status == 2
    assert "can show no screen" in shown.err


def test_without_its_extra_it_says_how_to_add_it(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "check_terminal", lambda: None)
    monkeypatch.delitem(sys.modules, "admission_client.top.app", raising=False)
    monkeypatch.delattr("admission_client.top.app", raising=False)
    for name in ("textual", "textual.app"):
        monkeypatch.setitem(sys.modules, name, None)
    shown = call("top")
    assert shown.status == 78
    assert 'pip install "admission[tui]"' in shown.err
    assert len(shown.err.splitlines()) == 1


def test_without_a_daemon_it_ends_as_all_that_look(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "check_terminal", lambda: None)
    shown = call("top")
    assert shown.status == 69
    assert "no daemon answers at /nonexistent/admission.sock" in shown.err


@pytest.mark.parametrize("interval", ["0", "50ms", "2h"])
def test_an_interval_that_nobody_wants_is_refused(interval: str, call: Caller) -> None:
    assert call("top", "--interval", interval).status == 2


@pytest.mark.parametrize(
    ("name", "no_color", "shown"),
    [("vt100", "", "False"), ("xterm-256color", "", "True"), ("xterm-256color", "1", "False")],
)
def test_colours_are_where_the_terminal_has_them_and_nobody_minds(
    name: str, no_color: str, shown: str
) -> None:
    asked = "from admission_client.top.terminal import has_colours; print(has_colours())"
    printed = run(sys.executable, "-P", "-c", asked, TERM=name, NO_COLOR=no_color)
    assert printed.out.strip() == shown, printed.err
