"""Genotypes as a kind of data: what `afml prepare` makes of an institution's VCF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from afml.consortium.card import DataAgreement
from afml.core.cluster import on_cluster
from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import require_file, write_secret
from afml.data.kind import Built, Note
from afml.data.people import PersonColumns
from afml.data.persons import Who, columns_of, read_names, read_who
from afml.genomics.build import build_store, fold_store, pack_store
from afml.genomics.calls.account import ACCOUNT_FILE, Account, CallReading, Sexes
from afml.genomics.calls.align import Aligner
from afml.genomics.calls.assembly import read_assembly, require_one_build
from afml.genomics.calls.sexes import COLUMN as SEX
from afml.genomics.calls.site_calls import Rules
from afml.genomics.contigs import genome_order
from afml.genomics.files import GenotypeFiles
from afml.genomics.marks import bands, genotype_marks
from afml.genomics.options import GenotypeOptions
from afml.genomics.panels import PublicSites, public_people, public_sites
from afml.genomics.persons import (
    COUNTS_FILE,
    Choice,
    PersonCounts,
    find_people,
    save_people,
)
from afml.genomics.phenotypes import PHENOTYPE, check_phenotypes, read_phenotypes
from afml.genomics.public import people_digest
from afml.genomics.qc.examine import Known, examine, well_called
from afml.genomics.qc.refusal import of_reading, of_store, telling
from afml.genomics.qc.report import QcReport
from afml.genomics.sites import SitePanel
from afml.genomics.sources.opening import expanded, open_source
from afml.genomics.sources.piped import piped_in
from afml.genomics.sources.plink import read_sexes_beside
from afml.genomics.store import GenotypeStore, people_at_once

#: Columns that one remark names.
_SHOWN = 3


class GenotypeData:
    """Genotypes at the sites of a public panel, with a table of traits and covariates."""

    options: type[Settings] = GenotypeOptions
    unit = "sites"

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Choose the sites and build the stores; see `DataKind.build`."""
        given = cast(GenotypeOptions, options)
        with piped_in(given.vcf, GenotypeFiles(out).cohort_store.parent) as vcf, on_cluster(given.dask, out):
            given = given.model_copy(update={"vcf": vcf})
            return self._built(*((out, given) if given.dask is None else _absolute(out, given)), note)

    def _built(self, out: Path, given: GenotypeOptions, note: Note) -> Built:
        for paths, what in ((given.vcf, "VCF"), (given.panel_vcf, "panel VCF")):
            for path in expanded(paths) if paths else ():
                if not path.is_dir():  # a VCF Zarr store is a folder
                    require_file(path, what)
        note("reading the tables")
        who, keep = read_who(given.people, given.without), _kept(given.samples)
        person_of = who.person_of
        stated = {name: sex for path in expanded(given.vcf) for name, sex in read_sexes_beside(path).items()}
        sexes, there = Sexes(given.phenotypes, person_of, given.missing_code, stated), _there(given, keep)
        if given.phenotypes is not None:
            persons = tuple(columns_of((name for name in there if who.person(name) is not None), person_of))
            check_phenotypes(given.phenotypes, persons, person_of, given.missing_code, whole=given.keeps_everybody)
        files = GenotypeFiles(out)
        note("choosing sites on the public panel")
        chosen = public_sites(given)
        panel = chosen.panel
        sexes.of(there, panel)  # refuses what cannot be read of them before the records are
        panel.save(files.site_panel)
        build = _build(given, chosen)
        note("storing the public panel")
        public = public_people(chosen, given, build, files)
        note("storing this institution's genotypes")
        reading = CallReading(Rules(given.quality, build, given.fasta), sexes, keep)
        with telling(lambda: of_reading(reading)):
            stored = build_store(given.vcf, panel, files.cohort_store, max_absent=given.max_absent, reading=reading)
        account = reading.account()
        (files.cohort_store.parent / ACCOUNT_FILE).write_bytes(account.canonical())
        store = _without(stored, files, who, given.without)
        note("counting calls")
        with telling(lambda: of_store(store, public, reading, given)):
            called = well_called(store, given, given.vcf[0])
        dropped = len(store) - len(called)
        if dropped:
            store = fold_store(files.cohort_store, panel, called)
        note("looking for one person's records under several names, and for relatives")
        choice = Choice(person_of, given.duplicates, given.relatives, given.vcf[0], given.max_panel_overlap)
        with telling(lambda: of_store(store, public, reading, given)):
            found = find_people(store, public, choice)
            listed = save_people(files.cohort_store.parent, found.told_of(who.matched), store.samples)
            found.require_apart(choice, listed)
        samples, names = tuple(found.columns), found.names(store.samples, person_of)
        if samples != tuple(store.samples):
            fold_store(files.cohort_store, panel, found.columns)
        store = pack_store(files.cohort_store)
        columns = PersonColumns((), np.zeros((len(samples), 0)))
        if given.phenotypes is not None:
            columns = read_phenotypes(given.phenotypes, samples, names, given.missing_code)
        note("examining the genotypes")
        overlap = given.max_panel_overlap if given.duplicates == "refuse" else len(store)
        known = Known(account, found.counts, dropped, overlap, chosen.waterfall, columns, given.vcf[0])
        examined = examine(store, public, known, given)
        examined.report.save(files.qc)
        from afml.genomics.qc.page import page  # brings matplotlib, which nobody needs before

        write_secret(files.qc_page, page(examined, store).encode())
        people = people_digest(public.dosage())
        agreed = DataAgreement(kind="genotypes", fingerprint=panel.digest(), features=len(panel), panel=people)
        return Built(samples, columns, agreed)

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Quality, what calls went through, who belongs together, and whether the panel's people are drawn."""
        files = GenotypeFiles(folder)
        note = SitePanel.load(files.site_panel).drawn_note
        counts = PersonCounts.load(files.cohort_store.parent / COUNTS_FILE)
        account = Account.load(files.cohort_store.parent / ACCOUNT_FILE)
        report = QcReport.load(files.qc)
        seen = f"these numbers with figures: {files.qc_page}; it stays here"
        columns = _column_remarks(report.stays.numbers_missing, len(GenotypeStore.open(files.cohort_store)))
        return (*report.lines(), *account.remarks(), *counts.remarks(), *columns, *([note] if note else []), seen)

    def marks(self, folder: Path) -> Iterator[tuple[bytes, ...]]:
        """Bands of sites; see `afml.genomics.marks`."""
        files = GenotypeFiles(folder)
        store = GenotypeStore.open(files.cohort_store)
        sites = bands(store.panel, GenotypeStore.open(files.panel_store).dosage())
        for rows in people_at_once(store):
            yield from genotype_marks(store.panel, sites, store.dosage(rows))


