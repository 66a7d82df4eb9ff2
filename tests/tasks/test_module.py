"""A module as a task: what is trained and what is frozen, what it draws, where it begins, the same bits everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from afml.core.errors import ConfigError, InputError
from afml.data.prepared import Prepared
from afml.privacy.noise import round_grid
from afml.tasks import module as module_room
from afml.tasks.module import ModuleKind, ModuleTask
from afml.training.clipping import clipped_part
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from afml.training.planning import Rounds, Terms
from afml.training.start import begin, require_fitting
from afml.training.step import Trainer, apply_total
from crypto.public.random import source
from tests.tasks.modules import FEATURES, TABLE, Any_, gradients_by_hand, layers, people_of, run_of
from tests.training.contract import keeps_the_contract

PLAIN = Any_(layers(nn.Tanh))
DROPS = Any_(layers(lambda: nn.Dropout(0.5), hidden=50))


def _adapter() -> nn.Module:
    """A frozen network whose BatchNorm has learned something, and a small trained part behind it."""
    frozen = nn.Sequential(nn.Linear(FEATURES, 40), nn.BatchNorm1d(40), nn.ReLU(inplace=True), nn.Linear(40, 40))
    frozen[1].running_mean.copy_(torch.linspace(-1, 1, 40))
    return nn.Sequential(frozen, nn.Sequential(nn.Linear(40, 3), nn.Tanh(), nn.Linear(3, 1)))


ADAPTER = Any_(_adapter)
HEAD = {"trainable": ["1.*"]}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PLAIN, {}),
        (PLAIN, {"optimiser": "adam", "schedule": "cosine", "warmup": 1}),
        (PLAIN, {"momentum": 0.9, "schedule": "step"}),
        (PLAIN, {"ghost": True}),
        (ADAPTER, HEAD | {"optimiser": "adam"}),
    ],
)
def test_it_keeps_the_contract(kind: ModuleKind, settings: dict[str, Any]) -> None:
    run = run_of(**settings)
    phases = tuple(phase.model_copy(update={"parameters": kind.lengths(run)[0]}) for phase in run.phases)
    run = run.model_copy(update={"phases": phases})
    kind.check(run)
    keeps_the_contract(lambda: ModuleTask(kind, run), run, people_of(rows=3))


def test_only_what_is_trained_is_in_the_vector_and_moves() -> None:
    run, enrolled = run_of(**HEAD), people_of()
    task = ModuleTask(ADAPTER, run)
    assert ADAPTER.lengths(run) == (task.length(0),) == (40 * 3 + 3 + 3 + 1,)
    before = task.model().arrays
    train_in_process(run, task, {node: people_of(seed=node) for node in run.nodes})
    after = task.model().arrays
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias"}
    assert set(after) == set(_adapter().state_dict()), "the model is whole: the frozen part goes with it"
    who = np.arange(6)
    found = clipped_part(ModuleTask(ADAPTER, run), 0, 1e6, enrolled, who, source(1))
    np.testing.assert_allclose(found, np.sum(_rested(run, enrolled, who), axis=0), rtol=1e-4, atol=1e-5)


def _rested(run: Any, enrolled: Any, who: Any) -> list[np.ndarray]:
    """By hand, with the frozen part as in prediction."""

    class Rested(Any_):
        def made(self, settings: Any, data: Any) -> nn.Module:
            module = super().made(settings, data)
            module[0].eval()
            return module

    return gradients_by_hand(Rested(_adapter), run, enrolled, who)


def test_another_frozen_part_is_another_digest() -> None:
    def other() -> nn.Module:
        module = _adapter()
        module[0][1].running_mean += 1
        return module

    run = run_of(**HEAD)
    assert ModuleTask(ADAPTER, run).digest() != ModuleTask(Any_(other), run).digest()
    assert ModuleTask(ADAPTER, run).digest() == ModuleTask(ADAPTER, run).digest()


def test_what_is_drawn_for_a_person_is_that_persons_own() -> None:
    """Dropout: no more than one person at a time, whoever else is there, from the round's stream."""
    run, enrolled, stream = run_of(), people_of(rows=4), source(7, "people")
    task = ModuleTask(DROPS, run)
    assert task.people_at_once(0) == 1
    assert ModuleTask(PLAIN, run).people_at_once(0) > 1
    everybody = clipped_part(task, 0, 1.0, enrolled, np.arange(6), stream)
    parts = [clipped_part(task, 0, 1.0, enrolled, who, stream) for who in (np.array([4, 0, 2]), np.array([5, 1, 3]))]
    np.testing.assert_allclose(everybody, parts[0] + parts[1], rtol=1e-12, atol=1e-14)
    assert not np.allclose(everybody, clipped_part(task, 0, 1.0, enrolled, np.arange(6), source(8, "people")))
    state = torch.random.get_rng_state()
    clipped_part(task, 0, 1.0, enrolled, np.arange(2), stream)
    assert torch.equal(state, torch.random.get_rng_state()), "nobody else's random numbers are touched"


