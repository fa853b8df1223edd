"""A thin client of etcd's JSON gateway: leases, transactions, ranges, and a watch.

Each call is bounded in time. Where one endpoint does not answer the next is asked, and whoever
answered last is asked first. What is repeated there may have been done already, and is such that
this makes no difference: keys are put, made if they were not there, and deleted.
"""

import base64
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx2
import trio

from admission.protocol import Unavailable

CONNECT_S = 1.0
# A transaction may contain no more, as etcd is by default.
OPS_MAX = 128

Json = dict[str, Any]


class Away(Unavailable):
    """etcd can't be asked now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "fleet_away")


class Refused(Away):
    """etcd, or what answers in its place, does not want us: a password, a certificate, a role."""


class LeaseGone(Away):
    """The etcd lease has ended, and all keys under it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as it stands, or as it was put. `made_at`: the revision at which it was made."""

    key: str
    value: bytes
    made_at: int
    lease: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a range found, at which revision."""

    entries: tuple[Entry, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class News:
    """What happened up to this revision, in order: a key was put, or is gone."""

    events: tuple[Entry | str, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Account:
    """How to reach etcd. Without a user nobody logs in; without a file those are trusted whom the
    system trusts.
    """

    endpoints: tuple[str, ...]
    user: str = ""
    password: str = ""
    ca_file: str = ""


class Etcd:
    """See the module. Used in a `with`."""

    def __init__(self, account: Account, answer_s: float = 2.0, connections_max: int = 16) -> None:
        self._account, self._connections_max = account, connections_max
        self._answer_s, self._connect_s = answer_s, min(CONNECT_S, answer_s)
        self._endpoints = list(account.endpoints)
        self._client: httpx2.AsyncClient | None = None
        self._token = ""
        self.calls = 0
        # Changes when another endpoint is asked from now on.
        self.moved = trio.Event()

    async def __aenter__(self) -> Self:
        is_tls = any(one.startswith("https:") for one in self._endpoints)
        self._client = httpx2.AsyncClient(
            verify=_trust(self._account.ca_file) if is_tls else False,
            timeout=httpx2.Timeout(self._answer_s, connect=self._connect_s),
            limits=httpx2.Limits(max_connections=self._connections_max, keepalive_expiry=None),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._client is not None
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await self._client.aclose()

    # --- what can be asked ----------------------------------------------------------------------

    async def grant(self, ttl_s: float) -> tuple[int, float]:
        """A lease: its number, and for how long it lasts."""
        answer = await self._call("/v3/lease/grant", {"TTL": str(ceil(ttl_s))})
        return int(_need(answer, "ID")), float(_need(answer, "TTL"))

    async def keep_alive(self, lease: int) -> None:
        """The lease lasts anew.

        Raises:
            LeaseGone: it had ended.
        """
        answer = await self._call("/v3/lease/keepalive", {"ID": str(lease)})
        if int(answer.get("result", {}).get("TTL", 0)) <= 0:
            raise LeaseGone("the lease of this node in etcd has ended")

    async def revoke(self, lease: int) -> None:
        """Ends the lease, and all keys under it."""
        await self._call("/v3/lease/revoke", {"ID": str(lease)})

    async def range(self, prefix: str) -> Found:
        """All keys that begin like this."""
        answer = await self._call("/v3/kv/range", _span(prefix))
        entries = tuple(_entry(one) for one in answer.get("kvs", ()))
        return Found(entries, int(_need(_need(answer, "header"), "revision")))

    async def put_all(self, entries: Sequence[tuple[str, bytes]], lease: int) -> None:
        """Puts these keys at one revision, under this lease (0: none)."""
        await self._txn([], [_put(key, value, lease) for key, value in entries])

    async def put_if(self, key: str, value: bytes, lease: int, was: Entry | None) -> bool:
        """Puts the key if it is still as it was: not there, or made when this one was."""
        made_at = "0" if was is None else str(was.made_at)
        unchanged = {"key": _text(key), "target": "CREATE", "createRevision": made_at}
        answer = await self._txn([unchanged], [_put(key, value, lease)])
        return bool(answer.get("succeeded"))

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Deletes these keys, those that are there."""
        for start in range(0, len(keys), OPS_MAX):
            some = keys[start : start + OPS_MAX]
            await self._txn([], [{"requestDeleteRange": {"key": _text(key)}} for key in some])

    async def _txn(self, compare: list[Json], success: list[Json]) -> Json:
        return await self._call("/v3/kv/txn", {"compare": compare, "success": success})

    async def watch(self, prefix: str, after: int, take: Callable[[News], None]) -> NoReturn:
        """Has `take` hear of what happens to keys that begin like this, after that revision.

        Raises:
            Away: the stream has ended, or what it was to begin with is no longer known.
        """
        wanted = {**_span(prefix), "start_revision": str(after + 1)}
        endpoint = self._endpoints[0]
        try:
            async with self._http.stream(
                "POST",
                f"{endpoint}/v3/watch",
                json={"create_request": wanted},
                headers=self._headers(),
                timeout=httpx2.Timeout(self._answer_s, connect=self._connect_s, read=None),
            ) as stream:
                if not stream.is_success:
                    await stream.aread()
                    _checked(endpoint, stream)
                await _read_lines(stream, lambda line: take(_news(endpoint, _read(line))))
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise Away(f"the watch on {endpoint} has ended: {_said(problem)}") from None
        raise Away(f"the watch on {endpoint} has ended")

    # --- one call -------------------------------------------------------------------------------

    @property
    def _http(self) -> httpx2.AsyncClient:
        assert self._client is not None, "used outside its `with`"
        return self._client

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._token} if self._token else {}

    async def _call(self, path: str, body: Json) -> Json:
        """The answer of the first endpoint that has one."""
        problems = []
        for endpoint in list(self._endpoints):
            try:
                with trio.fail_after(self._answer_s):
                    answer = await self._ask(endpoint, path, body)
            except (Refused, LeaseGone):
                raise
            except (Away, trio.TooSlowError) as problem:
                problems.append(str(problem) or f"{endpoint} does not answer")
                continue
            self._prefer(endpoint)
            return answer
        raise Away("; ".join(problems))

    def _prefer(self, endpoint: str) -> None:
        if endpoint != self._endpoints[0]:
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)
            self.moved.set()
            self.moved = trio.Event()

    async def _ask(self, endpoint: str, path: str, body: Json) -> Json:
        if self._account.user and not self._token:
            await self._log_in(endpoint)
        answer = await self._post(endpoint, path, body)
        if answer.status_code == httpx2.codes.UNAUTHORIZED and self._account.user:
            await self._log_in(endpoint)  # a token lasts for a while
            answer = await self._post(endpoint, path, body)
        return _checked(endpoint, answer)

    async def _log_in(self, endpoint: str) -> None:
        self._token = ""
        account = {"name": self._account.user, "password": self._account.password}
        answer = await self._post(endpoint, "/v3/auth/authenticate", account)
        self._token = str(_need(_checked(endpoint, answer), "token"))

    async def _post(self, endpoint: str, path: str, body: Json) -> httpx2.Response:
        self.calls += 1
        try:
            return await self._http.post(f"{endpoint}{path}", json=body, headers=self._headers())
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            if _is_of_tls(problem):
                raise Refused(
                    f"{endpoint} shows a certificate that is not trusted ({_said(problem)}); "
                    "name its authority by [fleet] ca_file"
                ) from None
            raise Away(f"{endpoint} can't be reached: {_said(problem)}") from None


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as problem:
        raise Refused(f"[fleet] ca_file: {ca_file} can't be read: {problem}") from None


def _checked(endpoint: str, answer: httpx2.Response) -> Json:
    """What it says, if it is an answer of etcd's to what was asked."""
    try:
        said = answer.json()
    except (ValueError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        raise Away(f"{endpoint} is no etcd, or has no JSON gateway (HTTP {answer.status_code})")
    if answer.is_success and "error" not in said:
        return said
    error = said.get("error")
    why = str(said.get("message") or (error.get("message") if isinstance(error, dict) else error))
    if "requested lease not found" in why:
        raise LeaseGone("the lease of this node in etcd has ended")
    if "authentication failed" in why:
        raise Refused(
            f"{endpoint} does not take this user and password; see [fleet] user and password_file"
        )
    if "permission denied" in why or "user name is empty" in why:
        raise Refused(
            f"{endpoint} does not permit this ({why}); the user needs a role for the prefix"
        )
    raise Away(f"{endpoint} can't answer now: {why}")


def _news(endpoint: str, said: Json) -> News:
    result = said.get("result", {})
    if "error" in said or result.get("canceled"):
        why = result.get("cancel_reason") or said.get("error") or "what it began with is gone"
        raise Away(f"the watch on {endpoint} has ended: {why}")
    events = tuple(_event(one) for one in result.get("events", ()))
    return News(events, int(_need(_need(result, "header"), "revision")))


async def _read_lines(stream: httpx2.Response, take: Callable[[bytes], None]) -> None:
    """Each line as it comes. A problem with one ends the reading from within, by cancelling it, as
    the stream leaves its generators open where one just goes.
    """
    rest, problem = b"", None
    with trio.CancelScope() as scope:
        async for piece in stream.aiter_raw():
            *lines, rest = (rest + piece).split(b"\n")
            try:
                for line in lines:
                    take(line)
            except Away as found:
                problem = found
                scope.cancel()
    if problem is not None:
        raise problem


def _read(line: bytes) -> Json:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        raise Away("what answered the watch is no etcd") from None


def _need(answer: Json, name: str) -> Any:
    """What etcd always says; something else may have answered in its place."""
    if name not in answer:
        raise Away(f"what answered is no etcd: it says nothing of {name}")
    return answer[name]


def _event(event: Json) -> Entry | str:
    if event.get("type") == "DELETE":
        return base64.b64decode(event["kv"]["key"]).decode()
    return _entry(event["kv"])


def _entry(found: Json) -> Entry:
    return Entry(
        base64.b64decode(found["key"]).decode(),
        base64.b64decode(found.get("value", "")),
        int(found["create_revision"]),
        int(found.get("lease", 0)),
    )


def _put(key: str, value: bytes, lease: int) -> Json:
    said = base64.b64encode(value).decode()
    return {"requestPut": {"key": _text(key), "value": said, "lease": str(lease)}}


def _span(prefix: str) -> Json:
    """All keys that begin with this: up to the next that does not."""
    first = prefix.encode()
    after = first[:-1] + bytes([first[-1] + 1])
    return {"key": _text(prefix), "range_end": base64.b64encode(after).decode()}


def _text(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _is_of_tls(problem: BaseException | None) -> bool:
    while problem is not None:
        if "CERTIFICATE_VERIFY_FAILED" in str(problem):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _said(problem: Exception) -> str:
    """In one line."""
    return " ".join(str(problem).split()) or type(problem).__name__
