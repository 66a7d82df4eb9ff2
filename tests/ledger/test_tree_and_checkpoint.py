"""The writer's tree against RFC 6962's recursive definition, published vectors and the verifier's tree."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import independent, tree
from crypto.public.signing import generate_signing_key, public_bytes

KEY, PEER = generate_signing_key(), generate_signing_key()


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def leaves_of(count: int) -> list[bytes]:
    return [tree.leaf_hash(str(i).encode()) for i in range(count)]


def test_published_vectors() -> None:
    # The test vectors of google/certificate-transparency (merkletree tests).
    data = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    leaves = [tree.leaf_hash(bytes.fromhex(value)) for value in data]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, expected in roots.items():
        assert tree.root_of(leaves[:size]).hex() == expected
    assert tree.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(0, 70))
def test_three_implementations_agree(count: int) -> None:
    leaves = leaves_of(count)
    counter = independent.Counter()
    for leaf in leaves:
        counter.add(leaf)
    assert tree.root_of(leaves) == slow_root(leaves) == counter.root()


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_inclusion(sizes: tuple[int, int]) -> None:
    size, index = sizes
    leaves, root = leaves_of(size), tree.root_of(leaves_of(size))
    proof = tree.inclusion_proof(leaves, index)
    assert tree.inclusion_proofs(leaves)[index] == proof
    assert tree.included(leaves[index], index, size, proof, root)
    assert not tree.included(tree.leaf_hash(b"other"), index, size, proof, root)
    if size > 1:
        assert not tree.included(leaves[index], (index + 1) % size, size, proof, root)
        assert not tree.included(leaves[index], index, size, proof[:-1], root)
    assert not tree.included(leaves[index], index, size, [*proof, root], root)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_consistency(sizes: tuple[int, int]) -> None:
    size, old = sizes
    leaves = leaves_of(size)
    root, old_root = tree.root_of(leaves), tree.root_of(leaves[:old])
    proof = tree.consistency_proof(leaves, old)
    assert tree.consistent(old, old_root, size, root, proof)
    forked = tree.root_of([tree.leaf_hash(b"x"), *leaves[1:]])
    if 0 < old < size:
        assert not tree.consistent(old, tree.leaf_hash(b"x"), size, root, proof)
        assert not tree.consistent(old, old_root, size, forked, proof)
    assert not tree.consistent(size + 1, root, size, root, [])


def test_a_note_reads_back_and_its_signature_binds_every_byte() -> None:
    head = notes.Checkpoint("afml/c/node-1", 3, bytes(range(32)))
    note = notes.sign(head, KEY)
    assert notes.verify(note, public_bytes(KEY)) == head
    assert note.split("\n")[:2] == ["afml/c/node-1", "3"]
    with pytest.raises(IntegrityError, match="signature"):
        notes.verify(note.replace("\n3\n", "\n4\n"), public_bytes(KEY))
    with pytest.raises(IntegrityError, match="no signature"):
        notes.verify(note, public_bytes(PEER))


@given(st.text(max_size=80))
def test_what_is_not_a_note_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        notes.verify(text, public_bytes(KEY))


def test_countersignatures_are_read_by_both_sides() -> None:
    note = notes.sign(notes.Checkpoint("afml/c/node-1", 3, bytes(32)), KEY)
    full = note + notes.cosign(note, "afml/c/node-2", PEER, 1_700_000_000)
    keys = {"afml/c/node-2": public_bytes(PEER)}
    assert notes.countersigners(full, keys) == ["afml/c/node-2"]
    assert (notes.bare(full), notes.bare(note), notes.bare("")) == (note, note, "")
    assert independent.countersigned(full, "afml/c/node-2", public_bytes(PEER)) is True
    assert independent.countersigned(note, "afml/c/node-2", public_bytes(PEER)) is None
    moved = notes.sign(notes.Checkpoint("afml/c/node-1", 4, bytes(32)), KEY) + full.splitlines(keepends=True)[-1]
    assert independent.countersigned(moved, "afml/c/node-2", public_bytes(PEER)) is False
    with pytest.raises(IntegrityError):
        notes.countersigners(moved, keys)


def test_origins_fit_the_note_format() -> None:
    name = notes.origin_of(bytes(32))
    assert name == "afml/" + hashlib.sha256(bytes(32)).hexdigest()[:32]
    assert notes.origin_of(bytes([1]) * 32) != name
