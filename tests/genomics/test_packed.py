"""Packed dosages, beside the calls that they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from afml.genomics.build import fill_store, fold_store, pack_store
from afml.genomics.packed import PACKED, PackedDosage, pack, unpack
from afml.genomics.store import GenotypeStore
from tests.simulated import simulate_panel

shapes = st.tuples(st.integers(0, 9), st.integers(0, 23))


@given(hnp.arrays(np.int8, shapes, elements=st.integers(-1, 2)))
def test_dosages_come_back(dosage: np.ndarray) -> None:
    packed = pack(dosage)
    assert packed.shape == (len(dosage), -(-dosage.shape[1] // 4))
    assert np.array_equal(unpack(packed, dosage.shape[1]), dosage)


@given(hnp.arrays(np.int8, shapes, elements=st.integers(-1, 2)), st.integers(0, 9), st.integers(0, 9))
def test_people_in_memory_come_back_in_any_part(dosage: np.ndarray, start: int, stop: int) -> None:
    held = PackedDosage.empty(*dosage.shape)
    for part in (slice(0, start), slice(start, None)):
        held.put(part, dosage[part])
    assert (len(held), held.sites) == dosage.shape
    for whole in (held, PackedDosage.of(dosage)):
        assert np.array_equal(whole.part(slice(start, stop)).dosage(slice(None)), dosage[start:stop])
    backwards = np.arange(len(dosage))[::-1]
    assert np.array_equal(held.dosage(backwards), dosage[backwards])


def test_one_byte_is_as_documented() -> None:
    assert pack(np.array([[1, 0, -1, 2]], dtype=np.int8)).tolist() == [[0b10_11_00_01]]
    assert pack(np.array([[2]], dtype=np.int8)).tolist() == [[0b11_11_11_10]]


@pytest.mark.parametrize("people", [7, 600])
def test_a_batch_is_that_of_the_calls(tmp_path: Path, people: int) -> None:
    rng = np.random.default_rng(1)
    dosage = rng.integers(-1, 3, (people, 1030), dtype=np.int8)
    panel = simulate_panel(np.maximum(dosage, 0))
    names = [f"S{n}" for n in range(people)]
    plain = fill_store(tmp_path / "store", panel, names, lambda sites: dosage[:, sites])
    wanted = [np.array([3, 0, 3, people - 1]), np.arange(2, 6), slice(1, 5), None, np.array([], dtype=np.int64)]
    before = [plain.dosage(rows) for rows in wanted]
    packed = pack_store(tmp_path / "store")
    assert PACKED in zarr.open_group(str(tmp_path / "store"), mode="r")
    for rows, expected in zip(wanted, before, strict=True):
        found = packed.dosage(rows)
        assert found.dtype == np.int8
        assert np.array_equal(found, expected)
    kept = {"one": [0, 1], "two": [people - 1]}
    folded = fold_store(tmp_path / "store", panel, kept)  # made over: of the calls, not of what was packed
    assert np.array_equal(folded.dosage(np.array([1])), dosage[[people - 1]])
    assert np.array_equal(GenotypeStore.open(tmp_path / "store").dosage(), folded.dosage())
