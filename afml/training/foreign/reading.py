"""What a task's process answered, checked; its arrays are copies already (`messages.receive`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from afml.core.errors import ProtocolError
from afml.training.foreign.messages import Message, bytes_of
from afml.training.task import Rows


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Have whatever is wrong with the fields of an answer, read within, end in one line.

    Args:
        what: What was asked for.

    Raises:
        ProtocolError: The answer does not hold it.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        raise ProtocolError(f"gave {what} that cannot be read", where="process of a task") from None


def rows_in(answer: Message) -> list[Rows]:
    """Blocks of an answer.

    Raises:
        ProtocolError: The answer does not hold what it says.
    """
    blocks, arrays = [], iter(answer.arrays)
    try:
        for told in answer.fields["blocks"]:
            gradients = [torch.from_numpy(next(arrays)) for _ in range(int(told["parameters"]))]
            owner = next(arrays).astype(np.int64) if told["owner"] is None else int(told["owner"])
            blocks.append(Rows(gradients, owner))
    except (StopIteration, KeyError, TypeError, ValueError):
        raise ProtocolError("gave gradients that cannot be read", where="process of a task") from None
    return blocks


def bytes_in(answer: Message) -> bytes:
    """The one array of an answer, as bytes.

    Raises:
        ProtocolError: There is another number of arrays.
    """
    if len(answer.arrays) != 1:
        raise ProtocolError("gave no bytes where some were asked for", where="process of a task")
    return bytes_of(answer.arrays[0])
