"""A ledger that was put back in the middle of a run: what nobody can know any more is charged, and is no finding."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from afml.consortium.run import Budget, RunConfig
from afml.core.errors import BudgetError
from afml.ledger.backup import back_up, restore
from afml.ledger.spending import worst, worst_committed
from afml.ledger.verify import Evidence, verify
from tests.ledger.case import codes
from tests.ledger.helpers import (
    KEY,
    ONE,
    ORIGIN,
    PEOPLE,
    PUBLIC,
    Clock,
    close,
    config,
    full,
    open_ledger,
    publish,
    read_transcript,
    reserve,
    sigma,
    spend,
)


def later_clock() -> Clock:
    """Of the other machine, which had the time of day when the backup was put back."""
    return Clock(time.time() + 1000)


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    """`back`: put back from a copy of the third round of ten; `transcript.jsonl`: of the seven that were published."""
    with open_ledger(tmp_path / "ledger") as ledger:
        run = _run()
        paid = [spend(ledger, run, number) for number in (1, 2, 3)]
        back_up(tmp_path / "ledger", tmp_path / "saved")
        paid += [spend(ledger, run, number) for number in (4, 5, 6, 7)]
    publish(tmp_path / "transcript.jsonl", run, paid, Clock(1_700_001_000.0))
    done = restore(tmp_path / "saved", tmp_path / "back", KEY, ORIGIN, [])
    assert done.lost == (run.run,)
    return tmp_path


def _run(name: str = "run-1", sigma: float = 0.5) -> RunConfig:
    return full(name, sigma, rounds=10, budget=Budget(delta=1e-5, ple_sigma=1.0))


def _found(root: Path, *, rounds: int = 7) -> set[str]:
    evidence = Evidence(transcript=read_transcript(root / "transcript.jsonl")[:rounds])
    return codes(verify(root / "back", key=PUBLIC, node=1, evidence=evidence))


@pytest.mark.parametrize("rate", [1.0, 0.2])
@pytest.mark.parametrize("spent", [0, 1])
def test_a_lost_run_costs_what_it_would_have_cost_whole(tmp_path: Path, rate: float, spent: int) -> None:
    """The slow reference: a ledger in which every attempt of the plan was spent."""
    run = config("one", z=4.0, rate=rate, rounds=6, reserve_attempts=0)
    with open_ledger(tmp_path / "whole") as ledger:
        for number in range(1, 7):
            spend(ledger, run, number)
        close(ledger, run)
        expected = worst(ledger.accounts(PEOPLE), ONE).spent
        committed = worst_committed(ledger.accounts(PEOPLE), ONE).spent
    with open_ledger(tmp_path / "ledger") as ledger:
        reserve(ledger, run)
        for number in range(1, spent + 1):
            spend(ledger, run, number)
        assert ledger.plans.close_lost() == ("one",)
        assert ledger.plans.close_lost() == ()
        assert worst(ledger.accounts(PEOPLE), ONE).spent == pytest.approx(expected)
        assert worst_committed(ledger.accounts(PEOPLE), ONE).spent == pytest.approx(committed)
        with pytest.raises(BudgetError, match=r"closed at this site \(lost\)"):
            spend(ledger, run, 3)


def test_runs_that_were_over_are_charged_as_before(tmp_path: Path) -> None:
    over = full("over", 0.8)
    with open_ledger(tmp_path / "ledger") as ledger:
        spend(ledger, over, 1)
        close(ledger, over, "by-hand")
        back_up(tmp_path / "ledger", tmp_path / "saved")
    assert restore(tmp_path / "saved", tmp_path / "back", KEY, ORIGIN, []).lost == ()
    with open_ledger(tmp_path / "back") as ledger:
        assert (len(ledger), ledger.plans.closed("over")) == (3, "by-hand")
        assert sigma(ledger, PEOPLE) == pytest.approx(0.4)


def test_rounds_that_were_lost_are_named_and_are_no_finding(lost: Path) -> None:
    evidence = Evidence(transcript=read_transcript(lost / "transcript.jsonl"))
    result = verify(lost / "back", key=PUBLIC, node=1, evidence=evidence)
    assert result.ok, result.findings
    assert any("4 rounds of run run-1 are in no entry since a backup was put back" in one for one in result.unchecked)


def test_people_are_charged_for_them_in_every_later_run(lost: Path) -> None:
    with open_ledger(lost / "back", clock=later_clock()) as ledger:
        assert sigma(ledger, PEOPLE) == pytest.approx(0.5)
        with pytest.raises(BudgetError):
            reserve(ledger, _run("too-much", 0.9))
        later = _run("later", 0.8)
        for number in (1, 2):
            spend(ledger, later, number)
        assert sigma(ledger, PEOPLE) == pytest.approx(math.sqrt(0.5**2 + 0.8**2 * 2 / 10))
    assert _found(lost) == set()


def test_a_claim_that_leaves_them_out_is_found(lost: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that charges what the backup holds and no more."""
    with monkeypatch.context() as patch, open_ledger(lost / "back", clock=later_clock()) as ledger:
        patch.setattr("afml.ledger.spending.LOST", "SELECT run FROM entries WHERE 0")
        spend(ledger, _run("later", 0.8), 1)
    assert _found(lost) == {"accounting-disagrees"}


def test_without_the_closing_the_same_ledger_is_rolled_back(lost: Path) -> None:
    evidence = Evidence(transcript=read_transcript(lost / "transcript.jsonl"))
    found = codes(verify(lost / "saved", key=PUBLIC, node=1, evidence=evidence))
    assert {"rolled-back", "hidden-round"} <= found


def test_what_a_plan_does_not_cover_is_found(lost: Path) -> None:
    rounds = read_transcript(lost / "transcript.jsonl")
    more = [rounds[-1].model_copy(update={"round": number}) for number in range(8, 12)]  # eleven of a plan of ten
    found = verify(lost / "back", key=PUBLIC, node=1, evidence=Evidence(transcript=[*rounds, *more]))
    assert "hidden-round" in codes(found)


def test_heads_of_before_the_backup_and_of_peers_count_as_ever(lost: Path) -> None:
    rounds = read_transcript(lost / "transcript.jsonl")
    newest = rounds[-1].receipts[1].checkpoint
    found = verify(lost / "back", key=PUBLIC, node=1, evidence=Evidence(transcript=rounds, heads=[newest]))
    assert codes(found) & {"rolled-back", "forked-head"}, "somebody else kept it"
    early = rounds[0].receipts[1].model_copy(update={"leaf": rounds[-1].receipts[1].leaf})
    other = rounds[0].model_copy(update={"receipts": {1: early}})
    found = verify(lost / "back", key=PUBLIC, node=1, evidence=Evidence(transcript=[other, *rounds[1:]]))
    assert codes(found) == {"edited-row"}


def test_a_simulation_that_was_lost_keeps_its_people_out_of_real_runs(tmp_path: Path) -> None:
    simulated = config("simulated", seed=3)
    with open_ledger(tmp_path / "ledger") as ledger:
        reserve(ledger, simulated)
        ledger.plans.close_lost()
        with pytest.raises(BudgetError, match="took part in a simulation"):
            reserve(ledger, config("real"))
