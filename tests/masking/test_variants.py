"""Variants of the game, trained: what a stream lists is what moves, and the saved model masks as the trained one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.game import Game
from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from afml.masking.plan import parameter_counts
from afml.masking.settings import GAME, GameSettings, MaskingSettings
from afml.training.archive import read_archive
from afml.training.blob import dump
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, dosages, enrolled, sites_panel, small_task

SITES, PEOPLE = 24, 30
RECORDS = dosages(40, SITES, seed=77)


def _run(*, played: bool = True, **changes: Any) -> RunConfig:
    """A small run; `played=False` leaves the private game rounds out."""
    game = GameSettings.model_validate(
        {"steps": 6, "batch": 8, "lineup": 4, "private_lineup": 3, "windows": 8} | changes
    )
    plain = config(SITES, PEOPLE)
    return config(SITES, PEOPLE, game=game, phases=plain.phases[: 2 if played else 1])


def _train(run: RunConfig) -> TrainedModel:
    return train_masking(run, sites_panel(SITES), dosages(60, SITES, seed=0), enrolled(SITES, PEOPLE))


def _with_game(run: RunConfig, **changes: Any) -> RunConfig:
    settings = masking_settings(run)
    return with_settings(run, settings.model_copy(update={GAME: settings.game.model_copy(update=changes)}))


VARIANTS: dict[str, dict[str, Any]] = {
    "no context": {"context_scores": 0},
    "batch normalisation": {"normalisation": "batch", "played": False},
    "batch normalisation without context": {"normalisation": "batch", "context_scores": 0, "played": False},
    "pairs": {"identification": "pairs"},
    "pairs, confusion": {"identification": "pairs", "objective": "confusion"},
    "masking alone in private": {"private": ["masking"]},
    "identification alone in private": {"private": ["identification"]},
    "nothing on the panel": {"public": []},
    "identification on the panel, masking in private": {"public": ["identification"], "private": ["masking"]},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_variant_trains_saves_and_masks_alike(changes: dict[str, Any], tmp_path: Path) -> None:
    model = _train(_run(**changes))
    assert np.isfinite(model.game).all()
    assert model.digest() != _train(_run(played=changes.get("played", True))).digest()
    model.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    assert loaded.digest() == model.digest()
    keep = loaded.keep_probability(RECORDS)
    assert np.array_equal(keep, model.keep_probability(RECORDS))
    assert np.array_equal(loaded.network_release(RECORDS), model.network_release(RECORDS))
    assert keep.std() > 0.0


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_declared_lengths_are_those_of_the_updates(changes: dict[str, Any]) -> None:
    run = _run(**changes)
    task = small_task(run)
    task.load_public(task.train_public())
    counts = parameter_counts(SITES, masking_settings(run))
    trainer = Trainer(run, task, enrolled(SITES, PEOPLE)[1])
    for phase in range(len(run.phases)):
        update = trainer.private_update(phase, source(1), 0.5)
        assert len(update) == len(task.trained(phase)) == task.length(phase) == counts[phase]


def test_context_scores_and_private_blocks_change_the_declared_length() -> None:
    def length(**changes: Any) -> int:
        return parameter_counts(SITES, MaskingSettings(game=GameSettings(windows=8, **changes)))[1]

    whole = length()
    assert whole - length(context_scores=0) == 4 * 3 * SITES
    assert length(private=("masking",)) + length(private=("identification",)) == whole
    assert length(private=()) == 0
    assert length(public=()) == length(normalisation="batch") == whole


@pytest.mark.parametrize("alone", ["masking", "identification"])
def test_private_rounds_leave_the_other_block_alone(alone: str) -> None:
    task = small_task(_run(private=[alone]))
    task.load_public(task.train_public())
    before = task.model().game
    trainer = Trainer(task.run, task, enrolled(SITES, PEOPLE)[1])
    task.apply(GAME_PHASE, trainer.private_update(GAME_PHASE, source(1), 0.5), PEOPLE)
    moved = task.model().game != before
    block = sum(p.numel() for p in task._new_game().block.parameters())
    masker, identifier = moved[:block], moved[block:]
    assert masker.all() == (alone == "masking")
    assert masker.any() == (alone == "masking")
    assert identifier.all() == identifier.any() == (alone == "identification")


def test_a_block_alone_has_the_whole_clip_norm() -> None:
    """Both shares of a person who is clipped: 1 / sqrt(2) each together, 1 alone, in the same direction."""
    people, shares = enrolled(SITES, PEOPLE)[1], {}
    for name, private in {"both": ["masking", "identification"], "masking": ["masking"]}.items():
        run = _run(private=private)
        small = run.phases[GAME_PHASE].model_copy(update={"clip_norm": 1e-3})
        task = small_task(run.model_copy(update={"phases": (run.phases[RISK_PHASE], small)}))
        task.load_public(task.train_public())
        shares[name] = Trainer(task.run, task, people).clipped_sum(GAME_PHASE, np.array([0]), source(1))
    # The two runs have different digests, so their panel parts differ a little; the lengths do not.
    block = len(shares["masking"])
    assert np.linalg.norm(shares["both"][:block]) == pytest.approx(1e-3 / 2**0.5, rel=1e-4)
    assert np.linalg.norm(shares["masking"]) == pytest.approx(1e-3, rel=1e-4)


def _arrays(blob: bytes) -> dict[str, np.ndarray]:
    return read_archive(io.BytesIO(blob))


def _start(run: RunConfig) -> np.ndarray:
    """The parameters from which the panel part begins: those of the same run with no step."""
    return _arrays(small_task(_with_game(run, steps=0)).train_public())["game"]


@pytest.mark.parametrize("public", [["masking"], ["identification"], []])
def test_only_the_public_losses_are_stepped(public: list[str]) -> None:
    run = _run(public=public)
    steps: list[int] = []
    blob = _arrays(small_task(run).train_public(lambda step, _: steps.append(step)))
    moved = blob["game"] != _start(run)
    block = sum(p.numel() for p in small_task(run)._new_game().block.parameters())
    assert moved[:block].any() == ("masking" in public)
    assert moved[block:].any() == ("identification" in public)
    assert len(steps) == (6 if public else 0)


def test_both_public_losses_alone_are_the_joint_steps_while_nothing_depends_on_them() -> None:
    """The first step starts from the same point, so each block's step is the same with and without the other."""
    stepped = {}
    for public in (("masking", "identification"), ("masking",), ("identification",)):
        run = _with_game(_run(), steps=1, private_lineup=8, public=public)
        stepped[public] = _arrays(small_task(run).train_public())["game"]
    block = sum(p.numel() for p in small_task(_run())._new_game().block.parameters())
    both = stepped["masking", "identification"]
    assert np.array_equal(both[:block], stepped["masking",][:block])
    assert np.array_equal(both[block:], stepped["identification",][block:])


