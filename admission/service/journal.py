"""What survives the daemon: an append-only file of the core's records.

A lease can't outlive the boot, so nothing is synced to disk: what the kernel took survives a
killed daemon. A record is a frame of its own (length, checksum, msgpack); a torn or damaged one
ends the reading, and what stood before it counts. The first record names the boot; from another
boot's journal only the numbers given out so far are kept, so that fencing tokens go on growing.

Writes go to a file in the runtime folder (memory, on Linux) and are a few hundred bytes, so they
are made on the event loop.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import psutil

from admission.core import events as ev

FORMAT = 1
HEAD_BYTES = 8
RECORD_BYTES_MAX = 1 << 20
# Below this a rewrite is not worth its while.
REWRITE_BYTES_MIN = 1 << 20

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(ev.Record)}
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Stamp:
    """The first record of every journal."""

    format: int
    boot: str


def boot_id() -> str:
    """Something that is another one after every boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(round(psutil.boot_time()))


def frame(kind: str, record: object) -> bytes:
    body = _encoder.encode((kind, record))
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def encode(record: ev.Record) -> bytes:
    """One record as it stands in the file.

    The waiter in a grant is for taking the grant back, which nobody does after it was written.
    """
    if isinstance(record, ev.Granted):
        record = ev.Granted(record.lease)
    elif isinstance(record, ev.Regained):
        record = ev.Regained(record.lease, record.ticket)
    elif isinstance(record, ev.Ended):
        record = ev.Ended(record.lease, record.reason)
    return frame(type(record).__name__, record)


def bodies(data: bytes) -> Iterator[bytes]:
    """The whole records at the beginning of `data`, up to the first that is not."""
    start = 0
    while start + HEAD_BYTES <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        checksum = int.from_bytes(data[start + 4 : start + HEAD_BYTES], "big")
        body = data[start + HEAD_BYTES : start + HEAD_BYTES + length]
        if length > RECORD_BYTES_MAX or len(body) < length or zlib.crc32(body) != checksum:
            return
        yield body
        start += HEAD_BYTES + length


def decode(data: bytes, boot: str) -> list[ev.Record]:
    """The records of a journal, oldest first; of another boot's, only its last numbers."""
    records: list[ev.Record] = []
    stamp: Stamp | None = None
    for body in bodies(data):
        try:
            kind, raw = msgspec.msgpack.decode(body, type=tuple[str, msgspec.Raw])
            if stamp is None:
                stamp = msgspec.msgpack.decode(raw, type=Stamp)
                continue
            records.append(msgspec.msgpack.decode(raw, type=_KINDS[kind]))
        # Text that is none and nesting without end are errors of their own, and no DecodeError.
        except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
            break  # written by another version: what stood before it counts
    if stamp is None or stamp.format != FORMAT:
        return []
    return records if stamp.boot == boot else [_numbers(records)]


def _numbers(records: list[ev.Record]) -> ev.Numbered:
    lease = ticket = 0
    for record in records:
        if isinstance(record, ev.Numbered):
            lease, ticket = max(lease, record.lease), max(ticket, record.ticket)
        elif isinstance(record, ev.Granted):
            lease, ticket = max(lease, record.lease.id), max(ticket, record.lease.ticket)
        elif isinstance(record, ev.Queued):
            ticket = max(ticket, record.waiter.ticket)
    return ev.Numbered(lease, ticket)


class Journal:
    """The file, open for appending. After a failure nothing is appended until `rewrite` succeeds:
    a record behind a torn one would never be read.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self.path = path
        self.boot = boot
        self._file = -1
        self._size_bytes = 0
        self._rewrite_at_bytes = REWRITE_BYTES_MIN

    @property
    def works(self) -> bool:
        return self._file >= 0

    @property
    def wants_rewrite(self) -> bool:
        return self._size_bytes > self._rewrite_at_bytes

    def read(self) -> list[ev.Record]:
        """What an earlier daemon left; nothing where there is no journal.

        Raises:
            OSError: there is one and it can't be read: to start anyway would over-admit.
        """
        try:
            return decode(self.path.read_bytes(), self.boot)
        except FileNotFoundError:
            return []

    def append(self, record: ev.Record) -> bool:
        """Writes one record; False where it could not be written."""
        if not self.works:
            return False
        data = encode(record)
        try:
            written = os.write(self._file, data)
        except OSError:
            written = -1
        if written != len(data):
            self.close()
            return False
        self._size_bytes += written
        return True

    def rewrite(self, records: Iterable[ev.Record]) -> None:
        """Puts a new file with just these records in the old one's place, whole or not at all.

        Raises:
            OSError: it can't be written; the old file, if any, stays, and may grow as long again.
        """
        self._rewrite_at_bytes = max(REWRITE_BYTES_MIN, 2 * self._size_bytes)
        fresh = self.path.with_suffix(".journal-new")
        data = frame("Stamp", Stamp(FORMAT, self.boot)) + b"".join(map(encode, records))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(fresh, flags, 0o600)
        try:
            if os.write(file, data) != len(data):
                raise OSError(f"{fresh} took only a part of {len(data)} bytes")
            os.replace(fresh, self.path)
        except OSError:
            os.close(file)
            raise
        self.close()
        self._file = file
        self._size_bytes = len(data)
        self._rewrite_at_bytes = max(REWRITE_BYTES_MIN, 4 * len(data))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
