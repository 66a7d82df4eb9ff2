"""Memory that a node and one task's process both reach: large arrays are copied in at one end and out at the other.

It is anonymous memory of the kernel (memfd_create), handed over as an inherited descriptor: no name by which another
process could find it, and none of the calls that the sandbox refuses. Neither end maps it. What is read is a copy that
the other one cannot change any more, and an end that cuts the memory off gives the other a short read, not a signal.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

#: Kept between messages, so that the next one finds its pages; a longer message's memory is given back when it is read.
_KEPT_BYTES = 64 << 20
_AT_ONCE = 1 << 30  # bytes of one system call, which takes less than 2 GiB
_BLOCK = 512  # what the kernel counts a file's memory in


class SharedBuffer:
    """One such memory; arrays lie in it one after another from its beginning.

    Args:
        descriptor: Of the memory, inherited or made here.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def made(cls) -> Self:
        """New memory, empty.

        Raises:
            OSError: The system has none of this kind.
        """
        return cls(os.memfd_create("afml-task", os.MFD_CLOEXEC))

    def write(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Put arrays into it, C-contiguous ones, in place of what was there.

        Raises:
            MemoryError: There is no more memory.
        """
        at = 0
        for array in arrays:
            rest = _bytes(array)
            while rest:
                try:
                    done = os.pwrite(self.descriptor, rest[:_AT_ONCE], at)
                except OSError as error:  # of a pipe it would mean that the other end is gone
                    raise MemoryError(f"no memory for {array.nbytes} bytes between two processes") from error
                at, rest = at + done, rest[done:]

    def require(self, count: int) -> None:
        """Refuse to make room for more bytes than the other end has written.

        Raises:
            EOFError: It holds fewer.
        """
        found = os.fstat(self.descriptor)
        if min(found.st_size, found.st_blocks * _BLOCK) < count:  # a hole would have cost its sender nothing
            raise EOFError("the shared memory holds less")

    def read(self, declared: Sequence[tuple[np.dtype[Any], Sequence[int]]]) -> list[NDArray[Any]]:
        """Arrays out of it, this process's own; what is long is forgotten.

        Args:
            declared: Type and shape of each.

        Raises:
            EOFError: It holds less.
        """
        at, arrays = 0, []
        for kind, shape in declared:
            if kind == np.uint8 and len(shape) == 1 and 0 < shape[0] <= _AT_ONCE:  # bytes are to be had without a copy
                array: NDArray[Any] = np.frombuffer(os.pread(self.descriptor, shape[0], at), np.uint8)
                if len(array) != shape[0]:
                    raise EOFError("the shared memory was cut off")
            else:
                array = np.empty(shape, kind)
                self._fill(_bytes(array), at)
            arrays.append(array)
            at += array.nbytes
        if os.fstat(self.descriptor).st_size > _KEPT_BYTES:
            os.ftruncate(self.descriptor, 0)
        return arrays

    def _fill(self, rest: memoryview, at: int) -> None:
        while rest:
            done = os.preadv(self.descriptor, [rest[:_AT_ONCE]], at)
            if not done:
                raise EOFError("the shared memory was cut off")
            at, rest = at + done, rest[done:]

    def close(self) -> None:
        """Give this end up."""
        os.close(self.descriptor)


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
