"""Serves the page on the loopback address until it is told to end."""

import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http

from admission.protocol import BadConfiguration, Unavailable
from admission_client.dashboard.door import TOKEN_BYTES, App, Door
from admission_client.dashboard.feed import Feed
from admission_client.dashboard.patience import Patience, hang_up
from admission_client.dashboard.site import Site
from admission_client.options import Options

LOOPBACK = "127.0.0.1"
BACKLOG = 64
# Open pages hold a connection each; they are not waited for.
FAREWELL_S = 0.2
TOKEN_MODE = 0o600


def serve(options: Options, say: Callable[[str], None]) -> int:
    """Serves until SIGINT or SIGTERM.

    Raises:
        AdmissionError: the port or the token's file can't be had.
    """
    token = kept_token(options.token_file) if options.token_file else _fresh_token()
    with _listening(options.port) as listener:
        trio.run(_serve, listener, token, options, say)
    return 0


async def _serve(
    listener: socket.socket, token: str, options: Options, say: Callable[[str], None]
) -> None:
    port = listener.getsockname()[1]
    feed = Feed(options.socket)
    site = Site(options.socket, feed, is_read_only=options.read_only)
    door = Door(site.app, port, token, is_read_only=options.read_only)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with trio.open_nursery() as nursery:
            ended = trio.Event()
            nursery.start_soon(feed.run)
            nursery.start_soon(serve_app, Patience(door, port), listener, ended)
            address = f"http://{LOOPBACK}:{port}/?token="
            say(f"{address}{token}")
            if not options.no_open and has_display():
                nursery.start_soon(_open_browser, f"{address}{door.ticket}")
            async for _ in received:
                break
            ended.set()
            nursery.cancel_scope.deadline = trio.current_time() + 2 * FAREWELL_S
            await trio.sleep(FAREWELL_S)
            hang_up(port)


async def serve_app(app: App, listener: socket.socket, ended: trio.Event) -> None:
    """Serves it there over HTTP, until that."""
    config = Config()
    # Of its own, as it closes what it serves on.
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.graceful_timeout = FAREWELL_S
    config.include_server_header = False
    config.errorlog = logging.getLogger(__name__)
    await serve_http(app, config, shutdown_trigger=ended.wait, mode="asgi")  # type: ignore[arg-type]


async def _open_browser(url: str) -> None:
    # A thread: one that runs in the foreground is waited for.
    await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)


def has_display() -> bool:
    """Whether a browser would be seen."""
    if sys.platform == "darwin" or os.environ.get("BROWSER"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise Unavailable(
            f"dashboard: port {port} can't be had ({problem.strerror}); --port 0 takes a free one"
        ) from None
    return listener


def _fresh_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def kept_token(file: str) -> str:
    """What stands in the file, which gets a fresh one where there is none.

    Raises:
        BadConfiguration: the file can't be read or written, or is not this user's alone.
    """
    path = Path(file)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(path, flags, TOKEN_MODE), "r+", encoding="ascii") as opened:
            about = os.fstat(opened.fileno())
            if about.st_mode & 0o077 or about.st_uid != os.geteuid():
                raise BadConfiguration(
                    f"dashboard: others may read or change {file}; close it to them: "
                    f"chmod 600 {file}"
                )
            token = opened.read().strip()
            if not token:
                token = _fresh_token()
                opened.seek(0)
                opened.write(f"{token}\n")
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or "it is no text"
        raise BadConfiguration(f"dashboard: {file} can't keep the token: {why}") from None
    if len(token) < TOKEN_BYTES or not token.replace("-", "").replace("_", "").isalnum():
        raise BadConfiguration(f"dashboard: {file} holds no token; remove it, for a fresh one")
    return token
