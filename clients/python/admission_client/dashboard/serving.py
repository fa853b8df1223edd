"""Serves the page on the loopback address until it is told to end."""

import logging
import os
import secrets
import signal
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http

from admission.protocol import BadConfiguration, Unavailable
from admission_client.dashboard.door import Door
from admission_client.dashboard.feed import Feed
from admission_client.dashboard.site import Site
from admission_client.options import Options

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 24
BACKLOG = 64
# Open pages hold a connection each; they are not waited for.
FAREWELL_S = 0.2
TOKEN_MODE = 0o600


def serve(options: Options, say: Callable[[str], None]) -> int:
    """Serves until SIGINT or SIGTERM.

    Raises:
        AdmissionError: the port or the token's file can't be had.
    """
    token = _token(options.token_file)
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
    ended = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.run)
            nursery.start_soon(_serve_http, door, listener, ended)
            url = f"http://{LOOPBACK}:{port}/?token={token}"
            say(url)
            if not options.no_open:
                # A thread: a browser that starts may be waited for.
                nursery.start_soon(trio.to_thread.run_sync, webbrowser.open, url)
            async for _ in received:
                ended.set()
                break
            nursery.cancel_scope.deadline = trio.current_time() + 5 * FAREWELL_S


async def _serve_http(door: Door, listener: socket.socket, ended: trio.Event) -> None:
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = FAREWELL_S
    config.include_server_header = False
    config.errorlog = logging.getLogger(__name__)
    await serve_http(door, config, shutdown_trigger=ended.wait, mode="asgi")  # type: ignore[arg-type]


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise Unavailable(
            f"dashboard: port {port} can't be had: {problem.strerror}; --port 0 takes a free one"
        ) from None
    return listener


def _token(file: str | None) -> str:
    """A fresh one; or what stands in the file, which gets one where there is none.

    Raises:
        BadConfiguration: the file can't be read or written, or others may read it.
    """
    if file is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    path = Path(file)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, TOKEN_MODE)
        with os.fdopen(handle, "r+", encoding="ascii") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise BadConfiguration(
                    f"dashboard: others may read {file}; close it to them: chmod 600 {file}"
                )
            token = opened.read().strip() or secrets.token_urlsafe(TOKEN_BYTES)
            opened.seek(0)
            opened.write(f"{token}\n")
    except (OSError, ValueError) as problem:
        raise BadConfiguration(f"dashboard: {file} can't keep the token: {problem}") from None
    if len(token) < TOKEN_BYTES or not token.isascii() or not token.isprintable():
        raise BadConfiguration(f"dashboard: {file} holds no token; remove it, for a fresh one")
    return token
