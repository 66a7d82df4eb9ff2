"""Writing masked matrices: pseudonyms and public bins, in the form that matrices come in; and reading them back.

A cell is -2 (far below the usual), -1, 0, 1 or 2, or empty where nothing is shown: no measured number leaves. Beside
the matrix lie `bins.tsv`, the public edges of every feature, and `about.json`, what is public of the release.

What reads and writes a form is loaded with it: `afml mask` looks up the names of all forms, and genotypes need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError
from afml.core.files import staged_file, write_bytes
from afml.genomics.release import Output, shuffled
from afml.genomics.released import release_files
from afml.genomics.sites import SitePanel
from afml.matrices.bins import Bins, shown_bins

if TYPE_CHECKING:
    import h5py

_PEOPLE_AT_ONCE = 1024
_NAME = "release"
BINS_FILE, ABOUT_FILE = "bins.tsv", "about.json"

Rows = Iterator[tuple[list[str], NDArray[np.int64]]]
"""Some people at a time: their pseudonyms, and the record that each shows."""


def write_matrix(
    folder: Path,
    panel: SitePanel,
    released: NDArray[np.int8],
    *,
    header: Sequence[str],
    shows: NDArray[np.int64] | None = None,
    form: str = "tsv",
) -> list[int]:
    """Write a masked matrix, some people at a time.

    Args:
        folder: Where `release.tsv`, `release.parquet` or `release.h5ad` goes, with bins.tsv and about.json.
        panel: The columns of bins, S of them.
        released: int8 [records, S] in {0, 1, 2, -1}; -1 is masked.
        header: Lines `##afml_<key>=<value>`.
        shows: The record that each person shows, int64 [people]; by default every record is a person's own.
        form: A name of `WRITERS`.

    Returns:
        The permutation: row j of the file is person `permutation[j]`. It never leaves the institution.

    Raises:
        ConfigError: Wrong shape, or a form that there is not.
        InputError: The panel holds no bins.
    """
    if form not in WRITERS:
        raise ConfigError(f"a matrix is not written as {form}", where="--form", cure=f"use {', '.join(WRITERS)}")
    if released.shape[1] != len(panel):
        raise ConfigError(f"{released.shape[1]} released columns, but the panel has {len(panel)}", where=folder)
    bins, of_people = Bins.of(panel), np.arange(len(released), dtype=np.int64) if shows is None else shows
    permutation, names = shuffled(len(of_people))
    shown, own = shown_bins(released), of_people[permutation]
    folder.mkdir(parents=True, exist_ok=True)

    def rows() -> Rows:
        for start in range(0, len(names), _PEOPLE_AT_ONCE):
            yield names[start : start + _PEOPLE_AT_ONCE], own[start : start + _PEOPLE_AT_ONCE]

    with staged_file(folder / f"{_NAME}.{form}") as staged:
        WRITERS[form](staged, bins, shown, rows())
    edges = "\n".join(
        "\t".join((name, *map(repr, row))) for name, row in zip(bins.features, bins.edges.tolist(), strict=True)
    )
    write_bytes(folder / BINS_FILE, f"feature\tfar_below\tbelow\tabove\tfar_above\n{edges}\n".encode())
    about = dict(line.removeprefix("##afml_").split("=", 1) for line in header)
    write_bytes(folder / ABOUT_FILE, canonical_json(about))
    return [int(row) for row in permutation]


def read_matrix(path: Path, panel: SitePanel, masked: int) -> NDArray[np.int8]:
    """Read a masked matrix back.

    Args:
        path: `release.tsv`, `.parquet` or `.h5ad`.
        panel: Its columns of bins.
        masked: What stands for a column that shows nothing: -1, or 0 under fill `major`.

    Returns:
        int8 [people, S], people in the order of the file.

    Raises:
        InputError: Unreadable, or of other features than the panel's.
    """
    from afml.matrices.reading import open_matrix

    features, matrix = Bins.of(panel).features, open_matrix(path)
    if matrix.features != features:
        raise InputError("has other features than the panel", where=path, cure="use the panel that it was made with")
    parts = []
    for _, values in matrix.rows(features):
        pair = np.full((*values.shape, 2), masked, dtype=np.int8)
        pair[..., 0][values > 0] = values[values > 0]
        pair[..., 1][values < 0] = -values[values < 0]
        parts.append(pair.reshape(len(values), -1))
    return np.concatenate(parts)


def _tsv(path: Path, bins: Bins, shown: NDArray[np.float32], rows: Rows) -> None:
    texts = ["\t".join("" if np.isnan(cell) else str(int(cell)) for cell in record) for record in shown]
    with path.open("w", encoding="utf-8") as out:
        out.write("\t".join(("person", *bins.features)) + "\n")
        for names, own in rows:
            out.writelines(f"{name}\t{texts[record]}\n" for name, record in zip(names, own.tolist(), strict=True))


def _parquet(path: Path, bins: Bins, shown: NDArray[np.float32], rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pa_parquet

    schema = pa.schema([("person", pa.string()), *((name, pa.int8()) for name in bins.features)])
    with pa_parquet.ParquetWriter(path, schema) as writer:
        for names, own in rows:
            cells = shown[own]
            nothing, whole = np.isnan(cells), np.nan_to_num(cells).astype(np.int8)
            columns = [pa.array(whole[:, at], mask=nothing[:, at]) for at in range(cells.shape[1])]
            writer.write_batch(pa.RecordBatch.from_arrays([pa.array(names), *columns], schema=schema))


def _h5ad(path: Path, bins: Bins, shown: NDArray[np.float32], rows: Rows) -> None:
    """AnnData's on-disk format 0.1.0: people are obs, features are var with their edges, X is dense."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        chunk = min(_PEOPLE_AT_ONCE, 256), max(1, min(shown.shape[1], 1024))
        most = None, shown.shape[1]
        x = file.create_dataset("X", shape=(0, most[1]), maxshape=most, dtype="f4", chunks=chunk, compression="gzip")
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        everybody: list[str] = []
        for names, own in rows:
            x.resize(len(everybody) + len(names), axis=0)
            x[len(everybody) :] = shown[own]
            everybody += names
        edges = {name: bins.edges[:, at] for at, name in enumerate(("far_below", "below", "above", "far_above"))}
        _frame(file, "obs", everybody, {})
        _frame(file, "var", bins.features, edges)


