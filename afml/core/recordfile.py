"""A file of byte records: `[length: u32 little-endian][bytes]`, ended by a record count.

Writers stage and rename, so a file under its final name is whole. Readers go record by record and
never hold more than one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from afml.core.errors import IntegrityError
from afml.core.files import staged_file

_LENGTH = struct.Struct("<I")
_END = 0xFFFFFFFF  # a length no record has; the record count follows it


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write records durably and return how many there were; nothing is left behind on failure."""
    with staged_file(path) as staged, staged.open("wb") as out:
        count = 0
        for record in records:
            append_record(out, record)
            count += 1
        end_records(out, count)
    return count


def append_record(out: BinaryIO, record: bytes) -> None:
    """Add one record to an open file."""
    out.write(_LENGTH.pack(len(record)))
    out.write(record)


def end_records(out: BinaryIO, count: int) -> None:
    """Close the sequence; a file without this end was cut off."""
    out.write(_LENGTH.pack(_END))
    out.write(_LENGTH.pack(count))
    out.flush()
    os.fsync(out.fileno())


class Digested:
    """Passes records on, and keeps the SHA-256 of those that went by, one after the other."""

    def __init__(self, records: Iterable[bytes]) -> None:
        self._records, self._digest = records, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for record in self._records:
            self._digest.update(record)
            yield record

    def digest(self) -> bytes:
        """Of all until now, 32 bytes."""
        return self._digest.digest()


def digest_of_records(path: Path) -> bytes:
    """SHA-256 of all records of a file, one after the other.

    Raises:
        IntegrityError: As `read_records`.
    """
    digested = Digested(read_records(path))
    for _ in digested:
        pass
    return digested.digest()


def read_records(path: Path, start: int = 0, stop: int | None = None) -> Generator[bytes]:
    """Yield records `start` to `stop` (exclusive; None for all), skipping the others unread.

    Raises:
        IntegrityError: The file is cut off or its count is wrong.
    """
    with path.open("rb") as source:
        index = 0
        while stop is None or index < stop:
            head = source.read(_LENGTH.size)
            if len(head) != _LENGTH.size:
                raise IntegrityError("record file is cut off", where=path)
            (length,) = _LENGTH.unpack(head)
            if length == _END:
                tail = source.read(_LENGTH.size)
                if len(tail) != _LENGTH.size or _LENGTH.unpack(tail)[0] != index:
                    raise IntegrityError("record file has a wrong count", where=path)
                if stop is not None:
                    raise IntegrityError(f"record file ends at {index}, not {stop}", where=path)
                return
            if index < start:
                source.seek(length, os.SEEK_CUR)
            else:
                record = source.read(length)
                if len(record) != length:
                    raise IntegrityError("record file is cut off", where=path)
                yield record
            index += 1
