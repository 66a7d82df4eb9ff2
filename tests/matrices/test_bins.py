"""Bins: public edges, everybody's place among them, and both told by the digest of a panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afml.core.errors import InputError
from afml.genomics.sites import SitePanel
from afml.matrices.bins import Bins, shown_bins
from tests.matrices.simulated import expression, names_of

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False) | st.just(float("nan"))


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(3)), elements=NUMBERS))
def test_codes_are_those_of_an_obvious_loop(values: np.ndarray) -> None:
    bins = Bins(("a", "b", "c"), np.array([[-4.0, -1, 1, 4], [0, 0.5, 2, 9], [-2, -1, -0.5, 100]]))
    coded = bins.coded(values)
    for person, row in enumerate(values):
        for feature, value in enumerate(row):
            far_below, below, above, far_above = bins.edges[feature]
            expected = (
                (-1, -1) if np.isnan(value) else
                (2, 0) if value > far_above else (1, 0) if value > above else
                (0, 2) if value < far_below else (0, 1) if value < below else (0, 0)
            )  # fmt: skip
            assert tuple(coded[person, 2 * feature : 2 * feature + 2]) == expected
    shown = shown_bins(coded)
    assert np.array_equal(np.isnan(shown), np.isnan(values))


@pytest.mark.parametrize("log", [False, True])
def test_edges_are_at_public_distances(log: bool) -> None:
    values = expression(300, 5, seed=1)
    bins = Bins.around(names_of(5), values, (0.5, 1.25), log=log)
    scaled = np.log1p(values) if log else values
    expected = [scaled.mean(axis=0) + at * scaled.std(axis=0) for at in (-1.25, -0.5, 0.5, 1.25)]
    edges = np.log1p(bins.edges) if log else bins.edges
    np.testing.assert_allclose(edges.T, expected, rtol=1e-9)
    assert (bins.coded(values) == 0).mean(axis=0).min() > 0.5  # in both columns most people are usual


def test_a_feature_that_does_not_vary_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 features do not vary .*first: GENE1"):
        Bins.around(names_of(2), np.array([[1.0, 5], [2, 5]]), (0.5, 1.25), log=False)


def test_a_panel_holds_its_bins_and_its_digest_covers_them(tmp_path: Path) -> None:
    values = expression(200, 6, seed=2)
    bins = Bins.around(names_of(6), values, (0.5, 1.25), log=True)
    panel = bins.panel(bins.coded(values))
    panel.save(tmp_path / "panel")
    again = Bins.of(SitePanel.load(tmp_path / "panel"))
    assert again.features == bins.features
    assert np.array_equal(again.edges, bins.edges)
    moved = Bins(bins.features, bins.edges * (1 + 1e-12))
    assert moved.panel(bins.coded(values)).digest() != panel.digest()
    assert (panel.maf <= 0.5).all()
    with pytest.raises(InputError, match="no bins"):
        Bins.of(
            SitePanel(["1"], np.array([1]), ["A"], ["G"], np.ones(1, bool), np.ones(1), np.zeros((1, 4), np.float32))
        )


def test_what_a_record_shows() -> None:
    released = np.array([[1, -1, -1, 2, -1, -1], [0, 0, 2, 0, 0, 1]], dtype=np.int8)
    expected = np.array([[1, -2, np.nan], [0, 2, -1]])
    np.testing.assert_array_equal(shown_bins(released), expected)
