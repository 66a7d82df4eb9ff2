"""Rows of calls in scratch files: what was put comes back, whatever the order and whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.core.children import in_children
from afml.genomics import rows as rows_module
from afml.genomics.rows import Rows, RowWriter, SiteRows
from tests.allocated import allocated


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.integers(1, 40), puts=st.lists(st.integers(0, 12), max_size=30), seed=st.integers(0, 99))
def test_the_last_row_of_a_site_comes_back(tmp_path: Path, people: int, puts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted: dict[int, np.ndarray] = {}
    with RowWriter(tmp_path / "rows", people) as writer:
        for site in puts:
            wanted[site] = rng.integers(-2, 2, (people, 2)).astype(np.int8)
            writer.put(site, wanted[site])
            assert np.array_equal(writer.stored(site), wanted[site])
        rows = writer.rows()
    assert rows.sites.tolist() == sorted(wanted)
    found = SiteRows([rows], 13)
    assert np.flatnonzero(found.there).tolist() == sorted(wanted)
    some = np.array(sorted(wanted)[::2], dtype=np.int64)
    assert np.array_equal(found.read(some), np.array([wanted[site] for site in some]).reshape(-1, people, 2))


def written(path: Path, calls: dict[int, int]) -> Rows:
    with RowWriter(path, 3) as writer:
        for site, value in calls.items():
            writer.put(site, np.full((3, 2), value, dtype=np.int8))
        return writer.rows()


def test_parts_are_joined_where_several_speak_of_a_site(tmp_path: Path) -> None:
    parts = [
        written(tmp_path / "a", {4: 0, 1: 1}),
        written(tmp_path / "b", {2: 0, 4: 1}),
        written(tmp_path / "c", {4: -1}),
    ]
    asked: list[tuple[int, list[int]]] = []

    def last(site: int, who: object, calls: np.ndarray) -> np.ndarray:
        asked.append((site, list(who)))  # type: ignore[call-overload]
        return calls[-1]

    sites = np.array([1, 2, 4])
    with SiteRows(parts, 6, last) as rows:
        assert [rows.read(sites)[:, 0, 0].tolist() for _ in range(2)] == [[1, 0, -1]] * 2
        assert asked == [(4, [0, 1, 2])]  # once of each site
        rows.put(np.array([1, 4]), np.stack([np.full((3, 2), -1), np.zeros((3, 2))]).astype(np.int8))
        assert rows.read(sites)[:, 0, 0].tolist() == [-1, 0, 0]
        assert rows.read(np.array([4]))[:, 0, 0].tolist() == [0]
    asked.clear()
    with SiteRows(parts, 6, last) as rows:
        rows.join()
        assert asked == [(4, [0, 1, 2])]
        told = in_children([lambda: rows.read(sites)[:, 0, 0].tolist()] * 2, 2)
        assert told == [[1, 0, -1]] * 2  # nothing of a child's is written twice
        assert rows.read(sites)[:, 0, 0].tolist() == [1, 0, -1]
        assert len(asked) == 1
    asked.clear()
    assert SiteRows(parts, 6).read(sites)[:, 0, 0].tolist() == [1, 0, 0]
    assert SiteRows(parts, 6, last).read(sites)[:, 0, 0].tolist() == [1, 0, -1]
    assert asked == [(4, [0, 1, 2])]
    assert SiteRows(parts, 6).there.tolist() == [False, True, True, False, True, False]


def test_what_is_read_is_in_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_BYTES_AT_ONCE", 1 << 16)
    wanted = np.random.default_rng(1).integers(-2, 2, (64, 20_000, 2)).astype(np.int8)
    with RowWriter(tmp_path / "rows", 20_000) as writer:
        for site, calls in enumerate(wanted):
            writer.put(site, calls)
        rows = writer.rows()
    order = np.random.default_rng(2).permutation(64)
    assert np.array_equal(rows.read(order), wanted[order])
    assert allocated(lambda: rows.read(order)) < 1.2 * wanted.nbytes
