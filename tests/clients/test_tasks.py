"""The list of tasks: a shell command a line, or a JSON object a line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.protocol import LABEL_CHARS_MAX
from admission_client.options import Options, WrongUsage
from admission_client.tasks import Task, read_tasks


def read(*lines: str) -> list[Task]:
    return read_tasks(list(lines), "tasks.txt")


# --- what is right ------------------------------------------------------------------------------


def test_a_line_is_a_shell_command_and_its_own_label() -> None:
    assert read("make lint", "  make   test && echo 'a  b'  ") == [
        Task(1, "make lint", "make lint"),
        Task(2, "make   test && echo 'a  b'", "make test && echo 'a b'"),
    ]


def test_empty_lines_and_comments_are_passed_over_and_not_counted() -> None:
    found = read("# tasks", "", "make lint", "   ", "  # more", "make test # the slow ones")
    assert [(task.number, task.command) for task in found] == [
        (1, "make lint"),
        (2, "make test # the slow ones"),
    ]


def test_a_line_of_json_may_say_more() -> None:
    line = json.dumps(
        {"task": "tests", "command": "make test", "cwd": "app", "env": {"CI": "1"}, "weight": 2}
    )
    assert read(line) == [Task(1, "make test", "tests", "app", {"CI": "1"}, 2)]


def test_of_json_only_the_command_is_needed() -> None:
    assert read('{"command": "make test"}') == [Task(1, "make test", "make test")]
    assert read('{"command": "make test", "task": ""}') == [Task(1, "make test", "make test")]


def test_a_label_is_one_line_of_at_most_the_length_that_the_daemon_takes() -> None:
    (task,) = read(json.dumps({"command": "x", "task": " a\n\tb " + "c" * 500}))
    assert task.name.startswith("a b c")
    assert len(task.name) == LABEL_CHARS_MAX
    assert task.command == "x"


# --- what is broken -----------------------------------------------------------------------------

WRONG = [
    ("{", "this is no JSON (Expecting property name enclosed in double quotes at character 2)"),
    ("{ echo a; }", "this is no JSON"),
    ('{"command": "a"} {"command": "b"}', "this is no JSON (Extra data at character 18)"),
    ("{}", '"command" must be a shell command'),
    ('{"command": "  "}', '"command" must be a shell command'),
    ('{"command": ["make", "test"]}', '"command" must be a shell command'),
    ('{"command": "a", "cmd": "b", "zeal": 1}', '"cmd" is not known here'),
    (json.dumps({"command": "a", "\x1b[2J": 1}), '"\\u001b[2J" is not known here'),
    ('{"command": "a", "task": 5}', '"task" and "cwd" must be strings'),
    ('{"command": "a", "cwd": ["b"]}', '"task" and "cwd" must be strings'),
    ('{"command": "a", "env": ["b"]}', '"env" must be an object of strings'),
    ('{"command": "a", "env": {"N": 1}}', '"env" must be an object of strings'),
    ('{"command": "a", "weight": 0}', '"weight" must be a whole number from 1 up'),
    ('{"command": "a", "weight": 1.5}', '"weight" must be a whole number from 1 up'),
    ('{"command": "a", "weight": true}', '"weight" must be a whole number from 1 up'),
    ('{"command": "a", "weight": null}', '"weight" must be a whole number from 1 up'),
    ('{"command": ' + "[" * 100_000, "this is no JSON"),
    ('{"command": "a", "weight": 1' + "0" * 5000 + "}", "this is no JSON"),
    # What no process can be given.
    ("echo a\0b", "no process can be given"),
    (json.dumps({"command": "a\0b"}), "no process can be given"),
    (json.dumps({"command": "a", "cwd": "a\0b"}), "no process can be given"),
    (json.dumps({"command": "a", "env": {"N": "a\0b"}}), "no process can be given"),
    (json.dumps({"command": "a", "env": {"N\0": "b"}}), "no process can be given"),
    (json.dumps({"command": "a\ud800b"}), "no process can be given"),
    (json.dumps({"command": "a", "task": "\ud800"}), "no process can be given"),
    (json.dumps({"command": "a", "env": {"N=M": "b"}}), '"N=M" is no name of a variable'),
    (json.dumps({"command": "a", "env": {"": "b"}}), '"" is no name of a variable'),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=range(len(WRONG)))
def test_a_broken_line_gives_one_sentence_with_its_source_and_number(line: str, says: str) -> None:
    with pytest.raises(WrongUsage) as problem:
        read("# a comment counts as a line", "make lint", line, "make test")
    message = str(problem.value)
    assert message.startswith(f"tasks.txt, line 3: {says}")
    assert message.isprintable()
    assert problem.value.exit_status == 2


@pytest.mark.parametrize("lines", [[], ["", "# nothing"]])
def test_a_list_without_tasks_is_a_mistake(lines: list[str]) -> None:
    with pytest.raises(WrongUsage, match=r"^tasks\.txt holds no tasks; write a shell command"):
        read(*lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["task", "command", "cwd", "env", "weight", "\x1b[2J"])
LINES = st.text(max_size=30) | st.dictionaries(NAMES, JSON | st.text(max_size=5)).map(json.dumps)


@settings(max_examples=100)
@given(st.lists(LINES, max_size=4))
def test_any_lines_are_tasks_or_one_printable_sentence(lines: list[str]) -> None:
    try:
        found = read(*lines)
    except WrongUsage as problem:
        message = str(problem)
        assert message.startswith("tasks.txt")
        assert message.isprintable()
        return
    assert [task.number for task in found] == list(range(1, len(found) + 1))
    for task in found:
        assert "\0" not in task.command
        assert task.command.encode()
        assert 1 <= len(task.name) <= LABEL_CHARS_MAX


def test_a_task_has_bounds_of_its_own_or_those_of_all() -> None:
    options = Options()
    options.by_s, options.max_hold_s, options.end_after_max = 60.0, 5.0, True
    lines = ['{"command": "a", "by": "10m", "max_hold": "2h"}', "b"]
    own, other = (one.within(options) for one in read_tasks(lines, "here"))
    assert own.limits(own.by_at - 600.0) == ["--by=600.000", "--max-hold=7200.000"]
    assert other.limits(other.by_at) == ["--by=0.000", "--max-hold=5.000", "--end-after-max"]
    (put_off,) = read_tasks(['{"command": "a", "defer": true}'], "here")
    assert put_off.within(Options()).limits(0.0) == ["--defer"]
    for wrong in (
        '"defer": 1',
        '"by": 5',
        '"end_after_max": true',
        '"max_hold": "soon"',
        '"by": "24:00"',
    ):
        with pytest.raises(WrongUsage, match="here, line 1"):
            read_tasks([f'{{"command": "a", {wrong}}}'], "here")


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("claude -p 'go on'", "claude"),
        ("CI=1 /usr/bin/make test", "make"),
        ("(cd a && make)", ""),
        ("A=1", ""),
    ],
)
def test_the_program_of_a_command_is_known_where_it_stands_first(
    command: str, program: str
) -> None:
    (task,) = read_tasks([command], "list")
    assert task.program == program
