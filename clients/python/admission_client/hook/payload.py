"""A hook's event, read from standard input without the `json` module, whose import alone takes
two thirds of an interpreter's start: an agent runs a hook for every tool it uses.
"""

import _json

from admission.protocol import BadRequest

SPACE = " \t\n\r"


class _Rules:
    """How the scanner reads, as `json.loads` has it."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> float:
        return float(name)


class Payload:
    """The fields of one event. Whatever is not as it should be reads as not there: agents differ,
    and change.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        found = self.fields.get(name)
        return found if isinstance(found, str) else ""

    def part(self, name: str) -> "Payload":
        found = self.fields.get(name)
        return Payload(found if isinstance(found, dict) else {})

    def items(self, name: str) -> list[object]:
        found = self.fields.get(name)
        return found if isinstance(found, list) else []

    @property
    def event(self) -> str:
        return self.text("hook_event_name")

    @property
    def session(self) -> str:
        return self.text("session_id")


def parse(data: bytes) -> Payload:
    """The event in these bytes.

    Raises:
        BadRequest: they hold no JSON object, or none with an event's name.
    """
    text = data.decode(errors="replace").strip(SPACE + "\ufeff")
    try:
        found, end = _json.make_scanner(_Rules())(text, 0)  # type: ignore[arg-type]
    except (StopIteration, ValueError, RecursionError):
        found, end = None, 0
    if not isinstance(found, dict) or end != len(text):
        raise BadRequest(
            "hook: standard input holds no JSON object; it is for an agent's settings, see "
            '"admission hook install --help"'
        )
    payload = Payload(found)
    if not payload.event:
        raise BadRequest('hook: the event has no "hook_event_name"; is the caller an agent?')
    return payload