def _frame(file: h5py.File, name: str, index: Sequence[str], columns: Mapping[str, NDArray[np.float64]]) -> None:
    import h5py

    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs.create("column-order", list(columns), dtype=h5py.string_dtype())
    names = group.create_dataset("_index", data=list(index), dtype=h5py.string_dtype())
    names.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    for column, values in columns.items():
        group.create_dataset(column, data=values).attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


WRITERS: Mapping[str, Callable[[Path, Bins, NDArray[np.float32], Rows], None]] = {
    "tsv": _tsv,
    "parquet": _parquet,
    "h5ad": _h5ad,
}
"""Form of a matrix -> what writes it."""


class MatrixReleases:
    """See `afml.release.files.ReleaseFiles`."""

    forms = tuple(WRITERS)
    untried = ("levels",)  # two columns make one bin: a 0 in either looks like the usual one
    nothing: ClassVar = {"missing": "an empty cell", "major": "the usual bin (0): a masked cell, NOT a measurement"}
    unfit = "distributions, differential analysis or clustering"

    def write(
        self,
        folder: Path,
        panel: SitePanel,
        released: NDArray[np.int8],
        *,
        header: Sequence[str],
        shows: NDArray[np.int64],
        output: Output,
    ) -> list[int]:
        """See `write_matrix`."""
        return write_matrix(folder, panel, released, header=header, shows=shows, form=output.form or self.forms[0])

    def read(self, folder: Path, panel: SitePanel, masked: int) -> NDArray[np.int8]:
        """See `read_matrix`."""
        (path,) = release_files(folder)
        return read_matrix(path, panel, masked)

    def names(self, folder: Path) -> list[str]:
        """Pseudonyms, in the order of the rows."""
        from afml.matrices.reading import open_matrix

        (path,) = release_files(folder)
        matrix = open_matrix(path)
        return [name for names, _ in matrix.rows(matrix.features[:1]) for name in names]

    def told(self, panel: SitePanel, shown: NDArray[np.int8], masked: int) -> list[list[str]]:
        """Bins as the matrix has them, `feature=-2`; the usual bin is not named where that is what is masked."""
        names, bins = Bins.of(panel).features, shown_bins(shown)
        named = ~np.isnan(bins) & ((bins != 0) | (masked != 0))
        return [
            [f"{names[at]}={int(row[at])}" for at in np.flatnonzero(shows)]
            for row, shows in zip(bins, named, strict=True)
        ]


MATRICES = MatrixReleases()
