"""Simulations in a ledger: marked wherever they are told of, worth no number, and apart from everybody's real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.audit import audit
from afml.core.errors import BudgetError
from afml.core.simulation import SIMULATION
from afml.ledger.releases import ReleaseRecord
from afml.ledger.verify import verify
from tests.ledger.case import Case, codes
from tests.ledger.helpers import PEOPLE, PUBLIC, Clock, config, open_ledger, spend

OTHERS = [f"other-{number}" for number in range(12)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A simulation of two rounds with its audit and its release, and a real run about other people."""
    with open_ledger(tmp_path / "ledger") as ledger:
        simulation = config("simulated", seed=3)
        spend(ledger, simulation, 1)
        spend(ledger, simulation, 2)
        ledger.record_audit("simulated", 0.05, confidence=0.95, instrument="canaries")
        record = ReleaseRecord(run="simulated", file_digest="ab" * 32, model_digest="cd" * 32, min_group_size=3)
        ledger.releases.record(record, dict.fromkeys(PEOPLE, "pattern"))
        spend(ledger, config("real"), 1, people=OTHERS)
    return tmp_path / "ledger"


def _case(folder: Path) -> Case:
    return Case(folder, folder / "none", [], [], Clock())


def _call(*arguments: object) -> str:
    done = CliRunner().invoke(audit, [*map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_every_entry_of_one_is_marked_and_claims_nothing(folder: Path) -> None:
    with open_ledger(folder) as ledger:
        bodies = [entry.body for entry in ledger.entries()]
    assert [body["insecure"] for body in bodies] == [True, True, True, True, True, False, False]
    for body in bodies[1:3]:
        assert body["claim"] == {"delta": 1e-5, "epsilon": None, "ple_sigma": None, "accountant": SIMULATION}
    assert bodies[6]["claim"]["ple_sigma"] > 0  # type: ignore[index]
    assert verify(folder, key=PUBLIC).ok


def test_what_people_read_says_so_and_gives_no_figure(folder: Path, tmp_path: Path) -> None:
    text = _call("show", folder, "--rounds")
    assert SIMULATION in text
    assert "infinite" in text
    simulated, real = json.loads(_call("show", folder, "--json"))["enrolments"]
    plan = json.loads(_call("show", folder, "--json"))["plans"][0]
    assert (plan["insecure"], plan["ple_sigma"], plan["epsilon"]) == (True, None, None)
    for told in (simulated, simulated["runs"][0]):
        assert told["insecure"] is True
        assert told["epsilon"] is told["ple_sigma"] is told["epsilon_if_aggregation_broken"] is None
    assert simulated["spent"] is simulated["left"] is None
    assert simulated["accountant"] == SIMULATION
    assert real["insecure"] is False
    assert real["ple_sigma"] > 0
    _call("export", folder, "--key", PUBLIC.hex(), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "ledger.html").read_text()
    assert page.count(SIMULATION) == 5  # at the top, at its people, at its plan, at its run, at its release
    assert "∞" in page
    assert json.loads((tmp_path / "out" / "ledger.json").read_text())["insecure"] is True
    first = (tmp_path / "out" / "ledger.csv").read_text().splitlines()[2].split(",")
    header = (tmp_path / "out" / "ledger.csv").read_text().splitlines()[0].split(",")
    told = dict(zip(header, first, strict=True))
    assert (told["ple_sigma"], told["epsilon"], told["insecure"]) == ("", "", "True")


def test_people_of_a_simulation_have_no_real_run(folder: Path) -> None:
    with open_ledger(folder, clock=Clock(1_700_000_100.0)) as ledger:
        before = len(list(ledger.entries()))
        with pytest.raises(BudgetError, match="1 of these people took part in a simulation"):
            spend(ledger, config("next"), 1, people=[*OTHERS, PEOPLE[3]])
        with pytest.raises(BudgetError, match="12 of these people are in real runs"):
            spend(ledger, config("again", seed=4), 1, people=OTHERS)
        assert len(list(ledger.entries())) == before
        spend(ledger, config("again", seed=4), 1)
        spend(ledger, config("next"), 1, people=OTHERS)
    assert verify(folder, key=PUBLIC).ok


def test_a_mark_taken_off_is_found(folder: Path) -> None:
    _case(folder).rewrite(2, insecure=False)
    assert "mixed-simulation" in codes(verify(folder, key=PUBLIC))


def test_a_figure_put_in_is_found(folder: Path) -> None:
    claim = {"delta": 1e-5, "epsilon": 1.0, "ple_sigma": 0.2, "accountant": "closed form"}
    _case(folder).rewrite(1, claim=claim)
    assert "accounting-disagrees" in codes(verify(folder, key=PUBLIC))


def test_people_put_into_both_are_found(folder: Path) -> None:
    _case(folder).edit(
        "INSERT INTO enrolled SELECT (SELECT person FROM enrolled WHERE enrolment = 1 LIMIT 1), max(enrolment) "
        "FROM enrolled"
    )
    assert "mixed-simulation" in codes(verify(folder, key=PUBLIC))
