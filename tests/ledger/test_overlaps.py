"""Queries for shared people in the ledger: committed to first, capped, and every wrong one is named by the verifier."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afml.core.errors import BudgetError, IntegrityError
from afml.ledger.findings import Verification
from afml.ledger.overlaps import Asked, OverlapQuery
from afml.ledger.store import Ledger
from afml.ledger.summary import summarise
from afml.ledger.verify import verify
from node.policy import OverlapRules, Policy
from tests.ledger.case import Case, codes
from tests.ledger.helpers import PEOPLE, PUBLIC, Clock, open_ledger

OWN, DIGEST = b"o" * 64, "ab" * 32


def query(run: str = "run-1", own: bytes = OWN, answers: tuple[int, ...] = (3, 4)) -> OverlapQuery:
    return OverlapQuery(run, DIGEST, own, b"a" * 64, (2,), answers)


def asked(node: int = 3, people: int = 12, points: bytes = b"q" * 64, run: str = "run-1") -> Asked:
    return Asked(run, DIGEST, node, f"afml/{node}", people, points)


def allowing(ledger: Ledger, **rules: Any) -> None:
    ledger.plans.record_policy(Policy(overlap=OverlapRules(**rules)).model_dump(mode="json"), [])


def check(folder: Path) -> Verification:
    return verify(folder, key=PUBLIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_ledger(tmp_path / "ledger") as ledger:
        allowing(ledger, allowed=True, people=30)
        ledger.overlaps.begin(query(), PEOPLE)
        ledger.overlaps.answer(asked(3), 30)
        ledger.overlaps.answer(asked(4), 30)
    return tmp_path / "ledger"


def entries(folder: Path, kind: str) -> list[dict[str, Any]]:
    with sqlite3.connect(folder / "ledger.db") as database:
        rows = database.execute("SELECT body FROM entries WHERE kind = ? ORDER BY idx", (kind,)).fetchall()
    return [json.loads(body) for (body,) in rows]


def test_what_leaves_is_written_down_once(folder: Path) -> None:
    with open_ledger(folder, clock=Clock(1_800_000_000)) as ledger:
        ledger.overlaps.begin(query(), PEOPLE)
        ledger.overlaps.answer(asked(3), 30)
        assert ledger.overlaps.asked_about() == 24
    (own,) = entries(folder, "overlap")
    assert (own["people"], own["asks"], own["answers"]) == (len(PEOPLE), [2], [3, 4])
    assert [body["node"] for body in entries(folder, "overlap-answer")] == [3, 4]
    found = check(folder)
    assert found.ok, found.findings
    assert "1 queries for shared people and 2 answers" in found.checked
    lines = summarise(folder).lines("overlap", "overlap-answer")
    assert len(lines) == 3
    assert "answered node 3 about 12 people of its own" in lines[1]


def test_a_run_has_one_query(folder: Path) -> None:
    with open_ledger(folder, clock=Clock(1_800_000_000)) as ledger:
        with pytest.raises(IntegrityError, match="something else was asked or offered before"):
            ledger.overlaps.begin(query(own=b"p" * 64), PEOPLE)
        with pytest.raises(IntegrityError, match="something else was asked or offered before"):
            ledger.overlaps.begin(query(), PEOPLE[1:])
        with pytest.raises(IntegrityError, match="query of node 3: asks for something else than before"):
            ledger.overlaps.answer(asked(3, points=b"r" * 64), 30)
    assert check(folder).ok


def test_others_ask_about_as_many_people_as_the_policy_allows(folder: Path) -> None:
    with open_ledger(folder, clock=Clock(1_800_000_000)) as ledger:
        ledger.overlaps.begin(query("run-2"), PEOPLE)
        with pytest.raises(BudgetError, match="about 36 people, this site's policy allows 30"):
            ledger.overlaps.answer(asked(3, run="run-2"), 30)
        ledger.overlaps.answer(asked(3, people=6, run="run-2"), 30)
        assert ledger.overlaps.asked_about() == 30
    assert check(folder).ok


def test_nobody_is_asked_about_who_has_withdrawn(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger") as ledger:
        ledger.withdraw(PEOPLE[:1])
        with pytest.raises(BudgetError, match="withdrawn"):
            ledger.overlaps.begin(query(), PEOPLE)
        ledger.overlaps.begin(query(), PEOPLE[1:])


WRONG: dict[str, tuple[str, Callable[[Ledger], None]]] = {
    "beyond the policy": ("policy-broken", lambda ledger: ledger.overlaps.answer(asked(9, people=20), 10**6)),
    "not committed to": ("wrong-overlap", lambda ledger: ledger.overlaps.answer(asked(5, people=1), 10**6)),
    "of another run": ("wrong-overlap", lambda ledger: ledger.overlaps.answer(asked(3, people=1, run="run-9"), 10**6)),
    "not allowed": (
        "policy-broken",
        lambda ledger: (allowing(ledger), ledger.overlaps.begin(query("run-2"), PEOPLE))[1],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_an_operator_does_in_spite_of_it_is_named(folder: Path, name: str) -> None:
    code, act = WRONG[name]
    with open_ledger(folder, clock=Clock(1_800_000_000)) as ledger:
        act(ledger)
    assert code in codes(check(folder))


def test_another_set_of_people_than_was_committed_to_is_named(folder: Path) -> None:
    case = Case(folder, folder, [], [], Clock())
    case.edit("DELETE FROM enrolled WHERE person = (SELECT min(person) FROM enrolled)")
    assert "edited-enrolment" in codes(check(folder))
