from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.core.errors import InputError
from afml.masking.networks import features
from afml.masking.networks.features import MEDIAN_FEATURE_NORM, PanelStatistics
from afml.masking.networks.identifier import IdentificationNetwork
from afml.masking.networks.masker import MaskingNetwork, hard_mask, relaxed_mask
from afml.masking.networks.risk import RiskModel, with_constant
from tests.masking.simulated import dosages


def test_a_missing_call_is_the_panel_mean_and_not_a_reference_genotype() -> None:
    panel = dosages(80, 12, seed=0)
    statistics = PanelStatistics.from_panel(panel, 3)
    person = panel[:1].copy()
    person[0, 4] = -1
    standard = statistics.standardise(person)
    assert standard[0, 4] == 0.0
    person[0, 4] = 0
    assert statistics.standardise(person)[0, 4] < 0.0
    called = panel[:, 4][panel[:, 4] >= 0]
    assert statistics.mean[4] == pytest.approx(called.mean())


def test_features_have_the_ancestry_directions_projected_out() -> None:
    panel = dosages(80, 30, seed=0)
    statistics = PanelStatistics.from_panel(panel, 4)
    np.testing.assert_allclose(statistics.components @ statistics.components.T, np.eye(4), atol=1e-5)
    features = statistics.features(panel)
    whole = (panel >= 0).all(axis=1)
    assert whole.any()
    np.testing.assert_allclose(features[whole] @ statistics.components.T, 0.0, atol=1e-5)
    assert np.median(np.linalg.norm(features, axis=1)) == pytest.approx(MEDIAN_FEATURE_NORM, rel=1e-4)
    assert statistics.variance == pytest.approx(np.mean(features**2), rel=1e-4)
    # The directions are those of an ordinary singular value decomposition.
    _, _, right = np.linalg.svd(statistics.standardise(panel), full_matrices=False)
    overlap = np.linalg.svd(right[:4] @ statistics.components.T, compute_uv=False)
    np.testing.assert_allclose(overlap, 1.0, atol=1e-3)


def test_a_site_that_nobody_has_is_associated_with_nothing() -> None:
    rng = np.random.default_rng(5)
    ancestry = rng.integers(2, size=400)
    frequency = np.where(ancestry[:, None] == 1, 0.35, 0.1)
    people = rng.binomial(2, np.broadcast_to(frequency, (400, 40))).astype(np.int8)
    statistics = PanelStatistics.from_panel(people[:200], 1)
    cohort, trait = people[200:].copy(), ancestry[200:] - 0.5  # a trait that goes with ancestry alone
    cohort[:, 7] = -1
    features = statistics.features(cohort)
    marginal = trait @ features
    assert marginal[7] == 0
    # A mean put in before the ancestry is taken out would be the most associated site of all.
    filled = statistics.standardise(cohort)
    filled -= (filled @ statistics.components.T) @ statistics.components
    assert np.abs(trait @ filled).argmax() == 7


def test_statistics_made_by_blocks_of_sites_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = dosages(40, 37, seed=0)
    whole = PanelStatistics.from_panel(panel, 3)
    monkeypatch.setattr(features, "_BLOCK_GENOTYPES", 10 * len(panel))
    blocks = PanelStatistics.from_panel(panel, 3)
    for name, value in vars(whole).items():
        assert np.array_equal(getattr(blocks, name), value), name


def test_sites_without_variation_or_calls_do_no_harm() -> None:
    panel = dosages(30, 5, seed=0)
    panel[:, 1], panel[:, 2] = 0, -1
    features = PanelStatistics.from_panel(panel, 2).features(panel)
    assert np.isfinite(features).all()


def test_a_panel_of_one_person_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 people"):
        PanelStatistics.from_panel(np.zeros((1, 4), np.int8), 2)


def test_the_risk_model_is_one_linear_form() -> None:
    model = RiskModel(3)
    inputs = with_constant(torch.ones(2, 3), 0.25)
    assert inputs.shape == (2, 4)
    assert not bool(model(inputs).any())


@pytest.mark.parametrize("normalisation", ["group", "batch"])
def test_the_masker_gives_a_logit_per_person_and_site(normalisation: str) -> None:
    masker = MaskingNetwork(17, 4, normalisation=normalisation)  # type: ignore[arg-type]
    logits = masker(torch.randn(3, 6, 17))
    assert logits.shape == (3, 17)


def test_group_normalisation_leaves_people_alone_and_batch_normalisation_does_not() -> None:
    torch.manual_seed(0)
    channels = torch.randn(4, 6, 17)
    group, batch = MaskingNetwork(17, 4), MaskingNetwork(17, 4, normalisation="batch")
    torch.testing.assert_close(group(channels)[:1], group(channels[:1]), rtol=1e-4, atol=1e-5)
    assert float((batch(channels)[:1] - batch(channels[:1])).detach().abs().max()) > 1e-4


def test_context_lets_the_rest_of_the_genome_change_a_sites_logit() -> None:
    masker = MaskingNetwork(40, 0, kernel=3)
    masker.cnn[-1].weight.data.zero_()  # leaves the per-site and the context terms
    masker.start_context(torch.ones(40))
    channels = torch.zeros(2, 2, 40)
    channels[1, 0, 30:] = 0.1  # far from site 0
    with torch.no_grad():
        seen = masker(channels)[:, 0]
        masker.context.weight.zero_()
        unseen = masker(channels)[:, 0]
    assert float((seen[1] - seen[0]).abs()) > 1e-3
    assert float((unseen[1] - unseen[0]).abs()) == 0.0


def test_without_context_only_the_neighbourhood_counts() -> None:
    masker = MaskingNetwork(40, 0, kernel=3, context=0, normalisation="batch").eval()
    masker.start_context(torch.ones(40))  # nothing to start
    assert not any(name.startswith(("context", "shift", "interaction")) for name, _ in masker.named_parameters())
    channels = torch.zeros(2, 2, 40)
    channels[1, 0, 30:] = 0.1
    with torch.no_grad():
        far, near = masker(channels)[:, [0, 35]].T
    assert far[0] == far[1]
    assert near[0] != near[1]


def test_relaxed_masks_are_hard_forward_and_have_a_gradient() -> None:
    logits = torch.tensor([[-3.0, 0.0, 3.0]], requires_grad=True)
    mask = relaxed_mask(logits, torch.tensor([[0.5, 0.9, 0.5]]), 0.5)
    assert mask.tolist() == [[0.0, 1.0, 1.0]]
    mask.sum().backward()
    assert logits.grad is not None
    assert bool((logits.grad > 0).all())
    assert hard_mask(logits).tolist() == [[False, False, True]]


def test_relaxed_masks_keep_with_probability_sigmoid() -> None:
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    mask = relaxed_mask(torch.full_like(uniform, 0.7), uniform, 0.5)
    assert float(mask.mean()) == pytest.approx(torch.sigmoid(torch.tensor(0.7)).item(), abs=0.01)


def test_the_order_of_candidates_carries_nothing() -> None:
    torch.manual_seed(0)
    identifier = IdentificationNetwork(19, window=8, hidden=6)  # 19 sites: the last window is padded
    record, candidates, standard = torch.rand(2, 19), torch.rand(2, 5, 19), torch.randn(2, 5, 19)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(
        identifier(record, candidates, standard)[:, order],
        identifier(record, candidates[:, order], standard[:, order]),
    )
