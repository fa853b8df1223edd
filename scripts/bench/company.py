"""Clients that nobody would like to share a daemon with: `python -m scripts.bench.company KIND
SOCKET`. Each says a line when it is there, and goes on until it is killed.
"""

import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from admission.protocol import FRAME_BYTES_MAX, LENGTH_BYTES, encode
from admission_client.granted import claim_fields

SILENT = 1000
TRICKLERS = 100
BATCH = 50
READ_BYTES = 1 << 20
# A frame as long as one may be.
LONG = FRAME_BYTES_MAX.to_bytes(LENGTH_BYTES, "big") + bytes(FRAME_BYTES_MAX)


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def stay_silent(path: str) -> None:
    """A thousand connections that never send a byte."""
    socks = [connect(path) for _ in range(SILENT)]
    print(len(socks), flush=True)
    signal.pause()


def trickle(path: str) -> None:
    """A hundred connections that send one byte a second, of a frame that never ends. Whoever is
    closed for it connects again.
    """
    socks = [connect(path) for _ in range(TRICKLERS)]
    sent = [0] * TRICKLERS
    print(len(socks), flush=True)
    while True:
        for number, sock in enumerate(socks):
            try:
                sock.send(LONG[sent[number] : sent[number] + 1])
                sent[number] += 1
            except OSError:
                sock.close()
                with suppress(OSError):
                    socks[number], sent[number] = connect(path), 0
            time.sleep(1 / TRICKLERS)


def asked() -> bytes:
    """Requests without a pause: for leases, most of which have to wait and then are too many, and
    for the state.
    """
    acquire = encode({"id": 1, "op": "acquire", **claim_fields(pool="few", bound="connection")})
    return (acquire + encode({"id": 2, "op": "status"})) * BATCH


def flood(path: str) -> None:
    """One connection that asks as fast as it can, and reads what it is answered."""
    _pour(path, reads=True)


def flood_deaf(path: str) -> None:
    """The same, but that it never reads. It is closed for it, and comes again."""
    _pour(path, reads=False)


def _pour(path: str, *, reads: bool) -> None:
    data = asked()
    print("pouring", flush=True)
    while True:
        with suppress(OSError), connect(path) as sock:
            sock.setblocking(False)
            left = memoryview(data)
            while True:
                wanted = [sock] if reads else []
                readable, writable, _ = select.select(wanted, [sock], [])
                if readable and not sock.recv(READ_BYTES):
                    break
                if writable:
                    left = left[sock.send(left) :] or memoryview(data)


KINDS: dict[str, Callable[[str], None]] = {
    "silent": stay_silent,
    "trickle": trickle,
    "flood": flood,
    "deaf": flood_deaf,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](sys.argv[2])
