"""One page's connection for server-sent events."""

import trio
from starlette.responses import Response

from admission import __version__
from admission_client.dashboard.bulletin import News
from admission_client.dashboard.door import Receive, Scope, Send
from admission_client.dashboard.feed import RETRY_S, Feed

# A comment keeps a connection from being taken for a dead one.
PULSE_S = 15.0
HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"),)


class Stream(Response):
    """What has changed since `last_id`, and from then on as it changes, until the page is gone."""

    def __init__(self, feed: Feed, last_id: str, *, is_read_only: bool) -> None:
        super().__init__()
        self._feed = feed
        self._last_id = last_id
        self._is_read_only = is_read_only

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        with self._feed.reading():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._tell(send)

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
        feed, bulletin = self._feed, self._feed.bulletin
        read_only = str(self._is_read_only).lower()
        hello = f'{{"version":"{__version__}","read_only":{read_only}}}'
        await _send(send, f"retry: {int(1000 * RETRY_S)}\nevent: hello\ndata: {hello}\n\n")
        seen = self._seen()
        while True:
            changed = feed.changed
            for one in bulletin.since(seen):
                await _send(send, self._event(one))
                seen = one[0]
            with trio.move_on_after(PULSE_S) as pulse:
                await changed.wait()
            if pulse.cancelled_caught:
                await _send(send, ": still here\n\n")

    def _seen(self) -> int:
        begun, _, last = self._last_id.partition("-")
        is_ours = begun == self._feed.begun and last.isascii() and last.isdigit()
        return int(last[:18]) if is_ours else 0

    def _event(self, one: News) -> str:
        number, name, text = one
        return f"id: {self._feed.begun}-{number}\nevent: {name}\ndata: {text}\n\n"


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
