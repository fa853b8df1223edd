"""Who is let in: this machine's own browser, with the token of the address that was printed.

A page that any site can have a browser ask needs more than a loopback address: a name that another
site points at 127.0.0.1 is turned away by its `Host`, what another site sends by its `Origin` or
`Sec-Fetch-Site`, another user of this machine by the token. To change anything, a request must come
from this very page. Whoever reads what is served may be fed to a screen, so nothing in it is code:
the policy lets in no script and no style but the page's own files.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from admission.protocol import Frame

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOKS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Door:
    """See the module.

    Args:
        inside: the application.
        port: where it is served.
        token: what the address carries.
        is_read_only: nothing may be changed.
    """

    def __init__(self, inside: App, port: int, token: str, *, is_read_only: bool) -> None:
        self._inside = inside
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._cookie = f"admission-{port}"
        self._token = token
        self._is_read_only = is_read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing else is served, and nothing is said
        headers = {name.decode("latin-1"): one.decode("latin-1") for name, one in scope["headers"]}
        if why := self._why_not(scope["method"], headers):
            await _answer(send, 403, f"{why}\n")
        elif self._carries_token(scope):
            await _answer(send, 303, "", [(b"location", b"/"), self._set_cookie()])
        elif not self._knows_token(headers):
            why = 'open the address that "admission dashboard" printed: it has the token'
            await _answer(send, 403, f"{why}\n")
        else:
            await self._inside(scope, receive, _with_headers(send))

    def _why_not(self, method: str, headers: dict[str, str]) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return "this page is served under no such name; use 127.0.0.1 and the printed port"
        if origin is not None and origin != f"http://{host}":
            return "another site may ask nothing here"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "another site may not lead here; type or paste the address"
        if method in LOOKS:
            return None
        if self._is_read_only:
            return "this dashboard was started with --read-only"
        if origin is None and "authorization" not in headers:
            return "what changes something must come from the page itself"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "what changes something is sent as application/json"
        return None

    def _carries_token(self, scope: Scope) -> bool:
        """The printed address: its token becomes a cookie, and leaves the address bar."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        return self._is_token(given[0])

    def _knows_token(self, headers: dict[str, str]) -> bool:
        if self._is_token(headers.get("authorization", "").removeprefix("Bearer ")):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and self._is_token(found.value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _set_cookie(self) -> tuple[bytes, bytes]:
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        return b"set-cookie", cookie.encode()


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return send_with_headers


async def _answer(
    send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/plain; charset=utf-8")
    start: Frame = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [kind, length, *(headers or []), *HEADERS]})
    await send({"type": "http.response.body", "body": body})
