"""Each addition of docs/EXTENDING.md, used once as the product would use it."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.audit.rounds import Channel, plain_total, play
from afml.consortium import messages
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.core.progress import Step
from afml.data.holdout import HoldoutDraw
from afml.data.source import open_source
from afml.evaluation.attacks import ATTACKS, baseline_suite
from afml.evaluation.masks import static_mask
from afml.evaluation.rr import attack_all
from afml.masking.chosen import genotypes
from afml.masking.kind import MASKING
from afml.masking.settings import ReleaseSettings
from afml.privacy.accountant import epsilon, profile
from afml.privacy.events import Event, Gaussian, SubsampledGaussian
from afml.privacy.prv import DiscreteProfile
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.trial.kits import make_kits
from crypto.public.signing import sign
from node.prepare import Given, prepare
from node.workspace import Workspace
from tests.aggregator.machine import Machine
from tests.data.contract import keeps_the_contract
from tests.evaluation.attacks.cases import make_case
from tests.extending.conftest import Run
from tests.extending.page import additions
from tests.masking.simulated import config, dosages, enrolled, small_task

Added = Callable[[str], Any]
ADDITIONS = additions()


def words(title: str) -> list[str]:
    """What a section says to type, without the program."""
    return shlex.split(ADDITIONS[title].use)[1:]


def test_an_attack_is_made_with_the_others_and_counts(added: Added) -> None:
    added("Attack")
    case = make_case(static_mask(np.arange(12), 0), people=60)
    attacks = [one for one in baseline_suite() if one.name in ("agreement", "kinship")]
    found = attack_all(case, attacks)
    assert set(found.by_attack) == {"agreement", "kinship"}
    assert 1 / 60 < found.by_attack["agreement"] <= found.rr
    assert ATTACKS.names()[-1] == "agreement"


def test_a_release_is_planned_and_made_by_a_method(added: Added) -> None:
    added("Release method")
    sites, people = 24, 40
    run, panel = config(sites, people), dosages(120, sites, seed=0)
    task = small_task(run)
    task.load_public(task.train_public())
    plan = plan_release(task.model(), panel, ReleaseSettings(method="common", min_group_size=5, patterns=6))
    assert plan.method == "common"
    assert len(plan.codebook.patterns) == 6
    file = dosages(50, sites, seed=77)
    released = apply_plan(plan, file)
    assert released.min_group_size >= 5
    assert np.all((released.dosage == -1) | (released.dosage == file))


def test_the_command_line_knows_a_method(afml: Run) -> None:
    done = afml(ADDITIONS["Release method"], "mask", "--help")
    assert "common]" in done.stdout, done.stderr
    assert words("Release method")[-2:] == ["--method", "common"]


def write_npz(path: Path) -> None:
    rng = np.random.default_rng(1)
    people = np.array([f"p{row // 2}" for row in range(40)])
    np.savez(path, person=people, features=rng.normal(size=(40, 3)), target=rng.integers(0, 2, 40))


def test_data_of_a_kind_are_prepared(added: Added, tmp_path: Path) -> None:
    module = added("Data kind")
    write_npz(tmp_path / "people.npz")
    options = module.NpzOptions(npz=tmp_path / "people.npz")
    assert keeps_the_contract("npz", options, tmp_path / "kept").samples[:2] == ("p0", "p1")
    make_kits(tmp_path / "kits", "test", 2)
    kit, work = load_node_kit(tmp_path / "kits" / "node-1"), Workspace(tmp_path / "work")
    card = prepare(kit, work, Given("npz", options, HoldoutDraw(0.25, seed=1)), Step("prepare", None, None))
    assert (card.data.kind, card.data.features) == ("npz", 3)
    source = open_source(work.prepared().folder)
    assert source.features.shape == (40, 3)
    assert source.row_counts.tolist() == [2] * 20
    assert len(work.prepared().enrolled) == card.enrolled < 20


def test_the_command_line_takes_what_a_kind_must_be_told(afml: Run, tmp_path: Path) -> None:
    make_kits(tmp_path / "node kits", "test", 2)
    write_npz(tmp_path / "people.npz")
    told = dict(zip(words("Data kind")[1::2], words("Data kind")[2::2], strict=True))
    assert list(told) == ["--kit", "--work", "--data", "--npz"]
    told |= {"--kit": tmp_path / "node kits" / "node-1", "--work": tmp_path / "w", "--npz": tmp_path / "people.npz"}
    done = afml(ADDITIONS["Data kind"], "prepare", *[part for pair in told.items() for part in pair])
    assert done.returncode == 0, done.stderr
    assert "\nnode 1: 3 features, " in done.stdout


PLANS: dict[str, list[Event]] = {
    "full batches": [Gaussian(4.0)] * 9,
    "as on the page": [SubsampledGaussian(0.1, 1.5, 100)],
    "small batches": [SubsampledGaussian(0.01, 0.9, 1000)],
    "two phases": [SubsampledGaussian(0.2, 2.0, 50), SubsampledGaussian(0.05, 1.1, 200), Gaussian(4.0)],
}


@pytest.mark.parametrize("events", PLANS.values(), ids=PLANS.keys())
def test_an_accountant_agrees_with_prv(added: Added, events: list[Event]) -> None:
    added("Accountant")
    for delta in (1e-5, 1e-6):
        found, prv = profile(events, delta, "FFT"), profile(events, delta, "PRV")
        assert isinstance(prv, DiscreteProfile)
        assert found.epsilon(delta) == pytest.approx(prv.epsilon(delta) - prv.epsilon_error, abs=1e-3)
        assert found.epsilon(delta) < prv.epsilon(delta)
        assert found.epsilon(delta) == pytest.approx(epsilon(events, delta, "PLD").value, abs=2e-4)


def test_what_the_page_computes_is_printed(added: Added) -> None:
    added("Accountant")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(ADDITIONS["Accountant"].use, {})
    assert "accountant='FFT'" in said.getvalue()


def test_a_round_goes_through_a_backend(added: Added) -> None:
    added("Backend of blind sums")
    sites, people = 24, 12
    run = config(sites, people, backend="opensum", seed=None)
    lengths = MASKING.lengths(run)
    sized = [phase.model_copy(update={"parameters": n}) for phase, n in zip(run.phases, lengths, strict=True)]
    run = run.model_copy(update={"phases": tuple(sized)})
    fields = play(small_task(run), run, enrolled(sites, people), 1)
    channel = Channel(run)
    for _ in range(2):
        np.testing.assert_array_equal(channel.total(fields, 1), plain_total(fields))


def test_a_run_is_configured_with_a_backend(afml: Run, tmp_path: Path) -> None:
    make_kits(tmp_path / "kits", "test", 3)
    for node in (1, 2, 3):
        card = NodeCard(node=node, data=genotypes("00", 32), enrolled=50)
        key = load_node_kit(tmp_path / "kits" / f"node-{node}").signing_key
        signed = card.model_copy(update={"signature": sign(key, messages.node_card(card.unsigned())).hex()})
        (tmp_path / f"card-{node}.json").write_text(signed.model_dump_json())
    (tmp_path / "coordinator").symlink_to(tmp_path / "kits" / "coordinator")
    typed = words("Backend of blind sums")
    files = [tmp_path / word if word == "coordinator" or word.endswith(".json") else word for word in typed]
    done = afml(ADDITIONS["Backend of blind sums"], *files)
    assert done.returncode == 0, done.stderr
    assert RunConfig.load(tmp_path / "run.json").backend == "opensum"


def test_the_aggregator_loads_a_backend_without_key_code(interpreter: Run) -> None:
    code = (
        "import sys, tests.extending.plugin, aggregator.server\n"
        "from crypto.public.backend import public_backend\n"
        "public_backend('opensum')\n"
        "sys.exit(any(name.startswith(('crypto.secret', 'crypto.ckks', 'tenseal')) for name in sys.modules))"
    )
    done = interpreter(ADDITIONS["Backend of blind sums"], "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_run_is_decided_over_a_store(added: Added, tmp_path: Path) -> None:
    added("Aggregator store")
    machine = Machine(tmp_path, url=words("Aggregator store")[-1].replace("data/", f"{tmp_path}/"))
    machine.enrol()
    machine.play_round()
    machine.ready()
    machine.restart()
    assert machine.at == ("open", 2, 1)
    assert machine.upload()
    machine.publish()
    assert machine.at[0] == "finished"
    machine.store.close()
    assert (tmp_path / "state.json").exists()
