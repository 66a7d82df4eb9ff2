"""A ledger passes to a new key: with the others' word, and with everything that stands in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from afml.core.errors import IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger.checkpoint import origin_of
from afml.ledger.succession import Proposal, Vouch, handovers, propose, require_key, succeed, vouch
from afml.ledger.verify import Evidence, verify
from afml.ledger.witness import NEVER, Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import codes
from tests.ledger.helpers import KEY, ORIGIN, PEOPLE, PUBLIC, config, open_ledger, sigma, spend

OTHERS = {name: generate_signing_key() for name in ("b", "c", "d")}
NAMES = {name: origin_of(public_bytes(key)) for name, key in OTHERS.items()}
MEMBERS = {NAMES[name]: public_bytes(key) for name, key in OTHERS.items()}
NEW = generate_signing_key()


def meet_all(root: Path) -> None:
    """Everybody has countersigned the ledger that is about to change hands, and everybody else's."""
    with open_ledger(root / "a") as own:
        spend(own, config("a"), 1)
        for name, key in OTHERS.items():
            with open_ledger(root / name, key=key) as other:
                Witness(other).countersign(ORIGIN, own.checkpoint(), Witness(own).proof(0), PUBLIC)
                spend(other, config(name), 1)
    for name, key in OTHERS.items():
        with open_ledger(root / name, key=key) as other:
            for more in set(OTHERS) - {name}:
                with open_ledger(root / more, key=OTHERS[more]) as third:
                    line = Witness(third).countersign(NAMES[name], other.checkpoint(), [], public_bytes(key), NEVER)
                    assert line is not None


def vouches(root: Path, proposal: Proposal, *names: str) -> list[Vouch]:
    found = []
    for name in names:
        with open_ledger(root / name, key=OTHERS[name]) as other:
            found.append(vouch(other, proposal))
    return found


def test_people_keep_their_accounts_and_peers_believe_the_new_key(tmp_path: Path) -> None:
    meet_all(tmp_path)
    with open_ledger(tmp_path / "a") as own:
        old_head = own.checkpoint()
        proposal = propose(own, public_bytes(NEW))
        spend(own, config("meanwhile"), 1)
        assert succeed(own, proposal, vouches(tmp_path, proposal, "b", "c"), MEMBERS, NEW) == len(own) - 1
    with pytest.raises(IntegrityError, match="no signature by the expected key"):
        open_ledger(tmp_path / "a")  # the old key opens it no more
    with open_ledger(tmp_path / "a", key=NEW, origin=ORIGIN) as own:
        spend(own, config("after"), 1)
        assert sigma(own, PEOPLE) == pytest.approx(3**0.5 / 8)
        assert Witness(own).require_past(old_head).size < len(own)  # also by the old key it is its past
        note, shown = own.checkpoint(), handovers(own, len(own))
        proof = Witness(own).proof(notes.parse(old_head).size)
    members = MEMBERS | {ORIGIN: public_bytes(NEW)}
    with open_ledger(tmp_path / "d", key=OTHERS["d"]) as peer:  # it was not asked, and a majority was
        with pytest.raises(IntegrityError, match="has not inherited"):
            require_key(peer, ORIGIN, note, public_bytes(NEW), [], members)
        require_key(peer, ORIGIN, note, public_bytes(NEW), shown, members)
        known = Witness(peer).known(ORIGIN)
        assert known is not None
        assert Witness(peer).countersign(ORIGIN, note, proof, public_bytes(NEW), known.head)
        require_key(peer, ORIGIN, note, public_bytes(NEW), [], members)  # from now on it is the known one
        with pytest.raises(IntegrityError, match="has not inherited"):
            require_key(peer, ORIGIN, old_head, PUBLIC, [], members)
    evidence = Evidence(heads=[old_head], peers=MEMBERS)
    result = verify(tmp_path / "a", key=public_bytes(NEW), evidence=evidence)
    assert result.ok, result.findings
    assert codes(verify(tmp_path / "a", key=PUBLIC)) >= {"wrong-key"}
    with open_ledger(
        tmp_path / "stranger", key=generate_signing_key()
    ) as newcomer:  # the founding key's word is enough
        require_key(newcomer, ORIGIN, note, public_bytes(NEW), shown, members)
        with pytest.raises(IntegrityError, match="has not inherited"):
            require_key(newcomer, ORIGIN, note, public_bytes(NEW), [], members)