def test_running_statistics_travel_with_the_blob_the_state_and_the_model(tmp_path: Path) -> None:
    run = _run(normalisation="batch", played=False)
    elected, other = small_task(run), small_task(run)
    blob = elected.train_public()
    arrays = _arrays(blob)
    game = elected._new_game()
    assert arrays["buffers"].shape == (game.lengths.buffers,) == (2 * (8 + 8 + 1),)
    for each in (elected, other):
        each.load_public(blob)
    assert elected.digest() == other.digest()
    again = small_task(run)
    again.load_state(elected.state())
    assert again.digest() == elected.digest()
    model = again.model()
    model.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.buffers, arrays["buffers"])
    # Masks are those of a network in evaluation mode with these statistics, one person at a time as in a crowd.
    keep = loaded.keep_probability(RECORDS)
    one_by_one = np.concatenate([loaded.keep_probability(RECORDS[i : i + 1]) for i in range(len(RECORDS))])
    np.testing.assert_allclose(keep, one_by_one, atol=1e-6)
    forgotten = TrainedModel(**vars(loaded) | {"buffers": np.zeros(len(loaded.buffers))})
    assert not np.allclose(forgotten.keep_probability(RECORDS), keep, atol=1e-3)
    assert forgotten.digest() != loaded.digest()


def test_flat_vectors_and_buffers_are_inverse() -> None:
    settings = GameSettings(windows=8, normalisation="batch")
    first, second = (Game(SITES, 4, settings, torch.device("cpu")) for _ in range(2))
    rng = np.random.default_rng(0)
    vector = rng.normal(size=first.lengths.parameters).astype(np.float32).astype(np.float64)
    buffers = rng.integers(1, 9, size=first.lengths.buffers).astype(np.float64)  # step counts are whole numbers
    first.load(vector, buffers)
    second.load(first.vector(), first.buffers())
    assert np.array_equal(second.vector(), vector)
    assert np.array_equal(second.buffers(), buffers)
    assert Game(SITES, 4, GameSettings(windows=8), torch.device("cpu")).buffers().shape == (0,)


def test_a_block_that_is_not_trained_on_the_panel_keeps_its_statistics() -> None:
    run = _run(normalisation="batch", played=False, public=["identification"])
    blob = _arrays(small_task(run).train_public())
    assert np.array_equal(blob["buffers"], small_task(run)._new_game().buffers())


def test_a_blob_with_statistics_missing_or_too_many_is_refused() -> None:
    batch, group = small_task(_run(normalisation="batch", played=False)), small_task(_run())
    with_statistics = _arrays(batch.train_public())
    without = {name: array for name, array in with_statistics.items() if name != "buffers"}
    for task, arrays in ((batch, without), (group, with_statistics)):
        with pytest.raises(IntegrityError, match="wrong shape"):
            task.load_public(dump(arrays))


def test_without_buffers_blob_state_and_model_hold_none(tmp_path: Path) -> None:
    task = small_task(_run())
    blob = task.train_public()
    assert set(_arrays(blob)) == {"weights", "game"}
    task.load_public(blob)
    assert set(_arrays(task.state())) == {"risk_steps", "weights", "game"}
    task.model().save(tmp_path / "model")
    with np.load(tmp_path / "model" / "model.npz") as arrays:
        assert set(arrays.files) == {"mean", "scale", "annotations", "weights", "game", "evidence"}
