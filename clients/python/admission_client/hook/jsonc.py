"""Edits JSON as a person would: what is not touched stays as it was, to the last space.

Settings files have comments and trailing commas, which JSON has not, and an order and layout that
somebody likes. So the text is read into nodes that know where they stand, and edits are cuts and
insertions; each is checked by reading the result again.
"""

import json
import re
from dataclasses import dataclass, field

# What may stand behind a value and belongs to it.
_LINE_END = re.compile(r"[ \t]*(?://[^\n]*|/\*[^\n]*?\*/)")
# White space and comments.
_GAP = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_WORD = re.compile(r"[-+.\w]+")
DEPTH_MAX = 100


class NotJson(ValueError):
    """The text is no JSON, not even with comments; says where."""


@dataclass(slots=True)
class Node:
    """A value and where it stands: `text[start:end]`.

    `items`: of a list, its values; of a map, its members' values, by `keys`, each a node too.
    """

    value: object
    start: int
    end: int = 0
    keys: list["Node"] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)

    def get(self, key: str) -> "Node | None":
        """The value of this member; the last one, where there are several. What is no map has
        none.
        """
        for name, item in zip(reversed(self.keys), reversed(self.items), strict=False):
            if name.value == key:
                return item
        return None


def parse(text: str) -> Node:
    """The one value that the text holds.

    Raises:
        NotJson: it holds none, or more than that.
    """
    node = _Reader(text).value(_gap(text, 0), 0)
    end = _gap(text, node.end)
    if end != len(text):
        raise _no(text, end, "the end of the file is expected")
    return node


def _gap(text: str, at: int) -> int:
    match = _GAP.match(text, at)
    assert match is not None
    return match.end()


def _no(text: str, at: int, why: str) -> NotJson:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return NotJson(f"line {line}, column {column}: {why}")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, at: int, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise _no(self._text, at, "this is nested too deeply")
        mark = self._text[at : at + 1]
        if mark in ("{", "["):
            return self._container(at, depth)
        match = _STRING.match(self._text, at) or _WORD.match(self._text, at)
        if match is None:
            raise _no(self._text, at, "a value is expected")
        try:
            return Node(json.loads(match[0]), at, match.end())
        except ValueError:
            raise _no(self._text, at, f"{match[0][:40]} is no value") from None

    def _container(self, at: int, depth: int) -> Node:
        is_map = self._text[at] == "{"
        close = "}" if is_map else "]"
        node = Node(None, at)
        at = _gap(self._text, at + 1)
        while not self._text.startswith(close, at):
            if is_map:
                at = self._key(node, at)
            node.items.append(self.value(at, depth + 1))
            at = _gap(self._text, node.items[-1].end)
            if self._text.startswith(",", at):
                at = _gap(self._text, at + 1)
            elif not self._text.startswith(close, at):
                raise _no(self._text, at, f'a comma or "{close}" is expected')
        node.end = at + 1
        values = [item.value for item in node.items]
        names = [str(key.value) for key in node.keys]
        node.value = dict(zip(names, values, strict=True)) if is_map else values
        return node

    def _key(self, node: Node, at: int) -> int:
        match = _STRING.match(self._text, at)
        if match is None:
            raise _no(self._text, at, 'a name in double quotes or "}" is expected')
        node.keys.append(Node(json.loads(match[0]), at, match.end()))
        at = _gap(self._text, match.end())
        if not self._text.startswith(":", at):
            raise _no(self._text, at, "a colon is expected")
        return _gap(self._text, at + 1)


# --- edits ----------------------------------------------------------------------------------------


def add(text: str, container: Node, value: object, key: str | None = None) -> str:
    """The text with one more value at the end of this list, or one more member of this map."""
    inner = _indent_of(text, container) + "  "
    if container.items:
        first = container.keys[0] if container.keys else container.items[0]
        if "\n" in text[container.start : first.start]:
            inner = _indent_at(text, first.start)
    written = json.dumps(value, indent=2, ensure_ascii=False).replace("\n", f"\n{inner}")
    if key is not None:
        written = f"{json.dumps(key)}: {written}"
    if not container.items:
        hole = container.start + 1
        rest = text[hole : container.end - 1].strip()  # a comment, where nothing else is
        kept = f"\n{inner}{rest}" if rest else ""
        outer = _indent_of(text, container)
        return f"{text[:hole]}{kept}\n{inner}{written}\n{outer}{text[container.end - 1 :]}"
    end = container.items[-1].end
    comma = _gap(text, end)
    if text.startswith(",", comma):  # a trailing one, as ours is to have then
        line_end = _line_end(text, comma + 1)
        return f"{text[:line_end]}\n{inner}{written},{text[line_end:]}"
    line_end = _line_end(text, end)
    return f"{text[:end]},{text[end:line_end]}\n{inner}{written}{text[line_end:]}"


def remove(text: str, container: Node, index: int) -> str:
    """The text without this value, and without the comma that parted it from its neighbour."""
    first = container.keys[index] if container.keys else container.items[index]
    end = container.items[index].end
    comma = _gap(text, end)
    if text.startswith(",", comma):
        between = text[end:comma]
        return _cut(text[:end] + between + text[comma + 1 :], first.start, end)
    text = _cut(text, first.start, end)
    if index:
        comma = _gap(text, container.items[index - 1].end)
        text = text[:comma] + text[comma + 1 :]
    return text


def _line_end(text: str, at: int) -> int:
    """The end of the comment on the same line, where there is one."""
    match = _LINE_END.match(text, at)
    return at if match is None else match.end()


def _cut(text: str, start: int, end: int) -> str:
    """Without these, and without the line where nothing else is on it."""
    line = text.rfind("\n", 0, start) + 1
    if text[line:start].strip() == "":
        rest = re.compile(r"[ \t]*\n").match(text, end)
        if rest is not None:
            return text[:line] + text[rest.end() :]
    return text[:start] + text[end:].lstrip(" ")


def _indent_of(text: str, node: Node) -> str:
    return _indent_at(text, node.start)


def _indent_at(text: str, at: int) -> str:
    """The white space with which the line of this place begins."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]
