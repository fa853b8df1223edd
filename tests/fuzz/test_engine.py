"""The small mutator of our own: coverage leads it, and what it finds is made small and kept."""

from pathlib import Path
from random import Random

import pytest

from scripts import fuzz
from scripts.fuzz import Coverage, Fuzzer, Mutator
from tests.fuzz.targets import TARGETS, Target


def gate(data: bytes) -> None:
    """Three doors, one behind the other: by chance alone nobody comes through in a lifetime."""
    if b"\x81" not in data:
        return
    if b"\x17" not in data:
        return
    if b"\x99" not in data:
        return
    raise KeyError("found")


def run(fuzzer: Fuzzer, runs_max: int) -> None:
    while fuzzer.runs < runs_max:
        fuzzer.step()


@pytest.fixture(autouse=True)
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this is kept where the real cases are, and this file is what is covered."""
    monkeypatch.setattr(fuzz, "CASES", tmp_path)
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "OURS", (__file__,))
    return tmp_path


def test_what_was_reached_is_told_apart() -> None:
    coverage = Coverage()
    nothing, one = coverage.run(gate, b""), coverage.run(gate, b"\x81")
    assert one - nothing
    assert coverage.run(gate, b"\x81\x81") == one
    assert coverage.run(TARGETS["decoder"].run, b"") == set(), "not ours"


def test_coverage_leads_through_doors_and_what_is_found_is_small_and_kept(cases: Path) -> None:
    fuzzer = Fuzzer("gate", Target(gate, (bytes(40),), 1), Random(1))
    with pytest.raises(KeyError):
        run(fuzzer, 100_000)
    assert len(fuzzer.corpus) >= 3
    (kept,) = (cases / "gate").iterdir()
    assert sorted(kept.read_bytes()) == [0x17, 0x81, 0x99]
    assert list(fuzz.cases("gate")) == [kept.read_bytes()]


def test_what_was_found_before_is_tried_first(cases: Path) -> None:
    (cases / "gate").mkdir()
    (cases / "gate" / "case").write_bytes(b"\x81\x17\x99")
    with pytest.raises(KeyError):
        Fuzzer("gate", Target(gate, (), 1), Random(1))


def test_a_seed_repeats_the_runs() -> None:
    corpus = [b"abc", bytes(range(50))]
    one, other = Mutator(Random(7)), Mutator(Random(7))
    assert [one.child(corpus) for _ in range(99)] == [other.child(corpus) for _ in range(99)]
    assert max(len(one.child([bytes(fuzz.BYTES_MAX)])) for _ in range(99)) <= fuzz.BYTES_MAX