def _column_remarks(missing: Mapping[str, int], people: int) -> list[str]:
    """What follows for runs from the columns of the phenotype table; the counts stand in the table of quality.

    Args:
        missing: Column -> people without a number in it; empty where there is no table.
        people: All.
    """
    gaps = [name for name, number in missing.items() if 0 < number < people]
    told = [
        f"column '{name}' holds no number for anybody: no run can use it; code it as numbers (cases 1, controls 0)"
        for name, number in missing.items()
        if number == people and name != SEX  # words are read there, for X and Y
    ]
    if gaps:
        shown = ", ".join(f"'{name}'" for name in gaps[:_SHOWN])
        more = f" or {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
        told.append(
            f"a run that reads {shown}{more} is refused here until everybody has a number in it: complete the table, "
            "or leave out who has none (--without)"
        )
    if missing and not any(name.startswith(PHENOTYPE) for name in missing):
        told.append(
            f"the table has no column '{PHENOTYPE}', which a masking run reads unless it declares others: tell the "
            "coordinator what yours are called (`afml configure --risk`)"
        )
    return told


def _kept(samples: Path | None) -> tuple[str, ...] | None:
    """The columns that are read, each once; None for all.

    Raises:
        InputError: The file names nobody, or cannot be read.
    """
    keep = None if samples is None else tuple(dict.fromkeys(read_names(samples)))
    if keep == ():
        raise InputError("names nobody", where=samples, cure="write a name on each line, or leave --samples out")
    return keep


def _there(given: GenotypeOptions, keep: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the columns that will be read, by headers alone."""
    with open_source(given.vcf, keep=keep) as source:
        return tuple(source.samples)


def _build(given: GenotypeOptions, sites: PublicSites) -> str | None:
    """The build of the genome that headers say; None where none does.

    Raises:
        InputError: The files are on different builds, or the FASTA has none of the panel's contigs.
    """
    ours, theirs, contigs = read_assembly(given.vcf), sites.assembly, sites.panel.chrom
    require_one_build(ours, given.vcf[0], theirs, sites.where, sorted(set(contigs), key=genome_order))
    if given.fasta is not None:
        with Aligner(given.fasta) as aligner:
            aligner.require_contigs(contigs)
    return theirs.build or ours.build


def _absolute(out: Path, given: GenotypeOptions) -> tuple[Path, GenotypeOptions]:
    """The same with paths that mean the same wherever a worker was started."""
    paths = {name: tuple(path.absolute() for path in expanded(getattr(given, name))) for name in ("vcf", "panel_vcf")
             if getattr(given, name)}  # fmt: skip
    fasta = {} if given.fasta is None else {"fasta": given.fasta.absolute()}
    return out.absolute(), given.model_copy(update={**paths, **fasta})


def _without(store: GenotypeStore, files: GenotypeFiles, who: Who, where: Path | None) -> GenotypeStore:
    """The store of a VCF's columns without those of people who are left out: nothing is made of these."""
    kept = {name: [column] for column, name in enumerate(store.samples) if who.person(name) is not None}
    if len(kept) == len(store.samples):
        return store
    if not kept:
        raise InputError("nobody is left", where=where, cure="leave fewer people out")
    return fold_store(files.cohort_store, store.panel, kept)


GENOTYPES = GenotypeData()
