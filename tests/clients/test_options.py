"""The table of options: two readers of it agree, and mistakes are explained."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission_client.durations import parse_duration, parse_when
from admission_client.hold import ACQUIRE, RUN
from admission_client.options import (
    CLASSES,
    HOLDS,
    JOBSERVER_STYLES,
    JSON,
    NESTED,
    PARK_SIGNALS,
    SOCKET,
    Option,
    Options,
    WrongUsage,
    _parse_quickly,
    _parse_thoroughly,
    build_parser,
    parse,
    parse_class,
    parse_count,
    parse_descriptor,
    parse_hold,
    parse_hold_of_another,
    parse_leases,
    parse_nested,
    parse_park_signal,
    parse_style,
    take_no_words,
)

Table = tuple[Option, ...]

RUN_USAGE = "run [options] -- COMMAND [ARGUMENT ...]"
ACQUIRE_USAGE = "acquire [options]"
COMMANDS = {"run": (RUN, RUN_USAGE), "acquire": (ACQUIRE, ACQUIRE_USAGE)}

# --- command lines from the table ---------------------------------------------------------------

RIGHT_VALUES = {
    parse_count: st.sampled_from(["1", "7", "4294967296"]),
    parse_duration: st.sampled_from(["0", "500ms", "30s", "2h", "1.5"]),
    parse_class: st.sampled_from(CLASSES),
    parse_hold: st.sampled_from(HOLDS),
    parse_hold_of_another: st.sampled_from(["process", "tree"]),
    parse_descriptor: st.sampled_from(["0", "3"]),
    parse_nested: st.sampled_from(NESTED),
    parse_park_signal: st.sampled_from(PARK_SIGNALS),
    parse_style: st.sampled_from(JOBSERVER_STYLES),
    parse_when: st.sampled_from(["20m", "0"]),
    str: st.sampled_from(["", "agents", "a b", "naïve = 日本", "x=y"]),
}
ANY_VALUES = st.sampled_from(["", "0", "-1", "-", "--", "soon", "--json", "a b", "9" * 30])
WORDS = st.sampled_from(["make", "", "5", "a b", "日本", "x=y"])
ANY_WORDS = WORDS | st.sampled_from(["-", "--", "-q", "-x", "--json", "--pool", "--weight=2", "-5"])


def given_options(table: Table) -> st.SearchStrategy[list[str]]:
    """Right options in any order, each in any of the ways to write it."""

    def written(option: Option) -> st.SearchStrategy[list[str]]:
        names = st.sampled_from(option.names)
        if not option.metavar:
            return names.map(lambda name: [name])
        pairs = st.tuples(names, RIGHT_VALUES[option.convert])
        joined = pairs.map(lambda pair: [f"{pair[0]}={pair[1]}"])
        return joined | pairs.map(list)

    some = st.lists(st.sampled_from(table).flatmap(written), max_size=4)
    return some.map(lambda parts: [word for part in parts for word in part])


def given_anything(table: Table) -> st.SearchStrategy[list[str]]:
    """What a table, a typing error and a misunderstanding could make together."""
    names = st.sampled_from([name for option in table for name in option.names])
    mistaken = names.map(lambda name: name[:-1]) | st.just("--nonsense")
    # The argparse of Python 3.11 makes an empty list of `--pool=--`.
    joined = st.tuples(names | mistaken, ANY_VALUES).map("=".join).filter(lambda w: w[-3:] != "=--")
    lines = st.lists(names | mistaken | joined | ANY_VALUES | ANY_WORDS, max_size=5)
    return st.tuples(given_options(table), lines).map(lambda pair: pair[0] + pair[1])


def found_by_argparse(words: list[str], table: Table, usage: str) -> dict[str, object] | None:
    """None where it refuses the line."""
    try:
        return vars(_parse_thoroughly(words, table, usage, ""))
    except SystemExit:
        return None


@pytest.mark.parametrize("command", COMMANDS)
@settings(max_examples=150)  # each makes an argument parser, which takes a millisecond
@given(data=st.data())
def test_a_right_line_is_read_quickly_and_as_argparse_reads_it(
    command: str, data: st.DataObject
) -> None:
    table, usage = COMMANDS[command]
    words = data.draw(given_options(table)) + data.draw(st.lists(WORDS, max_size=3))
    quick = _parse_quickly(words, table)
    assert quick is not None
    assert vars(quick) == found_by_argparse(words, table, usage)


@pytest.mark.parametrize("command", COMMANDS)
@settings(max_examples=150)  # each makes an argument parser, which takes a millisecond
@given(data=st.data())
def test_behind_two_dashes_all_are_words_and_both_readers_agree(
    command: str, data: st.DataObject
) -> None:
    table, usage = COMMANDS[command]
    rest = data.draw(st.lists(ANY_WORDS, max_size=4))
    words = [*data.draw(given_options(table)), "--", *rest]
    quick = _parse_quickly(words, table)
    assert quick is not None
    assert quick.words == rest
    assert vars(quick) == found_by_argparse(words, table, usage)


@pytest.mark.parametrize("command", COMMANDS)
@settings(max_examples=150)  # each makes an argument parser, which takes a millisecond
@given(data=st.data())
def test_whatever_is_read_quickly_is_what_argparse_reads(command: str, data: st.DataObject) -> None:
    table, usage = COMMANDS[command]
    words = data.draw(given_anything(table))
    quick = _parse_quickly(words, table)
    if quick is not None:
        assert vars(quick) == found_by_argparse(words, table, usage)


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["-x"], "unrecognized arguments: -x"),
        (["--pool"], "argument --pool: expected one argument"),
        (["--pool", "--json"], "argument --pool: expected one argument"),
        (["--w", "3"], "ambiguous option: --w could match --weight, --workspace, --wait"),
        (["--no-wait=3"], "argument --no-wait: ignored explicit argument '3'"),
        (["--weight", "0"], 'argument --weight: "0" is no whole number from 1 up'),
        (["--weight=-1"], 'argument --weight: "-1" is no whole number from 1 up'),
        (["--weight="], 'argument --weight: "" is no whole number from 1 up'),
        (["--weight", "²"], 'argument --weight: "²" is no whole number from 1 up'),
        (["--wait", "soon"], 'argument --wait: "soon" is no duration; write 500ms'),
        (["--ttl", "1h30m"], 'argument --ttl: "1h30m" is no duration; write 500ms'),
        (["--class", "vip"], 'argument --class: "vip" is no class; write critical, normal, batch'),
        (["--pid", "init"], 'argument --pid: "init" is no whole number from 1 up'),
    ],
)
def test_a_mistake_ends_with_status_2_and_one_clear_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words, ACQUIRE, ACQUIRE_USAGE, "Takes a lease.")
    assert end.value.code == 2
    out, err = capsys.readouterr()
    usage, line = err.splitlines()
    assert out == ""
    assert usage == "usage: admission acquire [options]"
    assert line.startswith("admission acquire: error: " + says)


def test_help_ends_with_status_0_and_tells_of_every_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--weight", "2", "--help"], RUN, RUN_USAGE, "Waits for a lease.")
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: admission run [options] -- COMMAND [ARGUMENT ...]\n")
    assert "Waits for a lease." in out
    told = " ".join(out.split())
    for option in RUN:
        assert all(name in out for name in option.names)
        assert option.help in told


def test_an_option_that_is_cut_short_is_understood_where_it_is_clear() -> None:
    found = parse(["--weigh", "3", "--", "make", "-k"], RUN, RUN_USAGE, "")
    assert (found.weight, found.words) == (3, ["make", "-k"])


# --- what the words are -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--weight", "2", "--", "make", "--weight", "9", "-q"],
        ["--weight", "2", "make", "--weight", "9", "-q"],
        ["--weight=2", "make", "--weight=9", "--help"],
        ["--weight=2", "make", "--", "--weight=9"],
    ],
)
def test_options_behind_the_command_are_the_commands(words: list[str]) -> None:
    found = parse(words, RUN, RUN_USAGE, "")
    assert (found.weight, found.quiet) == (2, False)
    assert found.words == words[words.index("make") :]


def test_options_behind_a_word_are_options_where_no_command_is_taken() -> None:
    table = (JSON, SOCKET)
    usage = "release [options] LEASE ..."
    found = parse(["5", "6", "--json", "--socket", "a.sock"], table, usage, "")
    assert (found.json, found.socket, found.words) == (True, "a.sock", ["5", "6"])
    assert parse(["5", "--", "6"], table, usage, "").words == ["5", "6"]


def test_the_last_of_two_counts() -> None:
    assert parse(["--wait", "5", "--no-wait"], RUN, RUN_USAGE, "").wait_s == 0
    assert parse(["--no-wait", "--wait", "5"], RUN, RUN_USAGE, "").wait_s == 5


def test_what_is_not_given_is_the_default() -> None:
    found = parse([], ACQUIRE, ACQUIRE_USAGE, "")
    assert vars(found) == {"words": []}
    assert (found.pool, found.weight, found.class_, found.wait_s) == ("agents", 1, "normal", None)


@pytest.mark.parametrize("option", [*RUN, *ACQUIRE], ids=lambda option: option.names[-1])
def test_every_option_is_kept_where_a_default_is(option: Option) -> None:
    assert hasattr(Options, option.dest)


def test_one_list_of_words_does_not_leak_into_the_next() -> None:
    Options().words.append("make")
    assert Options().words == []


def test_leases_are_named_by_their_numbers() -> None:
    found = Options()
    found.words = ["5", "17"]
    assert parse_leases("release", found) == [5, 17]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], 'release: name a lease; "admission leases" lists them'),
        (["5", "all"], 'release: a lease is named by its number: "all" is no whole number'),
        (["0"], 'release: a lease is named by its number: "0" is no whole number from 1 up'),
    ],
)
def test_what_names_no_lease_is_wrong_usage(words: list[str], says: str) -> None:
    found = Options()
    found.words = words
    with pytest.raises(WrongUsage) as problem:
        parse_leases("release", found)
    assert str(problem.value).startswith(says)
    assert (problem.value.exit_status, problem.value.code) == (2, "bad_request")


def test_a_word_too_many_is_wrong_usage() -> None:
    found = Options()
    take_no_words("status", found)
    found.words = ["please"]
    with pytest.raises(WrongUsage, match=r'^status: "please" is one word too many$'):
        take_no_words("status", found)


def test_the_parser_of_the_standard_library_comes_from_the_same_table() -> None:
    parser = build_parser(RUN, RUN_USAGE, "")
    assert parser.prog == "admission run"
    in_help = {name for action in parser._actions for name in action.option_strings}
    assert in_help == {"-h", "--help"} | {name for option in RUN for name in option.names}
