"""Building genotype stores: of an institution's VCF, and of the public panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.children import ChildDied, in_children
from afml.core.errors import InputError
from afml.core.files import scratch_folder, staged_folder
from afml.core.progress import Step
from afml.genomics.calls.account import CallReading, require_numbers, require_sexes, require_sites
from afml.genomics.calls.settle import settle
from afml.genomics.calls.site_calls import Joining, SiteCalls
from afml.genomics.drawn import draw_people
from afml.genomics.intake import Reading, reading_processes, spans_of, take_in
from afml.genomics.packed import create_packed, pack
from afml.genomics.persons import merge_calls
from afml.genomics.rows import SiteRows
from afml.genomics.sites import ANNOTATIONS, SitePanel
from afml.genomics.sources.opening import open_source
from afml.genomics.sources.record import MISSING
from afml.genomics.store import GenotypeStore
from afml.genomics.vcf_zarr import MAX_ABSENT, SCHEMA, region_index

_PLOIDY = 2
_PEOPLE_PER_CHUNK = 512
_SITES_PER_CHUNK = 1024
_BLOCK_BYTES = 64 << 20  # calls held in memory while a store is built
_PIECE_BYTES = 4 << 20  # of these, read at a time


def build_store(
    vcf: Path | Sequence[Path],
    panel: SitePanel,
    out: Path,
    *,
    max_absent: float = MAX_ABSENT,
    reading: CallReading | None = None,
    processes: int | None = None,
    progress: Step | None = None,
) -> GenotypeStore:
    """Build the store of one institution in one pass over its files, in any order of their records.

    Where an index says where the panel's sites are, only these places are read. Memory holds one block of sites (at
    most 64 MiB of calls), whatever the size of the cohort; the calls wait in scratch files beside the store. A site
    that the files lack is missing for everybody; what records say is decided in `afml.genomics.calls`.

    Args:
        vcf: The institution's files (`afml.genomics.sources.opening`).
        panel: The agreed site panel.
        out: Folder of the store; replaced when it is a store already.
        max_absent: Largest allowed fraction of panel sites that the files lack.
        reading: How calls are taken; holds what was met afterwards.
        processes: That read side by side; by default one per processor, 8 at most.
        progress: Advanced once per 1,000 records, where one process reads.

    Raises:
        InputError: An unreadable file, too many absent sites, or `out` is something else than a store.
    """
    _require_free(out)
    reading = reading or CallReading()
    with open_source(vcf, keep=reading.keep) as source, staged_folder(out) as staged, scratch_folder(out) as scratch:
        make = partial(SiteCalls, panel, len(source.samples), reading.rules)
        spans = spans_of(panel, reading.rules.margin(panel))
        taken = take_in(source, make, Reading(scratch, spans, processes, progress))
        join = Joining(taken.tallies)
        reading.tally = join.tally
        require_numbers(join.tally, source.paths[0])
        require_sites(join.tally, panel, max_absent, taken.contigs, source.paths[0])
        sites_per_chunk = _sites_per_chunk(len(source.samples))
        arrays = _create(staged, panel, source.samples, sites_per_chunk)
        with SiteRows(taken.rows, len(panel), join) as rows:
            settle_rows(rows, panel, source.samples, reading)
            require_sites(join.tally, panel, max_absent, taken.contigs, source.paths[0])
            _write_calls(arrays["call_genotype"], rows, sites_per_chunk, processes)
        arrays["variant_absent"][:] = ~join.tally.called
    return GenotypeStore.open(out)


def build_panel_store(
    vcf: Path | Sequence[Path],
    panel: SitePanel,
    out: Path,
    *,
    reading: CallReading | None = None,
    progress: Step | None = None,
) -> GenotypeStore:
    """Build the store of the public panel: of its people, or of those drawn where it holds none.

    Args:
        vcf: The files that `panel` was made from.
        panel: The agreed site panel.
        out: Folder of the store; replaced when it is a store already.
        reading: How calls are taken; holds what was met afterwards, of people.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: As `build_store`.
    """
    if not panel.drawn_people:
        return build_store(vcf, panel, out, reading=reading, progress=progress)
    drawn = draw_people(panel)
    names = [f"drawn-{n}" for n in range(1, panel.drawn_people + 1)]
    return fill_store(out, panel, names, lambda sites: drawn[:, sites])


def fill_store(
    out: Path, panel: SitePanel, names: Sequence[str], dosage: Callable[[slice], NDArray[np.int8]]
) -> GenotypeStore:
    """Make a store of people whose dosages come from elsewhere than a VCF.

    Args:
        out: Folder of the store; replaced when it is a store already.
        panel: The agreed site panel.
        names: Of the people.
        dosage: Panel-minor dosage of everybody at some sites, int8 [people, sites]; asked for every site once.
    """
    _require_free(out)
    with staged_folder(out) as staged:
        rows = _sites_per_chunk(len(names))
        arrays = _create(staged, panel, list(names), rows)
        for start in range(0, len(panel), rows):
            sites = slice(start, min(start + rows, len(panel)))
            part = dosage(sites).T  # [sites, people]
            copies = np.where(panel.minor_is_alt[sites, None] | (part < 0), part, 2 - part)
            calls = np.stack([copies > 1, copies > 0], axis=-1).astype(np.int8)
            calls[part < 0] = MISSING
            arrays["call_genotype"][sites] = calls
        arrays["variant_absent"][:] = np.zeros(len(panel), dtype=np.bool_)
    return GenotypeStore.open(out)


def fold_store(store: Path, panel: SitePanel, people: Mapping[str, Sequence[int]]) -> GenotypeStore:
    """Make a store over, with one row for each person (`afml.genomics.persons.merge_calls`).

    Args:
        store: Folder of a store that `build_store` made of the columns of a VCF; replaced.
        panel: Its site panel.
        people: person -> columns, in the order of the rows to be; columns of nobody are left out.
    """
    columns = zarr.open_group(str(store), mode="r")
    calls: Any = columns["call_genotype"]
    with staged_folder(store) as staged:
        rows = _sites_per_chunk(calls.shape[1])
        arrays = _create(staged, panel, list(people), rows)
        for start in range(0, len(panel), rows):
            stop = min(start + rows, len(panel))
            arrays["call_genotype"][start:stop] = merge_calls(calls[start:stop], people.values())
        arrays["variant_absent"][:] = np.array(columns["variant_absent"])
    return GenotypeStore.open(store)


def pack_store(path: Path) -> GenotypeStore:
    """Put everybody's packed dosages (`afml.genomics.packed`) into a finished store, some people at a time.

    Args:
        path: Folder of a store that was made here, to which nobody else writes.
    """
    store = GenotypeStore.open(path)
    sites = max(1, len(store.panel))
    array = create_packed(zarr.open_group(str(path), mode="r+"), len(store), sites)
    step = max(64, min(_PEOPLE_PER_CHUNK, _BLOCK_BYTES // sites))  # part of a chunk costs as much to read as all of it
    for start in range(0, len(store), step):
        people = slice(start, min(start + step, len(store)))
        array[people] = pack(store.dosage(people))
    return GenotypeStore.open(path)


def _require_free(out: Path) -> None:
    if out.exists() and not (out / "zarr.json").is_file():
        raise InputError("exists and is not a genotype store", where=out, cure="choose another folder")


def _sites_per_chunk(people: int) -> int:
    return max(1, min(_SITES_PER_CHUNK, _BLOCK_BYTES // (_PLOIDY * people)))


def _write_calls(array: Any, rows: SiteRows, block: int, processes: int | None) -> None:
    """Write the calls of all sites, a block of chunks at a time; several processes write chunks of their own."""
    rows.join()
    starts = np.arange(0, len(rows.there), block)
    parts = np.array_split(starts, min(len(starts), processes or reading_processes()))
    work = [partial(_write_blocks, array, rows, block, part) for part in parts]
    if len(work) == 1:
        work[0]()
        return
    try:
        in_children(work, len(work))
    except ChildDied as how:
        raise InputError(f"writing the store ended: {how}", cure="free memory and disk space") from None


def _write_blocks(array: Any, rows: SiteRows, block: int, starts: NDArray[np.int64]) -> None:
    people = array.shape[1]
    step = max(1, _PIECE_BYTES // (_PLOIDY * max(1, people)))
    for first in starts.tolist():
        there = rows.there[first : first + block]
        sites = np.flatnonzero(there)
        calls = np.full((len(there), people, _PLOIDY), MISSING, dtype=np.int8)
        for start in range(0, len(sites), step):
            some = sites[start : start + step]
            calls[some] = rows.read(some + first)
        array[first : first + len(there)] = calls


def settle_rows(rows: SiteRows, panel: SitePanel, samples: Sequence[str], reading: CallReading) -> None:
    """Decide what only all records together can (`afml.genomics.calls.settle`).

    Args:
        rows: The calls, which are corrected.
        panel: The site panel.
        samples: The columns.
        reading: Its tally is of all records; holds what was decided afterwards. Nothing is, where calls are `chosen`.

    Raises:
        InputError: The table of sexes is malformed, or most people's sex in it is not that of their calls.
    """
    assert reading.tally is not None
    if reading.chosen:
        return
    declared = reading.sexes.of(samples, panel) if reading.sexes else None
    reading.settled = settle(panel, reading.tally, reading.rules.build, declared, rows.read, rows.put)
    if reading.sexes:
        require_sexes(reading.settled, reading.sexes.phenotypes)


def _create(folder: Path, panel: SitePanel, samples: list[str], sites_per_chunk: int) -> dict[str, Any]:
    """Create every array of `SCHEMA` and fill all but the calls."""
    contigs = list(dict.fromkeys(panel.chrom))
    number = {contig: index for index, contig in enumerate(contigs)}
    contig = np.asarray([number[name] for name in panel.chrom], dtype=np.int32)
    length = np.asarray([len(ref) for ref in panel.ref], dtype=np.int64)
    regions = region_index(contig, panel.pos, length, min(sites_per_chunk, len(panel)))
    sizes = {
        "variants": len(panel),
        "samples": len(samples),
        "ploidy": _PLOIDY,
        "alleles": 2,
        "contigs": len(contigs),
        "filters": 1,
        "annotations": len(ANNOTATIONS),
        "region_index_values": len(regions),
        "region_index_fields": regions.shape[1],
    }
    chunks = {"variants": sites_per_chunk, "samples": _PEOPLE_PER_CHUNK}
    content: dict[str, Any] = {
        "sample_id": samples,
        "contig_id": contigs,
        "filter_id": ["PASS"],
        "variant_contig": contig,
        "variant_position": panel.pos,
        "variant_length": length,
        "variant_allele": list(zip(panel.ref, panel.alt, strict=True)),
        "variant_minor_is_alt": panel.minor_is_alt,
        "variant_panel_maf": panel.maf,
        "variant_annotation": panel.annotations,
        "region_index": regions,
    }
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    group.attrs.update({"vcf_zarr_version": "0.4", "source": "afml", "afml_site_panel": panel.digest()})
    if panel.drawn_people:
        group.attrs["afml_drawn_people"] = panel.drawn_people
    arrays: dict[str, Any] = {}
    for spec in SCHEMA:
        shape = tuple(sizes[name] for name in spec.dimensions)
        chunk = tuple(min(size, chunks.get(name, size)) for name, size in zip(spec.dimensions, shape, strict=True))
        array = group.create_array(
            spec.name,
            shape=shape,
            chunks=chunk,
            dtype=spec.dtype,
            dimension_names=spec.dimensions,
            fill_value=MISSING if spec.name == "call_genotype" else None,
            attributes={"description": spec.description},
        )
        if spec.name in content:
            array[...] = np.asarray(content[spec.name], dtype=object if spec.dtype is str else spec.dtype)
        arrays[spec.name] = array
    return arrays
