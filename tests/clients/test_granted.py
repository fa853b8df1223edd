"""What the daemon granted, and what to ask it."""

import pytest

from admission.protocol import Frame, Unreachable
from admission_client.granted import (
    Lease,
    Params,
    claim_fields,
    enclosing_lease,
    mapping,
    number,
    rows,
    text,
    whole,
    words_of,
)
from tests.clients.answers import GRANTED, PARAMS, without


def test_a_lease_is_what_the_answer_says() -> None:
    lease = Lease(GRANTED)
    assert (lease.id, lease.fence, lease.pool, lease.weight) == (42, 43, "agents", 1)
    assert (lease.level, lease.waited_s, lease.is_shared) == (2, 12.003, False)
    assert lease.params.reasoning_effort == "medium"
    assert lease.reply is GRANTED
    assert repr(lease) == "<Lease 42: 1 of agents>"
    assert Lease({**GRANTED, "shared": True}).is_shared


def test_params_are_the_row_of_the_table_of_levels() -> None:
    params = Params(PARAMS)
    assert {name: getattr(params, name) for name in Params.__slots__} == PARAMS
    assert repr(params) == "<Params of level 2 (medium)>"


def test_a_command_learns_from_its_environment_what_it_was_granted() -> None:
    assert Lease(GRANTED).environment() == {
        "ADMISSION_LEASE": "42",
        "ADMISSION_FENCE": "43",
        "ADMISSION_LEVEL": "2",
        "ADMISSION_BATCH_SIZE": "25",
        "ADMISSION_DELAY_MS": "1000",
        "ADMISSION_MAX_CONCURRENT": "1",
        "ADMISSION_REASONING_EFFORT": "medium",
    }


# --- nonsense -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*GRANTED} - {"id", "ok", "shared"}))
@pytest.mark.parametrize("value", [None, b"5", [1], "missing"], ids=str)
def test_an_answer_without_a_usable_field_is_no_daemons(name: str, value: object) -> None:
    broken = without(GRANTED, name) if value == "missing" else {**GRANTED, name: value}
    with pytest.raises(Unreachable) as problem:
        Lease(broken)
    assert str(problem.value) == (
        f'what answers has no usable "{name}" in its answer: it is no admission daemon, or one of '
        'another version; restart it with "admission serve"'
    )


@pytest.mark.parametrize("name", PARAMS)
def test_the_same_holds_for_the_parameters(name: str) -> None:
    with pytest.raises(Unreachable, match=f'has no usable "{name}"'):
        Lease({**GRANTED, "params": without(PARAMS, name)})


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_a_whole_number_is_one(value: object) -> None:
    with pytest.raises(Unreachable, match='has no usable "level"'):
        whole({"level": value}, "level")


@pytest.mark.parametrize("value", [True, "1", None, []])
def test_a_number_is_one(value: object) -> None:
    with pytest.raises(Unreachable, match='has no usable "age_s"'):
        number({"age_s": value}, "age_s")


@pytest.mark.parametrize("value", [{}, [1], [{}, None], "rows", None])
def test_rows_are_a_list_of_maps(value: object) -> None:
    with pytest.raises(Unreachable, match='has no usable "leases"'):
        rows({"leases": value}, "leases")


def test_text_that_no_environment_takes_is_nonsense() -> None:
    with pytest.raises(Unreachable, match='has no usable "reasoning_effort"'):
        Lease({**GRANTED, "params": {**PARAMS, "reasoning_effort": "me\0dium"}})


def test_what_is_usable_comes_as_it_is() -> None:
    frame: Frame = {"n": 5, "x": 0.5, "t": "a", "m": {"a": 1}, "r": [{}, {"a": 1}], "w": ["a", 1]}
    assert (whole(frame, "n"), number(frame, "n"), number(frame, "x")) == (5, 5, 0.5)
    assert (text(frame, "t"), mapping(frame, "m")) == ("a", {"a": 1})
    assert (rows(frame, "r"), words_of(frame, "w")) == ([{}, {"a": 1}], ["a", "1"])
    with pytest.raises(Unreachable, match='has no usable "w"'):
        words_of({"w": "ab"}, "w")


# --- asking -------------------------------------------------------------------------------------


def test_a_claim_holds_what_was_given_and_the_defaults() -> None:
    assert claim_fields() == {
        "pool": "agents",
        "weight": 1,
        "task": "",
        "class": "normal",
        "group": "",
        "bound": "process",
    }
    fields = claim_fields(class_="batch", ttl_s=5.0, pid=7, parent=42, bound="connection")
    assert fields["class"] == "batch"
    assert (fields["ttl_s"], fields["pid"], fields["parent"]) == (5.0, 7, 42)
    assert fields["bound"] == "connection"


@pytest.mark.parametrize(
    ("written", "lease"),
    [
        (None, None),
        ("", None),
        ("42", 42),
        ("0", None),
        ("-1", None),
        (" 42", None),
        ("4²", None),
        ("forty-two", None),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
    ],
)
def test_the_lease_one_runs_under_is_read_from_the_environment(
    written: str | None, lease: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if written is not None:
        monkeypatch.setenv("ADMISSION_LEASE", written)
    assert enclosing_lease() == lease
