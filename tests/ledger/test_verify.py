"""What else the verifier finds, what it needs from outside, and what it shares with the writer: nothing."""

from __future__ import annotations

import ast
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

import afml.ledger
from afml.consortium.run import Budget
from afml.core.errors import InputError, IntegrityError
from afml.ledger import checkpoint as notes
from afml.ledger.checkpoint import origin_of
from afml.ledger.findings import Verification, require_ok
from afml.ledger.store import Ledger
from afml.ledger.verify import Evidence, verify
from afml.ledger.witness import NEVER, Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.case import Case, codes
from tests.ledger.helpers import (
    ORIGIN,
    PEOPLE,
    PUBLIC,
    Clock,
    close,
    config,
    open_ledger,
    publish,
    read_transcript,
    spend,
)


def test_a_good_ledger_has_no_findings(case: Case) -> None:
    before = {path.name: path.read_bytes() for path in case.folder.iterdir()}
    result = case.check()
    assert result.ok, result.findings
    require_ok(result)
    assert result.entries == 8
    (first, second) = result.agreements
    assert second.epsilon_recomputed == pytest.approx(second.epsilon, rel=0.02)
    assert second.ple_sigma_recomputed == pytest.approx((6**0.5) / 8, rel=0.02)
    assert first.people == 12
    assert before == {path.name: path.read_bytes() for path in case.folder.iterdir()}  # evidence is untouched


def test_a_run_that_counts_people_at_two_institutions_is_what_was_published(tmp_path: Path) -> None:
    """Its entries have the multiplier of the run's phase, and its transcript that of each node of a person."""
    run = config(enrolments_per_person=2)
    with open_ledger(tmp_path / "ledger") as ledger:
        paid = [spend(ledger, run, number) for number in (1, 2)]
    found = {}
    for name, changes in (("right", {}), ("wrong", {"noise_multiplier": 8.0})):
        publish(tmp_path / name, run, paid, Clock(1_700_001_000.0), **changes)
        evidence = Evidence(transcript=read_transcript(tmp_path / name))
        found[name] = codes(verify(tmp_path / "ledger", key=PUBLIC, node=1, evidence=evidence))
    assert found == {"right": set(), "wrong": {"changed-noise-multiplier"}}


def test_missing_entry_in_the_middle(case: Case) -> None:
    case.edit("DELETE FROM entries WHERE idx = 2")
    assert "gap" in codes(case.check(transcript=()))


def test_entries_without_a_head(case: Case) -> None:
    case.edit("DELETE FROM checkpoints")
    assert "unsigned-tail" in codes(case.check(transcript=()))


def test_rewritten_people(case: Case) -> None:
    case.edit("DELETE FROM enrolled WHERE person = (SELECT min(person) FROM enrolled)")
    assert "edited-enrolment" in codes(case.check())


def test_a_lower_claim_than_the_second_accountant_finds(case: Case) -> None:
    low = {"epsilon": 0.5, "ple_sigma": 0.1, "accountant": "closed form"}
    case.rewrite(7, claim={"delta": 1e-5, "epsilon": 3.0, "ple_sigma": 0.4, "fixed_plan": low})
    assert "accounting-disagrees" in codes(case.check(transcript=()))


def test_a_passed_budget(case: Case) -> None:
    case.rewrite(7, budget={"delta": 1e-5, "ple_sigma": 0.2})
    assert "over-budget" in codes(case.check(transcript=()))


def test_a_round_below_quorum(case: Case, tmp_path: Path) -> None:
    with open_ledger(tmp_path / "other", clock=case.clock) as ledger:
        paid = [spend(ledger, config("weak"), 1)]
    publish(case.transcript, config("weak"), paid, case.clock, cohort=(2, 3), receipts={})
    assert codes(case.check()) == {"quorum-broken"}


def test_another_configuration_than_published(case: Case) -> None:
    case.rewrite(2, config_digest="00" * 32)
    assert "changed-spend" in codes(case.check())


