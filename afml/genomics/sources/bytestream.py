"""The content of BGZF files as lines of text, from one place of a file to another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from afml.genomics.sources.bgzf import blocks
from afml.genomics.sources.index import Stretch

_AT_ONCE = 1 << 19  # content that is gathered before it is taken apart


def contents(handle: BinaryIO, stretch: Stretch) -> Iterator[bytes]:
    """The content of a stretch of a BGZF file, block by block."""
    last, kept = (None, 0) if stretch.stop is None else (stretch.stop >> 16, stretch.stop & 0xFFFF)
    begin = stretch.start & 0xFFFF
    for place, content in blocks(handle, stretch.start >> 16, None if last is None else last + (kept > 0)):
        yield content[begin : kept if place == last else len(content)]
        begin = 0


def contents_with_places(handle: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """(byte of the file, content) of every block from a virtual offset on."""
    begin = start & 0xFFFF
    for place, content in blocks(handle, start >> 16):
        yield place, content[begin:]
        begin = 0


def lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Lines, without their ends, of the content of a file; the last one may lack its end."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _AT_ONCE:
            *whole, rest = b"".join(held).split(b"\n")
            yield from whole
            held, size = [rest], len(rest)
    *whole, rest = b"".join(held).split(b"\n")
    yield from whole
    if rest:
        yield rest


def lines_between(handle: BinaryIO, start: int, stop: int | None) -> Iterator[bytes]:
    """The lines of a part of a file that is cut anywhere.

    Parts that follow one another give each line once: a line that begins with the first byte of a block at which a file
    is cut belongs to the part before the cut.

    Args:
        handle: The file.
        start: Virtual offset; the part begins after the first line end from there on.
        stop: Byte of the file at which a block begins; the part ends with the line that goes on, or begins, there.
            None is the end of the file.
    """
    return lines(_between(contents_with_places(handle, start), stop))


def _between(content: Iterator[tuple[int, bytes]], stop: int | None) -> Iterator[bytes]:
    begun = False
    for place, part in content:
        end = part.find(b"\n")
        last = stop is not None and place >= stop
        if begun:
            yield part[: end + 1] if last and end >= 0 else part
        elif end >= 0:
            begun = True
            if not last:
                yield part[end + 1 :]
        if last and end >= 0:
            return
