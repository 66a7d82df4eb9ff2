"""Groups within the groups of earlier releases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import ReleaseError
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.grouping import Blocks, grouped, nested
from afml.release.patterns import Codebook
from afml.release.planning import plan_release
from afml.release.released import apply_plan, chosen, gathered
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES


@settings(max_examples=60, deadline=None)
@given(people=st.integers(1, 60), blocks=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_a_pattern_is_taken_by_enough_people_of_each_block_or_by_none(people: int, blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dosage = rng.integers(0, 3, size=(people, 6), dtype=np.int8)
    book = Codebook(6, ((), *(((site, 1),) for site in range(6))), rng.normal(size=(7, 1)))
    choices = book.choices(dosage, rng.normal(size=people))
    drawn = rng.integers(-1, blocks, size=people)
    kept = np.unique(drawn[drawn >= 0])
    block = np.searchsorted(kept, drawn)
    block[drawn < 0] = -1
    sizes = [int((block == number).sum()) for number in range(len(kept))]
    least = [int(rng.integers(1, size + 1)) for size in sizes]
    if not len(kept):
        with pytest.raises(ReleaseError, match="leave nobody"):
            nested(choices, Blocks(block, least))
        return
    assigned = nested(choices, Blocks(block, least))
    np.testing.assert_array_equal(assigned < 0, block < 0)
    for number, size in enumerate(least):
        own = np.flatnonzero(block == number)
        _, counts = np.unique(assigned[own], return_counts=True)
        assert counts.min() >= size
        np.testing.assert_array_equal(assigned[own], grouped(choices.of(own), size))
    shown = book.show(assigned[block >= 0], -1)
    assert np.all((shown == -1) | (shown == dosage[block >= 0]))


def test_a_file_without_earlier_ones_is_one_block(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5), people_per_file=40)
    dosage = dosages(40, SITES, seed=8)
    plain = apply_plan(plan, dosage)
    same = gathered(plan, [chosen(plan, dosage)], Blocks(np.zeros(40, np.int64), [5]))
    np.testing.assert_array_equal(plain.patterns, same.patterns)
    np.testing.assert_array_equal(same.rows, np.arange(40))
    halves = gathered(plan, [chosen(plan, dosage)], Blocks(np.repeat([0, -1, 1], [15, 10, 15]), [5, 15]))
    np.testing.assert_array_equal(halves.rows, [*range(15), *range(25, 40)])
    assert len(halves.dosage) == halves.group_sizes.sum() == 30
    assert len(np.unique(halves.patterns[15:])) == 1
