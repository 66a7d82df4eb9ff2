"""Signatures and the order of chunks, with real ciphertext bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt, Binding
from afml.core.errors import AfmlError, IntegrityError, ProtocolError
from aggregator.admission import ChunkAdmission
from aggregator.scheme import Scheme
from crypto.public.backend import public_backend
from crypto.public.grid import Grid
from crypto.public.params import choose
from crypto.public.signing import cohort_digest, sign
from tests.crypto.parties import attempt, encode, roster

PARAMS = choose(3, 16, 10**6)
SCHEME = Scheme(public_backend("ckks"), PARAMS)
PARAMETERS = 2 * PARAMS.parameters_per_chunk + 5  # three chunks
COHORT = (1, 2, 3)
ROSTER, KEYS = roster(4)
ATTEMPT = attempt(COHORT, round=4, number=2)
PAYLOADS = encode(PARAMS, Grid(1.0), 2, np.ones(PARAMETERS), COHORT, Attempt(4, 2))


def signature(index: int, *, place: Binding = ATTEMPT, node: int = 2, signer: int = 2, count: int = 3) -> bytes:
    return sign(KEYS[signer], place.chunk_message(node, index, count, PAYLOADS[index]))


def admission(node: int = 2, place: Binding = ATTEMPT, received: int = 0) -> ChunkAdmission:
    return ChunkAdmission(SCHEME, ROSTER, place, node, PARAMETERS, received=received)


def test_a_whole_update_is_admitted_and_can_be_resumed() -> None:
    stream = admission()
    for index in range(3):
        stream.admit(index, 3, PAYLOADS[index], signature(index))
    stream.finish()
    assert stream.received == stream.count == 3
    resumed = admission(received=2)
    resumed.admit(2, 3, PAYLOADS[2], signature(2))
    resumed.finish()
    assert resumed.received == 3


@pytest.mark.parametrize(
    "place",
    [
        attempt(COHORT, round=3, number=2),
        attempt(COHORT, round=4, number=1),
        attempt((1, 2), round=4, number=2),
        attempt(COHORT, round=4, number=2, run="other run"),
        replace(ATTEMPT, config_digest=b"z" * 32),
    ],
)
def test_replays_from_another_place_are_rejected(place: Binding) -> None:
    with pytest.raises(IntegrityError, match="node 2, round 4, attempt 2, chunk 0"):
        admission().admit(0, 3, PAYLOADS[0], signature(0, place=place))


def test_another_nodes_chunk_is_rejected() -> None:
    with pytest.raises(IntegrityError):
        admission().admit(0, 3, PAYLOADS[0], signature(0, signer=1))
    with pytest.raises(IntegrityError):  # node 1's own signed chunk, sent again as node 2's
        admission().admit(0, 3, PAYLOADS[0], signature(0, node=1, signer=1))


def test_a_moved_or_altered_chunk_is_rejected() -> None:
    with pytest.raises(IntegrityError):
        admission().admit(0, 3, PAYLOADS[1], signature(1))
    with pytest.raises(IntegrityError):
        admission().admit(0, 3, PAYLOADS[1], signature(0))
    with pytest.raises(IntegrityError):
        admission().admit(0, 3, PAYLOADS[0], signature(0, count=4))
    with pytest.raises(IntegrityError):
        admission().admit(0, 3, PAYLOADS[0], b"")


@given(st.integers(80, len(PAYLOADS[0]) - 1), st.integers(0, 7))
def test_every_flipped_bit_is_rejected(position: int, bit: int) -> None:
    altered = bytearray(PAYLOADS[0])
    altered[position] ^= 1 << bit
    with pytest.raises(AfmlError):
        admission().admit(0, 3, bytes(altered), signature(0))


def test_duplicates_and_reorderings_are_rejected() -> None:
    stream = admission()
    with pytest.raises(ProtocolError, match="out of order"):
        stream.admit(1, 3, PAYLOADS[1], signature(1))
    stream.admit(0, 3, PAYLOADS[0], signature(0))
    with pytest.raises(ProtocolError, match="already received"):
        stream.admit(0, 3, PAYLOADS[0], signature(0))
    with pytest.raises(ProtocolError, match="out of order"):
        stream.admit(2, 3, PAYLOADS[2], signature(2))


def test_surplus_chunks_are_rejected() -> None:
    stream = admission(received=3)
    with pytest.raises(ProtocolError, match="out of order"):
        stream.admit(3, 3, PAYLOADS[0], signature(0))
    with pytest.raises(ProtocolError, match="announces 4 chunks, not 3"):
        admission().admit(0, 4, PAYLOADS[0], signature(0, count=4))


def test_truncation_is_rejected() -> None:
    stream = admission()
    stream.admit(0, 3, PAYLOADS[0], signature(0))
    with pytest.raises(ProtocolError, match="1 of 3 chunks"):
        stream.finish()
    with pytest.raises(ProtocolError, match="bytes, not"):
        stream.admit(1, 3, PAYLOADS[1][:-1], signature(1))


def test_oversize_and_other_parameters_are_rejected() -> None:
    big = PAYLOADS[0] + b"\0"
    signed = sign(KEYS[2], ATTEMPT.chunk_message(2, 0, 3, big))
    with pytest.raises(ProtocolError, match="bytes, not"):
        admission().admit(0, 3, big, signed)
    other = choose(5, 8, 10**6)
    foreign = encode(other, Grid(1.0), 2, np.ones(10), (1, 2, 3))[0]
    signed = sign(KEYS[2], ATTEMPT.chunk_message(2, 0, 3, foreign))
    with pytest.raises(ProtocolError, match="other codec parameters"):
        admission().admit(0, 3, foreign, signed)


def test_unknown_nodes_are_rejected() -> None:
    with pytest.raises(ProtocolError, match="node 4 is not in the cohort"):
        admission(node=4)
    with pytest.raises(ProtocolError, match="node 9 is not on the roster"):
        admission(node=9, place=attempt((1, 9)))


BASE: dict[str, object] = {
    "run": "run", "config": b"c" * 32, "round": 4, "number": 2, "cohort": (1, 2, 3),
    "node": 3, "index": 1, "count": 5, "payload": b"payload",
}  # fmt: skip


def signed_bytes(**changes: object) -> bytes:
    of: Any = BASE | changes
    binding = Binding(of["run"], of["config"], Attempt(of["round"], of["number"]), of["cohort"])
    return binding.chunk_message(of["node"], of["index"], of["count"], of["payload"])


def test_signed_messages_of_different_fields_differ() -> None:
    changes = {
        "run": "run2", "config": b"d" * 32, "round": 1, "number": 3, "cohort": (1, 3),
        "node": 2, "index": 0, "count": 4, "payload": b"other",
    }  # fmt: skip
    assert len({signed_bytes(), *(signed_bytes(**{field: value}) for field, value in changes.items())}) == 10
    assert cohort_digest((2, 1)) == cohort_digest((1, 2)) != cohort_digest((1, 2, 3))


def test_what_is_signed_for_a_chunk_never_changes() -> None:
    digest = hashlib.sha256(signed_bytes()).hexdigest()
    assert digest == "08654fa144987c672e4f99f794ed4bf00317df83c0f2a0cef2f32a42c6ac10b9"
