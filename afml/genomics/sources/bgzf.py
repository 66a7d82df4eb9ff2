"""BGZF, the blocked gzip of VCF.gz and BCF (SAM specification, section 4): checked block by block.

A file is whole when its end-of-file block is there, and every block carries a checksum: damage is an error and never a
shorter file. Reading is plain Python over zlib, so no damaged file ends the process.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from afml.core.errors import InputError
from afml.core.files import require_file

MAGIC = b"\x1f\x8b\x08\x04"
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
RESTORE = "restore the file from its source"

_READ = 1 << 20
_HEAD = 12  # bytes before the extra field
_TAIL = struct.Struct("<II")  # checksum, size of the content
_LARGEST = 1 << 16  # content of a block
_LOOKED_THROUGH = 1 << 20  # how far from the end of a file its end-of-file block is looked for


class Damage(Exception):
    """A block that cannot be read; says why and at which byte of the file."""


def require_bgzf(path: Path, what: str = "VCF") -> Path:
    """Return `path` when it is a whole BGZF file.

    Raises:
        InputError: It is missing, not BGZF, lacks its end-of-file block, or goes on after it.
    """
    require_file(path, what)
    with path.open("rb") as handle:
        head = handle.read(4)
        size = handle.seek(0, 2)
        handle.seek(max(0, size - _LOOKED_THROUGH))
        tail = handle.read()
    if size == 0:
        raise InputError(f"{what} is empty", where=path, cure=RESTORE)
    if head != MAGIC:
        raise InputError(f"{what} is not bgzipped", where=path, cure="compress it with bgzip or bcftools view -Oz")
    whole = tail.rfind(END)
    if whole < 0:
        raise InputError(f"{what} is truncated (its end-of-file block is missing)", where=path, cure=RESTORE)
    excess = len(tail) - whole - len(END)
    if excess:
        raise InputError(
            f"{what} has {excess} bytes after its end-of-file block",
            where=path,
            cure=f"{RESTORE}, or cut them off if they are padding (head -c {size - excess})",
        )
    return path


def blocks(handle: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The content of every block that begins in [start, stop).

    Args:
        handle: The file.
        start: Byte of the file at which a block begins.
        stop: Byte of the file; None reads to its end.

    Yields:
        (byte of the file at which the block begins, its content).

    Raises:
        Damage: A block is malformed, cut short, or not what its checksum says.
    """
    handle.seek(start)
    held, at, place = handle.read(_READ), 0, start
    while stop is None or place < stop:
        if len(held) - at < _LARGEST + _HEAD:
            held, at = held[at:] + handle.read(_READ), 0
        if at == len(held):
            return
        size, body = _extent(held, at, place)
        if at + size > len(held):
            raise Damage(f"the file ends inside the block at byte {place}")
        checksum, length = _TAIL.unpack_from(held, at + size - _TAIL.size)
        try:
            content = zlib.decompress(memoryview(held)[at + body : at + size - _TAIL.size], -15, max(1, length))
        except zlib.error:
            raise Damage(f"the block at byte {place} is damaged") from None
        if len(content) != length or zlib.crc32(content) != checksum:
            raise Damage(f"the block at byte {place} is not what its checksum says")
        yield place, content
        at, place = at + size, place + size


def next_block(handle: BinaryIO, start: int) -> int | None:
    """The first byte from `start` on at which a block begins that another one, or the end, follows; None if none."""
    handle.seek(start)
    held = handle.read(4 * _LARGEST)
    at = held.find(MAGIC)
    while at >= 0:
        try:
            size, _ = _extent(held, at, start + at)
            if held[at + size : at + size + len(MAGIC)] in (MAGIC, b""):
                return start + at
        except Damage:
            pass
        at = held.find(MAGIC, at + 1)
    return None


def _extent(held: bytes, at: int, place: int) -> tuple[int, int]:
    """(size of the block, where its compressed data begin) of the block at `held[at:]`."""
    if held[at : at + 4] != MAGIC or at + _HEAD > len(held):
        raise Damage(f"what stands at byte {place} is not a block")
    extra = int.from_bytes(held[at + 10 : at + 12], "little")
    field, body = at + _HEAD, at + _HEAD + extra
    while field + 4 <= min(body, len(held)):
        width = int.from_bytes(held[field + 2 : field + 4], "little")
        if held[field : field + 2] == b"BC" and width == 2:
            size = int.from_bytes(held[field + 4 : field + 6], "little") + 1
            if size < _HEAD + extra + _TAIL.size:
                break
            return size, body - at
        field += 4 + width
    raise Damage(f"what stands at byte {place} is not a block")
