"""Memory between a node and a task's process: what was put in comes out, a copy; what is not there is an error."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np
import pytest

from afml.core.errors import ProtocolError
from afml.training.foreign import buffer
from afml.training.foreign.buffer import SharedBuffer
from afml.training.foreign.messages import Message, receive, send

LARGE = np.arange(100_000, dtype=np.float32)


@pytest.fixture
def shared() -> Iterator[SharedBuffer]:
    made = SharedBuffer.made()
    yield made
    made.close()


def _passed(message: Message, shared: SharedBuffer) -> Message:
    stream = io.BytesIO()
    send(stream, message, shared)
    stream.seek(0)
    found = receive(stream, shared)
    assert found is not None
    return found


def test_large_arrays_pass_beside_the_pipe_and_small_ones_in_it(shared: SharedBuffer) -> None:
    stream = io.BytesIO()
    send(stream, Message("ok", {}, [LARGE, np.zeros((0, 3)), np.float64(2.5)]), shared)
    assert len(stream.getvalue()) < 1000
    stream.seek(0)
    found = receive(stream, shared)
    assert found is not None
    assert np.array_equal(found.arrays[0], LARGE)
    assert (found.arrays[1].shape, float(found.arrays[2])) == ((0, 3), 2.5)
    small = _passed(Message("ok", {}, [LARGE[:10]]), shared)
    assert np.array_equal(small.arrays[0], LARGE[:10])
    assert os.fstat(shared.descriptor).st_size == LARGE.nbytes + 8, "as the large message left it"


def test_what_was_read_is_a_copy_that_nobody_else_can_change(shared: SharedBuffer) -> None:
    found = _passed(Message("ok", {}, [LARGE]), shared).arrays[0]
    os.pwrite(shared.descriptor, bytes(LARGE.nbytes), 0)
    assert np.array_equal(found, LARGE)
    found[0] = 1.0  # and is this process's to write to


def test_a_strided_array_passes_as_its_numbers_stand(shared: SharedBuffer) -> None:
    turned = LARGE.reshape(100, 1000).T
    assert np.array_equal(_passed(Message("ok", {}, [turned]), shared).arrays[0], turned)


def test_a_long_messages_memory_is_given_back(shared: SharedBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_KEPT_BYTES", LARGE.nbytes - 1)
    assert np.array_equal(_passed(Message("ok", {}, [LARGE]), shared).arrays[0], LARGE)
    assert os.fstat(shared.descriptor).st_blocks == 0


@pytest.mark.parametrize("left", [0, 4, LARGE.nbytes - 1])
def test_memory_that_was_cut_off_is_no_message(shared: SharedBuffer, left: int) -> None:
    stream = io.BytesIO()
    send(stream, Message("ok", {}, [LARGE]), shared)
    os.ftruncate(shared.descriptor, left)
    stream.seek(0)
    with pytest.raises(ProtocolError, match="is no message"):
        receive(stream, shared)


def test_room_is_made_only_for_what_was_written(shared: SharedBuffer) -> None:
    """A hole of a terabyte costs the one who makes it nothing."""
    os.ftruncate(shared.descriptor, 1 << 40)
    with pytest.raises(EOFError):
        shared.require(1 << 30)


def test_memory_that_cannot_be_had_is_not_taken_for_a_process_that_ended(shared: SharedBuffer) -> None:
    with open("/dev/full", "wb") as full, pytest.raises(MemoryError):
        SharedBuffer(full.fileno()).write([LARGE])
