"""Losses, line-ups, shrinkage: each against its slow or closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.models.features import PanelStatistics
from afml.training.lineup import DecoyPool, mosaics, private_lineup, public_lineup, reference_profile
from afml.training.losses import Identification, adversarial_loss, identification_loss, masking_loss, utility_loss
from afml.training.shrink import CLUMP_BASES, clumped, joint_lasso, marginal_noise, soft_threshold, sparse_weights
from afml.training.weights import fit_weights
from crypto.public.random import source
from tests.training.simulated import config, dosages

ANNOTATIONS = np.zeros((10, 4), np.float32)


def test_identification_loss_is_cross_entropy_on_the_first_candidate() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(5, dtype=torch.long), reduction="none")
    torch.testing.assert_close(identification_loss(logits), expected)


def test_the_loss_of_pairs_is_binary_cross_entropy_with_as_much_weight_on_the_true_pair_as_on_all_decoys() -> None:
    logits = 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(5, -1)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    expected = (each * torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).sum(dim=1)
    torch.testing.assert_close(identification_loss(logits, "pairs"), expected)
    torch.testing.assert_close(adversarial_loss(logits, "printed", "pairs"), expected)
    assert torch.equal(adversarial_loss(logits, "margin", "pairs"), adversarial_loss(logits, "margin"))
    half = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full((5, 4), 0.5), reduction="none")
    expected = (half * torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6])).sum(dim=1)
    torch.testing.assert_close(adversarial_loss(logits, "confusion", "pairs"), expected)
    huge = torch.tensor([[300.0, -300.0]])  # a sure identifier, right and wrong: no overflow
    torch.testing.assert_close(identification_loss(huge, "pairs"), torch.tensor([0.0]))
    torch.testing.assert_close(identification_loss(-huge, "pairs"), torch.tensor([300.0]))


def test_pairs_are_least_confusing_when_every_answer_is_one_half() -> None:
    knows_nothing, equal = torch.zeros(1, 4, requires_grad=True), torch.full((1, 4), 2.0)
    least = adversarial_loss(knows_nothing, "confusion", "pairs")
    torch.testing.assert_close(least, torch.full((1,), 2.0).log())
    (gradient,) = torch.autograd.grad(least.sum(), knows_nothing)
    assert not bool(gradient.any())
    assert float(adversarial_loss(equal, "confusion", "pairs")) > float(least.detach())  # a line-up would not mind
    torch.testing.assert_close(adversarial_loss(equal, "confusion"), adversarial_loss(torch.zeros(1, 4), "confusion"))


@pytest.mark.parametrize("form", ["lineup", "pairs"])
def test_the_margin_keeps_its_gradient_when_the_identifier_is_sure(form: Identification) -> None:
    sure = torch.tensor([[40.0, -40.0, -40.0]], requires_grad=True)
    for objective, alive in (("margin", True), ("confusion", True), ("printed", False)):
        (gradient,) = torch.autograd.grad(adversarial_loss(sure, objective, form).sum(), sure)  # type: ignore[arg-type]
        assert bool(gradient.abs().max() > 1e-3) is alive


@pytest.mark.parametrize("form", ["lineup", "pairs"])
def test_hiding_lowers_the_margin_and_the_confusion_but_raises_the_printed_loss(form: Identification) -> None:
    shown, hidden = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    for objective, better in (("margin", True), ("confusion", True), ("printed", False)):
        change = adversarial_loss(hidden, objective, form) - adversarial_loss(shown, objective, form)  # type: ignore[arg-type]
        assert bool(change < 0) is better


def test_the_masking_loss_adds_up() -> None:
    logits, mask = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    loss = masking_loss(
        logits,
        mask,
        torch.tensor([0.5]),
        torch.tensor([1.0]),
        objective="margin",
        adversary_weight=3.0,
        utility_weight=8.0,
        site_cost=0.1,
    )
    torch.testing.assert_close(loss, torch.tensor([3.0 * 2.0 + 8.0 * 0.25 + 0.1 * 2.0]))
    torch.testing.assert_close(utility_loss(torch.tensor([1.0]), torch.tensor([3.0])), torch.tensor([4.0]))


def test_reference_profiles_err_at_the_rate_asked_for() -> None:
    true = np.random.default_rng(0).integers(0, 3, size=(200, 500)).astype(np.int8)
    profile = reference_profile(true, 0.05, np.random.default_rng(1).random(true.shape))
    assert np.mean(profile == -1) == pytest.approx(0.05, abs=0.003)
    wrong = (profile != true) & (profile >= 0)
    assert wrong.mean() == pytest.approx(0.05, abs=0.003)
    assert np.mean((profile[wrong] - true[wrong]) % 3 == 1) == pytest.approx(0.5, abs=0.03)
    missing = np.full((2, 50), -1, np.int8)
    assert np.all(reference_profile(missing, 0.5, np.random.default_rng(1).random(missing.shape)) == -1)


def test_mosaics_are_made_of_two_panel_people() -> None:
    panel = np.repeat(np.arange(3, dtype=np.int8)[:, None], 64, axis=1)
    made = mosaics(panel, 50, np.random.default_rng(0), windows=8)
    assert all(len(set(row)) <= 2 for row in made)
    assert np.all(np.diff(made.reshape(50, 8, 8), axis=2) == 0)


def test_a_line_up_holds_the_person_first_and_public_decoys() -> None:
    panel, people = dosages(20, 10, seed=1), dosages(3, 10, seed=2, missing=0.0)
    statistics = PanelStatistics.from_panel(panel, 2)
    pool = DecoyPool(panel, 0.0, np.random.default_rng(0), wanted=0)
    streams = [source(1, i) for i in range(3)]
    batch = private_lineup(people, streams, pool, statistics, ANNOTATIONS, np.zeros(3), lineup=5, error=0.0)
    assert batch.candidates.shape == (3, 5, 10)
    np.testing.assert_array_equal(batch.candidates[:, 0].numpy(), people)
    public = {row.tobytes() for row in np.where(panel < 0, statistics.mean, panel).astype(np.float32)}
    assert all(row.tobytes() in public for row in batch.candidates[:, 1:].reshape(-1, 10).numpy())


def test_no_public_person_is_their_own_decoy() -> None:
    panel = np.arange(6, dtype=np.int8)[:, None].repeat(10, axis=1)  # not genotypes: labels of people
    statistics = PanelStatistics.from_panel(dosages(6, 10, seed=1), 0)
    pool = DecoyPool(panel, 0.0, np.random.default_rng(0), wanted=0)
    batch = public_lineup(
        pool,
        statistics,
        ANNOTATIONS,
        np.zeros(6),
        batch=200,
        lineup=4,
        error=0.0,
        rng=np.random.default_rng(1),
    )
    first, others = batch.candidates[:, :1, 0], batch.candidates[:, 1:, 0]
    assert not bool((first == others).any())


def test_soft_threshold_keeps_at_most_so_many() -> None:
    weights = np.array([3.0, -2.0, 1.0, 0.5])
    np.testing.assert_allclose(soft_threshold(weights, 2), [2.0, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(soft_threshold(weights, 9), weights)


def test_the_lasso_meets_its_optimality_conditions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 20))
    correlation, marginal, penalty = 0.5 * x.T @ x / 50 + 0.5 * np.eye(20), rng.normal(size=20), 0.4
    weights = joint_lasso(marginal, correlation, penalty)
    slope = marginal - correlation @ weights
    used = weights != 0
    assert used.any()
    assert not used.all()
    np.testing.assert_allclose(slope[used], penalty * np.sign(weights[used]), atol=1e-4)
    assert np.all(np.abs(slope[~used]) <= penalty + 1e-4)


def test_ld_does_not_spread_one_signal_over_neighbours() -> None:
    panel = dosages(400, 30, seed=8)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    correlation = features.T @ features / np.mean(np.sum(features.astype(float) ** 2, axis=0))
    marginal = correlation[:, 10].astype(np.float64)  # what one causal site leaves at all others
    weights = sparse_weights(marginal, 0.02, features, kept=30)
    assert np.argmax(weights) == 10
    assert np.count_nonzero(weights) < 15


def test_weights_below_the_noise_still_give_the_strongest_sites() -> None:
    panel = dosages(50, 12, seed=8)
    features = PanelStatistics.from_panel(panel, 0).features(panel)
    weights = sparse_weights(np.linspace(0.1, 1.2, 12), 100.0, features, kept=3)
    assert list(np.flatnonzero(weights)) == [9, 10, 11]
    assert not sparse_weights(np.zeros(12), 1.0, features, kept=3).any()


def test_marginal_noise_matches_a_simulation() -> None:
    rng, people, variance, rounds, std = np.random.default_rng(0), 400, 0.04, 5, 6.0
    feature = rng.normal(scale=variance**0.5, size=(3000, people))
    sums = (feature * rng.choice([-0.5, 0.5], size=(3000, people))).sum(axis=1)
    noisy = sums + std * rng.normal(size=(3000, rounds)).mean(axis=1)
    measured = np.std(noisy * 4 / variance / people)
    assert marginal_noise(variance, people, 1.0, rounds, std) == pytest.approx(measured, rel=0.05)


def test_clumping_equals_a_slow_reference() -> None:
    rng = np.random.default_rng(4)
    chrom = ["1"] * 60 + ["10"] * 5 + ["2"] * 35
    pos = np.concatenate([np.sort(rng.integers(1, 12_000_000, size)) for size in (60, 5, 35)])
    marginal = rng.normal(size=100)
    leads: list[int] = []
    for site in sorted(range(100), key=lambda site: -abs(marginal[site])):
        near = [one for one in leads if chrom[one] == chrom[site] and abs(pos[one] - pos[site]) <= CLUMP_BASES]
        leads += [] if near else [site]
    found = clumped(marginal, chrom, pos)
    assert sorted(np.flatnonzero(found)) == sorted(leads)
    np.testing.assert_array_equal(found[leads], marginal[leads])
    np.testing.assert_array_equal(clumped(marginal, chrom, np.arange(100) * (CLUMP_BASES + 1)), marginal)


def test_a_drawn_panel_gives_one_weight_per_neighbourhood() -> None:
    """Two sites that the same causal site shines through: a panel with LD would tell, a drawn one may not."""
    sites, people = 12, 200
    dosage = np.random.default_rng(0).binomial(2, 0.3, (people, sites)).astype(np.int8)
    run = config(sites, 5000)
    statistics = PanelStatistics.from_panel(dosage, 0)
    accumulated = np.full((1, sites), 1e-6)
    accumulated[0, [4, 5, 9]] = [0.3, 0.29, 0.25]
    pos = np.arange(sites, dtype=np.int64) * 400_000
    both = fit_weights(run, statistics, dosage, accumulated)
    one = fit_weights(run, statistics, dosage, accumulated, (["1"] * sites, pos))
    assert both[0, 5] > 0.5
    assert np.flatnonzero(one[0]).tolist() == [4, 9]  # nor is chance correlation of drawn people taken for LD
