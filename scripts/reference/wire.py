"""The pages of the protocol and of exit statuses, by what daemon and clients go by themselves."""

import re
from pathlib import Path

from admission import protocol as bounds
from admission.protocol import AdmissionError
from admission.service import access, requests
from scripts.reference.words import cell, code, default_of, fields_of, shape, table

ROOT = Path(__file__).parents[2]
# What stands in no list of subclasses, as it is no failure of admission's own.
OTHER_STATUSES = (
    ("the command's own", "it ran"),
    ("1", "`doctor` found something, or `orphans --stop` left something"),
    ("2", "wrong usage"),
    ("126, 127", "the command is not executable, or was not found"),
)


def protocol() -> str:
    """The bounds of frames, each op with its fields and its answer, and the errors."""
    parts = ["## Frames\n", frames(), "## The ops\n"]
    answers = op_answers((ROOT / "docs" / "design.md").read_text("utf-8"))
    for op, kind in requests.OPS.items():
        parts += [f"### `{op}`\n", f"For {who_may(kind)}.\n", _request(kind)]
        if answer := answers.get(op):
            parts.append(f"Answer: {answer}\n")
    parts += ["## The errors\n", errors()]
    return "\n".join(parts)


def frames() -> str:
    """What is the same for every daemon and every client."""
    return table(
        ("bound", "is"),
        iter(
            [
                ("version of the protocol", str(bounds.VERSION)),
                ("length in front of a frame", f"{bounds.LENGTH_BYTES} bytes, big-endian"),
                ("a frame without it", f"1 to {bounds.FRAME_BYTES_MAX} bytes: one msgpack map"),
                ("nesting of a frame", f"{bounds.FRAME_DEPTH_MAX} deep, the map itself included"),
                ("a label (task, group, pool, …)", f"{bounds.LABEL_CHARS_MAX} characters"),
                ("a request's id (`request`)", f"{bounds.REQUEST_BYTES} bytes"),
                ("a message's id (`id`)", f"0 to {requests.MESSAGE_ID_MAX}"),
                ("the path of the socket", f"{bounds.SOCKET_PATH_BYTES_MAX} bytes"),
            ]
        ),
    )


def _request(kind: type[requests.Request]) -> str:
    return table(
        ("field", "type", "default"),
        (
            (code(key.encode_name), cell(shape(key.type)), default_of(key))
            for key in fields_of(kind)
        ),
    )


def who_may(kind: type[requests.Request]) -> str:
    """Who may send this, by the table that the daemon asks."""
    if kind in access.MEMBERS:
        return "the daemon's user, root, and members of `[access] group`"
    if kind in access.MEMBERS_OF_THEIR_OWN:
        return "the daemon's user, root, and members of `[access] group` for their own leases"
    return "the daemon's user and root" + (
        " (a look that changes nothing: members of `[access] group`, too)"
        if kind is requests.LevelRequest
        else ""
    )


def op_answers(design: str) -> dict[str, str]:
    """What each op is answered, by the table in docs/design.md, section 4."""
    found: dict[str, str] = {}
    ops = design.partition("| op | fields |")[2].partition("\n\n")[0]
    for row in re.findall(r"^\| (`[a-z`, ]+) \|(.*)\|$", ops, re.MULTILINE):
        answer = row[1].rpartition(" | ")[2].strip().replace("](", "](../")
        for op in re.findall(r"`(\w+)`", row[0]):
            if op in requests.OPS:
                found.setdefault(op, answer)
    return found


def errors() -> str:
    """Each class of errors, with its codes and the exit status of a command."""
    return table(
        ("class", "codes", "exit status", "means"),
        (
            (
                code(kind.__name__),
                ", ".join(code(word) for word in kind.codes),
                str(kind.exit_status),
                cell((kind.__doc__ or "").split("\n\n")[0]),
            )
            for kind in AdmissionError.__subclasses__()
            if kind.codes
        ),
    )


def exit_statuses() -> str:
    """What a command's exit status says."""
    by_status: dict[int, list[str]] = {}
    for kind in AdmissionError.__subclasses__():
        if kind.codes:
            by_status.setdefault(kind.exit_status, []).append(
                (kind.__doc__ or "").split("\n\n")[0].rstrip(".")
            )
    ours = [(str(status), "; ".join(texts)) for status, texts in by_status.items()]
    rows = sorted([*OTHER_STATUSES, *ours], key=lambda row: (row[0].zfill(3), row[0]))
    return table(("exit status", "means"), ((status, cell(means)) for status, means in rows))
