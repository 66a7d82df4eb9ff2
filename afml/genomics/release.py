"""Writing a release: panel sites, GT, pseudonymous columns in permuted order, and nothing else.

What would leak is never written rather than removed: no other FORMAT field (PL, AD, DP, GQ, GP, DS,
phase), no INFO (AC, AF, ... are counts over the cohort), no ID, QUAL or FILTER, no sample name. The writers
(`afml.genomics.outputs`) are given what `Contents` holds, and that alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.genomics.outputs.contents import Contents, Form
from afml.genomics.sites import SitePanel
from crypto.public.random import RandomSource, SystemRandom

FORMS: Registry[Form] = Registry(
    "form of released files",
    {
        "vcf": "afml.genomics.outputs.vcf:FORM",
        "bcf": "afml.genomics.outputs.bcf:FORM",
        "zarr": "afml.genomics.outputs.vcz:FORM",
    },
)

_HEADER_LINE = re.compile(r"^##afml_[a-z0-9_]+=[^\r\n]*$")


@dataclass(frozen=True)
class Output:
    """In which files a release is written.

    Attributes:
        form: A name of `FORMS`, for genotypes; None for the usual one of the kind of data.
        per_contig: Whether every contig has a file of its own.
        csi: Whether a VCF is indexed by CSI even where TBI would do.
    """

    form: str | None = None
    per_contig: bool = False
    csi: bool = False


def write_release(
    folder: Path,
    panel: SitePanel,
    released: NDArray[np.int8],
    *,
    header: Sequence[str],
    shows: NDArray[np.int64] | None = None,
    output: Output | None = None,
) -> list[int]:
    """Write a release, a site of everybody in memory at a time.

    Args:
        folder: Where its files go: `release.vcf.gz` with its index, `release.bcf` or `release.vcz`; with a file
            for each contig, its name before the suffix.
        panel: The sites, S of them.
        released: int8 [records, S] in {0, 1, 2, -1}, panel-minor dosage; -1 is written as `./.`.
        header: Lines `##afml_<key>=<value>` about the model and its settings. They are public.
        shows: The record that each person shows, int64 [people]; by default every record is a person's own.
        output: The form of the files; by default one VCF.

    Returns:
        The permutation: column j of the file is person `permutation[j]`. It re-identifies every column and
        never leaves the institution.

    Raises:
        ConfigError: Wrong shape or values, or a header line of another form.
    """
    wanted = output or Output()
    records, sites = released.shape
    of_people = np.arange(records, dtype=np.int64) if shows is None else shows
    if sites != len(panel):
        raise ConfigError(f"{sites} released sites, but the panel has {len(panel)}", where=folder)
    if released.size and not bool(((released >= -1) & (released <= 2)).all()):
        raise ConfigError("released dosages are not all in {0, 1, 2, -1}", where=folder)
    if of_people.size and not 0 <= int(of_people.min()) <= int(of_people.max()) < records:
        raise ConfigError("somebody shows a record that there is not", where=folder)
    for line in header:
        if not _HEADER_LINE.match(line):
            raise ConfigError("header line is not '##afml_<key>=<value>'", where=folder, cure="use this form")
    form = FORMS.get(wanted.form or FORMS.names()[0])
    permutation, names = shuffled(len(of_people))
    contents = Contents(panel, names, header, panel.to_minor(released), of_people[permutation])
    folder.mkdir(parents=True, exist_ok=True)
    if not wanted.per_contig:
        form.write(folder / f"release{form.suffix}", contents, range(len(panel)), csi=wanted.csi)
    else:
        for contig, own in contents.contigs().items():
            form.write(folder / f"release.{quote(contig, safe='')}{form.suffix}", contents, own, csi=wanted.csi)
    return [int(row) for row in permutation]


def shuffled(people: int) -> tuple[NDArray[np.int64], list[str]]:
    """An order for released records and their pseudonyms, anew each time: (permutation, names), [people] each.

    Never from a seed, not even in a simulation: whoever knew it would name every record.
    """
    random = SystemRandom()
    return np.argsort(random.uint64(people), kind="stable"), _pseudonyms(people, random)


def _pseudonyms(people: int, source: RandomSource) -> list[str]:
    """Distinct random names; 64 bits, so that two releases do not share one by chance."""
    names: dict[str, None] = {}
    while len(names) < people:
        for word in source.uint64(people - len(names)):
            names[f"P{int(word):016x}"] = None
    return list(names)
