"""What stands in the pages that people read: links, anchors, and what they are told to type."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from admission_client.completion import Given, commands
from admission_client.options import build_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "examples" / "README.md",
        ROOT / "clients" / "typescript" / "README.md",
        *DOCS.rglob("*.md"),
    ]
)

_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2`* *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
_HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)
# Where a command of ours can begin, and what it ends with.
_START = re.compile(r"""(?:^|[\s'"(;&|=/])admission +(?=[a-z<[])""")
_END = re.compile(r"&&|\|\||[;>\n]| \| | \d>|\) \|\||\)$|\)\"|\)'")
_SHELLS = ("console", "sh", "bash", "")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block of code of a page, by its language as written, at a line."""

    language: str
    text: str
    line: int


def name(page: Path) -> str:
    """What a page is called in messages."""
    return str(page.relative_to(ROOT))


def snippets(text: str) -> list[Snippet]:
    """The blocks of code in a page's text, in order."""
    return [
        Snippet(
            match[3].strip(),
            re.sub(rf"^{match[1]}", "", match[4], flags=re.MULTILINE),
            text.count("\n", 0, match.start()) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


def prose(text: str) -> str:
    """A page's text without its blocks of code."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Where a page's links lead that lead to no other machine."""
    found = _LINK.findall(_INLINE.sub("", prose(text)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """What the headings of a page can be reached by."""
    return frozenset(slug(heading) for heading in _HEADING.findall(prose(page.read_text("utf-8"))))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def broken_links(page: Path, text: str) -> list[str]:
    """Those that lead to no file, or to no heading in it."""
    broken = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def command_lines(text: str) -> Iterator[str]:
    """Every command line of `admission` in a page: in its blocks of shell, and in its prose."""
    for one in snippets(text):
        if one.language in _SHELLS:
            typed = re.sub(r"\\\n\s*", "", one.text)
            lines = typed.splitlines()
            if one.language == "console":  # the rest is what the machine answers
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            for line in lines:
                yield from _commands_in(line)
    for _, code in _INLINE.findall(prose(text)):
        yield from _commands_in(" ".join(code.split()))


def _commands_in(line: str) -> Iterator[str]:
    """The command lines in one line of shell; of a usage, with the brackets taken away."""
    line = re.split(r"(?:^|\s)# ", line)[0]
    for match in _START.finditer(line):
        rest = line[match.end() :]
        ours = _END.split(rest)[0]
        before = line[: match.end() - len("admission ")].rstrip()
        if before.endswith(("'", '"')):
            ours = ours.split(before[-1])[0]
        if "$(" in line[: match.start() + 1] and ours.count(")") > ours.count("("):
            ours = ours[: ours.rindex(")")]
        yield re.sub(r"[\[\]]", "", ours).strip()


@cache
def _given() -> dict[str, Given]:
    return {one.name: one for one in commands()}


_PLACEHOLDERS = {"…", "..."}
_ONE_OF_OUR_OWN = {"help", "version", "--help", "--version", "-h", "-V"}


def problem_with(line: str) -> str | None:
    """What the real command would say to this line's options and words; None where it takes it.

    Nothing is run. A word in capitals stands for one of the reader's, and is taken for any value.
    """
    words = [word for word in shlex.split(line) if word not in _PLACEHOLDERS]
    if not words or words[0].isupper() or words[0] in _ONE_OF_OUR_OWN:
        return None
    command, *rest = words
    command = command.split("|")[0].rstrip(",.:")
    given = _given().get(command)
    if given is None:
        return f'there is no command "{command}"'
    if rest and (below := _given().get(f"{command} {rest[0].split('|')[0]}")):
        given, rest = below, rest[1:]
    elif problem := _wrong_word(given, rest):
        return problem
    return _wrong_option(given, _filled(given, rest))


def _wrong_word(given: Given, rest: list[str]) -> str | None:
    """Of what has only words of its own, one that is none of them."""
    first = next((word for word in rest if not word.startswith("-")), None)
    own = given.words or (() if given.named or not first else None)
    if own is None or first is None or first.isupper():
        return None
    if own and first.split("|")[0] not in own and rest[0] == first:
        return f'"{first}" is none of {", ".join(own)}'
    return None


def _filled(given: Given, rest: list[str]) -> list[str]:
    """The words with something in the place of those in capitals that an option would refuse."""
    by_name = {name: option for option in given.options for name in option.names}
    filled = list(rest)
    for at, word in enumerate(rest[1:], start=1):
        option = by_name.get(rest[at - 1])
        if option and option.metavar and re.fullmatch(r"[A-Z_]+", word):
            filled[at] = next((one for one in _SOME if _is_taken(option.convert, one)), word)
    return filled


# Of each kind of value, one.
_SOME = ("1", "10m", "18:00", "normal", "process", "TERM", "claude", "text", "fifo", "new", "x")


def _is_taken(convert: object, word: str) -> bool:
    assert callable(convert)
    try:
        convert(word)
    except ValueError:
        return False
    return True


def _wrong_option(given: Given, rest: list[str]) -> str | None:
    usage = f"{given.name} [options] {'COMMAND' if given.takes_command else ''}"
    parser = build_parser(given.options, usage, "")
    parser.exit_on_error = False

    def fail(message: str) -> None:
        raise ValueError(message)

    parser.error = fail  # type: ignore[method-assign,assignment]
    if "--help" in rest[: rest.index("--")] if "--" in rest else "--help" in rest:
        return None
    try:
        found = parser.parse_args(rest)
    except Exception as problem:  # noqa: BLE001 -- whatever it says is what is wrong
        return f"{given.name}: {problem}"
    if found.words and not (given.words or given.named):
        return f'{given.name}: "{found.words[0]}" is one word too many'
    return None
