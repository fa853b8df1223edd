"""What survives the daemon: an append-only file of the core's records.

A lease can't outlive the boot, so nothing is synced to disk: what the kernel took survives a
killed daemon. The first record names the boot; from another boot's journal only the numbers given
out so far are kept, so that fencing tokens go on growing.

Each record stands twice, side by side, each copy with a mark, a length, a checksum and its number.
Were there one, a damaged byte would leave a choice between two wrongs: to stop there loses every
lease behind it, to go on may bring back one whose end it was. Where both copies of a record are
damaged, its number is missing and the loss is known: what is lost then is a lease nobody knows of
any more, or an end, which comes again with that of the holder.

Writes go to a file in the runtime folder (memory, on Linux) and are a few hundred bytes, so they
are made on the event loop.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import psutil

from admission.core import by_hand
from admission.core import events as ev

FORMAT = 2
COPIES = 2
# A byte that msgpack never uses, and what no text holds.
MARK = b"\xc1\xff"
# Mark, length, checksum; number and body follow, and the checksum is theirs.
HEAD_BYTES = len(MARK) + 4 + 4
NUMBER_BYTES = 8
RECORD_BYTES_MAX = 1 << 20
# Below this a rewrite is not worth its while.
REWRITE_BYTES_MIN = 1 << 20
# Room that is kept for the next rewrite, so that a full disk can't prevent it.
SPARE_BYTES_MIN = 64 * 1024

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(ev.Record)}
_encoder = msgspec.msgpack.Encoder()
_head = struct.Struct(">2sII").pack


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal's bytes say, up to a record that another version wrote.

    `boot`: of which it is; empty where that was lost, or it is no journal of ours.
    `damaged_bytes` are of no whole copy, `lost` is how many records have none.
    """

    boot: str = ""
    records: tuple[ev.Record, ...] = ()
    damaged_bytes: int = 0
    lost: int = 0

    def for_boot(self, boot: str) -> list[ev.Record]:
        """What counts in this boot: of another one's journal, only its last numbers."""
        if self.boot in ("", boot):
            return list(self.records)
        return [_numbers(self.records)]


def frame(number: int, kind: str, record: object) -> bytes:
    """A record with its number, twice."""
    payload = number.to_bytes(NUMBER_BYTES, "big") + _encoder.encode((kind, record))
    return (_head(MARK, len(payload), zlib.crc32(payload)) + payload) * COPIES


def encode(number: int, record: ev.Record) -> bytes:
    """One record as it stands in the file.

    The waiter in a grant is for taking the grant back, which nobody does after it was written.
    """
    if isinstance(record, ev.Granted):
        record = ev.Granted(record.lease)
    elif isinstance(record, ev.Regained):
        record = ev.Regained(record.lease, record.ticket, over_at=record.over_at)
    elif isinstance(record, ev.Ended):
        record = ev.Ended(record.lease, record.reason)
    return frame(number, type(record).__name__, record)


