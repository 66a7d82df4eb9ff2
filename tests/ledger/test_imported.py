"""An earlier ledger's entries are the first of a new one, if they are proven to be all; people keep their accounts."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.cli.audit import audit
from afml.cli.ledger import ledger as ledger_verb
from afml.core.errors import AfmlError, BudgetError, InputError, IntegrityError
from afml.ledger.backup import back_up
from afml.ledger.checkpoint import origin_of
from afml.ledger.imported import Proof, import_ledger
from afml.ledger.log import Log
from afml.ledger.succession import handovers, propose, require_key, succeed, vouch
from afml.ledger.verify import Evidence, verify
from afml.ledger.witness import NEVER, Witness
from afml.trial.kits import make_kits
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import codes
from tests.ledger.helpers import KEY, ORIGIN, PEOPLE, PUBLIC, Clock, config, full, open_ledger, sigma, spend

OTHERS = {name: generate_signing_key() for name in ("b", "c", "d")}
NAMES = {name: origin_of(public_bytes(key)) for name, key in OTHERS.items()}
NEW = generate_signing_key()
NEW_NAME = origin_of(public_bytes(NEW))


@pytest.fixture
def heads(tmp_path: Path) -> dict[str, str]:
    """A ledger with a spend and a withdrawal, which three institutions have met; what each of them keeps of it."""
    kept = {}
    with open_ledger(tmp_path / "old") as own:
        spend(own, config("a"), 1)
        own.withdraw([PEOPLE[0]])
        for name, key in OTHERS.items():
            with open_ledger(tmp_path / name, key=key) as other:
                spend(other, config(name), 1)
                Witness(other).countersign(ORIGIN, own.checkpoint(), Witness(own).proof(0), PUBLIC)
                Witness(own).countersign(NAMES[name], other.checkpoint(), [], public_bytes(key))
                known = Witness(other).known(ORIGIN)
                assert known is not None
                kept[name] = known.note
    return kept


def bring(root: Path, proof: Proof, key: Ed25519PrivateKey = NEW, *, source: str = "old", to: str = "new") -> None:
    import_ledger(root / source, root / to, key, proof, clock=Clock(1_800_000_000.0))


def clock() -> Clock:
    return Clock(1_900_000_000.0)


PROOFS: Mapping[str, tuple[tuple[str, ...], Ed25519PrivateKey | None]] = {
    "the key is lost": (("b", "c"), None),
    "the key is there": (("d",), KEY),
}


@pytest.mark.parametrize("how", PROOFS)
def test_people_keep_their_accounts_under_a_new_key(tmp_path: Path, heads: dict[str, str], how: str) -> None:
    names, key = PROOFS[how]
    with open_ledger(tmp_path / "old") as old:
        spent, size = sigma(old, PEOPLE[1:]), len(old)
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    bring(tmp_path, Proof([heads[name] for name in names], key))
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    with open_ledger(tmp_path / "new", key=NEW, clock=clock()) as ledger:
        assert ledger.origin == NEW_NAME
        assert len(ledger) == size + 1
        assert sigma(ledger, PEOPLE[1:]) == spent > 0
        assert ledger.enrollable(PEOPLE) == PEOPLE[1:]
        with pytest.raises(BudgetError, match="1 of 12 people have withdrawn"):
            spend(ledger, config("b"), 1)
        with pytest.raises(BudgetError, match="the budget that this run names"):
            spend(ledger, full("large", 1.0), 1, people=PEOPLE[1:])  # it would fit if nothing had been spent
        assert Witness(ledger).require_past(heads["b"]).size == size
    result = verify(tmp_path / "new", key=public_bytes(NEW), evidence=Evidence(heads=list(heads.values())))
    assert result.ok, result.findings
    assert f"that its first {size} entries are all of {ORIGIN}" in result.checked
    assert "wrong-key" in codes(verify(tmp_path / "new", key=PUBLIC))


def test_a_copy_that_forgets_is_not_imported(tmp_path: Path, heads: dict[str, str]) -> None:
    back_up(tmp_path / "old", tmp_path / "saved")
    with open_ledger(tmp_path / "old") as own:
        spend(own, config("later"), 1, people=PEOPLE[1:])
        with open_ledger(tmp_path / "b", key=OTHERS["b"]) as other:
            known = Witness(other).known(ORIGIN)
            assert known is not None
            steps = Witness(own).proof(known.head.size)
            Witness(other).countersign(ORIGIN, own.checkpoint(), steps, PUBLIC, known.head)
            newest = Witness(other).known(ORIGIN)
            assert newest is not None
    for key in (None, KEY):
        with pytest.raises(IntegrityError, match="rolled-back"):
            bring(tmp_path, Proof([newest.note, heads["c"], heads["d"]], key), source="saved")
    assert not (tmp_path / "new").exists()
    # Who was not asked finds it later, as an auditor does.
    bring(tmp_path, Proof([heads["c"], heads["d"]]), source="saved")
    with (
        open_ledger(tmp_path / "new", key=NEW, clock=clock()) as ledger,
        pytest.raises(IntegrityError, match=r"\d entries of afml/.* were imported, and a head of \d is kept"),
    ):
        Witness(ledger).require_past(newest.note)
    result = verify(tmp_path / "new", key=public_bytes(NEW), evidence=Evidence(heads=[newest.note]))
    assert codes(result) == {"rolled-back"}


def test_too_little_proof_is_refused_in_one_line(tmp_path: Path, heads: dict[str, str]) -> None:
    for proof, said in (
        (Proof(), "no head that was given is signed by an institution that has met this ledger"),
        (
            Proof([heads["b"]]),
            "its key is lost, and 1 of 3 institutions that have met it vouch for it: a majority must",
        ),
        (Proof(old_key=KEY), "no head that was given"),
        (Proof(list(heads.values()), NEW), "is not signed by the key of --old-kit"),
    ):
        with pytest.raises(AfmlError, match=said) as refused:
            bring(tmp_path, proof)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="has this very key"):
        bring(tmp_path, Proof(list(heads.values())), KEY)
    with pytest.raises(InputError, match="old spends come first"):
        bring(tmp_path, Proof(list(heads.values())), to="b")
    with pytest.raises(InputError):
        bring(tmp_path, Proof(list(heads.values())), source="none")
    assert not (tmp_path / "new").exists()


def test_what_was_edited_is_not_imported(tmp_path: Path, heads: dict[str, str]) -> None:
    shutil.copytree(tmp_path / "old", tmp_path / "edited")
    with sqlite3.connect(tmp_path / "edited" / "ledger.db") as database:
        database.execute("DELETE FROM withdrawn")
    database.close()
    with pytest.raises(IntegrityError, match="edited-withdrawal"):
        bring(tmp_path, Proof(list(heads.values())), source="edited")


def test_whoever_signs_it_again_is_found(tmp_path: Path, heads: dict[str, str]) -> None:
    """The new key's owner cannot leave out a voucher, or a spend, afterwards: the entry holds the proof."""
    bring(tmp_path, Proof([heads["b"], heads["c"]]))
    with open_ledger(tmp_path / "new", key=NEW, clock=clock()) as ledger:
        body = next(entry.body for entry in ledger.entries() if entry.kind == "import")
    for change, said in (
        ({"heads": body["heads"][:1]}, "1 of 3 institutions"),  # type: ignore[index]
        ({"size": 1}, "names other entries"),
        ({"head": heads["b"].replace(ORIGIN, NEW_NAME)}, "holds no head of the old ledger"),
        ({"signature": "00" * 64}, "is not signed by the old key"),
    ):
        forged = tmp_path / f"forged-{len(list(tmp_path.iterdir()))}"
        _forge(tmp_path / "old", forged, {**body, **change})
        found = verify(forged, key=public_bytes(NEW)).findings
        assert [one.code for one in found] == ["unproven-import"], found
        assert said in found[0].problem


