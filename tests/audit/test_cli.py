"""`afml audit attack`: prints the interval, and fails when the attack refutes the accounts."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from afml.audit import simulated
from afml.audit.simulated import Size
from afml.audit.subject import Subject
from afml.cli.audit import audit
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import AfmlError, ConfigError, InputError, IntegrityError
from afml.core.progress import Step
from afml.data.holdout import HoldoutDraw
from afml.genomics.kind import GenotypeOptions
from afml.genomics.phenotypes import write_phenotypes
from afml.masking.chosen import genotypes, masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.plan import parameter_counts
from afml.masking.settings import RISK, RiskSettings
from afml.trial.kits import make_kits
from node.guard import open_ledger
from node.prepare import Given, prepare
from node.workspace import Workspace
from tests.audit import breaks
from tests.masking.simulated import config
from tests.simulated import simulate_dosage, write_vcf

SMALL = Size(nodes=3, people=10, sites=128, panel_people=40)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    full = simulated.simulate
    monkeypatch.setattr(simulated, "simulate", lambda seed: full(seed, SMALL, rounds=2))


def attack(*options: object) -> Result:
    return CliRunner().invoke(audit, ["attack", *map(str, options)])


def test_prints_the_interval() -> None:
    done = attack("--simulated", "--instrument", "run", "--canaries", 64)
    assert done.exit_code == 0, done.output
    assert "PLE in [" in done.output
    assert "64 canaries" in done.output


def test_says_when_it_could_not_have_failed() -> None:
    done = attack("--simulated", "--instrument", "run", "--canaries", 4)
    assert "could not have failed" in " ".join(done.output.split())


def test_json_has_both_instruments() -> None:
    done = attack("--simulated", "--trials", 4, "--canaries", 16, "--json")
    document: dict[str, Any] = json.loads(done.output)
    assert {step["phase"] for step in document["steps"]} == {"risk", "game"}
    assert document["run"]["canaries"] == 16


def test_a_broken_mechanism_exits_with_integrity(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.0)
    done = attack("--simulated", "--instrument", "run")
    assert isinstance(done.exception, IntegrityError)
    assert done.exception.exit_code == 6


def test_a_run_without_risk_rounds_is_attacked_step_by_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps components, so there is no phenotype and no round that canaries could show in."""
    small = simulated.simulate

    def without_traits(seed: int) -> Subject:
        made = small(seed)
        settings = masking_settings(made.config).model_copy(update={RISK: RiskSettings(kept_components=2)})
        played = parameter_counts(made.config.data.features, settings)[1]
        game = made.config.phases[1].model_copy(update={"parameters": played})
        run = with_settings(made.config.model_copy(update={"phases": (game,)}), settings)
        nobody = {n: Enrolled(one.dosage, np.zeros((len(one), 0), np.int8)) for n, one in made.enrolled.items()}
        return replace(made, config=run, enrolled=nobody)

    monkeypatch.setattr(simulated, "simulate", without_traits)
    done = attack("--simulated", "--trials", 4, "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr == "SKIPPED the run with canaries: it attacks risk rounds, and this run has none\n"
    document = json.loads(done.stdout)
    assert {step["phase"] for step in document["steps"]} == {"game"}
    assert document["run"] is None
    with pytest.raises(ConfigError, match="needs a risk phase"):
        raise attack("--simulated", "--instrument", "run").exception or AssertionError


@pytest.mark.parametrize(
    "options",
    [[], ["--run", "run.json"], ["--work", "w"], ["--simulated", "--work", "w"], ["--simulated", "--kit", "k"]],
)
def test_contradicting_options_are_refused(options: list[str]) -> None:
    done = attack(*options)
    assert isinstance(done.exception, InputError)
    assert isinstance(done.exception, AfmlError)


def test_attacks_a_work_folder_and_records_it_in_its_ledger(tmp_path: Path) -> None:
    kit_folder, work = tmp_path / "kits" / "node-1", tmp_path / "work"
    make_kits(tmp_path / "kits", "test", 3)
    kit = load_node_kit(kit_folder)
    dosage = simulate_dosage(90, 64, seed=3)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:50])
    names = write_vcf(tmp_path / "own.vcf.gz", dosage[50:], samples=[f"N{i}" for i in range(40)])
    write_phenotypes(tmp_path / "own.tsv", names, np.arange(40, dtype=np.int8) % 2)
    options = GenotypeOptions(
        vcf=tmp_path / "own.vcf.gz", panel_vcf=tmp_path / "panel.vcf.gz", phenotypes=tmp_path / "own.tsv", sites=32
    )
    draw = HoldoutDraw(0.2, seed=1)
    card = prepare(kit, Workspace(work), Given("genotypes", options, draw), Step("prepare", None, None))
    enrolled = {1: card.enrolled, 2: 30, 3: 30}
    run = config(32, 30, enrolled=enrolled, data=card.data, seed=None)
    (tmp_path / "run.json").write_text(run.model_dump_json())
    told = ["--run", tmp_path / "run.json", "--work", work, "--instrument", "run"]
    assert attack(*told).exit_code == 0  # the two absent institutions send noise
    done = attack(*told, "--kit", kit_folder)
    assert done.exit_code == 0, done.output
    assert "recorded as entry 0" in done.output
    with contextlib.closing(open_ledger(Workspace(work), kit)) as ledger:
        body = next(iter(ledger.entries())).body
    assert (body["kind"], body["run"], body["confidence"]) == ("audit", "test", 0.95)
    done = attack(*told[:-1], "declared", "--repeats", 30, "--kit", kit_folder)
    assert "recorded as entry 1" in done.output, done.output
    with contextlib.closing(open_ledger(Workspace(work), kit)) as ledger:
        body = list(ledger.entries())[1].body
    assert (body["confidence"], body["instrument"][:12]) == (0.995, "declared run")
    (tmp_path / "run.json").write_text(run.model_copy(update={"data": genotypes("00", 32)}).model_dump_json())
    assert isinstance(attack(*told).exception, InputError)
    assert isinstance(attack(*told[:-1], "declared").exception, InputError)


def test_the_declared_audit_needs_the_run_alone(tmp_path: Path) -> None:
    done = attack("--simulated", "--instrument", "declared", "--repeats", 20)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "declared audit: PLE in [" in told
    assert "20 repeats of 128 canaries" in told
    assert "for whoever sees the sum of every round" in told
    run = simulated.simulate(1).config
    (tmp_path / "run.json").write_text(run.model_dump_json())
    alone = ["--run", str(tmp_path / "run.json"), "--repeats", "9", "--json", "--instrument"]
    found = json.loads(attack(*alone, "declared").output)
    assert (found["declared"]["repeats"], found["run"], found["steps"]) == (9, None, [])
    assert isinstance(attack(*alone, "run").exception, InputError)  # which hides its canaries among people


def test_a_declared_audit_that_refutes_the_accounts_exits_with_integrity(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.5)
    done = attack("--simulated", "--instrument", "declared", "--repeats", 64)
    assert isinstance(done.exception, IntegrityError)
    assert "declared run" in str(done.exception)
