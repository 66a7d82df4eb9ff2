"""Simulated expression for tests: a few factors, skewed counts, nobody's measurement."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray


def expression(people: int, features: int, seed: int) -> NDArray[np.float64]:
    """Counts as of RNA sequencing, [people, features]: three factors that go through all features."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).normal(0, 0.4, (3, features))  # the same biology in every cohort
    base = np.random.default_rng(98).uniform(2, 6, features)
    rate = np.exp(base + rng.normal(size=(people, 3)) @ loadings + rng.normal(0, 0.5, (people, features)))
    return rng.poisson(rate).astype(np.float64)


def names_of(features: int) -> tuple[str, ...]:
    return tuple(f"GENE{n}" for n in range(features))


def write_table(path: Path, people: list[str], features: tuple[str, ...], values: NDArray[np.float64]) -> None:
    """TSV or Parquet; NaN is an empty cell."""
    if path.suffix == ".parquet":
        columns = [pa.array(column, mask=np.isnan(column)) for column in values.T]
        pa_parquet.write_table(pa.table([pa.array(people), *columns], names=["person", *features]), path)
        return
    lines = ["\t".join(("person", *features))]
    for name, row in zip(people, values.tolist(), strict=True):
        lines.append("\t".join((name, *("" if value != value else repr(value) for value in row))))
    path.write_text("\n".join(lines) + "\n")


def write_h5ad(
    path: Path, people: list[str], features: tuple[str, ...], values: NDArray[np.float64], *, sparse: bool
) -> None:
    """As anndata writes it, by h5py alone."""
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        for group, index in (("obs", people), ("var", list(features))):
            made = file.create_group(group)
            made.attrs["_index"] = "name"
            made.create_dataset("name", data=index, dtype=text)
        if not sparse:
            file.create_dataset("X", data=values.astype(np.float32))
            return
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "shape": values.shape})
        rows, columns = np.nonzero(values)
        x.create_dataset("data", data=values[rows, columns])
        x.create_dataset("indices", data=columns)
        x.create_dataset("indptr", data=np.concatenate([[0], np.cumsum((values != 0).sum(axis=1))]))
