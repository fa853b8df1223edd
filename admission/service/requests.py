"""What may cross the socket inwards: each request checked, and turned into an event."""

import re
from typing import Annotated, Any, ClassVar, Literal, Union, get_args

import msgspec
from msgspec import Meta, Struct, field, structs

from admission.protocol import LABEL_CHARS_MAX, REQUEST_BYTES, BadRequest, Frame

Label = Annotated[str, Meta(max_length=LABEL_CHARS_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
SecondsAboveZero = Annotated[float, Meta(gt=0, le=1e9)]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Weight = Annotated[int, Meta(ge=1, lt=2**31)]
RequestId = Annotated[bytes, Meta(min_length=REQUEST_BYTES, max_length=REQUEST_BYTES)]
Rank = Literal["critical", "normal", "batch"]
Topic = Literal["level", "lease", "queue", "sample", "alarms", "shed"]
ParkSignal = Literal["", "TERM", "INT", "HUP", "USR1", "USR2"]

MESSAGE_ID_MAX = 2**63 - 1
MessageId = Annotated[int, Meta(ge=0, le=MESSAGE_ID_MAX)]
RESERVED_FOR_S_MAX = 86_400.0


class Request(Struct):
    """A request without its `id` and `op`. Fields that it does not know are ignored."""

    op: ClassVar[str]


class Hello(Request):
    op = "hello"
    version: int = 1


class AcquireRequest(Request):
    op = "acquire"
    pool: Label = "agents"
    weight: Weight = 1
    task: Label = ""
    rank: Rank = field(name="class", default="normal")
    group: Label = ""
    pid: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    bound: Literal["process", "connection", "tree"] = "connection"
    ttl_s: SecondsAboveZero | None = None
    wait_s: Seconds | None = None
    request: RequestId | None = None
    parent: Number | None = None
    nested: Literal["share", "above", "new"] = "share"
    by_s: Seconds | None = None
    max_hold_s: SecondsAboveZero | None = None
    end_after_max: bool = False
    parkable: bool = False
    park_signal: ParkSignal = ""
    interactive: bool = False
    resumes: Number | None = None
    agent: Label = ""
    workspace: Label = ""
    defer: bool = False


class CancelRequest(Request):
    op = "cancel"
    request: RequestId | None = None
    target: MessageId | None = None
    ticket: Number | None = None


class ReleaseRequest(Request):
    op = "release"
    lease: Number


class RenewRequest(Request):
    op = "renew"
    lease: Number


class YieldRequest(Request):
    op = "yield"
    lease: Number


class RegainRequest(Request):
    op = "regain"
    lease: Number
    wait_s: Seconds | None = None


class ResumeRequest(Request):
    op = "resume"
    lease: Number
    secret: Annotated[str, Meta(pattern="^[0-9a-f]+$", max_length=64)]


class LeasesRequest(Request):
    op = "leases"
    pool: Label | None = None
    task: Label | None = None
    pid: int | None = None
    after: Annotated[list[int], Meta(min_length=2, max_length=2)] = field(
        default_factory=lambda: [0, 0]
    )


class StatusRequest(Request):
    op = "status"


class WatchRequest(Request):
    op = "watch"
    topics: list[Topic] = field(
        default_factory=lambda: ["level", "lease", "queue", "sample", "alarms", "shed"]
    )


class LevelRequest(Request):
    op = "level"
    set: Annotated[int, Meta(ge=0, le=3)] | None = None
    for_s: SecondsAboveZero | None = None
    auto: bool = False
    off: bool = False

    @property
    def is_change(self) -> bool:
        return self.off or self.auto or self.set is not None


class ReserveRequest(Request):
    """`from_s`: in how long it begins. `whole`: it may leave the others nothing."""

    op = "reserve"
    units: Weight
    for_s: Annotated[float, Meta(gt=0, le=RESERVED_FOR_S_MAX)]
    pool: Label = "agents"
    rank: Rank | None = field(name="class", default=None)
    group: Label = ""
    from_s: Annotated[float, Meta(ge=0, le=7 * RESERVED_FOR_S_MAX)] = 0.0
    whole: bool = False


class UnreserveRequest(Request):
    op = "unreserve"
    reservation: Number


class PauseRequest(Request):
    """`pool`: None for all that there are. `for_s`: None until `unpause`."""

    op = "pause"
    pool: Label | None = None
    for_s: SecondsAboveZero | None = None


class UnpauseRequest(Request):
    op = "unpause"
    pool: Label | None = None


class MoveRequest(Request):
    op = "move"
    ticket: Number
    to: Literal["front", "back"] = "front"


class ExplainRequest(Request):
    op = "explain"


class MetricsRequest(Request):
    op = "metrics"


class WorkspaceRequest(Request):
    op = "workspace"
    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    forget: bool = False


class OrphansRequest(Request):
    """`pids`: only these; none: all."""

    op = "orphans"
    pids: Annotated[list[int], Meta(max_length=256)] = field(default_factory=list)


class TasksRequest(Request):
    """`task`: only this one; `since_s`: how far back."""

    op = "tasks"
    task: Label | None = None
    since_s: SecondsAboveZero | None = None


class RecommendationsRequest(Request):
    op = "recommendations"


class FleetRequest(Request):
    """`node` and `set`: an order to that node."""

    op = "fleet"
    node: Label = ""
    set: Literal["open", "cordon", "drain"] | None = None

    @property
    def is_change(self) -> bool:
        return self.set is not None


class ReloadRequest(Request):
    op = "reload"


OPS: dict[str, type[Request]] = {kind.op: kind for kind in Request.__subclasses__()}

# Each as it comes when there is nothing wrong with it and nothing in it that is not known.
_WHOLE = [
    msgspec.defstruct(
        kind.__name__,
        [("id", MessageId)],
        bases=(kind,),
        tag_field="op",
        tag=op,
        forbid_unknown_fields=True,
        kw_only=True,
    )
    for op, kind in OPS.items()
]
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
    Union[tuple(_WHOLE)]  # noqa: UP007 -- there are as many as there are ops
)


def read(body: bytes) -> tuple[int, Request] | None:
    """The id and the request in a frame, by the short way; None where it has to be looked at more
    closely: `message_id` and `parse` say what is wrong with it, if anything is.
    """
    try:
        request = _decoder.decode(body)
    # Text that is none and nesting without end are errors of their own, and no DecodeError.
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return request.id, request


def message_id(frame: Frame) -> int:
    """The id that the client gave its request; 0 where it gave none that can be used.

    Raises:
        BadRequest: there is none, or it is no unsigned integer.
    """
    number = frame.get("id")
    if type(number) is int and 0 <= number <= MESSAGE_ID_MAX:
        return number
    raise BadRequest('a request has an "id", an integer from 0 up, which its answer carries')


def parse(frame: Frame) -> Request:
    """The request in this frame.

    Raises:
        BadRequest: the op is unknown, a field is missing, or one has not the type or size it must.
    """
    op = frame.get("op")
    if not isinstance(op, str):
        raise BadRequest(f'a request has an "op", one of: {", ".join(OPS)}')
    kind = OPS.get(op)
    if kind is None:
        message = f"there is no op {_short(repr(op))}; there are: {', '.join(OPS)}"
        raise BadRequest(message, "unknown_op")
    try:
        return msgspec.convert(frame, kind)
    except msgspec.ValidationError as problem:
        raise BadRequest(f"{op}: {_readable(str(problem), kind, frame)}") from None


_PROBLEM = re.compile(r"(?P<what>.*) - at `\$\.?(?P<at>[^`]*)`$", re.DOTALL)


def _readable(problem: str, kind: type[Request], frame: Frame) -> str:
    match = _PROBLEM.match(problem)
    if match is None:
        return problem.replace("`", '"')
    name = re.split(r"[.\[]", match["at"])[0]
    what = match["what"].replace("`", "")
    what = what[0].lower() + what[1:]
    if what.startswith("invalid enum value"):  # which would say it all back, however long
        what = f"expected one of {', '.join(_choices(kind, name))}"
    return f"{name} is {_short(repr(frame.get(name)))}: {what}"


def _choices(kind: type[Request], name: str) -> list[str]:
    """The words that this field, or each in its list, can be."""
    fields = structs.fields(kind)
    hint = next(field.type for field in fields if field.encode_name == name)
    return [str(word) for word in get_args(hint) if isinstance(word, str)] or [
        str(word) for inner in get_args(hint) for word in get_args(inner)
    ]


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}… ({len(text)} characters)"
