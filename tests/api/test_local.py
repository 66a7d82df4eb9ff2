"""A consortium in one process: the bits, the ledgers and the refusals of one whose parties are apart."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from afml.api.cohort import Cohort
from afml.api.local import LocalConsortium, RunOptions
from afml.api.tasks import found
from afml.consortium.run import RunConfig
from afml.core.errors import BudgetError, ConfigError, InputError, IntegrityError, PolicyError
from afml.training.inprocess import train_in_process
from afml.training.planning import Rounds, Terms
from node.workspace import Workspace
from tests.api.institutions import Risk, cohorts

ROUNDS = 3


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> LocalConsortium:
    root = tmp_path_factory.mktemp("local")
    return LocalConsortium(
        cohorts(root / "data"),
        Risk(),
        ple=0.3,
        budget_sigma=3.0,
        rounds=ROUNDS,
        sample_rate=1.0,
        folder=root / "consortium",
    )


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> LocalConsortium:
    root = tmp_path_factory.mktemp("seeded")
    return LocalConsortium(cohorts(root / "data", seed=1), Risk(), ple=2.0, rounds=ROUNDS, sample_rate=0.5, seed=4)


def _spends(ledger: Path, run: str) -> list[tuple[int, list[int]]]:
    with sqlite3.connect(ledger / "ledger.db") as database:
        rows = database.execute("SELECT body FROM entries WHERE kind = 'spend' AND run = ?", (run,))
        bodies = [json.loads(body) for (body,) in rows]
    return [(body["round"], body["cohort"]) for body in bodies]


def test_sums_that_are_verified_are_the_same(tmp_path: Path) -> None:
    trained = LocalConsortium(
        cohorts(tmp_path, seed=1), Risk(), ple=2.0, rounds=ROUNDS, sample_rate=0.5, seed=4, verified_sums=True
    ).train()
    assert trained.run.verified_sums
    prepared = {node: Workspace(work).prepared() for node, work in trained.works.items()}
    kind = Risk()
    plain = kind.task(trained.run, prepared[1].public)
    train_in_process(trained.run, plain, {n: kind.enrolled(trained.run, one) for n, one in prepared.items()})
    assert trained.model.digest() == plain.model().digest()


def test_noise_that_is_exact_ends_with_the_bits_of_one_process(tmp_path: Path) -> None:
    trained = LocalConsortium(
        cohorts(tmp_path, seed=1), Risk(), ple=2.0, rounds=ROUNDS, sample_rate=0.5, seed=4, exact_noise=True
    ).train()
    assert trained.run.exact_noise
    prepared = {node: Workspace(work).prepared() for node, work in trained.works.items()}
    kind = Risk()
    plain = kind.task(trained.run, prepared[1].public)
    train_in_process(trained.run, plain, {n: kind.enrolled(trained.run, one) for n, one in prepared.items()})
    assert trained.model.digest() == plain.model().digest()


def test_it_trains_to_the_bits_of_plain_sums(seeded: LocalConsortium) -> None:
    trained = seeded.train()
    prepared = {node: Workspace(work).prepared() for node, work in trained.works.items()}
    kind = Risk()
    plain = kind.task(trained.run, prepared[1].public)
    train_in_process(trained.run, plain, {n: kind.enrolled(trained.run, one) for n, one in prepared.items()})
    assert trained.model.digest() == plain.model().digest()
    assert trained.ple is None  # nothing bounds a simulation
    assert set(trained.evaluations) == {1, 2, 3}
    predicted = trained.predict(2)
    people = kind.held_out(trained.run, prepared[2])
    features, targets, _ = people.rows(np.arange(len(people)))
    assert len(features) > 0
    np.testing.assert_array_equal(predicted.targets, targets.numpy())
    weight, constant = (trained.model.arrays[name].astype(np.float64) for name in ("1.weight", "1.bias"))
    np.testing.assert_allclose(predicted.outputs, features.numpy() @ weight.T + constant, rtol=1e-5, atol=1e-6)


def test_every_round_is_spent_published_countersigned_and_verified(consortium: LocalConsortium) -> None:
    trained = consortium.train()
    assert 0 < (trained.ple or 0) <= 0.3
    for node, ledger in trained.ledgers.items():
        assert _spends(ledger, trained.run.run) == [(n + 1, [1, 2, 3]) for n in range(ROUNDS)]
        assert (Workspace(trained.works[node]).model(trained.run.run) / "model.json").is_file()
        assert not list((trained.works[node] / "runs" / trained.run.run).glob("*.key"))
    trained.verify()
    before = trained.ple or 0.0
    again = consortium.train(rounds=1)
    assert (again.ple or 0) > before  # the same people: the ledger remembers


def test_a_ledger_that_lost_an_entry_is_found_out(consortium: LocalConsortium) -> None:
    trained = consortium.train(name="tampered")
    with sqlite3.connect(trained.ledgers[2] / "ledger.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)")
    with pytest.raises(IntegrityError, match=r"deleted-tail|rolled-back|gap"):
        trained.verify()


def test_a_policy_and_a_lifetime_are_kept(tmp_path: Path) -> None:
    tight = LocalConsortium(
        cohorts(tmp_path / "data"),
        Risk(),
        ple=0.5,
        rounds=1,
        sample_rate=1.0,
        lifetime=0.6,
        folder=tmp_path / "consortium",
    )
    tight.train()
    with pytest.raises(BudgetError, match=r"0\.5 sigma .* the budget that this run names") as refused:
        tight.train()
    assert "--budget" not in str(refused.value), "the lifetime leaves no room for it"
    with pytest.raises(PolicyError, match=r"0\.6"):
        tight.train(budget_sigma=2.0)
    assert _spends(tmp_path / "consortium" / "node-1" / "ledger", "run-2") == []
    assert _spends(tmp_path / "consortium" / "node-1" / "ledger", "run-3") == []
    fresh = LocalConsortium(cohorts(tmp_path / "more"), Risk(), rounds=1, folder=tmp_path / "fresh")
    policy = fresh.kit(2) / "policy.toml"
    policy.write_text(policy.read_text().replace('tasks = ["any"]', 'tasks = ["masking"]'))
    with pytest.raises(PolicyError, match="trains the task risk"):
        fresh.train()
    assert _spends(fresh.work(1) / "ledger", "run-1") == []


def test_it_goes_on_in_its_folder_and_a_run_keeps_its_name(consortium: LocalConsortium, tmp_path: Path) -> None:
    run = consortium.configure(name="once")
    assert RunConfig.load(consortium.root / "runs" / "once" / "run.json") == run
    with pytest.raises(ConfigError, match="has a run once already"):
        consortium.configure(name="once")
    with pytest.raises(ConfigError, match="another size"):
        LocalConsortium(cohorts(tmp_path / "data", institutions=4), Risk(), folder=consortium.root)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    people = cohorts(tmp_path / "data")
    for make, error, line in (
        (lambda: LocalConsortium(people, Risk), ConfigError, "give an object of your class"),
        (lambda: LocalConsortium(people, "nothing"), ConfigError, "the task nothing is not installed here"),
        (lambda: LocalConsortium(people, Risk(), round=3), ConfigError, "a run has no option 'round'"),  # type: ignore[call-arg]
        (lambda: LocalConsortium(people, Risk(), rounds=0), ConfigError, "rounds: Input should be greater"),
        (lambda: Cohort("tables"), ConfigError, "there is no kind of data called 'tables'"),
        (lambda: Cohort("table", tables="x"), InputError, "has no option 'tables'; use table, people, without, schema"),
        (lambda: Cohort("table", table="x"), InputError, "schema_file: is missing"),
        (lambda: LocalConsortium(people, Risk()).train(processes=True), ConfigError, "other processes cannot find"),
    ):
        with pytest.raises(error, match=line.replace("(", r"\(")) as raised:
            make()
        assert len(str(raised.value).splitlines()) == 1


def test_options_are_those_of_a_run() -> None:
    assert set(RunOptions.__annotations__) == {*Rounds.model_fields, *Terms.model_fields} - {"ple_sigma", "roster"}


def test_an_object_is_named_after_its_class() -> None:
    task = found(Risk())
    assert (task.kind, task.own, len(task.code)) == ("risk", False, 64)
