"""The one door between the daemon and its clients: frames, error codes and where the socket is.

A frame is a 4-byte big-endian length (1 to 65,536) and one msgpack map with string keys. Both
halves use this module and nothing else of each other. A client imports it on its way to an exec,
so it imports `os`, and msgpack when it first has something to say: a hook mostly has not.

The vocabulary of requests and replies is docs/design.md, "On the socket".
"""

import os

VERSION = 1
FRAME_BYTES_MAX = 65_536
FRAME_DEPTH_MAX = 8
LENGTH_BYTES = 4
LABEL_CHARS_MAX = 200
REQUEST_BYTES = 16
# sockaddr_un.sun_path holds 104 bytes with its NUL on macOS and 108 on Linux; the smaller one
# rules, so that a path that works here works there.
SOCKET_PATH_BYTES_MAX = 103

Frame = dict[str, object]


class AdmissionError(Exception):
    """An expected failure, said in one sentence; `code` is the word that crosses the socket.

    Each subclass names the codes that it stands for and the exit status that a command ends with:
    the only table of either.
    """

    codes: tuple[str, ...] = ()
    exit_status = 69

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or (self.codes[0] if self.codes else "")


class BadRequest(AdmissionError):
    """The request can't be granted as it stands, today or ever."""

    codes = (
        "bad_request",
        "unknown_op",
        "unknown_pool",
        "unknown_node",
        "impossible",
        "would_deadlock",
    )
    exit_status = 64


class BadFrame(AdmissionError):
    """Bytes that are no frame: the connection that carried them can't go on."""

    codes = ("bad_frame",)


class Unreachable(AdmissionError):
    """No daemon could be had, or what answered is none."""

    codes = ("unreachable",)


class Unavailable(AdmissionError):
    """What is there can't serve this now."""

    codes = (
        "journal_unavailable",
        "shutting_down",
        "too_many_connections",
        "no_service_manager",
        "no_fleet",
        "fleet_away",
    )


class NoSlot(AdmissionError):
    """Nothing was free within the wait; trying later may help."""

    codes = ("timeout", "queue_full", "cancelled")
    exit_status = 75


class LeaseLost(AdmissionError):
    """The lease is not, or no longer, this holder's."""

    codes = ("unknown_lease", "holder_gone", "revoked")
    exit_status = 75


class AlreadyServed(AdmissionError):
    """Another daemon serves this socket; it is left alone."""

    codes = ("already_served",)
    exit_status = 75


class NotPermitted(AdmissionError):
    """The peer may not do this."""

    codes = ("not_permitted",)
    exit_status = 77


class BadConfiguration(AdmissionError):
    """The configuration file or an environment variable is wrong."""

    codes = ("bad_configuration",)
    exit_status = 78


_BY_CODE = {code: kind for kind in AdmissionError.__subclasses__() for code in kind.codes}


def error_for(code: str, message: str) -> AdmissionError:
    """The exception that stands for an error reply; an unknown code is a plain AdmissionError."""
    return _BY_CODE.get(code, AdmissionError)(message, code)


def encode(message: Frame) -> bytes:
    """One frame, length and all.

    Raises:
        BadRequest: the message is too large for a frame, or holds what msgpack can't carry.
    """
    import msgpack  # late: see the module

    try:
        body: bytes = msgpack.packb(message)
    except (OverflowError, ValueError, TypeError) as problem:
        raise BadRequest(f"this can't be sent: {problem}; use smaller numbers and text") from None
    return framed(body)


