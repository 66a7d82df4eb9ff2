"""What passes between a node and a task's process: JSON and arrays, framed by their lengths. No code, no pickle.

Small arrays follow the JSON in the pipe; large ones are copied through the memory that both ends reach (`buffer`).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ProtocolError
from afml.training.foreign.buffer import SharedBuffer

_LENGTH = struct.Struct("<Q")
#: Longest header, and most arrays of one message: what a foreign process may make this one allocate before it looks.
_MAX_HEADER, _MAX_ARRAYS = 16 << 20, 4096
_MAX_ARRAY = 16 << 30  # bytes
_KINDS = "biuf"  # of numpy dtypes: numbers only
_SMALL = 1 << 17  # bytes of a message that are not worth another way


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


def send(out: BinaryIO, message: Message, shared: SharedBuffer | None = None) -> None:
    """Write one message.

    Args:
        out: The pipe.
        message: What to send.
        shared: What the other end reads too, for large arrays; it has read the message before.
    """
    arrays = [np.asarray(array, order="C") for array in message.arrays]  # keeps a single number's shape ()
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    apart = shared is not None and sum(array.nbytes for array in arrays) > _SMALL
    if shared is not None and apart:
        shared.write(arrays)
    header = json.dumps({"name": message.name, "fields": message.fields, "arrays": shapes, "apart": apart}).encode()
    out.write(_LENGTH.pack(len(header)) + header)
    for array in () if apart else arrays:
        out.write(array.reshape(-1).view(np.uint8).data if array.size else b"")
    out.flush()


def receive(source: BinaryIO, shared: SharedBuffer | None = None) -> Message | None:
    """Read one message, its arrays this process's own; None at the end of the stream.

    Args:
        source: The pipe.
        shared: What the other end writes large arrays to.

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
        if not header["apart"]:
            return Message(name, fields, [_array(source, *_declared(*told)) for told in shapes])
        if shared is None:
            raise ValueError("its arrays are where nobody can read them")
        return Message(name, fields, _apart(shared, [_declared(*told) for told in shapes]))
    except (ValueError, KeyError, TypeError, OverflowError, struct.error, EOFError) as error:
        raise ProtocolError(f"sent what is no message ({error})", where="process of a task") from None


def _declared(dtype: str, shape: list[int]) -> tuple[np.dtype[Any], list[int]]:
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS or kind.hasobject or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("an array is not of numbers")
    if _size(kind, shape) > _MAX_ARRAY:
        raise ValueError("an array is too large")
    return kind, shape


def _size(kind: np.dtype[Any], shape: list[int]) -> int:
    return kind.itemsize * math.prod(shape)


def _array(source: BinaryIO, kind: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    return np.frombuffer(bytearray(_exactly(source, _size(kind, shape))), dtype=kind).reshape(shape)


def _apart(shared: SharedBuffer, declared: list[tuple[np.dtype[Any], list[int]]]) -> list[NDArray[Any]]:
    shared.require(sum(_size(kind, shape) for kind, shape in declared))
    return shared.read(declared)


def bytes_of(array: NDArray[np.uint8]) -> bytes:
    """An array's bytes; not copied again where it was received as bytes."""
    base = array.base
    return base if isinstance(base, bytes) and len(base) == array.nbytes else array.tobytes()


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number that a digest can be taken of")


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count) if count else b""
    if len(data) != count:
        raise EOFError("it was cut off")
    return data
