"""Reading numpy archives that somebody else made: nothing is allocated that the archive was not expected to hold.

`numpy.load` believes an archive: a kilobyte of deflated zeros becomes a gigabyte, a header of a hundred bytes asks for
an array of any size, and a directory may list one member a million times. Here members are plain, as `numpy.savez`
writes them, each named once, and no larger than the bytes that are there.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

#: End of central directory: signature, four disk and entry counts, directory size and offset, length of a comment.
_END = struct.Struct("<4s4H2LH")
_LOCATOR_BYTES = 20
_ENTRY_BYTES = 512  # of the directory for one member: its name and its place
_HEADER_BYTES = 1 << 14
_PIECE = 1 << 20  # bytes read at a time: an array of a large model is not held twice
#: Members of an archive whose names are not agreed on beforehand: a saved model.
MOST_MEMBERS = 4096


def read_archive(source: BinaryIO, known: Mapping[str, int] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an uncompressed numpy archive.

    Args:
        source: The archive, seekable.
        known: Names that it may hold, and how many numbers each may have at most; None: any, in all no larger than
            the archive.

    Raises:
        ValueError: It is damaged, or holds something else than plain arrays of numbers, or anything not expected.
    """
    size = source.seek(0, io.SEEK_END)
    _check_directory(source, size, MOST_MEMBERS if known is None else len(known))
    with zipfile.ZipFile(source) as archive:
        infos = archive.infolist()
        names = [info.filename.removesuffix(".npy") for info in infos]
        if len(set(names)) < len(names) or sum(info.file_size for info in infos) > size:
            raise ValueError("holds a member twice, or members larger than itself")
        for name, info in zip(names, infos, strict=True):
            _check_member(name, info, known)
        return {name: _array(archive, info) for name, info in zip(names, infos, strict=True)}


def _check_directory(source: BinaryIO, size: int, most: int) -> None:
    """Before `zipfile` reads the directory into objects: there is one, at the end, and it is short."""
    source.seek(max(0, size - _END.size - _LOCATOR_BYTES))
    tail = source.read()
    if len(tail) < _END.size:
        raise ValueError("is no archive")
    signature, _, _, _, entries, directory, offset, _ = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or tail[: -_END.size].startswith(b"PK\x06\x07"):
        raise ValueError("does not end as a plain archive does")
    if entries > most or directory > entries * _ENTRY_BYTES or offset + directory + _END.size != size:
        raise ValueError("lists more members than expected")


def _check_member(name: str, info: zipfile.ZipInfo, known: Mapping[str, int] | None) -> None:
    if info.filename != f"{name}.npy" or (known is not None and name not in known):
        raise ValueError("holds an unknown member")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
        raise ValueError("holds a compressed or encrypted member")
    if known is not None and info.file_size > known[name] * 8 + _HEADER_BYTES:
        raise ValueError("holds a member that is larger than expected")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as opened:
        version = npy.read_magic(opened)
        if version not in ((1, 0), (2, 0)):
            raise ValueError("holds an array of an unknown version")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, column_first, dtype = read(opened, max_header_size=_HEADER_BYTES)
        if dtype.kind not in "biuf" or info.file_size - opened.tell() != math.prod(shape) * dtype.itemsize:
            raise ValueError("holds an array of another type or size than it says")
        flat = np.empty(math.prod(shape), dtype)
        into = flat.view(np.uint8).data
        while part := opened.read(_PIECE):  # to the end, where the sum is checked
            into[: len(part)], into = part, into[len(part) :]
        if into:
            raise ValueError("ends before an array does")
    return flat.reshape(shape, order="F" if column_first else "C")
