"""Who is let in: this machine's own browser, with the token of the address that was printed.

A page that any site can have a browser ask needs more than a loopback address: a name that another
site points at 127.0.0.1 is turned away by its `Host`, what another site sends by its `Origin` or
`Sec-Fetch-Site`, another user of this machine by the token. A cookie goes to every server of this
machine, whatever its port, and so is enough to look and never to act.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[str, str]

LOOKS = ("GET", "HEAD")
# Labels are anybody's text: nothing that a page shows may become code, nor markup.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
TOKEN_BYTES = 24


class Door:
    """See the module.

    Args:
        inside: the application.
        port: where it is served.
        token: what the printed address carries.
        is_read_only: nothing may be changed.

    Attributes:
        ticket: lets in once, in the token's place: what starts a browser is seen by all users.
    """

    def __init__(self, inside: App, port: int, token: str, *, is_read_only: bool) -> None:
        self.ticket = secrets.token_urlsafe(TOKEN_BYTES)
        self._inside = inside
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._cookie = f"admission-{port}"
        self._token = token
        # From the cookie nobody finds the token.
        self._look = hmac.new(token.encode(), b"to look", hashlib.sha256).hexdigest()
        self._is_read_only = is_read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
        elif scope["type"] == "http":
            await self._open(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): one.decode("latin-1") for name, one in scope["headers"]}
        is_look = scope["method"] in LOOKS
        if why := self._why_not(headers) or (None if is_look else self._why_no_act(headers)):
            await _refuse(scope, send, why)
        elif is_look and self._is_entry(scope):
            await self._let_in(send)
        elif is_look and not self._may_look(headers):
            why = 'open the address that "admission dashboard" printed: it has the token'
            await _refuse(scope, send, why)
        else:
            await self._inside(scope, receive, _with_headers(send))

    def _why_not(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return "this page is served under no such name; use 127.0.0.1 and the printed port"
        if origin is not None and origin != f"http://{host}":
            return "another site may ask nothing here"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "another site may not lead here; type or paste the address"
        return None

    def _why_no_act(self, headers: Headers) -> str | None:
        if self._is_read_only:
            return "this dashboard was started with --read-only"
        if "origin" not in headers:
            return "what changes something must come from the page itself: it has no Origin"
        if not self._has_token(headers):
            return "what changes something needs the token; open the printed address again"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "what changes something is sent as application/json"
        return None

    def _is_entry(self, scope: Scope) -> bool:
        """The printed address, or the one that the browser was opened with."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if _is_same(given, self.ticket):
            self.ticket = secrets.token_urlsafe(TOKEN_BYTES)
            return True
        return _is_same(given, self._token)

    async def _let_in(self, send: Send) -> None:
        """The token leaves the address: what stands behind a # is never sent."""
        cookie = f"{self._cookie}={self._look}; HttpOnly; SameSite=Strict; Path=/"
        where = f"/#token={self._token}"
        headers = [(b"location", where.encode()), (b"set-cookie", cookie.encode())]
        await _answer(send, 303, b"", b"text/plain", headers)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and _is_same(given, self._token)

    def _may_look(self, headers: Headers) -> bool:
        if self._has_token(headers):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and _is_same(found.value, self._look)


def _is_same(given: str, secret: str) -> bool:
    """In the same time, whatever was given."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return send_with_headers


async def _refuse(scope: Scope, send: Send, why: str) -> None:
    if scope["path"] == "/":  # somebody reads it
        await _answer(send, 403, f"{why}\n".encode(), b"text/plain; charset=utf-8")
    else:
        body = json.dumps({"error": {"code": "not_permitted", "message": why}}).encode()
        await _answer(send, 403, body, b"application/json")


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    kind: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    length = (b"content-length", str(len(body)).encode())
    about = [(b"content-type", kind), length, *(headers or []), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": about})
    await send({"type": "http.response.body", "body": body})