def copies(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every whole copy in these bytes with its number, whatever stands between them."""
    at = data.find(MARK)
    while at >= 0:
        start = at + HEAD_BYTES
        length = int.from_bytes(data[at + len(MARK) : at + len(MARK) + 4], "big")
        checksum = int.from_bytes(data[at + len(MARK) + 4 : start], "big")
        payload = data[start : start + min(length, RECORD_BYTES_MAX)]
        if NUMBER_BYTES <= length == len(payload) and zlib.crc32(payload) == checksum:
            yield int.from_bytes(payload[:NUMBER_BYTES], "big"), payload[NUMBER_BYTES:]
            at = data.find(MARK, start + length)
        else:
            at = data.find(MARK, at + 1)


def read(data: bytes) -> Reading:
    """What these bytes say, oldest first. Each record counts once, by its first whole copy."""
    records: list[ev.Record] = []
    stamp: Stamp | None = None
    due = lost = whole_bytes = 0
    for number, body in copies(data):
        whole_bytes += HEAD_BYTES + NUMBER_BYTES + len(body)
        if number < due:
            continue
        lost += number - due
        due = number + 1
        try:
            kind, raw = msgspec.msgpack.decode(body, type=tuple[str, msgspec.Raw])
            if number == 0:
                stamp = msgspec.msgpack.decode(raw, type=Stamp)
            else:
                records.append(msgspec.msgpack.decode(raw, type=_KINDS[kind]))
        # Text that is none and nesting without end are errors of their own, and no DecodeError.
        except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
            break  # written by another version: what stood before it counts
    is_ours = stamp.format == FORMAT if stamp else lost and records
    if not is_ours:
        return Reading(damaged_bytes=len(data))
    # Without its stamp it is taken for this boot's: whose process lives is looked up in any case.
    return Reading(stamp.boot if stamp else "", tuple(records), len(data) - whole_bytes, lost)


def _numbers(records: Iterable[ev.Record]) -> ev.Numbered:
    lease = ticket = reservation = 0
    for record in records:
        if isinstance(record, ev.Numbered):
            lease, ticket = max(lease, record.lease), max(ticket, record.ticket)
            reservation = max(reservation, record.reservation)
        elif isinstance(record, ev.Granted):
            lease, ticket = max(lease, record.lease.id), max(ticket, record.lease.ticket)
        elif isinstance(record, ev.Queued):
            ticket = max(ticket, record.waiter.ticket)
        elif isinstance(record, by_hand.Reserved):
            reservation = max(reservation, record.reservation.id)
    return ev.Numbered(lease, ticket, reservation)


class Journal:
    """The file, open for appending. After a failure nothing is appended until `rewrite` succeeds:
    what is missing in between may be an end, and a journal without it would bring the dead back.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self.path = path
        self.boot = boot
        self.lost = 0
        self._file = -1
        self._next = 0
        self._size_bytes = 0
        self._rewrite_at_bytes = REWRITE_BYTES_MIN

    @property
    def works(self) -> bool:
        return self._file >= 0

    @property
    def size_bytes(self) -> int:
        """Of the file as it stands."""
        return self._size_bytes

    @property
    def wants_rewrite(self) -> bool:
        return self._size_bytes > self._rewrite_at_bytes

    def read(self) -> list[ev.Record]:
        """What an earlier daemon left; nothing where there is no journal. `lost` is then how many
        records of it were damaged beyond repair.

        Raises:
            OSError: there is one and it can't be read: to start anyway would over-admit.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        found = read(data)
        self.lost = found.lost
        return found.for_boot(self.boot)

    def append(self, record: ev.Record) -> bool:
        """Writes one record; False where it could not be written, of which nothing stays then."""
        if not self.works:
            return False
        data = encode(self._next, record)
        try:
            written = os.write(self._file, data)
        except OSError:
            written = -1
        if written != len(data):
            with suppress(OSError):  # what is torn is not read in any case
                os.ftruncate(self._file, self._size_bytes)
            self._let_go()
            return False
        self._next += 1
        self._size_bytes += written
        return True

    def rewrite(self, records: Iterable[ev.Record]) -> None:
        """Puts a new file with just these records in the old one's place, whole or not at all.

        Raises:
            OSError: it can't be written; the old file, if any, stays, and may grow as long again.
        """
        self._rewrite_at_bytes = max(REWRITE_BYTES_MIN, 2 * self._size_bytes)
        pieces = [frame(0, "Stamp", Stamp(FORMAT, self.boot))]
        pieces += [encode(number, record) for number, record in enumerate(records, 1)]
        data = b"".join(pieces)
        file = self._open_spare()
        try:
            if os.write(file, data) != len(data):
                raise OSError(f"{self._spare} took only a part of {len(data)} bytes")
            os.ftruncate(file, len(data))
            os.replace(self._spare, self.path)
        except OSError:
            os.close(file)
            raise
        self._let_go()
        self._file = file
        self._next = len(pieces)
        self._size_bytes = len(data)
        self._rewrite_at_bytes = max(REWRITE_BYTES_MIN, 4 * len(data))
        self._keep_spare(max(SPARE_BYTES_MIN, 2 * len(data)))

    @property
    def _spare(self) -> Path:
        """The next file. There is one at all times, with room in it: on a disk that is full, the
        journal could not be written anew otherwise, however little it then held.
        """
        return self.path.with_suffix(".journal-new")

    def _open_spare(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._spare, flags, 0o600)

    def _keep_spare(self, size_bytes: int) -> None:
        with suppress(OSError):  # there is no room: then there is none
            file = self._open_spare()
            try:
                if hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(file, 0, size_bytes)
            finally:
                os.close(file)

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        """The end: what was written stays, and the room for more is given back."""
        if self.works:
            self._let_go()
            with suppress(OSError):
                self._spare.unlink()
