"""`afml run show` of a run that is over at this site: how it ended and what it spent, and nothing that is to come."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from afml.cli.policy import policy
from afml.consortium.attempt import Attempt
from afml.consortium.run import RunConfig
from afml.ledger.entries import spend_for
from afml.ledger.reservation import Reason
from node.guard import enter_policy, open_ledger, wanted
from node.journal import Journal
from node.policy import load, terms_of
from node.workspace import Workspace
from tests.cli.officer import PEOPLE, call, desk, kit, loaded, on, shown, signed

TO_COME = re.compile("would|with this run|nothing stands in its way|refused|not approved")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    call(policy, "init", "--kit", kit(desk(tmp_path)), "--trust-roster", "--approval")
    return tmp_path


def played(place: Path, file: Path, rounds: int, reason: Reason | None) -> None:
    """What a node enters of a run that ends after some rounds, the last one of which took two attempts."""
    config, its = RunConfig.load(file), loaded(place)
    with open_ledger(Workspace(place / "work"), its) as ledger:
        want = wanted(config, terms_of(load(kit(place)), config, its))
        enter_policy(ledger, load(kit(place)))
        ledger.plans.reserve(want, PEOPLE)
        for number in range(1, rounds + 1):
            for attempt in range(1, 3 if number == rounds else 2):
                ledger.append(spend_for(config, Attempt(number, attempt), [1, 2, 3]), PEOPLE, want.limits)
        if reason is not None:
            ledger.plans.close(config.run, config.digest().hex(), reason)


@pytest.mark.parametrize(
    ("rounds", "reason", "told", "sigma"),
    [
        (3, "finished", "at round 3 of 3: it is finished", 0.5),  # its three rounds, and the one attempt in reserve
        (2, "failed", "at round 2 of 3: it failed, as the aggregator said", 0.5 * math.sqrt(3) / 2),
        (1, "left", "at round 1 of 3: this site left it", 0.5 / math.sqrt(2)),
        (0, "by-hand", "before its first round: somebody here closed it", None),
        (1, "lost", "at round 1 of 3 or later: it was open in a backup of the ledger that was put back", 0.5),
    ],
)
def test_what_a_run_that_is_over_spent(
    place: Path, rounds: int, reason: Reason, told: str, sigma: float | None
) -> None:
    file = signed(place)
    assert "nothing stands in its way" in shown(place, file)
    assert json.loads(on(place, "show", file, "--json"))["over"] is None
    played(place, file, rounds, reason)
    lines, found = shown(place, file), json.loads(on(place, "show", file, "--json"))
    assert re.search(rf"^over here since \d+-\d\d-\d\dT\S+Z, {re.escape(told)}$", lines, re.MULTILINE)
    assert not TO_COME.search(lines)
    over = found["over"]
    assert (over["reason"], over["round"], over["attempts"]) == (reason, rounds, rounds + bool(rounds))
    assert (found["refusals"], found["after_ple_sigma"]) == ([], found["committed_ple_sigma"])
    if sigma is None:
        assert over["ple_sigma"] is None
        assert "it has spent nothing here" in lines
    else:
        assert over["ple_sigma"] == pytest.approx(sigma)
        assert found["committed_ple_sigma"] == pytest.approx(sigma)
        assert re.search(r"by itself it has spent at most 0\.\d{3} sigma \(epsilon [0-9.]+\) at delta 1e-0\d", lines)
        assert ("nobody can say what was spent" in lines) == (reason == "lost")
    left = math.sqrt(found["limit_ple_sigma"] ** 2 - (sigma or 0.0) ** 2)
    assert found["left_ple_sigma"] == pytest.approx(left)


def test_another_run_of_the_name_is_not_over(place: Path) -> None:
    played(place, signed(place), 3, "finished")
    other = signed(place, sigma=0.4)
    assert "refused: run run: this name belongs to the configuration" in shown(place, other)


def test_no_figure_is_told_of_a_simulation(place: Path) -> None:
    path = kit(place) / "policy.toml"
    path.write_text(path.read_text().replace("simulation = false", "simulation = true"))
    file = signed(place, seed=7)
    played(place, file, 2, "finished")
    lines = shown(place, file)
    assert "insecure: simulation. No figure says what it has spent" in lines
    assert "by itself" not in lines


def test_a_run_that_ended_before_its_plan_was_closed_is_refused(place: Path) -> None:
    """The process died between the two: no start takes the run up again, and its plan is still set aside."""
    file = signed(place)
    played(place, file, 1, None)
    assert "nothing stands in its way" in shown(place, file)
    journal = Journal(place / "work" / "runs" / "run")
    journal.end("its operator ended its part")
    journal.close()
    told = "refused: run run: has ended here for good (its operator ended its part); `afml run close` frees its plan"
    assert told in shown(place, file)
    on(place, "close", file)
    assert "at round 1 of 3: somebody here closed it" in shown(place, file)