def test_an_attack_above_the_accountant(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        ledger.record_audit("run-1", 0.1, confidence=0.95, instrument="one-run canaries")
        assert case.check().ok
        ledger.record_audit("run-1", 3.0, confidence=0.95, instrument="one-run canaries")
    assert codes(case.check()) == {"audit-exceeds-accounting"}


def test_countersignatures_count_and_must_verify(case: Case, tmp_path: Path) -> None:
    peer = generate_signing_key()
    name = origin_of(public_bytes(peer))
    with open_ledger(case.folder, clock=case.clock) as ledger:
        with open_ledger(tmp_path / "peer", key=peer) as other:
            note = ledger.checkpoint()
            line = Witness(other).countersign(ORIGIN, note, Witness(ledger).proof(0), PUBLIC)
        Witness(ledger).accept(note, line, name, public_bytes(peer))
    peers = {name: public_bytes(peer)}
    assert case.check(peers=peers, countersignatures=1).ok
    assert codes(case.check(peers=peers, countersignatures=2)) == {"missing-countersignature"}
    assert "1 own and 6 foreign heads, countersigned to entry 7 of 7 by 1" in case.check(peers=peers).checked
    for forged in (notes.cosign(note.replace("\n8\n", "\n7\n"), name, peer, 1), f"— {name} nothing\n"):
        with sqlite3.connect(case.folder / "ledger.db") as database:
            database.execute("UPDATE checkpoints SET note = ?", (note + forged,))
        assert "bad-countersignature" in codes(case.check(peers=peers))


def test_what_is_entered_after_a_run_waits_for_countersignatures_and_is_no_finding(case: Case, tmp_path: Path) -> None:
    """As after `afml mask` and `afml publish`: nobody can have countersigned that yet."""
    peer = generate_signing_key()
    name = origin_of(public_bytes(peer))

    def vouch(ledger: Ledger) -> None:
        with open_ledger(tmp_path / "peer", key=peer) as other:
            known, note = Witness(other).known(ORIGIN), ledger.checkpoint()
            since = known.head if known else NEVER
            line = Witness(other).countersign(ORIGIN, note, Witness(ledger).proof(since.size), PUBLIC, since)
        assert line is not None
        Witness(ledger).accept(note, line, name, public_bytes(peer))

    def check(ledger: Ledger, wanted: int = 1) -> Verification:
        return case.check(peers={name: public_bytes(peer)}, countersignatures=wanted)

    with open_ledger(case.folder, clock=case.clock) as ledger:
        vouch(ledger)
        close(ledger, case.runs[-1])
        assert codes(check(ledger)) == {"missing-countersignature"}, "a run is closed before its ledgers are shown"
        vouch(ledger)
        assert check(ledger).ok
        size = len(list(ledger.entries()))
        ledger.record_audit("run-1", 0.1, confidence=0.95, instrument="one-run canaries")
        found = check(ledger)
        assert found.ok
        assert f"that entry {size} (audit) stayed as written: others countersign next in a run" in found.unchecked
        assert any(f"countersigned to entry {size - 1} of {size} by 1" in line for line in found.checked)
        assert codes(check(ledger, wanted=2)) == {"missing-countersignature"}
        assert not any("stayed as written" in line for line in case.check(peers={name: public_bytes(peer)}).unchecked)
        ledger.withdraw(["nobody-else"])
        assert any(f"entries {size} to {size + 1} (audit, withdrawal)" in line for line in check(ledger).unchecked)


def test_a_transcript_that_is_cut_is_found_by_what_was_spent(case: Case) -> None:
    """Two runs of three rounds each, one after the other: of no line but the last can it be honest that it lacks."""
    whole = read_transcript(case.transcript)
    first, second = (run.run for run in case.runs)
    assert not any("published" in line for line in case.check().unchecked)
    for cut in (whole[:4], [*whole[:1], *whole[3:]]):
        assert codes(case.check(transcript=cut)) == {"cut-transcript"}
    found = case.check(transcript=whole[:4]).findings[0]
    assert (found.where, found.problem[:16]) == (f"transcript of run {second}", "ends at round 1,")
    open_still = case.check(transcript=whole[:5])
    assert open_still.ok
    assert any(f"run {second}: whether round 3 was published" in line for line in open_still.unchecked)
    without = case.check(transcript=whole[:3])
    assert without.ok
    assert f"run {second}: none of its rounds is in a transcript that was given" in without.unchecked
    with open_ledger(case.folder, clock=case.clock) as ledger:
        for run in case.runs:
            close(ledger, run, "failed" if run.run == first else "finished")
    assert case.check().ok
    assert codes(case.check(transcript=whole[:5])) == {"cut-transcript"}
    assert codes(case.check(transcript=[*whole[:2], *whole[3:]])) == set(), "the first failed in its last round"


def test_subsampled_runs_over_overlapping_people_agree_with_the_second_accountant(tmp_path: Path) -> None:
    budget = Budget(delta=1e-5, ple_sigma=3.0)
    with open_ledger(tmp_path) as ledger:
        for name, people in (("a", PEOPLE[:8]), ("b", PEOPLE[4:])):
            run = config(name, z=1.2, rate=0.3, rounds=3, budget=budget)
            for round in (1, 2, 3):
                spend(ledger, run, round, people=people)
    result = verify(tmp_path, key=PUBLIC)
    assert result.ok, result.findings
    alone, together = result.agreements
    assert together.epsilon_recomputed > 1.3 * alone.epsilon_recomputed


def test_findings_become_one_error() -> None:
    result = Verification(origin="o")
    result.add("gap", "entry 3", "follows entry 1")
    result.add("gap", "entry 5", "follows entry 3")
    with pytest.raises(IntegrityError, match=r"o: gap at entry 3.*and 1 more") as caught:
        require_ok(result)
    assert caught.value.exit_code == 6
    assert replace(result.findings[0], where="x").where == "x"


def test_no_ledger_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ledger\.db"):
        verify(tmp_path, key=PUBLIC)


def test_the_verifier_shares_no_tree_or_accounting_code_with_the_writer() -> None:

    folder = Path(afml.ledger.__file__).parent
    allowed = {
        "independent", "filtering", "verify_plans", "verify_spends", "verify_simulation", "verify_records",
        "verify_releases", "verify_tables", "verify_keys", "verify_imports", "verify_lost", "verify_overlaps",
        "verify_shapes", "findings", "transcript", "snapshot",
    }  # fmt: skip
    for name in ("independent", "filtering", "verify", *sorted(name for name in allowed if name.startswith("verify_"))):
        for item in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            names = []
            if isinstance(item, ast.ImportFrom) and item.module:
                names = [f"{item.module}.{a.name}" if item.module == "afml.ledger" else item.module for a in item.names]
            elif isinstance(item, ast.Import):
                names = [alias.name for alias in item.names]
            for module in names:
                assert not module.startswith("afml.privacy"), module
                if module.startswith("afml.ledger"):
                    assert module.split(".")[2] in allowed, module
