"""What passes between a node and a task's process: JSON and arrays, framed by their lengths. No code, no pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ProtocolError

_LENGTH = struct.Struct("<Q")
#: Longest header, and most arrays of one message: what a foreign process may make this one allocate before it looks.
_MAX_HEADER, _MAX_ARRAYS = 16 << 20, 4096
_MAX_ARRAY = 16 << 30  # bytes
_KINDS = "biuf"  # of numpy dtypes: numbers only


@dataclass(frozen=True)
class Message:
    """One request or answer.

    Attributes:
        name: What is asked, or "ok", or "error".
        fields: JSON values.
        arrays: Numbers.
    """

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: Sequence[NDArray[Any]] = ()


def send(out: BinaryIO, message: Message) -> None:
    """Write one message."""
    arrays = [np.asarray(array, order="C") for array in message.arrays]  # keeps a single number's shape ()
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    header = json.dumps({"name": message.name, "fields": message.fields, "arrays": shapes}).encode()
    out.write(_LENGTH.pack(len(header)) + header)
    for array in arrays:
        out.write(array.reshape(-1).view(np.uint8).data if array.size else b"")
    out.flush()


def receive(source: BinaryIO) -> Message | None:
    """Read one message; None at the end of the stream.

    Raises:
        ProtocolError: What came is no message.
    """
    start = source.read(_LENGTH.size)
    if not start:
        return None
    try:
        (length,) = _LENGTH.unpack(start)
        if length > _MAX_HEADER:
            raise ValueError("its header is too long")
        header = json.loads(_exactly(source, length), parse_constant=_no_number)
        name, fields, shapes = str(header["name"]), dict(header["fields"]), list(header["arrays"])
        if len(shapes) > _MAX_ARRAYS:
            raise ValueError("it has too many arrays")
        return Message(name, fields, [_array(source, dtype, shape) for dtype, shape in shapes])
    except (ValueError, KeyError, TypeError, struct.error, EOFError) as error:
        raise ProtocolError(f"sent what is no message ({error})", where="process of a task") from None


def _array(source: BinaryIO, dtype: str, shape: list[int]) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS or kind.hasobject or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("an array is not of numbers")
    size = kind.itemsize * int(np.prod(shape, dtype=np.float64))
    if size > _MAX_ARRAY:
        raise ValueError("an array is too large")
    return np.frombuffer(_exactly(source, size), dtype=kind).reshape(shape)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number that a digest can be taken of")


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count) if count else b""
    if len(data) != count:
        raise EOFError("it was cut off")
    return data