def test_a_thief_of_the_old_key_does_not_inherit(tmp_path: Path) -> None:
    meet_all(tmp_path)
    with open_ledger(tmp_path / "a") as own:
        proposal = propose(own, public_bytes(NEW))
        one = vouches(tmp_path, proposal, "b")
        for few in ([], one, [*one, *one]):
            with pytest.raises(IntegrityError, match=r"[01] of 3 other institutions vouch"):
                succeed(own, proposal, few, MEMBERS, NEW)
        forged = [*one, one[0].model_copy(update={"origin": NAMES["c"], "key": MEMBERS[NAMES["c"]].hex()})]
        with pytest.raises(IntegrityError, match="vouch of"):
            succeed(own, proposal, forged, MEMBERS, NEW)
        stranger = public_bytes(generate_signing_key())
        with pytest.raises(IntegrityError, match="another ledger or key"):
            succeed(own, propose(own, stranger), vouches(tmp_path, proposal, "b", "c"), MEMBERS, NEW)
        assert len(own) == proposal.size
        # So it tells its own software that nobody else is a member: peers count for themselves.
        succeed(own, proposal, one, {NAMES["b"]: MEMBERS[NAMES["b"]]}, NEW)
        note, shown = own.checkpoint(), handovers(own, len(own))
    with (
        open_ledger(tmp_path / "d", key=OTHERS["d"]) as peer,
        pytest.raises(IntegrityError, match="1 of 3 other institutions vouch"),
    ):
        require_key(peer, ORIGIN, note, public_bytes(NEW), shown, MEMBERS | {ORIGIN: public_bytes(NEW)})


def test_nobody_vouches_for_what_it_does_not_know(tmp_path: Path) -> None:
    meet_all(tmp_path)
    with open_ledger(tmp_path / "a") as own:
        proposal = propose(own, public_bytes(NEW))
        spend(own, config("later"), 1)
        with open_ledger(tmp_path / "b", key=OTHERS["b"]) as other:
            known = Witness(other).known(ORIGIN)
            assert known is not None
            proof = Witness(own).proof(known.head.size)
            Witness(other).countersign(ORIGIN, own.checkpoint(), proof, PUBLIC, known.head)
            with pytest.raises(IntegrityError, match=r"from \d entries, and \d were seen"):
                vouch(other, proposal)
            with pytest.raises(IntegrityError, match="signature does not match"):
                vouch(other, proposal.model_copy(update={"new_key": PUBLIC.hex()}))
    with (
        open_ledger(tmp_path / "new", key=generate_signing_key()) as stranger,
        pytest.raises(IntegrityError, match="signed nothing seen here"),
    ):
        vouch(stranger, proposal)


def test_a_succession_that_was_made_up_is_found(tmp_path: Path) -> None:
    meet_all(tmp_path)
    with open_ledger(tmp_path / "a") as own:
        proposal = propose(own, public_bytes(NEW))
        succeed(own, proposal, vouches(tmp_path, proposal, "b"), {NAMES["b"]: MEMBERS[NAMES["b"]]}, NEW)
    assert verify(tmp_path / "a", key=public_bytes(NEW)).ok  # by its own word
    peers = MEMBERS | {NAMES["b"]: PUBLIC}  # its only voucher has another key than that
    found = verify(tmp_path / "a", key=public_bytes(NEW), evidence=Evidence(peers=peers))
    assert "unvouched-succession" in codes(found)
    with sqlite3.connect(tmp_path / "a" / "ledger.db") as database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'key'", (PUBLIC.hex(),))
    database.close()
    assert "edited-meta" in codes(verify(tmp_path / "a", key=public_bytes(NEW)))
    assert public_bytes(KEY) == PUBLIC