def test_functional_dropout_is_noticed_too() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(FEATURES, 30), nn.Linear(30, 1)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.last(nn.functional.dropout(self.first(rows), 0.3, self.training))

    assert ModuleTask(Any_(Functional), run_of()).people_at_once(0) == 1


def test_prediction_drops_nothing_and_changes_nothing() -> None:
    run, enrolled = run_of(), people_of(rows=3)
    task, who = ModuleTask(DROPS, run), np.array([2, 0])
    expected_sum = clipped_part(task, 0, 1.0, enrolled, np.arange(4), source(1))
    predicted = task.predict(enrolled, who)
    module = DROPS.made(DROPS.settings({}), TABLE).eval()
    with torch.no_grad():
        expected = module(enrolled.rows(who)[0]).double().numpy()
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)
    assert predicted.shape == (4, 1)
    np.testing.assert_array_equal(clipped_part(task, 0, 1.0, enrolled, np.arange(4), source(1)), expected_sum)


@pytest.mark.parametrize(
    "settings", [{"optimiser": "adam", "schedule": "cosine", "warmup": 1}, {"momentum": 0.9}, {"ghost": True}]
)
def test_nodes_apart_end_with_the_bits_of_the_reference(settings: dict[str, Any]) -> None:
    run = run_of(rounds=4, **settings)
    people = {node: people_of(seed=node) for node in run.nodes}
    reference = ModuleTask(PLAIN, run)
    train_in_process(run, reference, people)
    nodes = {node: ModuleTask(PLAIN, run) for node in run.nodes}
    for round_number in range(1, run.rounds + 1):
        grid = round_grid(run, round_number)
        total: Any = 0
        for node, task in nodes.items():
            update = Trainer(run, task, people[node]).update(node, round_number)
            total = total + update.rounded(grid)
        for task in nodes.values():
            apply_total(task, run, round_number, run.nodes, total)
        restarted = ModuleTask(PLAIN, run)  # a node that begins again where it stood
        restarted.load_state(nodes[2].state())
        nodes[2] = restarted
        assert len({task.digest() for task in nodes.values()}) == 1
    assert {task.model().digest() for task in nodes.values()} == {reference.model().digest()}


@pytest.fixture
def earlier(tmp_path: Path) -> ArrayModel:
    """The model of an earlier run, saved below tmp_path/models."""
    run = run_of(**HEAD)
    task = ModuleTask(ADAPTER, run)
    train_in_process(run, task, {node: people_of(seed=node) for node in run.nodes})
    model = task.model()
    model.save(tmp_path / "models" / "earlier")
    return model


def test_a_run_begins_at_a_published_model(tmp_path: Path, earlier: ArrayModel) -> None:
    run = run_of(**HEAD).model_copy(update={"start": earlier.digest()})
    task = ModuleTask(ADAPTER, run)
    begin(task, run, [tmp_path / "models"])
    for name, array in task.model().arrays.items():
        np.testing.assert_array_equal(array, earlier.arrays[name])
    assert task.model().card["start"] == earlier.digest()
    assert task.digest() != ModuleTask(ADAPTER, run).digest()
    another = ModuleTask(ADAPTER, run)
    begin(another, run, [tmp_path / "elsewhere", tmp_path / "models" / "earlier"])
    assert another.digest() == task.digest()
    train_in_process(run, task, {node: people_of(seed=node) for node in run.nodes})
    frozen = [name for name in earlier.arrays if name.startswith("0.")]
    assert all(np.array_equal(task.model().arrays[name], earlier.arrays[name]) for name in frozen)


