"""What the benchmarks reckon and print; and that one of them runs, whatever its figures are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from admission.protocol import LENGTH_BYTES, Frame, Frames, encode
from scripts.bench.decision import Queue
from scripts.bench.figures import Figure, as_map, percentile, print_table, ratios, skipped
from scripts.bench.load import lease_talk
from scripts.bench.memory import Sizes, read_sizes
from scripts.bench.peers import Peer, why_skipped
from scripts.bench.peers.redis_semaphore import command, semaphore_talk
from scripts.bench.stage import Broken
from scripts.bench.tables import tables

ROOT = Path(__file__).parents[2]
LIMIT_S = 60


@pytest.mark.parametrize(
    ("pct", "expected"), [(0, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_a_percentile_is_one_of_the_values(pct: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, pct) == expected


def test_a_percentile_of_few_values_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile([7.0], 50) == 7.0


def test_ratios_go_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="argument"):
        ratios([1.0], [1.0, 2.0])


def test_the_median_meets_the_target_or_misses_it() -> None:
    values = [1.0, 2.0, 9.0]
    assert Figure("a", "", values, at_most=2).is_met is True
    assert Figure("a", "", values, at_most=1.9).is_met is False
    assert Figure("a", "", values, at_least=2).is_met is True
    assert Figure("a", "", values, at_least=2.1).is_met is False
    assert Figure("a", "", values).is_met is None


def test_what_was_skipped_says_why_and_meets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    why = "redis-server is not installed (apt install redis-server)"
    missing = skipped("loop: Redis", why)
    assert missing.is_met is None
    print_table([Figure("loop: ours", "pairs/s", [5000.0, 5100.0], at_least=1), missing])
    head, ours, last = capsys.readouterr().out.splitlines()
    assert last == f"loop: Redis  skipped: {why}"
    assert ours.startswith("loop: ours   5050 pairs/s  ")
    assert head.index("target") == ours.index(">= 1")
    found = as_map(missing)
    assert (found["median"], found["skipped"]) == (None, why)
    assert json.dumps(found)


def test_the_tables_of_the_document_have_servers_side_by_side() -> None:
    head = "pairs, 64 connections: trio echo"
    figures = [
        Figure(head, "pairs/s", [9.0, 10.0, 11.0]),
        Figure(f"{head}, p50 of acquire", "us", [50.0]),
        Figure(f"{head}, p99 of acquire", "us", [99.0]),
        Figure(f"{head}, CPU", "us/pair", [27.0]),
        Figure("pairs, 64 connections: daemon / trio echo", "", [0.5, 0.6], at_least=0.7),
        skipped("pairs: Redis semaphore", "no Redis"),
    ]
    wide, rest = tables([as_map(one) for one in figures]).split("\n\n")
    assert wide.splitlines()[2:] == ["| 64 | trio echo | 10 pairs/s | 50 us | 99 us |"]
    assert rest.splitlines()[2:] == [
        f"| {head}, CPU | 27 us/pair | | | |",
        "| pairs, 64 connections: daemon / trio echo | 0.55 | 0.525 to 0.575 | >= 0.7 | **no** |",
        "| pairs: Redis semaphore | skipped: no Redis | | | |",
    ]


def test_a_peer_that_is_missing_says_how_to_get_it() -> None:
    here = Peer("sh", "dash")
    program, module = Peer("no-such-program", "no-package"), Peer("no_such_module")
    assert why_skipped(here) == ""
    assert why_skipped(here, program, module) == (
        "no-such-program is not installed (apt install no-package); "
        "no_such_module is not installed (pip install '.[bench]')"
    )


def test_the_daemon_is_asked_for_a_lease_and_gets_that_one_back() -> None:
    talk = lease_talk()
    assert decoded(next(talk))["op"] == "acquire"
    release = decoded(talk.send(encode({"id": 1, "ok": True, "lease": 42})))
    assert (release["op"], release["lease"]) == ("release", 42)
    again = talk.send(encode({"id": 2, "ok": True}))
    assert decoded(again)["op"] == "acquire"


def test_an_echo_is_taken_for_a_lease() -> None:
    talk = lease_talk()
    echoed = next(talk)
    for op in ("release", "acquire", "release"):
        echoed = talk.send(echoed)
        assert decoded(echoed)["op"] == op


@pytest.mark.parametrize("answer", [{"ok": False, "error": {}}, {"event": "queued"}])
def test_a_refusal_or_a_wait_is_no_pair(answer: Frame) -> None:
    talk = lease_talk()
    next(talk)
    with pytest.raises(Broken, match="refused, or had to wait"):
        talk.send(encode({"id": 1, **answer}))


def test_redis_is_asked_in_its_own_words() -> None:
    assert command("ZREM", "clé", "") == b"*3\r\n$4\r\nZREM\r\n$4\r\ncl\xc3\xa9\r\n$0\r\n\r\n"
    talk = semaphore_talk("digest")
    assert next(talk).startswith(b"*7\r\n$7\r\nEVALSHA\r\n$6\r\ndigest\r\n$1\r\n1\r\n")
    assert b"ZREM" in talk.send(b":1\r\n")
    with pytest.raises(Broken, match="Redis answered"):
        talk.send(b":0\r\n")


def test_sizes_are_sums_of_all_mappings() -> None:
    smaps = (
        "aaaad4e70000-ffffe3d4a000 ---p 00000000 00:00 0    [rollup]\n"
        "Rss:                4000 kB\nPss:                2500 kB\nPss_Dirty:          1000 kB\n"
        "Shared_Clean:       2000 kB\nPrivate_Clean:       500 kB\nPrivate_Dirty:      1500 kB\n"
    )
    assert read_sizes(smaps) == Sizes(uss=2000 * 1024, pss=2500 * 1024, rss=4000 * 1024)


@pytest.mark.parametrize("groups", [1, 7])
def test_a_queue_keeps_its_length_turn_by_turn(groups: int) -> None:
    queue = Queue(20, groups)
    leases = set()
    for _ in range(50):
        queue.turn()
        leases.add(queue.held)
        assert queue.waiting == 20
    assert len(leases) == 50


@pytest.mark.skipif(sys.platform != "linux", reason="what the benchmarks read is Linux's alone")
def test_a_benchmark_runs_and_writes_its_values(tmp_path: Path) -> None:
    words = ["--rounds", "1", "--only", "handover", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "figures.json").read_text())
    names = {figure["name"] for figure in found["figures"]}
    assert "handover: p50 / a round trip" in names
    assert all(name in done.stdout for name in names)


def decoded(data: bytes) -> Frame:
    assert int.from_bytes(data[:LENGTH_BYTES], "big") == len(data) - LENGTH_BYTES
    [frame] = Frames().feed(data)
    return frame
