"""A run of three institutions from kits to released files, each party a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.core.progress import Event
from afml.genomics.phenotypes import write_phenotypes
from afml.masking.model import TrainedModel
from afml.masking.settings import RISK
from afml.trial.auditing import record, subject_of
from afml.trial.parties import Parties, Traffic
from afml.trial.processes import ChildFailed, Team
from node.policy import Lifetime
from node.policy import load as load_policy
from node.released import read_aligned
from node.workspace import Workspace
from tests.crypto.keyfiles import holders
from tests.holdout import fixed_holdout
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, PANEL, SITES, ROUNDS = 3, 30, 40, 24, 2
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("a consortium")
    dosage = simulate_dosage(PANEL + NODES * PEOPLE, SITES + 6, seed=3)
    write_vcf(made / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    names: list[str] = []
    for node in range(1, NODES + 1):
        own = [f"N{node}-{i}" for i in range(PEOPLE)]
        write_vcf(made / f"own-{node}.vcf.gz", dosage[PANEL + (node - 1) * PEOPLE :][:PEOPLE], samples=own)
        names += own
    write_phenotypes(made / "phenotypes.tsv", names, np.arange(len(names), dtype=np.int8) % 2)
    return made


@pytest.fixture(scope="module")
def team(root: Path) -> Iterator[Team]:
    with Team(root / "logs") as made:
        yield made


@pytest.fixture(scope="module")
def consortium(team: Team, root: Path) -> Parties:
    """Kits and work folders."""
    made = Parties(team, root, NODES)
    made.provision("test", 0.5)
    shared = ["--panel-vcf", root / "panel.vcf.gz", "--phenotypes", root / "phenotypes.tsv", "--sites", SITES]
    for n in made.nodes:
        fixed_holdout(made.work(n).root)
    made.prepare([["--vcf", root / f"own-{n}.vcf.gz"] for n in made.nodes], shared)
    return made


def test_every_party_made_its_own_keys(consortium: Parties) -> None:
    """Nothing that the coordinator holds or answers has a private key of anybody else."""
    parties = [*(f"node-{n}" for n in consortium.nodes), "aggregator"]
    keys = [path for party in parties for path in consortium.kit(party).glob("*.key")]
    assert len(keys) == 3 * NODES + 2
    assert holders([consortium.kit("coordinator"), consortium.root / "answers"], keys) == []


def test_no_institution_lets_its_people_spend_without_a_limit(consortium: Parties) -> None:
    limits = [load_policy(consortium.kit(f"node-{n}")).lifetime.ple_sigma for n in consortium.nodes]
    assert limits == [Lifetime().ple_sigma] * NODES  # more than was asked for, which no run of the test would fit


@pytest.fixture(scope="module")
def run(consortium: Parties) -> RunConfig:
    return consortium.configure(
        ["--run", "small", "--rounds", ROUNDS, "--game-rounds", 0, "--game-steps", 0, "--min-group-size", 5]
    )


@pytest.fixture(scope="module")
def told(consortium: Parties, run: RunConfig) -> list[Event]:
    """What the first node told while it trained."""
    events: list[Event] = []
    consortium.train(events.append)
    return events


def test_every_party_has_its_place(consortium: Parties, run: RunConfig, root: Path) -> None:
    assert run == RunConfig.load(root / "run.json")
    assert run.consortium == "test"
    assert sorted(run.enrolled) == list(consortium.nodes) == [1, 2, 3]
    assert consortium.kit("coordinator").is_dir()
    for n in consortium.nodes:
        consortium.work(n).require_prepared()


def test_the_first_node_tells_what_it_does(told: list[Event], consortium: Parties, run: RunConfig) -> None:
    kinds = [event.kind for event in told]
    assert kinds[-1] == "finished"
    assert kinds.index("enrolled") < kinds.index("keys") < kinds.index("training")
    applied = [(e.round, e.rounds, e.phase) for e in told if e.kind == "applied"]
    assert applied == [(n, ROUNDS, RISK) for n in range(1, ROUNDS + 1)]


def test_all_nodes_end_with_one_model(told: list[Event], consortium: Parties, run: RunConfig) -> None:
    models = [TrainedModel.load(consortium.work(n).model(run.run)) for n in consortium.nodes]
    assert len({model.digest() for model in models}) == 1


def test_the_aggregators_count(told: list[Event], consortium: Parties, run: RunConfig) -> None:
    traffic = Traffic.load(consortium.aggregator)
    assert traffic.rounds == ROUNDS
    assert traffic.parameters == run.phases[0].parameters == SITES + 1
    assert traffic.bytes_up > traffic.parameters


@pytest.fixture(scope="module")
def released(told: list[Event], consortium: Parties) -> Parties:
    """With verified ledgers and a package of every institution."""
    consortium.verify()
    consortium.mask()
    return consortium


def test_ledgers_verify_and_files_are_released(released: Parties, run: RunConfig) -> None:
    consortium = released
    for n in consortium.nodes:
        assert read_aligned(consortium.work(n), run.run).shape == (PEOPLE, SITES)


def test_what_is_assessed_is_published_or_refused_in_a_line(released: Parties) -> None:
    consortium = released
    consortium.assess(["--data-kind", "simulated"])
    policy = consortium.kit("node-2") / "policy.toml"
    asked = policy.read_text()
    assert "target_utility = 0.0" in asked
    policy.write_text(asked.replace("target_utility = 0.0", "target_utility = 1000.0"))
    said = consortium.publish()
    policy.write_text(asked)
    assert sorted(said) == list(consortium.nodes)
    assert said[2].startswith("not published: ")
    assert "utility ratio at least 1000 is asked" in said[2]
    for n in consortium.nodes:
        package = consortium.work(n).release("small")
        assert (package / "publication.json").exists() == (n != 2)
        assert n == 2 or said[n].startswith(f"{package}: published ")


def test_an_audit_pools_work_folders_and_is_recorded(told: list[Event], consortium: Parties, run: RunConfig) -> None:
    from afml.audit.run import audit_run

    spaces = [consortium.work(n) for n in (1, 2)]
    subject = subject_of(run, spaces)
    assert {n: len(people) for n, people in subject.enrolled.items()} == {n: run.enrolled[n] for n in (1, 2)}
    found = audit_run(subject, seed=1, canaries=8)
    first = record(consortium.kit("node-1"), spaces[0], run.run, found)
    assert record(consortium.kit("node-1"), spaces[0], run.run, found) == first + 1
    other = run.model_copy(update={"data": run.data.model_copy(update={"fingerprint": "00"})})
    with pytest.raises(InputError, match="prepared for another run"):
        subject_of(other, spaces)


def test_a_party_that_fails_ends_the_run(team: Team, consortium: Parties, run: RunConfig, root: Path) -> None:
    broken = Parties(team, root, NODES + 1)
    with pytest.raises(ChildFailed, match="node-4"):
        broken.mask()


def test_no_summary_before_the_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="let the run finish"):
        Traffic.load(tmp_path)
    summary = {"uploads": [], "rounds": 0, "seconds_per_round": 0.0, "aggregator_rss_mb": 1.0}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match="no upload"):
        Traffic.load(tmp_path)


def test_names_of_places_need_no_process(team: Team, tmp_path: Path) -> None:
    named = Parties(team, tmp_path, 2)
    assert named.work(2) == Workspace(tmp_path / "node-2")
    assert list(tmp_path.iterdir()) == []