def _forge(old: Path, out: Path, body: Mapping[str, object]) -> None:
    """What `import_ledger` does, without its checks and with another entry."""
    back_up(old, out)
    database = sqlite3.connect(out / "ledger.db", isolation_level=None)
    log = Log(database, NEW, out, Clock(1_800_000_000.0), signed_by=PUBLIC)
    with log.transaction():
        log.origin = NEW_NAME
        database.execute("UPDATE meta SET value = ? WHERE name = 'origin'", (NEW_NAME,))
        database.execute("UPDATE meta SET value = ? WHERE name = 'key'", (public_bytes(NEW).hex(),))
        log.add({name: value for name, value in body.items() if name not in ("v", "index", "time_ms")}, {})
    database.close()


def test_an_imported_ledger_passes_on_and_is_imported_again(tmp_path: Path, heads: dict[str, str]) -> None:
    """Successions before an import are of another name, and are not shown to who meets the new one."""
    later, last = generate_signing_key(), generate_signing_key()
    bring(tmp_path, Proof([heads["b"], heads["c"]]))
    with open_ledger(tmp_path / "new", key=NEW, clock=clock()) as ledger:
        with open_ledger(tmp_path / "b", key=OTHERS["b"]) as peer:
            Witness(peer).countersign(NEW_NAME, ledger.checkpoint(), Witness(ledger).proof(0), public_bytes(NEW), NEVER)
            require_key(peer, NEW_NAME, ledger.checkpoint(), public_bytes(NEW), handovers(ledger, len(ledger)), {})
            proposal = propose(ledger, public_bytes(later))
            word = vouch(peer, proposal)
        succeed(ledger, proposal, [word], {NAMES["b"]: public_bytes(OTHERS["b"])}, later)
        assert len(handovers(ledger, len(ledger))) == 1
    assert verify(tmp_path / "new", key=public_bytes(later)).ok
    with open_ledger(tmp_path / "b", key=OTHERS["b"]) as peer:
        known = Witness(peer).known(NEW_NAME)
        assert known is not None
    import_ledger(tmp_path / "new", tmp_path / "last", last, Proof([known.note], later), clock=Clock(2_000_000_000.0))
    result = verify(tmp_path / "last", key=public_bytes(last), evidence=Evidence(heads=[heads["d"], known.note]))
    assert result.ok, result.findings
    with open_ledger(tmp_path / "last", key=last, clock=Clock(2_000_001_000.0)) as ledger:
        assert not handovers(ledger, len(ledger))
        assert ledger.enrollable(PEOPLE) == PEOPLE[1:]


def test_the_verb(tmp_path: Path, heads: dict[str, str]) -> None:
    make_kits(tmp_path / "kits", "test", 2)
    for name in ("b", "c"):
        (tmp_path / f"{name}.txt").write_text(heads[name])
    kept = ["--head", tmp_path / "b.txt", "--head", tmp_path / "c.txt", "--kit", tmp_path / "kits" / "node-1"]
    done = CliRunner().invoke(ledger_verb, ["import", *map(str, (tmp_path / "old", "--ledger", tmp_path / "n", *kept))])
    assert done.exit_code == 0, done.exception
    assert f"entries of {ORIGIN} are its first" in done.output
    shown = CliRunner().invoke(audit, ["show", str(tmp_path / "n")]).output
    assert f"what is before it is all of {ORIGIN}, its key being lost, by heads that others keep" in shown
    roster = str(tmp_path / "kits" / "node-1" / "roster.json")
    proven = CliRunner().invoke(
        audit, ["verify", str(tmp_path / "n"), "--roster", roster, "--head", str(tmp_path / "b.txt"), "--json"]
    )
    assert json.loads(proven.output)["ok"], proven.output
    assert (tmp_path / "kits" / "node-1" / "ledger-head.txt").is_file()
