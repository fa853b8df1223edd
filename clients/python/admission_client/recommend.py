"""The command `recommend`: what is worth doing now, why, and by which command."""

from admission.protocol import AdmissionError, Frame
from admission_client.blocking import Client
from admission_client.granted import rows, text
from admission_client.options import JSON, SOCKET, parse, take_no_words
from admission_client.output import as_json, coloured, printable

# Of all that `recommend` says, as much as `status` has room for.
FIRST = 3


def recommend(words: list[str]) -> int:
    """Says it as text, or as JSON."""
    options = parse(
        words,
        (JSON, SOCKET),
        "recommend [options]",
        "What is worth doing now: each with the numbers that call for it, and the command to do\n"
        "it, or to look closer. The weightiest comes first; nothing is done by itself.",
    )
    take_no_words("recommend", options)
    with Client(options.socket) as client:
        found = client.ask("recommendations")
    if options.json:
        print(as_json(found, indent=2))
    else:
        print("\n\n".join(map(_told, rows(found, "recommendations"))) or "nothing to recommend")
    return 0


def _told(one: Frame) -> str:
    what, why, command = (printable(text(one, name)) for name in ("what", "why", "command"))
    return f"{coloured(what, 'yellow')}\n  {why}\n  $ {command}"


def first_lines(client: Client) -> list[str]:
    """A line each for the first few; none where they can't be had, as from an older daemon, or are
    not for this user.
    """
    try:
        found = rows(client.ask("recommendations"), "recommendations")
    except AdmissionError:
        return []
    lines = [
        printable(f"> {text(one, 'what')}: {text(one, 'why')} [{text(one, 'command')}]")
        for one in found[:FIRST]
    ]
    more = len(found) - FIRST
    return lines + ([f'> and {more} more: "admission recommend"'] if more > 0 else [])
