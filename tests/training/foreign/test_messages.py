"""Frames between a node and a task: what is sent comes back, and nothing else is believed."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afml.core.errors import ProtocolError
from afml.training.foreign.messages import Message, receive, send

NUMBERS = st.sampled_from(["<f8", "<f4", "<i8", "|i1", "|u1", "|b1"]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


@given(
    st.text(max_size=5), st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)), st.lists(NUMBERS)
)
def test_what_is_sent_is_received(name: str, fields: dict[str, object], sent: list[np.ndarray]) -> None:
    stream = io.BytesIO()
    send(stream, Message(name, fields, sent))
    stream.seek(0)
    found = receive(stream)
    assert found is not None
    assert (found.name, found.fields) == (name, fields)
    for one, other in zip(found.arrays, sent, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    assert receive(stream) is None


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ProtocolError, match="is no message"):
        receive(io.BytesIO(noise))


def _framed(header: object, body: bytes = b"") -> io.BytesIO:
    text = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<Q", len(text)) + text + body)


@pytest.mark.parametrize(
    "header",
    [
        {"name": "x", "fields": {}, "arrays": [["|O", [1]]], "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [-1]]], "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [2**40, 2**40]]], "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [2]]], "apart": False},
        {"name": "x", "fields": {"loss": float("nan")}, "arrays": [], "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [0]]] * 5000, "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [0, 2**70]]], "apart": False},
        {"name": "x", "fields": {}, "arrays": [["<f8", [2]]], "apart": True},
        {"name": "x", "fields": {}, "arrays": []},
        {"name": "x"},
        [],
    ],
)
def test_headers_that_promise_what_cannot_be(header: object) -> None:
    with pytest.raises(ProtocolError, match="is no message"):
        receive(_framed(header))


def test_a_header_longer_than_any_is_not_read() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        receive(io.BytesIO(struct.pack("<Q", 2**60)))
