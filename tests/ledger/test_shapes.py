"""A node whose writer is not ours: from the first entry on it enters what no comparison calls wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt
from afml.core.config import canonical_json
from afml.ledger.entries import spend_for
from afml.ledger.reservation import reservation_for
from afml.ledger.verify_shapes import KINDS
from afml.privacy.events import Gaussian
from tests.ledger.case import Case, codes
from tests.ledger.helpers import PEOPLE, config, limits, open_ledger, publish, spend

RESERVED, SPENT, LAST = 0, 3, 7
"""Entries of the case: the first run's plan and its last spend, and the last spend of these people."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (SPENT, {"claim": None}),
        (SPENT, {"claim": {}}),
        (SPENT, {"claim": {"delta": 1e-5, "epsilon": 1.0, "ple_sigma": 1.0, "fixed_plan": None}}),
        (SPENT, {"budget": None}),
        (SPENT, {"insecure": "no"}),
        (SPENT, {"broken_multiplier": None}),
        (
            SPENT,
            {"mechanism": {"kind": "subsampled_gaussian", "noise_multiplier": 8.0, "sample_rate": 1.0, "steps": 0}},
        ),
        (RESERVED, {"budget": None}),
        (RESERVED, {"lifetime": {"delta": 1e-5, "epsilon": None, "ple_sigma": None}}),
        (RESERVED, {"lifetime": {"delta": "x", "epsilon": None, "ple_sigma": 1.0}}),
        (RESERVED, {"plan": [{"kind": "gaussian", "noise_multiplier": 0.0}]}),
        (RESERVED, {"expires_ms": None}),
    ],
)
def test_what_cannot_be_recomputed_or_compared_is_named(case: Case, index: int, changes: dict[str, Any]) -> None:
    case.rewrite(index, **changes)
    assert "malformed-entry" in codes(case.check(transcript=()))


def test_a_number_that_is_none_and_a_key_that_stands_twice_are_named(case: Case) -> None:
    body = case.body(SPENT)
    body["claim"]["fixed_plan"] |= {"epsilon": float("nan"), "ple_sigma": float("nan")}
    case.put(SPENT, json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    assert "malformed-entry" in codes(case.check(transcript=()))
    case.put(SPENT, b'{"people":3,' + canonical_json(case.body(SPENT - 1) | {"index": SPENT, "round": 3})[1:])
    assert "malformed-entry" in codes(case.check(transcript=()))


def test_an_entry_that_is_nested_without_end_is_named(case: Case) -> None:
    case.edit(f"UPDATE entries SET body = CAST('{'[' * 100_000}' AS BLOB) WHERE idx = {SPENT}")
    assert "edited-row" in codes(case.check(transcript=()))


def test_an_entry_of_no_known_kind_is_named(case: Case) -> None:
    case.rewrite(SPENT, kind="spent")
    found = case.check(transcript=())
    assert any("is of no known kind: 'spent'" in one.problem for one in found.findings)


def test_the_known_kinds_are_those_of_the_design() -> None:
    text = (Path(__file__).parents[2] / "docs" / "design" / "ledger.md").read_text(encoding="utf-8")
    table = text[text.index("| kind | fields |") :].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == KINDS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from([RESERVED, SPENT]), st.data(), JSON)
def test_whatever_an_entry_says_is_a_finding_or_none_and_never_an_error(
    case: Case, index: int, data: st.DataObject, value: object
) -> None:
    good = canonical_json(case.body(index))
    body = json.loads(good)
    names = sorted(body.keys() - {"v", "index", "time_ms", "kind"})
    inside = body
    while True:
        name = data.draw(st.sampled_from(names))
        if not isinstance(inside[name], dict) or data.draw(st.booleans()):
            break
        inside, names = inside[name], sorted(inside[name])
    inside[name] = value
    try:
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    case.put(index, text)
    case.check(transcript=())
    case.put(index, good)
    assert case.check(transcript=()).ok


def test_what_a_spend_states_is_no_less_than_its_plan_as_fixed(case: Case) -> None:
    """That of the last one: the others are its beginnings."""
    claim = case.body(LAST)["claim"]
    case.rewrite(LAST, claim=claim | {"ple_sigma": 0.0})
    assert "accounting-disagrees" in codes(case.check(transcript=()))


def test_a_node_cannot_count_more_noise_than_was_published_as_its_own(case: Case) -> None:
    """Plan, spends and claims all say ten times the noise, and so does what is left "if updates are read"."""
    run = config("cheap")
    plan = tuple(replace(event, noise_multiplier=80.0) for event in reservation_for(run, limits(run), days=30).plan)
    with open_ledger(case.folder, clock=case.clock) as ledger:
        ledger.plans.reserve(replace(reservation_for(run, limits(run), days=30), plan=plan, own_noise=True), PEOPLE)
        paid = []
        for number in (1, 2):
            its = spend_for(run, Attempt(number, 1), [1, 2, 3])
            its = replace(its, mechanism=Gaussian(80.0), broken_multiplier=80.0, plan=plan, published_multiplier=8.0)
            paid.append(ledger.append(its, PEOPLE, limits(run)))
    publish(case.transcript, run, paid, case.clock)
    found = case.check()
    assert codes(found) == {"changed-noise-multiplier"}
    assert {one.problem for one in found.findings} == {"80.0 left if updates are read, published 8.0"}


def test_a_node_cannot_count_fewer_steps_than_were_taken(case: Case) -> None:
    run = config("short", rate=0.5, enrolments_per_person=2)
    with open_ledger(case.folder, clock=case.clock) as ledger:
        before = len(ledger)
        spend(ledger, run, 1)
        body = case.body(before + 1)
    case.rewrite(before + 1, mechanism=body["mechanism"] | {"steps": 1})
    with open_ledger(case.folder, clock=case.clock) as ledger:
        receipt = ledger.receipt("short", Attempt(1, 1))
    assert receipt is not None
    publish(case.transcript, run, [receipt], case.clock)
    found = case.check()
    assert any(one.code == "changed-spend" and one.problem == "steps: 1, published 2" for one in found.findings)
