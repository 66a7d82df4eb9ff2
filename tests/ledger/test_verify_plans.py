"""What the verifier finds in plans: spends outside them, rules that were broken, policies made looser in silence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.core.errors import IntegrityError
from afml.ledger.entries import spend_for
from afml.ledger.reservation import reservation_for
from afml.ledger.store import Ledger
from afml.ledger.verify import verify
from tests.ledger.case import Case, codes
from tests.ledger.helpers import (
    PEOPLE,
    PUBLIC,
    config,
    full,
    limits,
    open_ledger,
    reserve,
    spend,
)


def test_a_spend_whose_reservation_is_gone(case: Case) -> None:
    case.rewrite(1, run="run-3")
    assert {"unreserved-spend"} <= codes(case.check(transcript=()))


def test_a_lifetime_budget_that_was_passed(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        body = dict(list(ledger.entries())[4].body)
    case.rewrite(4, lifetime={"delta": 1e-5, "ple_sigma": 0.2})
    assert body["lifetime"] == {"delta": 1e-5, "ple_sigma": 50.0}
    assert "over-budget" in codes(case.check(transcript=()))


def test_a_spend_after_closing_and_beyond_the_plan(case: Case) -> None:
    with open_ledger(case.folder, clock=case.clock) as ledger:
        bodies = [dict(entry.body) for entry in ledger.entries()]
        run = case.runs[1]
        with ledger.transaction():
            ledger.plans._add_closing(run.run, run.digest().hex(), "by-hand")
            for round in (4, 5, 6):
                told = {k: v for k, v in bodies[7].items() if k not in ("v", "index", "time_ms")} | {"round": round}
                ledger.add(told, _columns(ledger, 7) | {"round": round})
    assert {"spend-after-closing", "beyond-plan"} <= codes(case.check(transcript=()))


def _columns(ledger: Ledger, index: int) -> dict[str, object]:
    names = ("run", "attempt", "enrolment", "mechanism", "broken_multiplier", "plan")
    row = ledger.database.execute(f"SELECT {', '.join(names)} FROM entries WHERE idx = ?", (index,)).fetchone()
    return dict(zip(names, row, strict=True))


def test_policies_are_entries_and_so_is_what_they_loosen(tmp_path: Path) -> None:
    strict: dict[str, Any] = {"lifetime": {"ple_sigma": 0.5, "delta": 1e-5}, "run": {"quorum": 3, "approval": True}}
    loose: dict[str, Any] = {"lifetime": {"ple_sigma": 60.0, "delta": 1e-5}, "run": {"quorum": 2, "approval": True}}
    with open_ledger(tmp_path) as ledger:
        ledger.plans.record_policy(strict, [])
        ledger.plans.record_policy(strict, [])
        assert len(ledger) == 1
        ledger.plans.record_policy(loose, ["lifetime.ple_sigma: 0.5 -> 60.0"])
        assert ledger.plans.policy() == loose
    result = verify(tmp_path, key=PUBLIC)
    assert [(f.code, f.problem) for f in result.findings] == [("unnamed-loosening", "run.quorum: 3 before")]


def test_targets_of_what_is_published_loosen_in_their_own_directions(tmp_path: Path) -> None:
    strict: dict[str, Any] = {"release": {"target_rr": 0.01, "target_utility": 0.9}}
    loose: dict[str, Any] = {"release": {"target_rr": 0.5, "target_utility": 0.5}}
    with open_ledger(tmp_path) as ledger:
        ledger.plans.record_policy(loose, [])
        ledger.plans.record_policy(strict, [])
        ledger.plans.record_policy(loose, [])
    told = [(f.where, f.problem) for f in verify(tmp_path, key=PUBLIC).findings]
    assert told == [("entry 2", f"release.target_{name} before") for name in ("rr: 0.01", "utility: 0.9")]


def test_a_plan_under_another_policy_than_the_one_in_force(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.plans.record_policy(
            {"lifetime": {"ple_sigma": 0.5, "delta": 1e-5}, "run": {"approval": True, "simulation": False}}, []
        )
        reserve(ledger, full("run", 0.1, seed=4))
    result = verify(tmp_path, key=PUBLIC)
    assert {f.code for f in result.findings} == {"policy-broken", "unapproved-run"}
    assert any("lifetime budget" in f.problem for f in result.findings)


def test_a_site_that_trusts_too_few_charges_its_own_noise_and_the_verifier_knows_both(case: Case) -> None:
    run = config("alone")
    with open_ledger(case.folder, clock=case.clock) as ledger:
        wanted = reservation_for(run, limits(run), days=1, own_noise=True)
        ledger.plans.reserve(wanted, PEOPLE)
        ledger.append(spend_for(run, Attempt(1, 1), [1, 2, 3], own_noise=True), PEOPLE, limits(run))
        body = list(ledger.entries())[-1].body
        assert body["mechanism"] == {"kind": "gaussian", "noise_multiplier": pytest.approx(8.0 / math.sqrt(2))}
        assert body["published_multiplier"] == 8.0
        with pytest.raises(IntegrityError, match="plan of this run has changed"):
            spend(ledger, run, 2)
        honest = replace(spend_for(run, Attempt(1, 1), [1, 2, 3]))
        assert honest.mechanism.noise_multiplier == 8.0
    assert case.check().ok
