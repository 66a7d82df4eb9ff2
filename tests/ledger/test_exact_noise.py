"""What a ledger says of exact noise, and how its verifier reads it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.core.config import canonical_json
from afml.ledger.entries import spend_for
from afml.ledger.reservation import reservation_for
from afml.ledger.summary import summarise
from afml.ledger.verify import verify
from tests.ledger.helpers import PEOPLE, PUBLIC, config, limits, open_ledger, reserve, spend

RULES: dict[str, Any] = {"lifetime": {"ple_sigma": 50.0, "delta": 1e-5}, "run": {"exact_noise": True}}


def findings(folder: Path) -> list[tuple[str, str]]:
    return [(found.code, found.problem) for found in verify(folder, key=PUBLIC).findings]


def test_reservation_and_spends_say_so_and_nothing_else_changes(tmp_path: Path) -> None:
    exact, plain = config(exact_noise=True), config()
    with open_ledger(tmp_path) as ledger:
        for number in (1, 2):
            spend(ledger, exact, number)
        bodies = [entry.body for entry in ledger.entries()]
    assert [body["exact_noise"] for body in bodies if body["kind"] in ("reservation", "spend")] == [True] * 3
    told, before = (spend_for(run, Attempt(1, 1), [1, 2, 3]).to_json() for run in (exact, plain))
    assert {name for name in told if told[name] != before.get(name)} == {"exact_noise", "config_digest"}
    assert "exact_noise" not in before, "entries of other runs are the same bytes as ever"
    assert findings(tmp_path) == []
    assert summarise(tmp_path).enrolments[0].runs[0].noise == "distributed, exact"


def test_a_plan_without_it_under_a_policy_that_demands_it_is_found(tmp_path: Path) -> None:
    for exact, expected in ((True, []), (False, ["policy-broken"])):
        folder, run = tmp_path / str(exact), config(exact_noise=exact)
        with open_ledger(folder) as ledger:
            ledger.plans.record_policy(RULES, [])
            digest = hashlib.sha256(canonical_json(RULES)).hexdigest()
            ledger.plans.reserve(reservation_for(run, limits(run), days=1, policy=digest), PEOPLE)
        assert [code for code, _ in findings(folder)] == expected


@pytest.mark.parametrize("exact", [True, False])
def test_a_spend_of_the_other_kind_than_its_plan_is_found(tmp_path: Path, exact: bool) -> None:
    run = config(exact_noise=exact)
    with open_ledger(tmp_path) as ledger:
        reserve(ledger, run)
        other = replace(spend_for(run, Attempt(1, 1), [1, 2, 3]), exact_noise=not exact)
        ledger.append(other, PEOPLE, limits(run))
    assert findings(tmp_path) == [("unreserved-spend", "its plan was set aside for another kind of noise")]


def test_to_demand_it_no_longer_is_a_loosening(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.plans.record_policy(RULES, [])
        ledger.plans.record_policy({**RULES, "run": {"exact_noise": False}}, [])
    assert findings(tmp_path) == [("unnamed-loosening", "run.exact_noise: True before")]
