"""Input that was never meant to come: by grammar, at random, and what was once found.

`python -m scripts.fuzz` looks on for as long as one likes, led by coverage.
"""

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.pool import Pool
from admission.protocol import Frame, encode
from admission.service.turns import Turns
from tests.fuzz.material import FIELDS, ODD_VALUES, REQUESTS, packed, pairs_of, raw_frame, raw_map
from tests.fuzz.sessions import LINES, End, HangUp, Pass, Read, Say, Session, Step, play
from tests.fuzz.targets import TARGETS

CASES = Path(__file__).parent / "cases"
# What each example costs differs a thousandfold from target to target.
QUICK = settings(max_examples=100)
SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


# --- strategies ---------------------------------------------------------------------------------

plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
values = st.sampled_from(ODD_VALUES) | plain_values.map(packed)
keys = st.sampled_from(FIELDS).map(packed) | values


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A golden request with some of its fields changed, doubled, added or left out."""
    message = {**draw(st.sampled_from(REQUESTS)), "id": draw(st.integers(0, 5))}
    pairs = pairs_of(message)
    for index in draw(st.lists(st.integers(0, len(pairs) - 1), max_size=2)):
        pairs[index] = (pairs[index][0], draw(values))
    pairs += draw(st.lists(st.tuples(keys, values), max_size=2))
    left_out = draw(st.sets(st.integers(2, len(pairs)), max_size=1))
    kept = [pair for index, pair in enumerate(pairs) if index not in left_out]
    return raw_frame(raw_map(kept))


lines = st.integers(0, LINES - 1)
# A golden frame now and then, so that there is something to disturb.
sane = st.sampled_from([encode({**message, "id": 3}) for message in REQUESTS])
steps = st.one_of(
    st.builds(Say, lines, frames()),
    st.builds(Say, lines, sane),
    st.builds(Say, lines, st.binary(max_size=40)),
    st.builds(Say, lines, frames().map(lambda frame: frame[: len(frame) // 2])),
    st.builds(HangUp, lines),
    st.builds(End, lines),
    st.builds(Read, lines),
    st.builds(Pass, st.sampled_from([0.01, 0.6, 11.0])),
)


# --- what must hold -----------------------------------------------------------------------------


@SLOW
@given(st.lists(steps, max_size=25))
def test_no_story_breaks_the_daemon_or_anybody_elses_lease(story: list[Step]) -> None:
    play(story)


@QUICK
@given(st.lists(frames() | st.binary(max_size=30), max_size=5).map(b"".join))
def test_however_a_stream_is_cut_the_same_frames_come_of_it(data: bytes) -> None:
    TARGETS["decoder"].run(data)


@QUICK
@given(st.binary(min_size=60, max_size=240))
def test_whatever_hands_do_and_whenever_the_daemon_dies_all_holds(data: bytes) -> None:
    TARGETS["hands"].run(data)


@pytest.mark.parametrize("name", ["damaged_journal", "unchecked_journal"])
@SLOW
@given(data=st.binary(max_size=30))
def test_whatever_is_in_the_journal_the_daemon_starts(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", ["client", "odd_answers"])
@QUICK
@given(data=st.binary(max_size=60))
def test_a_hostile_daemon_gets_no_more_than_an_error_out_of_a_client(
    name: str, data: bytes
) -> None:
    TARGETS[name].run(data)


def found_before() -> Iterator[object]:
    for name, target in TARGETS.items():
        for path in sorted((CASES / name).glob("*")):
            yield pytest.param(name, path.read_bytes(), id=f"{name}: {path.name}")
        for number, seed in enumerate(target.seeds[:3]):
            yield pytest.param(name, seed, id=f"{name}: seed {number}")


@pytest.mark.parametrize(("name", "data"), list(found_before()))
def test_what_was_found_once_is_found_no_more(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


# --- memory -------------------------------------------------------------------------------------

GARBAGE_ROUNDS = 40
# What a run of the same garbage may leave behind: caches that are filled at times.
LEFT_BYTES_MAX = 60_000


@pytest.mark.trio
async def test_garbage_on_one_connection_leaves_nothing_behind(
    nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock
) -> None:
    turns = Turns()
    session = Session(tmp_path, turns, nursery)
    nursery.start_soon(turns.run)
    await nursery.start(session.stage.daemon.run, [], frozenset())
    client = session.connect()
    messages: list[Frame] = [
        {"id": 1, "op": "x" * 100},
        {"id": 2, "op": "watch", "topics": ["none"]},
        {"id": 3, "op": "acquire", "weight": 1.5, "task": "t" * 300},
        {"id": 4, "op": "acquire", "pool": "nowhere" * 9},
        {"id": 5, "op": "cancel", "target": 9},
        {"id": 6, "op": "release", "lease": 99},
        {"id": 7, "op": "acquire", "wait_s": 0.01, "weight": 5},
        {"id": 7, "op": "cancel", "target": 7},
    ]
    garbage = [encode(message) for message in messages]

    async def speak() -> None:
        for _ in range(GARBAGE_ROUNDS):
            for frame in garbage:
                client.say(frame)
            await wait_all_tasks_blocked()
            client.read()
            client.seen.clear()

    await speak()
    await speak()
    tracemalloc.start()
    try:
        await speak()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await speak()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < LEFT_BYTES_MAX, f"{grown} bytes"
    client.close()
    await wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()


# --- and the harness can fail -------------------------------------------------------------------


def test_a_core_that_forgets_who_it_granted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Admission._cancel

    def cancel(self: Admission, now: float, event: ev.Cancel) -> None:
        honest(self, now, event)
        for pool in self.pools.values():
            pool.leases.clear()

    monkeypatch.setattr(Admission, "_cancel", cancel)
    with pytest.raises(BaseExceptionGroup):
        play([Say(0, encode({"id": 1, "op": "cancel", "target": 4}))])


def test_a_pause_that_holds_nobody_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "suits", lambda self, waiter: self.objection(waiter) is None)
    dice = Random(1)
    stories = [dice.randbytes(200) for _ in range(200)]
    with pytest.raises(AssertionError):
        list(map(TARGETS["hands"].run, stories))


def test_a_dispatch_that_lets_an_exception_through_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handle(self: object, now: float) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("admission.service.connections.Connection._handle", handle)
    with pytest.raises(BaseExceptionGroup):
        play([Say(0, encode({"id": 1, "op": "status"}))])
