from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.audit import _bar, audit
from afml.cli.privacy import privacy
from afml.consortium.roster import Member, Roster
from afml.consortium.run import Budget
from afml.core.errors import AfmlError, ConfigError, InputError, IntegrityError
from afml.privacy.budget import balance
from afml.privacy.events import Gaussian
from crypto.public.signing import public_bytes
from tests.ledger.helpers import AGGREGATOR, PUBLIC, Clock, config, open_ledger, publish, spend


@pytest.fixture
def place(tmp_path: Path) -> Path:
    clock = Clock()
    with open_ledger(tmp_path / "ledger", clock=clock) as ledger:
        # A name that a configuration refuses, but a forged ledger may hold: it would break a careless page.
        run = config().model_copy(update={"run": "<b>run</b>"})
        publish(tmp_path / "t.jsonl", run, [spend(ledger, run, 1), spend(ledger, run, 2)], clock)
        ledger.record_audit("<b>run</b>", 0.05, confidence=0.95, instrument="canaries")
        ledger.withdraw(["person-1"])
    member = Member(node=1, name="one", signing_key=PUBLIC.hex(), sealing_key="00" * 32)
    roster = Roster(
        consortium="test", coordinator_key="00" * 32,
        aggregator_key=public_bytes(AGGREGATOR).hex(), members=(member,),
    )  # fmt: skip
    (tmp_path / "roster.json").write_text(roster.model_dump_json())
    return tmp_path


def call(*arguments: str) -> str:
    done = CliRunner().invoke(audit, list(arguments))
    if isinstance(done.exception, AfmlError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_show(place: Path) -> None:
    text = call("show", str(place / "ledger"), "--rounds")
    assert "5 entries" in text
    assert "0.05" in text
    assert "12 people have spent 0.177 of 50.000 sigma at most" in text
    assert "0.280 with what runs have reserved" in text
    assert f"  [{'.' * 40}] 0 % used, in squares" in text
    assert "…" not in text
    found = json.loads(call("show", str(place / "ledger"), "--json"))
    (enrolment,) = found["enrolments"]
    assert found["entries"][1]["enrolment"].startswith(enrolment["enrolment"])
    assert enrolment["people"] == 12
    assert enrolment["ple_sigma"] == pytest.approx(2**0.5 / 8)
    assert enrolment["runs"][0]["ple_interval"] == [0.05, pytest.approx(2**0.5 / 8)]
    assert enrolment["runs"][0]["insecure"] is False
    assert enrolment["fixed_plan"]["ple_sigma"] == pytest.approx(2**0.5 / 8)
    assert enrolment["committed"] == pytest.approx(5**0.5 / 8)
    assert enrolment["left"] == pytest.approx((2500 - 5 / 64) ** 0.5)
    (plan,) = found["plans"]
    assert (plan["people"], plan["state"], plan["approved"]) == (12, "open", False)
    assert enrolment["epsilon_if_aggregation_broken"] > enrolment["epsilon"]


def test_a_bar_shows_what_is_used_of_a_budget_in_its_own_measure() -> None:
    half = [Gaussian(1 / 0.45)]
    sigma = _bar(balance(Budget(delta=1e-5, ple_sigma=0.9), half))
    assert sigma == f"  [{'#' * 10}{'.' * 30}] 25 % used, in squares: that is how sigmas add"
    epsilon = balance(Budget(delta=1e-5, epsilon=4.0), half)
    assert _bar(epsilon).endswith(f"] {100 * epsilon.spent / 4:.0f} % used")


def test_verify(place: Path) -> None:
    ledger, keys = str(place / "ledger"), ["--roster", str(place / "roster.json"), "--node", "1"]
    assert "nothing found" in call("verify", ledger, *keys, "--transcript", str(place / "t.jsonl"))
    assert json.loads(call("verify", ledger, "--key", PUBLIC.hex(), "--json"))["ok"] is True
    with pytest.raises(IntegrityError, match="wrong-key"):
        call("verify", ledger, "--key", "11" * 32)
    assert "nothing found" in call("verify", ledger, *keys[:2], "--transcript", str(place / "t.jsonl"))
    for wrong in (["--key", "xyz"], []):
        with pytest.raises(InputError):
            call("verify", ledger, *wrong)
    with pytest.raises(InputError, match="aggregator's key"):
        call("verify", ledger, "--key", PUBLIC.hex(), "--transcript", str(place / "t.jsonl"))
    with pytest.raises(InputError, match="no node 7"):
        call("verify", ledger, "--roster", str(place / "roster.json"), "--node", "7")


def test_export(place: Path) -> None:
    call("export", str(place / "ledger"), "--key", PUBLIC.hex(), "--out", str(place / "out"))
    page = (place / "out" / "ledger.html").read_text()
    assert "<b>run</b>" not in page
    assert "&lt;b&gt;run" in page
    assert "http" not in page
    assert "<script" not in page
    with (place / "out" / "ledger.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["kind"] for row in rows] == ["reservation", "spend", "spend", "audit", "withdrawal"]
    assert rows[2]["noise_multiplier"] == "8.0"
    document = json.loads((place / "out" / "ledger.json").read_text())
    assert document["verification"]["ok"] is True
    assert len(document["entries"]) == 5
    for path in (place / "out").iterdir():
        assert "person-" not in path.read_text()
    assert "have spent 0.177 of 50.000 sigma at most" in page
    assert "Not proven" not in page
    with pytest.raises(IntegrityError, match="missing-countersignature"):
        call(
            "export", str(place / "ledger"), "--key", PUBLIC.hex(), "--countersignatures", "1",
            "--out", str(place / "unvouched"),
        )  # fmt: skip
    assert "Not proven" in (place / "unvouched" / "ledger.html").read_text()


def test_privacy_forwards_and_back(tmp_path: Path) -> None:
    plan = ["--sample-rate", "0.1", "--rounds", "100", "--delta", "1e-5", "--json"]
    done = CliRunner().invoke(privacy, ["--noise-multiplier", "1.5", *plan, "--plot", str(tmp_path / "roc.png")])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.output)
    assert {"epsilon", "delta", "ple_sigma", "ple_at_delta", "tails", "roc"} <= found.keys()
    assert found["ple_sigma"] == pytest.approx(0.831, abs=0.002)
    assert (tmp_path / "roc.png").read_bytes()[:4] == b"\x89PNG"
    back = json.loads(CliRunner().invoke(privacy, ["--ple", str(found["ple_sigma"]), *plan]).output)
    assert back["noise_multiplier"] == pytest.approx(1.5, abs=2e-3)
    converted = json.loads(CliRunner().invoke(privacy, ["--epsilon", "4.377178", "--convert", "--json"]).output)
    assert converted["ple_sigma"] == pytest.approx(1.0, abs=1e-5)
    table = CliRunner().invoke(privacy, ["--ple", "0.9", "--rounds", "100"])
    assert "closed form" in table.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--ple", "1", "--epsilon", "1"],
        ["--ple", "-1"],
        ["--ple", "nan"],
        ["--ple", "1e308"],
        ["--epsilon", "1e308"],
        ["--noise-multiplier", "1", "--delta", "0"],
        ["--noise-multiplier", "1", "--sample-rate", "0"],
        ["--noise-multiplier", "1", "--rounds", "0"],
        ["--noise-multiplier", "1", "--plot", "x.gif"],
    ],
)
def test_impossible_questions_get_one_line(arguments: list[str]) -> None:
    error = CliRunner().invoke(privacy, arguments).exception
    assert isinstance(error, ConfigError)
    assert "\n" not in str(error)
