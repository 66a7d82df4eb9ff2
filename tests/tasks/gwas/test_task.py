"""The scan as a task: what any task must do, scores beside the exact scan, and errors that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from afml.core.errors import IntegrityError
from afml.tasks.gwas.public import DIRECTIONS, SPREAD
from afml.tasks.gwas.task import SITES as SCORED
from afml.training.blob import dump, load
from afml.training.clipping import clipped_part
from afml.training.inprocess import train_in_process
from crypto.public.random import SeededRandom
from tests.tasks.gwas.simulated import SETTINGS, SITES, divided, made, people_of, ready, run_of, task_of
from tests.training.contract import keeps_the_contract

MUCH = 200.0  # a PLE at which there is next to no noise; no plan of `check` comes to it


def exact(genotypes: np.ndarray, explained: np.ndarray, trait: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(effects, standard errors) of every column, by one least squares each."""
    effects, errors = [], []
    for column in genotypes.T:
        design = np.column_stack([np.ones(len(trait)), explained, column])
        inverse = np.linalg.inv(design.T @ design)
        beta = inverse @ design.T @ trait
        left = trait - design @ beta
        effects.append(beta[-1])
        errors.append(np.sqrt(left @ left / (len(trait) - design.shape[1]) * inverse[-1, -1]))
    return np.array(effects), np.array(errors)


def test_the_contract() -> None:
    panel, private = made(8)
    trait, covariates = np.linspace(-3, 3, 8), np.linspace(-1, 1, 8)[:, None]
    run = run_of(SETTINGS | {"covariates": [{"name": "age"}]}, {1: 3, 2: 3, 3: 2})
    keeps_the_contract(lambda: ready(run, panel), run, people_of(private, trait, covariates))


def test_without_noise_the_scores_are_those_of_the_exact_scan() -> None:
    panel, private = made(3000)
    rng = np.random.default_rng(5)
    age = rng.normal(size=3000).clip(-4, 4)
    trait = 0.5 * age + 0.4 * np.where(private[:, 7] < 0, 0, private[:, 7]) + rng.normal(size=3000)
    run = run_of(
        SETTINGS | {"covariates": [{"name": "age"}], "residual_bound": 4.0, "followed": 0}, {1: 1000, 2: 1000, 3: 1000},
        ple=MUCH,
    )  # fmt: skip
    task = ready(run, panel)
    people = people_of(private, trait.clip(-4, 4), age[:, None])
    train_in_process(run, task, divided(people, 3))
    found = task.scan()
    standardised = task.public.centring.standardised(private)
    explained = np.column_stack([age, task.public.ancestry.scores(standardised)])
    effects, errors = exact(standardised * task.public.centring.scale, explained, trait)
    assert found.noise_share.max() < 0.01
    assert np.abs(found.score - effects / errors).max() < 1.0
    assert np.corrcoef(found.score, effects / errors)[0, 1] > 0.98
    assert int(np.argmax(np.abs(found.score))) == 7
    assert found.beta[7] == pytest.approx(effects[7], rel=0.2)
    assert found.error[7] == pytest.approx(errors[7], rel=0.25)


@pytest.mark.parametrize("kind", ["binary", "quantitative"])
def test_scores_of_nothing_are_standard_normal_with_all_their_noise(kind: str) -> None:
    panel, private = made(600, sites=200)
    rng, found = np.random.default_rng(6), []
    for seed in range(3):
        trait = rng.integers(0, 2, 600) - 0.5 if kind == "binary" else rng.normal(size=600).clip(-4, 4)
        settings = SETTINGS | {"trait": {"name": "t", "kind": kind}, "followed": 0}
        run = run_of(settings, {1: 200, 2: 200, 3: 200}, sites=200, seed=seed)
        task = ready(run, panel)
        train_in_process(run, task, divided(people_of(private, trait), 3))
        found.append(task.scan().score)
    assert 0.88 < np.std(np.concatenate(found)) < 1.12
    assert stats.kstest(np.concatenate(found), "norm").pvalue > 1e-4


