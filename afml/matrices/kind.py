"""Matrices of measurements as a kind of data: the bins of every person's numbers, and nothing finer, are stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import require_file, write_bytes
from afml.data.kind import Built, Note
from afml.data.marks import TELLING
from afml.data.people import PersonColumns
from afml.data.persons import PEOPLE_HELP, WITHOUT_HELP, Matched, Who, columns_of, read_who
from afml.genomics.build import fill_store
from afml.genomics.files import GenotypeFiles
from afml.genomics.phenotypes import check_phenotypes, read_phenotypes
from afml.genomics.store import GenotypeStore, people_at_once
from afml.matrices.bins import MISSING, Bins
from afml.matrices.reading import Matrix, open_matrix

_COUNTS = "private/counts.json"
#: Largest share of the panel's features that an institution's matrix may lack.
MAX_ABSENT = 0.05


class MatrixOptions(Settings):
    """What `afml prepare` is told of a matrix."""

    matrix: Path = Field(description="TSV, CSV or Parquet (first column: the person), or h5ad; people as rows.")
    panel_matrix: Path = Field(description="the same of public people: they alone decide what the bins are.")
    phenotypes: Path | None = Field(default=None, description="TSV: sample, then traits and covariates.")
    people: Path | None = Field(default=None, description=PEOPLE_HELP)
    without: Path | None = Field(default=None, description=WITHOUT_HELP)
    most_varying: int = Field(default=1024, ge=1, description="features to keep, those that vary most in public.")
    log: bool = Field(default=False, description="take log(1 + value) first, as counts want it.")
    near: float = Field(default=0.5, gt=0, description="first edge of the bins, in public standard deviations.")
    far: float = Field(default=1.25, gt=0, description="second edge of the bins, likewise.")


class Counts(Settings):
    """What the person who prepares is told.

    Attributes:
        absent: Features of the panel that the matrix lacks: missing for everybody.
        missing: Numbers that are missing.
        numbers: How many there are.
        merged: People of several rows.
        matched: Lines of --people and --without that name somebody.
    """

    absent: int
    missing: int
    numbers: int
    merged: int
    matched: Matched = Matched()


class MatrixData:
    """Measurements, people as rows, cut into the bins of a public panel."""

    options: type[Settings] = MatrixOptions
    unit = "columns of bins"

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Find the bins in public, store everybody's; see `DataKind.build`."""
        given = cast(MatrixOptions, options)
        if not given.near < given.far:
            raise InputError("the second edge is not beyond the first", where="--far", cure="raise it")
        for path, what in ((given.matrix, "matrix"), (given.panel_matrix, "public matrix")):
            require_file(path, what)
        who = read_who(given.people, given.without)
        if given.phenotypes is not None:  # whose rows it must have is known once the matrix is read
            check_phenotypes(given.phenotypes, (), who.person_of, whole=False)
        files = GenotypeFiles(out)
        note("finding the bins among public people")
        bins, names, public = _public(given)
        panel = bins.panel(public)
        panel.save(files.site_panel)
        fill_store(files.panel_store, panel, names, lambda sites: public[:, sites])
        note("storing this institution's bins")
        samples, coded, counts = _private(open_matrix(given.matrix), bins, who, given.without)
        fill_store(files.cohort_store, panel, samples, lambda sites: coded[:, sites])
        write_bytes(out / _COUNTS, counts.canonical())
        columns = PersonColumns((), np.zeros((len(samples), 0)))
        if given.phenotypes is not None:
            columns = read_phenotypes(given.phenotypes, samples, who.person_of)
        return Built(
            tuple(samples), columns, DataAgreement(kind="matrix", fingerprint=panel.digest(), features=len(panel))
        )

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Absent features, missing numbers, people of several rows."""
        counts = Counts.load(folder / _COUNTS)
        return (
            *counts.matched.remarks(),
            *([f"{counts.absent} features of the panel are not in the matrix"] if counts.absent else []),
            *([f"{counts.missing} of {counts.numbers} numbers are missing"] if counts.missing else []),
            *([f"{counts.merged} people have several rows: bins that differ are missing"] if counts.merged else []),
        )

    def marks(self, folder: Path) -> Iterator[tuple[bytes, ...]]:
        """One mark of everybody: all bins, exactly; none where too many people share theirs (`afml.data.marks`)."""
        store = GenotypeStore.open(GenotypeFiles(folder).cohort_store)
        head = b"bins" + bytes.fromhex(store.panel.digest())
        own = [
            hashlib.sha256(head + row.tobytes()).digest()
            for rows in people_at_once(store)
            for row in store.dosage(rows)
        ]
        times = Counter(own)
        telling = sum(times[mark] == 1 for mark in own) >= TELLING * len(own)
        yield from ((mark,) if telling else () for mark in own)


def _public(given: MatrixOptions) -> tuple[Bins, list[str], NDArray[np.int8]]:
    """The bins, and the public people: names, coded [people, 2F]."""
    matrix = open_matrix(given.panel_matrix)
    names, parts = [], []
    for people, values in matrix.rows(matrix.features):
        names += people
        parts.append(values)
    values = np.concatenate(parts)
    if len(set(names)) != len(names):
        raise InputError("names somebody twice", where=given.panel_matrix, cure="keep one row of each public person")
    if given.log and bool((values <= -1).any()):
        raise InputError("holds numbers that have no logarithm", where=given.panel_matrix, cure="leave --log out")
    spread = np.nanstd(np.log1p(values) if given.log else values, axis=0)
    kept = np.sort(np.argsort(-np.nan_to_num(spread), kind="stable")[: given.most_varying])
    features = [matrix.features[at] for at in kept]
    bins = Bins.around(features, values[:, kept], (given.near, given.far), log=given.log)
    return bins, names, bins.coded(values[:, kept])


def _private(matrix: Matrix, bins: Bins, who: Who, where: Path | None) -> tuple[list[str], NDArray[np.int8], Counts]:
    """People, their columns [people, 2F], and what there is to tell."""
    there = set(matrix.features)
    known = [name for name in bins.features if name in there]
    absent = len(bins.features) - len(known)
    if absent > MAX_ABSENT * len(bins.features):
        raise InputError(
            f"lacks {absent} of the public matrix's {len(bins.features)} features, more than {MAX_ABSENT:.0%}",
            where=matrix.path,
            cure="use the same names of features in both (--matrix, --panel-matrix)",
        )
    places = [at for at, name in enumerate(bins.features) if name in there]
    names: list[str] = []
    parts: list[NDArray[np.int8]] = []
    missing = 0
    for people, values in matrix.rows(known):
        kept = [at for at, name in enumerate(people) if who.person(name) is not None]
        whole = np.full((len(kept), len(bins.features)), np.nan)
        whole[:, places] = values[kept]
        missing += int(np.isnan(whole[:, places]).sum())
        names += [people[at] for at in kept]
        parts.append(bins.coded(whole))
    coded = np.concatenate(parts) if parts else np.zeros((0, 2 * len(bins.features)), np.int8)
    if not len(coded):
        raise InputError("nobody is left", where=where or matrix.path, cure="leave fewer people out (--without)")
    rows_of = columns_of(names, who.person_of)
    merged = np.stack([_agreed(coded[rows]) for rows in rows_of.values()])
    several = sum(len(rows) > 1 for rows in rows_of.values())
    counts = Counts(
        absent=absent, missing=missing, numbers=len(names) * len(known), merged=several, matched=who.matched
    )
    return list(rows_of), merged, counts


def _agreed(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """One person's columns out of several rows: what all of them say."""
    return np.where((rows == rows[0]).all(axis=0), rows[0], np.int8(MISSING))


MATRIX = MatrixData()
