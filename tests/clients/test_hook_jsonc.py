"""Edits change what they are to change, and leave every other character where it was."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission_client.hook import jsonc

KEYS = st.text("abcde", min_size=1, max_size=3)
SCALARS = st.none() | st.booleans() | st.integers(-9, 99) | st.text('xy"\\/,{}[]# ', max_size=6)
GAPS = st.sampled_from(["", " ", "\n  ", " // a, b\n", "/* { */", "\n\t/* x\n y */ "])


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON as people write it: laid out anyhow, with comments and trailing commas."""

    def gap() -> str:
        return draw(GAPS)

    kind = draw(st.sampled_from(["scalar", "list", "map"])) if depth else "scalar"
    if kind == "scalar":
        return json.dumps(draw(SCALARS), ensure_ascii=False)
    if kind == "list":
        parts = [draw(texts(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    else:
        names = draw(st.lists(KEYS, max_size=3, unique=True))
        parts = [f"{json.dumps(n)}{gap()}:{gap()}{draw(texts(depth - 1))}" for n in names]
    inner = "".join(f"{gap()}{part}{gap()}," for part in parts)
    if parts and not draw(st.booleans()):
        inner = inner[:-1]
    ends = "[]" if kind == "list" else "{}"
    return f"{ends[0]}{inner}{gap()}{ends[1]}"


def containers(node: jsonc.Node) -> list[jsonc.Node]:
    below = [one for item in node.items for one in containers(item)]
    return [node, *below] if isinstance(node.value, (list, dict)) else below


def comments(text: str) -> list[str]:
    """What stands outside of strings and is a comment, in order."""
    pattern = re.compile(r'"(?:[^"\\]|\\.)*"|(//[^\n]*|/\*.*?\*/)', re.DOTALL)
    return [match[1] for match in pattern.finditer(text) if match[1]]


@given(texts(), st.data())
def test_what_is_added_is_there_and_nothing_else_has_changed(
    text: str, data: st.DataObject
) -> None:
    found = containers(jsonc.parse(text))
    if not found:
        return
    which = data.draw(st.integers(0, len(found) - 1))
    node = found[which]
    key = None if isinstance(node.value, list) else "new"
    value = {"hooks": [1, "zwei"], "x": None}
    edited = jsonc.add(text, node, value, key)
    now = containers(jsonc.parse(edited))[which].value
    if isinstance(node.value, dict):
        assert now == node.value | {"new": value}
    else:
        assert isinstance(node.value, list)
        assert now == [*node.value, value]
    assert comments(edited) == comments(text)


@given(texts(), st.data())
def test_what_is_removed_is_gone_and_nothing_else_has_changed(
    text: str, data: st.DataObject
) -> None:
    found = [node for node in containers(jsonc.parse(text)) if node.items]
    if not found:
        return
    node = data.draw(st.sampled_from(found))
    index = data.draw(st.integers(0, len(node.items) - 1))
    edited = jsonc.remove(text, node, index)
    gone = node.items[index]
    inside = comments(text[(node.keys or node.items)[index].start : gone.end])
    again = jsonc.parse(edited)
    same = next(one for one in containers(again) if one.start == node.start)
    left = [item.value for at, item in enumerate(node.items) if at != index]
    assert [item.value for item in same.items] == left
    kept = comments(text)
    for comment in inside:
        kept.remove(comment)
    assert sorted(comments(edited)) == sorted(kept)


@given(texts())
def test_what_was_added_last_is_removed_again(text: str) -> None:
    node = jsonc.parse(text)
    if isinstance(node.value, dict):
        edited = jsonc.add(text, node, [1], "new")
        again = jsonc.parse(edited)
        back = jsonc.remove(edited, again, len(again.items) - 1)
        assert jsonc.parse(back).value == node.value


def test_an_edit_looks_as_if_somebody_had_made_it() -> None:
    text = '{\n    "model": "opus",\n    "hooks": {\n        "Stop": []\n    }\n}\n'
    node = jsonc.parse(text)
    hooks = node.get("hooks")
    assert hooks is not None
    edited = jsonc.add(text, hooks, [{"a": 1}], "SessionEnd")
    assert edited == (
        '{\n    "model": "opus",\n    "hooks": {\n        "Stop": [],\n'
        '        "SessionEnd": [\n          {\n            "a": 1\n          }\n        ]\n'
        "    }\n}\n"
    )
    assert jsonc.add("{}\n", jsonc.parse("{}\n"), 1, "x") == '{\n  "x": 1\n}\n'


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1, column 1: a value is expected"),
        ('{"a": 1', 'line 1, column 8: a comma or "}" is expected'),
        ('{"a" 1}', "line 1, column 6: a colon is expected"),
        ("{a: 1}", 'line 1, column 2: a name in double quotes or "}" is expected'),
        ('{\n  "a": nil\n}', "line 2, column 8: nil is no value"),
        ('{"a": "x', "line 1, column 7: a value is expected"),
        ("{} {}", "line 1, column 4: the end of the file is expected"),
        ("[" * 200, "line 1, column 102: this is nested too deeply"),
        ('{"a": 1 /* }', 'line 1, column 9: a comma or "}" is expected'),
    ],
)
def test_what_is_broken_is_said_with_its_place(text: str, where: str) -> None:
    with pytest.raises(jsonc.NotJson) as problem:
        jsonc.parse(text)
    assert str(problem.value) == where