def test_a_model_that_is_not_there_or_does_not_fit_is_one_line(tmp_path: Path, earlier: ArrayModel) -> None:
    run = run_of(**HEAD).model_copy(update={"start": earlier.digest()})
    plain = run_of().model_copy(update={"start": earlier.digest()})
    with pytest.raises(ConfigError, match=r"the model \w{12} is not here; give its folder with `afml node --start-mod"):
        begin(ModuleTask(ADAPTER, run), run, [tmp_path / "elsewhere"])
    with pytest.raises(ConfigError, match="differs in 17 arrays, first in 0"):
        begin(ModuleTask(PLAIN, plain), plain, [tmp_path / "models"])
    with pytest.raises(ConfigError, match="differs in 17 arrays"):
        require_fitting(PLAIN, plain, earlier)
    require_fitting(ADAPTER, run, earlier)
    odd = dict(earlier.arrays)
    for value in (np.nan, 1e300):  # the latter is infinite in float32
        odd["0.0.weight"] = np.full(odd["0.0.weight"].shape, value)
        with pytest.raises(ConfigError, match="no finite number"):
            require_fitting(ADAPTER, run, ArrayModel(odd))


def test_a_frozen_part_in_bfloat16_is_saved_and_begun_at() -> None:
    """Half of torch's models come so; found out at the end, everything would have been paid for nothing."""

    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(FEATURES, 6).to(torch.bfloat16).requires_grad_(False)
            self.head = nn.Linear(6, 1)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(rows.bfloat16()).float())  # type: ignore[no-any-return]

    kind, run = Any_(Halved), run_of()
    kind.check(run)
    task, again = ModuleTask(kind, run), ModuleTask(kind, run)
    saved = task.model()
    again.load_model(saved.arrays)
    assert (again.digest(), again.model().digest()) == (task.digest(), saved.digest())


def test_epochs_are_rounds_of_batches() -> None:
    terms = Terms(ple_sigma=2.0)
    for asked, rounds in (
        (Rounds(epochs=3, sample_rate=0.25), 12),
        (Rounds(epochs=1.1), 11),
        (Rounds(epochs=0.01), 1),
        (Rounds(epochs=2.01, sample_rate=1.0), 3),
        (Rounds(), 20),
    ):
        (phase,) = PLAIN.plan({}, TABLE, asked, terms).phases
        assert (phase.rounds, phase.learning_rate, phase.parameters) == (rounds, 1.0, 37)
    (phase,) = PLAIN.plan({"optimiser": "adam"}, TABLE, Rounds(), terms).phases
    assert phase.learning_rate == 0.01
    (phase,) = PLAIN.plan({"optimiser": "adam"}, TABLE, Rounds(learning_rate=0.5), terms).phases
    assert phase.learning_rate == 0.5


def test_ghosts_are_for_people_with_one_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def prepared(rows: int) -> Prepared:
        monkeypatch.setattr(module_room, "open_source", lambda _: people_of(rows=rows).source)
        monkeypatch.setattr(Prepared, "enrolled", np.arange(20))
        return Prepared(tmp_path, tmp_path, TABLE)

    assert len(PLAIN.enrolled(run_of(ghost=True), prepared(1))) == 20
    assert len(PLAIN.enrolled(run_of(), prepared(2))) == 20
    with pytest.raises(InputError, match="for people with one row each, and somebody has more; have"):
        PLAIN.enrolled(run_of(ghost=True), prepared(2))


def test_settings_must_bring_the_machinerys() -> None:
    from afml.core.config import FiniteSettings

    class Odd(Any_):
        settings_type = FiniteSettings  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="FiniteSettings is no ModuleSettings; make it a subclass"):
        Odd(layers()).settings({})
    with pytest.raises(ConfigError, match="settings of the task: optimiser: Input should be 'sgd' or 'adam'"):
        PLAIN.settings({"optimiser": "lion"})