def framed(body: bytes) -> bytes:
    """A frame around what it holds.

    Raises:
        BadRequest: that is too long.
    """
    if len(body) > FRAME_BYTES_MAX:
        raise BadRequest(
            f"a message of {len(body)} bytes is longer than a frame may be "
            f"({FRAME_BYTES_MAX}); send less text"
        )
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode(body: bytes | bytearray | memoryview) -> Frame:
    """The map inside one frame.

    Raises:
        BadFrame: it is not msgpack, not a map with string keys, or nested too deeply.
    """
    import msgpack  # late: see the module

    try:
        message = msgpack.unpackb(body, strict_map_key=False)
    # msgpack raises its own errors, ValueError, UnicodeDecodeError, RecursionError and, for
    # unhashable map keys, TypeError: whatever it is, these bytes are no frame.
    except Exception:  # noqa: BLE001
        raise BadFrame("the frame does not hold one msgpack value") from None
    if not isinstance(message, dict):
        raise BadFrame(f"a frame holds a map, not {_kind(message)}; send {{'id': 1, 'op': …}}")
    for key, value in message.items():
        if not isinstance(key, str):
            raise BadFrame("the keys of a frame's map are strings; one is " + _kind(key))
        if isinstance(value, (dict, list)) and _is_deeper(value, FRAME_DEPTH_MAX - 1):
            raise BadFrame(f"a frame nests at most {FRAME_DEPTH_MAX} deep")
    return message


def _kind(value: object) -> str:
    names = {"int": "a number", "float": "a number", "str": "a string", "list": "a list"}
    return names.get(type(value).__name__, type(value).__name__)


def _is_deeper(value: object, depth: int) -> bool:
    """Whether containers nest more than `depth` deep, `value` itself included."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == 0 or any(_is_deeper(part, depth - 1) for part in value)


class Frames:
    """Cuts a stream of bytes into frames; sans I/O, for either end of a socket."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order.

        Raises:
            BadFrame: the stream can't be followed any further. Frames that were complete before
                the bad one are lost with it, as the connection is.
        """
        return [decode(body) for body in self.cut(data)]

    def cut(self, data: bytes) -> list[bytes]:
        """What stands in the frames that `data` completes, not yet decoded.

        Raises:
            BadFrame: a length is none that a frame can have.
        """
        if not self._buffer and len(data) > LENGTH_BYTES:
            length = int.from_bytes(data[:LENGTH_BYTES], "big")
            if length == len(data) - LENGTH_BYTES <= FRAME_BYTES_MAX:
                return [data[LENGTH_BYTES:]]  # one frame and nothing else, as mostly
        self._buffer += data
        bodies = []
        start = 0
        while len(self._buffer) - start >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[start : start + LENGTH_BYTES], "big")
            if not 1 <= length <= FRAME_BYTES_MAX:
                raise BadFrame(f"a frame is 1 to {FRAME_BYTES_MAX} bytes long, not {length}")
            end = start + LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + LENGTH_BYTES : end]))
            start = end
        del self._buffer[:start]
        return bodies

    @property
    def is_partial(self) -> bool:
        """Whether the beginning of a frame waits for its rest."""
        return bool(self._buffer)


OFF_VARIABLES = ("WVO_DISABLE_THROTTLE", "ADMISSION_DISABLE_THROTTLE")


def throttle_disabled_by(environ: "os._Environ[str] | dict[str, str]") -> str | None:
    """The variable that switches throttling off, where one does; `0` and nothing do not."""
    return next((name for name in OFF_VARIABLES if environ.get(name, "") not in ("", "0")), None)


def socket_path(given: str | None = None) -> str:
    """Where the daemon listens; docs/design.md, "On the socket", has the rule.

    Args:
        given: a path from the command line; it goes before `$ADMISSION_SOCKET`.

    Raises:
        BadConfiguration: the path is longer than a Unix socket's may be.
    """
    path = os.path.abspath(given or os.environ.get("ADMISSION_SOCKET") or usual_socket_path())
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise BadConfiguration(
            f"the socket path is {length} bytes long and {SOCKET_PATH_BYTES_MAX} is the most that "
            f"a Unix socket takes: set ADMISSION_SOCKET or --socket to a shorter one than {path}"
        )
    return path


def usual_socket_path() -> str:
    """Where the daemon listens if nobody says otherwise."""
    if os.uname().sysname != "Darwin":
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        if os.path.isdir(runtime):
            return f"{runtime}/admission/admission.sock"
    return os.path.expanduser("~/.admission/admission.sock")
