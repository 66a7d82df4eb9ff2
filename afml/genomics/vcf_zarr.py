"""The arrays of a genotype store, and how a store made elsewhere maps onto a site panel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames, require_shared
from afml.genomics.matching import SiteMatcher
from afml.genomics.sites import ANNOTATIONS, SitePanel

MAX_ABSENT = 0.05
"""Largest fraction of panel sites that an institution's data may lack."""

_RECORDS_PER_READ = 100_000


@dataclass(frozen=True)
class ArraySpec:
    """One array of the store: declared here once, written and documented from here."""

    name: str
    dimensions: tuple[str, ...]
    dtype: Any
    description: str


SCHEMA = (
    ArraySpec(
        "call_genotype",
        ("variants", "samples", "ploidy"),
        "int8",
        "1 is the site's ALT, 0 any other allele, -1 missing",
    ),
    ArraySpec("call_genotype_phased", ("variants", "samples"), "bool", "false everywhere: phase is not kept"),
    ArraySpec("sample_id", ("samples",), str, "column names of the institution's VCF"),
    ArraySpec("contig_id", ("contigs",), str, "canonical contig names (no 'chr')"),
    ArraySpec("filter_id", ("filters",), str, "PASS, as VCF Zarr asks for; no site has a filter"),
    ArraySpec("variant_contig", ("variants",), "int32", "index into contig_id"),
    ArraySpec("variant_position", ("variants",), "int64", "1-based position of REF's first base"),
    ArraySpec("variant_length", ("variants",), "int64", "bases of REF"),
    ArraySpec("variant_allele", ("variants", "alleles"), str, "REF, ALT of the site panel"),
    ArraySpec("variant_minor_is_alt", ("variants",), "bool", "whether dosage counts ALT"),
    ArraySpec("variant_panel_maf", ("variants",), "float64", "frequency of the counted allele in the panel"),
    ArraySpec("variant_absent", ("variants",), "bool", "whether the institution's VCF lacks the site"),
    ArraySpec(
        "variant_annotation",
        ("variants", "annotations"),
        "float32",
        f"channels {', '.join(ANNOTATIONS)}, in [0, 1]",
    ),
    ArraySpec(
        "region_index",
        ("region_index_values", "region_index_fields"),
        "int64",
        "chunk of variants, contig, first and last position, last base of any REF, records: how regions are found",
    ),
)
"""Every array of a store. `variants` follow the site panel, `samples` the institution's VCF."""


def region_index(
    contig: NDArray[np.integer[Any]], position: NDArray[np.int64], length: NDArray[np.int64], chunk: int
) -> NDArray[np.int64]:
    """The array `region_index` as bio2zarr makes it: a row for each contig of each chunk of variants.

    Args:
        contig: Of every variant, an index into `contig_id`.
        position: 1-based.
        length: Bases of REF.
        chunk: Variants per chunk.

    Returns:
        int64 [rows, 6]: chunk, contig, first position, last position, last base of any REF, variants.
    """
    chunks = np.arange(len(contig)) // chunk
    starts = np.flatnonzero(np.diff(contig, prepend=-1) | np.diff(chunks, prepend=-1))
    ends = np.append(starts[1:], len(contig))
    last = position + length - 1
    rows = [
        (chunks[start], contig[start], position[start], position[end - 1], last[start:end].max(), end - start)
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 6)


def match_foreign(group: zarr.Group, panel: SitePanel, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(record, allele number) of every panel site in a store made elsewhere; record -1 is absent."""
    names = ContigNames(path)
    contigs = [str(name) for name in read_array(group, "contig_id", path)]
    canonical = [names.canonical(name) for name in contigs]
    records = np.full(len(panel), -1, dtype=np.int64)
    counted = np.zeros(len(panel), dtype=np.int64)
    matcher = SiteMatcher(panel)
    variant_contig = read_array(group, "variant_contig", path)
    variant_position = read_array(group, "variant_position", path)
    variant_allele = find_array(group, "variant_allele", path)
    for start in range(0, len(variant_position), _RECORDS_PER_READ):
        for offset, listed in enumerate(variant_allele[start : start + _RECORDS_PER_READ]):
            record = start + offset
            alleles = [str(allele).upper() for allele in listed if str(allele) not in ("", ".")]
            place = canonical[int(variant_contig[record])], int(variant_position[record])
            for site, allele in matcher.sites(*place, alleles):
                if records[site] < 0:
                    records[site], counted[site] = record, allele
    absent = int((records < 0).sum())
    if absent == len(panel):
        require_shared(contigs, path, panel.chrom, "the site panel")
    if absent > MAX_ABSENT * len(panel):
        raise InputError(
            f"lacks {absent} of the panel's {len(panel)} sites",
            where=path,
            cure="use a store of the same assembly with these sites",
        )
    return records, counted


def find_array(group: zarr.Group, name: str, path: Path) -> Any:
    """The array `name`, unread.

    Raises:
        InputError: The store has no such array.
    """
    try:
        return group[name]
    except KeyError:
        raise InputError(f"store has no array '{name}'", where=path, cure="make it by VCF Zarr conventions") from None


def read_array(group: zarr.Group, name: str, path: Path) -> NDArray[Any]:
    """The whole array `name`."""
    return np.asarray(find_array(group, name, path)[...])
