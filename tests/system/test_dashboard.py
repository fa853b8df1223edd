"""The dashboard's server, asked as a browser would, of a real daemon; and as nobody may."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from admission.protocol import Frame
from admission_client.granted import mapping, rows, text, whole, words_of
from tests.system.browsing import Dashboard
from tests.system.stage import Stage
from tests.system.test_orphans import LEAVES, is_there, left_by

# With one daemon and one dashboard for all of them, each test leaves both as it found them.


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made, Stage(Path(made)) as stage:
        stage.serve()
        yield stage


@pytest.fixture(scope="module")
def dashboard(stage: Stage) -> Iterator[Dashboard]:
    dashboard = Dashboard(stage.spawn("dashboard", "--port", "0", "--no-open"))
    yield dashboard
    dashboard.process.terminate()
    assert dashboard.process.communicate() == (b"", b"")
    assert dashboard.process.returncode == 0


def level(stage: Stage) -> int:
    return whole(stage.look().status, "level")


def first(dashboard: Dashboard, named: str, holds: Callable[[Frame], bool]) -> tuple[str, Frame]:
    """The first event of that name that is as it should be, with its id."""
    with closing(dashboard.events()) as events:
        return next((at, data) for at, name, data in events if name == named and holds(data))


# --- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer {token}x"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "Bearer \xff"},
        {"Authorization": "", "Cookie": "{cookie}"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_who_is_not_let_in_changes_nothing(
    stage: Stage, dashboard: Dashboard, wrong: dict[str, str | None]
) -> None:
    """`None`: it is left out."""
    known = {"token": dashboard.token, "port": dashboard.port, "cookie": dashboard.cookie()}
    given = {**dashboard.acting, **wrong}
    headers = {name: value.format(**known) for name, value in given.items() if value is not None}
    answer = dashboard.act(headers, op="level", set=3)
    assert answer.status == 403
    assert text(mapping(answer.json, "error"), "code") == "not_permitted"
    assert level(stage) == 0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Cookie": "admission-{port}={token}"},
        {"Cookie": "admission={look}"},
        {"Cookie": "{cookie}x"},
        {"Cookie": "{cookie}", "Host": "evil.example:{port}"},
        {"Cookie": "{cookie}", "Origin": "http://evil.example"},
        {"Cookie": "{cookie}", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/events", "/metrics", "/static/vendor/uplot/uPlot.min.css"])
def test_who_is_not_let_in_sees_nothing(
    dashboard: Dashboard, path: str, given: dict[str, str]
) -> None:
    cookie = dashboard.cookie()
    known = {"token": dashboard.token, "port": dashboard.port, "cookie": cookie}
    known["look"] = cookie.partition("=")[2]
    answer = dashboard.ask(path, {name: value.format(**known) for name, value in given.items()})
    assert answer.status == 403
    assert b"uplot" not in answer.body
    assert b"admission_" not in answer.body


def test_the_printed_address_lets_a_browser_look_and_the_token_leaves_it(
    dashboard: Dashboard,
) -> None:
    entered = dashboard.ask(f"/?token={dashboard.token}", {})
    assert entered.headers["location"] == f"/#token={dashboard.token}"
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert dashboard.token not in cookie
    seen = dashboard.ask("/static/vendor/uplot/uPlot.min.css", {"Cookie": dashboard.cookie()})
    assert seen.status == 200
    policy = seen.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert seen.headers["x-content-type-options"] == "nosniff"
    assert seen.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in seen.headers


def test_nothing_is_done_by_looking(stage: Stage, dashboard: Dashboard) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = dashboard.ask("/act", dashboard.acting, method, '{"op": "level", "set": 3}')
        assert answer.status in (403, 405)
    assert level(stage) == 0


# --- what is seen -------------------------------------------------------------------------------


def test_a_level_and_a_lease_are_told_as_they_come(stage: Stage, dashboard: Dashboard) -> None:
    label = '<img src=x onerror="alert(1)"> \n\n data: x'
    with closing(dashboard.events()) as events:
        parts = {"state", "leases", "queue", "back", "why", "orphans", "recommendations"}
        assert next(events)[1:] == ("hello", {"version": "0.1.0", "read_only": False})
        while parts:
            parts -= {next(events)[1]}
        stage.set_level(2)
        at, about = next((at, data) for at, name, data in events if name == "level")
        assert about["level"] == 2
        assert about["reasons"] == ["set by hand"]
        holder = stage.hold("--task", label)
        held = next(data for _, name, data in events if name == "leases" and data["leases"])
        assert [text(one, "task") for one in rows(held, "leases")] == [label]
        stage.hold("--task", "second")
        third = stage.hold("--task", "third")
        queue = next(data for _, name, data in events if name == "queue" and data["waiting"])
        assert whole(rows(queue, "waiting")[0], "pid") in (third.pid, stage.look().waiters[0])
        holder.kill()
        stage.until(lambda view: view.in_use() == 2)
    with closing(dashboard.events(at)) as events:  # what comes after that one, and no more
        _, again, _ = next(events)
        news = [next(events) for _ in range(2)]
    assert again == "hello"
    assert "level" not in [name for _, name, _ in news]
    for pid in stage.look().holders:
        os.kill(pid, signal.SIGKILL)
    stage.until(lambda view: view.in_use() == 0)
    dashboard.act(op="level", auto=True)
    assert level(stage) == 0


def test_all_pages_share_what_is_asked_of_the_daemon(stage: Stage, dashboard: Dashboard) -> None:
    def connections() -> int:
        with stage.client() as client:
            return whole(client.ask("metrics"), "connections")

    with closing(dashboard.events()) as first, closing(dashboard.events()) as second:
        next(one for one in first if one[1] == "recommendations")
        with_one = connections()
        next(one for one in second if one[1] == "recommendations")
        assert connections() == with_one


def test_a_daemon_that_goes_away_and_comes_back_is_told(stage: Stage, dashboard: Dashboard) -> None:
    with closing(dashboard.events()) as events:
        next(one for one in events if one[1] == "back")
        stage.kill_daemon()
        away = next(data for _, name, data in events if name == "away")
        assert away["why"]
        late, _ = first(dashboard, "away", lambda _: True)  # who comes meanwhile hears of it, too
        stage.serve()
        names: list[str] = []
        while "back" not in names:
            names.append(next(events)[1])
        assert "level" not in names  # it is what it was
        assert whole(first(dashboard, "state", lambda _: True)[1], "pid") == stage.daemon_pid
    for last_id in (late, ""):
        with closing(dashboard.events(last_id)) as events:
            names = []
            while "back" not in names:
                names.append(next(events)[1])
            assert "away" not in names


def test_the_past_is_told_in_columns(stage: Stage, dashboard: Dashboard) -> None:
    assert stage.run("run", "--task", "past", "--", "true").returncode == 0
    dashboard.act(op="level", set=2)
    dashboard.act(op="level", auto=True)
    stage.until(lambda view: view.in_use() == 0)
    stage.kill_daemon(signal.SIGTERM)  # which writes what it has
    stage.serve()
    found = dashboard.ask("/history?from_s=600&points=7", dashboard.bearer).json
    series = mapping(found, "series")
    memory = mapping(series, "memory_used_pct")
    assert 1 <= len(words_of(series, "at")) <= 7
    for name in ("mean", "min", "max"):
        assert len(words_of(memory, name)) == len(words_of(series, "at"))
    assert "past" in [text(one, "task") for one in rows(found, "leases")]
    assert {(one["level"], one["by_hand"]) for one in rows(found, "levels")} >= {(2, True)}
    for wrong in ("points=0", "points=1e9", "from_s=nan", "from_s=5&to_s=6", "from_s=x"):
        answer = dashboard.ask(f"/history?{wrong}", dashboard.bearer)
        assert answer.status == 400, wrong
    assert rows(dashboard.ask("/tasks?since_s=600", dashboard.bearer).json, "tasks") is not None
    assert dashboard.ask("/fleet", dashboard.bearer).json == {"nodes": []}
    assert dashboard.ask("/nothing", dashboard.bearer).status == 404


def test_prometheus_reads_the_metrics(dashboard: Dashboard) -> None:
    answer = dashboard.ask("/metrics", dashboard.bearer)
    assert answer.status == 200
    families = {one.name: one for one in text_string_to_metric_families(answer.body.decode())}
    assert families["admission_level"].samples[0].value == 0
    limits = {one.labels["pool"]: one.value for one in families["admission_slots_limit"].samples}
    assert limits["agents"] == 5


# --- what is done -------------------------------------------------------------------------------


def test_a_lease_is_released_from_the_page(stage: Stage, dashboard: Dashboard) -> None:
    holder = stage.hold("--task", "to be released")
    held = stage.until(lambda view: view.in_use() == 1).leases[0]
    assert dashboard.act(op="release", lease=held["lease"]).status == 200
    stage.until(lambda view: view.in_use() == 0)
    again = dashboard.act(op="release", lease=held["lease"])
    assert again.status == 404
    assert text(mapping(again.json, "error"), "code") == "unknown_lease"
    holder.kill()


def test_the_level_pauses_and_reservations_are_set_from_the_page(
    stage: Stage, dashboard: Dashboard
) -> None:
    assert dashboard.act(op="level", set=1, for_s=600).json["level"] == 1
    assert dashboard.act(op="pause", pool="agents", for_s=60).status == 200
    kept = dashboard.act(
        op="reserve", pool="operations", units=1, group="g", for_s=60, whole=True
    ).json
    _, seen = first(dashboard, "state", lambda data: bool(data["reservations"]))
    assert [whole(one, "reservation") for one in rows(seen, "reservations")] == [
        kept["reservation"]
    ]
    assert {text(one, "pool"): one["paused"] for one in rows(seen, "pools")}["agents"] is True
    assert mapping(seen, "by_hand")["off"] is False
    assert dashboard.act(op="unreserve", reservation=kept["reservation"]).json["found"] is True
    assert dashboard.act(op="unpause").json["found"] is True
    assert dashboard.act(op="level", auto=True).json["level"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells marks")
def test_an_orphan_is_stopped_from_the_page_and_nothing_else_is(
    stage: Stage, dashboard: Dashboard
) -> None:
    assert dashboard.act(op="stop", pid=os.getpid(), start_ticks=1).status == 400

    def has(pid: int, data: Frame) -> bool:
        return pid in [one["pid"] for one in rows(data, "survivors")]

    with left_by(stage, "sh", "-c", LEAVES) as pid:
        dashboard.act(op="unpause")  # after an act all is looked at anew
        _, seen = first(dashboard, "orphans", lambda data: has(pid, data))
        (row,) = (one for one in rows(seen, "survivors") if one["pid"] == pid)
        ticks = whole(row, "start_ticks")
        assert dashboard.act(op="stop", pid=pid, start_ticks=ticks + 1).status == 400
        assert is_there(pid)
        done = dashboard.act(op="stop", pid=pid, start_ticks=ticks)
        assert [text(one, "how") for one in rows(done.json, "stopped")] == ["ended"]
        assert not is_there(pid)
        first(dashboard, "orphans", lambda data: not has(pid, data))


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"op": 5}', '{"op": "acquire"}', '{"op": "reload"}', "[" * 9000, "x"]
)
def test_nonsense_is_told_what_is_wrong(dashboard: Dashboard, body: str) -> None:
    answer = dashboard.ask("/act", dashboard.acting, "POST", body)
    assert answer.status == 400
    assert text(mapping(answer.json, "error"), "message")


def test_a_request_that_is_too_long_is_refused(dashboard: Dashboard) -> None:
    assert dashboard.act(op="unpause", group="x" * 10_000).status == 200
    assert dashboard.act(op="unpause", group="x" * 20_000).status == 400


# --- the process --------------------------------------------------------------------------------


def test_read_only_refuses_all_acts_and_its_token_is_kept(stage: Stage) -> None:
    file = stage.folder / "token"
    words = ("dashboard", "--port", "0", "--no-open", "--read-only", "--token-file", str(file))
    dashboard = Dashboard(stage.spawn(*words))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() == dashboard.token
    with closing(dashboard.events()) as events:
        assert next(events)[2]["read_only"] is True
        answer = dashboard.act(op="level", set=3)
        assert answer.status == 403
        assert "--read-only" in text(mapping(answer.json, "error"), "message")
        assert level(stage) == 0
        # Ctrl-C ends it, though a page is open.
        dashboard.process.send_signal(signal.SIGINT)
        assert dashboard.process.wait() == 0
    assert dashboard.process.stderr is not None
    assert dashboard.process.stderr.read() == b""


def test_a_port_that_is_taken_is_one_sentence(stage: Stage, dashboard: Dashboard) -> None:
    said = stage.call("dashboard", "--port", str(dashboard.port), "--no-open")
    assert said.returncode == 69
    assert said.stderr.count("\n") == 1
    assert "--port 0 takes a free one" in said.stderr