def test_the_last_release_looks_again_at_the_strongest_sites_with_less_noise() -> None:
    panel, private = made(2000, sites=200)
    rng = np.random.default_rng(8)
    trait = (np.where(private[:, 33] < 0, 0, private[:, 33]) * 0.7 + rng.normal(size=2000)).clip(-4, 4)
    run = run_of(SETTINGS, {1: 667, 2: 667, 3: 666}, sites=200, ple=0.6)
    task = ready(run, panel)
    train_in_process(run, task, divided(people_of(private, trait), 3))
    scan = task.scan()
    assert scan.followed.sum() == 20
    # Tenths, not extremes: a site's share of noise also goes with how much its neighbours say of it.
    assert np.quantile(scan.noise_share[scan.followed], 0.9) < np.quantile(scan.noise_share[~scan.followed], 0.1)
    assert scan.followed[33]
    assert np.median(scan.standard_error[scan.followed]) < 0.9 * np.median(scan.standard_error[~scan.followed])
    assert scan.neg_log10_p[33] == scan.neg_log10_p.max() > 7


def test_nobody_is_longer_than_the_bound_whatever_they_are() -> None:
    panel, _ = made(1)
    worst = np.array([[2] * SITES, [0] * SITES, [-1] * SITES, [0, 2] * (SITES // 2)], np.int8)
    people = people_of(worst, np.array([4.0, -4.0, 4.0, -4.0]))
    run = run_of(SETTINGS, {1: 2, 2: 1, 3: 1})
    task = ready(run, panel)
    rng = np.random.default_rng(1)
    for phase in range(3):
        for one in range(4):
            part = clipped_part(task, phase, 1.0, people, np.array([one]), SeededRandom(1))
            assert np.linalg.norm(part) <= 1.0
        if phase:
            length = task.vector(phase).blocks[0].size
            values = task.values(phase, people, np.arange(4))[SCORED]
            assert values.shape == (4, length)
            assert np.linalg.norm(values, axis=1).max() <= 1 + 1e-9
            assert not values[2].any()  # nothing is known of this person's genotypes
        task.apply(phase, rng.normal(size=task.length(phase)), 4)


def test_the_same_people_scanned_twice_have_one_digest_and_others_another() -> None:
    _, private = made(6)
    trait = np.linspace(-1, 1, 6)
    assert people_of(private, trait).digest() == people_of(private.copy(), trait).digest()
    other = private.copy()
    other[0, 0] = (other[0, 0] + 1) % 3
    assert people_of(private, trait).digest() != people_of(other, trait).digest()
    assert people_of(private, trait).digest() != people_of(private, trait[::-1]).digest()


@pytest.mark.parametrize("bent", ["longer", "turned", "other", "spread"])
def test_directions_that_are_not_the_panels_are_refused_whoever_made_them(bent: str) -> None:
    panel, _ = made(1)
    task = task_of(run_of(SETTINGS, {1: 2, 2: 2, 3: 2}), panel)
    honest = load(task.train_public(), "", {DIRECTIONS: 2 * SITES, SPREAD: 2})
    directions, spread = honest[DIRECTIONS].copy(), honest[SPREAD].copy()
    if bent == "longer":
        directions *= 1e3
    elif bent == "turned":
        directions[0] = (directions[0] + directions[1]) / np.sqrt(2)
    elif bent == "other":  # one site by itself: adjusting for it would take its effect away
        directions[0] = np.eye(SITES)[7]
    else:
        spread[0] *= 1e-6
    with pytest.raises(IntegrityError, match="no principal components of the public panel"):
        task.load_public(dump({DIRECTIONS: directions, SPREAD: spread}))
    task.load_public(dump(honest))
    assert task.has_public_part


def test_a_public_part_or_a_state_of_another_run_is_refused() -> None:
    panel, _ = made(1)
    run = run_of(SETTINGS, {1: 2, 2: 2, 3: 2})
    task, other = task_of(run, panel), ready(run_of(SETTINGS | {"components": 3}, {1: 2, 2: 2, 3: 2}), panel)
    assert not task.has_public_part
    with pytest.raises(IntegrityError, match="not there yet"):
        _ = task.public.genotypes
    for blob in (b"", b"rubbish", other.train_public()):
        with pytest.raises(IntegrityError):
            task.load_public(blob)
    with pytest.raises(IntegrityError):
        task.load_state(other.state())
    with pytest.raises(IntegrityError, match="a release is missing"):
        task.scan()
