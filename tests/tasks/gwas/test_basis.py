"""The basis gives every site's score back, and less noise than none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.tasks.gwas.basis import FARTHEST_LINK, Basis, block_cuts, shrunk_correlation
from afml.tasks.gwas.panel import Ancestry, Centring
from tests.tasks.gwas.simulated import made


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5_000_000)), min_size=1, max_size=60), st.integers(1, 9)
)
def test_blocks_are_all_sites_in_order_and_none_is_too_long(sites: list[tuple[str, int]], most: int) -> None:
    sites = sorted(sites)
    chrom, pos = [name for name, _ in sites], np.array([place for _, place in sites], np.int64)
    cuts = block_cuts(chrom, pos, most)
    assert [site for cut in cuts for site in range(cut.start, cut.stop)] == list(range(len(sites)))
    for cut in cuts:
        assert 0 < cut.stop - cut.start <= most
        assert len(set(chrom[cut])) == 1
        assert (np.diff(pos[cut]) <= FARTHEST_LINK).all()


def test_sums_come_back_as_scores_and_linked_sites_share_their_noise() -> None:
    panel, private = (np.repeat(part, 4, axis=1)[:, :60] for part in made(40))
    others = np.random.default_rng(4).random((160, 60)) < 0.1  # calls that are not those of their neighbours
    panel, private = (np.where(others[: len(part)], part[::-1], part) for part in (panel, private))
    centring = Centring.of(panel)
    genotypes = centring.standardised(panel)
    basis = Basis.of(genotypes, [slice(0, 32), slice(32, 60)])
    people = centring.standardised(private)
    weights = np.random.default_rng(1).normal(size=len(people))
    np.testing.assert_allclose(basis.backward(weights @ basis.forward(people)), weights @ people, atol=1e-9)
    # Noise that a site's score carries where the noise is made for the longest person: with and without the basis.
    plain = np.mean(np.linalg.norm(people, axis=1)) ** 2
    ours = np.mean(np.linalg.norm(basis.forward(people), axis=1)) ** 2 * basis.variance.mean()
    assert ours < 0.75 * plain
    noise = np.random.default_rng(2).normal(size=(4000, 60))
    scores = np.array([basis.backward(row) for row in noise])
    np.testing.assert_allclose(scores.var(axis=0), basis.variance, rtol=0.15)


def test_correlations_of_few_people_are_pulled_to_the_identity() -> None:
    rng = np.random.default_rng(3)
    assert np.abs(shrunk_correlation(rng.normal(size=(20, 8))) - np.eye(8)).max() < 0.15
    shared = rng.normal(size=(500, 1)) + 0.3 * rng.normal(size=(500, 8))
    assert shrunk_correlation(shared)[0, 1] > 0.8


def test_components_of_the_panel_are_taken_out_and_no_more_than_it_has_are_asked_for() -> None:
    panel, private = made(30)
    centring = Centring.of(panel)
    ancestry = Ancestry.of(centring.standardised(panel), 3)
    np.testing.assert_allclose(ancestry.directions @ ancestry.directions.T, np.eye(3), atol=1e-9)
    left = ancestry.removed(centring.standardised(private), np.zeros(private.shape, np.bool_))
    np.testing.assert_allclose(left @ ancestry.directions.T, 0.0, atol=1e-9)
    assert np.abs(ancestry.scores(centring.standardised(private))).max() <= 4
    with pytest.raises(ValueError, match="differ along 59 directions, and 60 are asked for"):
        Ancestry.of(centring.standardised(panel), 60)


def test_a_panel_of_copies_has_as_many_components_as_it_has_different_people() -> None:
    few = made(30)[0][:5]
    panel = np.concatenate([few] * 12)
    standardised = Centring.of(panel).standardised(panel)
    found = Ancestry.of(standardised, 4)  # the fifth person is where the other four, and the mean, leave room
    assert found.fits(standardised)
    with pytest.raises(ValueError, match="differ along 4 directions, and 5 are asked for"):
        Ancestry.of(standardised, 5)
    with pytest.raises(ValueError, match="differ along 0 directions"):
        Ancestry.of(np.zeros((6, 9)), 1)


def test_a_site_that_nobody_has_is_not_associated_with_ancestry() -> None:
    rng = np.random.default_rng(5)
    origin = rng.integers(2, size=400)
    frequency = np.where(origin[:, None] == 1, 0.35, 0.1)
    people = rng.binomial(2, np.broadcast_to(frequency, (400, 40))).astype(np.int8)
    panel, private = people[:200], people[200:].copy()
    private[:, 7] = -1
    centring = Centring.of(panel)
    ancestry, standardised = Ancestry.of(centring.standardised(panel), 1), centring.standardised(private)
    trait = origin[200:] - 0.5
    assert (trait @ ancestry.removed(standardised, private < 0))[7] == 0
    assert np.abs(trait @ ancestry.removed(standardised, np.zeros(private.shape, np.bool_))).argmax() == 7


def test_missing_calls_are_the_panels_mean() -> None:
    panel, private = made(30)
    private[0] = -1
    assert not Centring.of(panel).standardised(private)[0].any()
