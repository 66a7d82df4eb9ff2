"""Countersignatures between institutions, and what an institution learns of its own past from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.checkpoint import origin_of
from afml.ledger.witness import NEVER, Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.helpers import KEY, ORIGIN, PUBLIC, config, open_ledger, spend

OTHER = generate_signing_key()
NAME = origin_of(public_bytes(OTHER))


def since(witness: Witness) -> notes.Checkpoint:
    known = witness.known(ORIGIN)
    return known.head if known else NEVER


def test_institutions_countersign_growth_and_refuse_forks_and_rollbacks(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a") as ledger, open_ledger(tmp_path / "peer", key=OTHER) as other:
        witness, own = Witness(other), Witness(ledger)
        for round in (1, 2, 3):
            spend(ledger, config(), round)
            note, seen = ledger.checkpoint(), since(witness)
            line = witness.countersign(ORIGIN, note, own.proof(seen.size), PUBLIC, seen)
            assert line is not None
            own.accept(note, line, NAME, public_bytes(OTHER))
        seen = since(witness)
        assert seen.size == len(ledger)
        assert notes.countersigners(ledger.checkpoint(), {NAME: public_bytes(OTHER)}) == [NAME]
        old = notes.sign(notes.Checkpoint(ORIGIN, 2, tree.root_of(ledger.leaves()[:2])), KEY)
        with pytest.raises(IntegrityError, match="rolled back"):
            witness.countersign(ORIGIN, old, [], PUBLIC, seen)
        with pytest.raises(IntegrityError, match=f"has 0 entries, and {seen.size} were seen"):
            witness.countersign(ORIGIN, "", [], PUBLIC, seen)
        fork = notes.sign(notes.Checkpoint(ORIGIN, seen.size + 1, bytes(32)), KEY)
        with pytest.raises(IntegrityError, match="forked"):
            witness.countersign(ORIGIN, fork, own.proof(seen.size), PUBLIC, seen)
        with pytest.raises(IntegrityError, match="no signature"):
            witness.countersign(ORIGIN, ledger.checkpoint(), [], public_bytes(OTHER), seen)
        with pytest.raises(IntegrityError):
            own.accept(fork, notes.cosign(fork, NAME, OTHER, 1), NAME, public_bytes(OTHER))
        assert since(witness) == seen
    with open_ledger(tmp_path / "a") as ledger:
        assert len(ledger) == seen.size


def test_what_another_process_of_the_same_ledger_signed_is_its_past(tmp_path: Path) -> None:
    """Two runs of one institution share its ledger: a peer holds the head that the other run has signed."""
    with open_ledger(tmp_path / "a") as one, open_ledger(tmp_path / "a") as other:
        spend(one, config(), 1)
        for round in (2, 3):
            spend(other, config(), round)
        assert len(one) == len(other)
        assert Witness(one).require_past(other.checkpoint()).size == len(other)
        with open_ledger(tmp_path / "peer", key=OTHER) as peer:
            line = Witness(peer).countersign(ORIGIN, other.checkpoint(), [], PUBLIC)
        assert line is not None
        Witness(one).accept(other.checkpoint(), line, NAME, public_bytes(OTHER))


def test_a_head_counts_for_the_ledger_of_its_sender_alone(tmp_path: Path) -> None:
    """Whoever relays another institution's old head cannot make it look rolled back, nor vouch for it."""
    third = generate_signing_key()
    with open_ledger(tmp_path / "a") as ledger, open_ledger(tmp_path / "peer", key=third) as judge:
        spend(ledger, config(), 1)
        with pytest.raises(IntegrityError, match=f"{NAME}: sent a head of {ORIGIN}"):
            Witness(judge).countersign(NAME, ledger.checkpoint(), [], PUBLIC)
        assert Witness(judge).known(ORIGIN) is None
        # A fresh ledger under a name of its own choosing is nobody's either.
        with open_ledger(tmp_path / "fresh", key=OTHER) as fresh:
            spend(fresh, config(), 1)
            with pytest.raises(IntegrityError, match=f"{ORIGIN}: sent a head of {NAME}"):
                Witness(judge).countersign(ORIGIN, fresh.checkpoint(), [], public_bytes(OTHER))


def test_another_run_that_was_faster_accuses_nobody(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a") as ledger, open_ledger(tmp_path / "peer", key=OTHER) as other:
        witness, own = Witness(other), Witness(ledger)
        spend(ledger, config("a"), 1)
        early = ledger.checkpoint()
        spend(ledger, config("b"), 1)
        assert witness.countersign(ORIGIN, ledger.checkpoint(), own.proof(0), PUBLIC) is not None
        assert (
            witness.countersign(ORIGIN, early, own.proof(0, notes.parse(early).size), PUBLIC) is None
        )  # told before, looked at now
        assert since(witness).size == len(ledger)
        # The same head again, after a restart.
        assert witness.countersign(ORIGIN, ledger.checkpoint(), own.proof(0), PUBLIC) is not None


def test_a_ledger_learns_from_its_own_signature_what_it_forgot(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "a") as ledger:
        spend(ledger, config(), 1)
        spend(ledger, config(), 2)
        shutil.copytree(tmp_path / "a", tmp_path / "copy")
        spend(ledger, config(), 3)
        kept = ledger.checkpoint()
        assert Witness(ledger).require_past(kept).size == len(ledger)
    with open_ledger(tmp_path / "copy") as ledger:
        with pytest.raises(
            IntegrityError, match=r"holds \d entries.*head of \d that.*: it was deleted.*afml ledger restore"
        ):
            Witness(ledger).require_past(kept)
        spend(ledger, config("another"), 1)  # the copy goes on by itself
        with pytest.raises(IntegrityError, match="another history"):
            Witness(ledger).require_past(kept)
        stranger = notes.sign(notes.Checkpoint(ORIGIN, 1, bytes(32)), OTHER)
        with pytest.raises(IntegrityError, match="none of its keys"):
            Witness(ledger).require_past(stranger)
    with open_ledger(tmp_path / "fresh") as ledger, pytest.raises(IntegrityError, match="holds 0 entries"):
        Witness(ledger).require_past(kept)


def test_the_founding_key_alone_begins_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="began under an earlier key; put the ledger back"):
        open_ledger(tmp_path / "new", key=OTHER, origin=ORIGIN)
    assert not (tmp_path / "new" / "ledger.db").exists()
