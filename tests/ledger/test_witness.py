"""Countersignatures between institutions."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.witness import Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.helpers import KEY, ORIGIN, PUBLIC, config, open_ledger, spend


def test_institutions_countersign_growth_and_refuse_forks_and_rollbacks(tmp_path: Path) -> None:
    other_key = generate_signing_key()
    name, peer = "afml/test/node-2", tmp_path / "peer"
    with open_ledger(tmp_path / "a") as ledger, open_ledger(peer, key=other_key, origin=name) as other:
        witness, own = Witness(other), Witness(ledger)
        for round in (1, 2, 3):
            spend(ledger, config(), round)
            note = ledger.checkpoint()
            line = witness.countersign(note, own.proof(witness.seen(ORIGIN)), PUBLIC)
            own.accept(note, line, name, public_bytes(other_key))
        assert witness.seen(ORIGIN) == 3
        assert notes.countersigners(ledger.checkpoint(), {name: public_bytes(other_key)}) == [name]
        old = notes.sign(notes.Checkpoint(ORIGIN, 2, tree.root_of(ledger.leaves()[:2])), KEY)
        with pytest.raises(IntegrityError, match="does not extend"):
            witness.countersign(old, [], PUBLIC)
        fork = notes.sign(notes.Checkpoint(ORIGIN, 4, bytes(32)), KEY)
        with pytest.raises(IntegrityError, match="does not extend"):
            witness.countersign(fork, own.proof(3), PUBLIC)
        with pytest.raises(IntegrityError, match="no signature"):
            witness.countersign(ledger.checkpoint(), [], public_bytes(other_key))
        with pytest.raises(IntegrityError):
            own.accept(fork, witness_line(fork, name, other_key), name, public_bytes(other_key))
    with open_ledger(tmp_path / "a") as ledger:
        assert len(ledger) == 3


def witness_line(note: str, name: str, key: object) -> str:
    return notes.cosign(note, name, key, 1)  # type: ignore[arg-type]
