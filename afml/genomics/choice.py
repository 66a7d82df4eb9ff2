"""Choosing the sites of a consortium: the most common ones of its public panel.

Frequencies come from the public panel VCF only: over its complete calls, or, where it holds no people, from
an INFO field of it (a release of gnomAD, say). In the second case the panel's people are drawn (`drawn`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from afml.core.children import ChildDied, died_reading, in_child, in_children
from afml.core.errors import InputError
from afml.core.progress import Step
from afml.genomics.annotations import Annotator, Harm
from afml.genomics.annotations.vep_output import read_vep_output
from afml.genomics.calls.quality import Filters, failed
from afml.genomics.candidates import Candidate, in_order, most_common
from afml.genomics.cpg import CpgTransitions
from afml.genomics.filters import read_exclusions, read_regions, require_overlap_in_names
from afml.genomics.frequencies import counted, frequency_field, open_panel, stated
from afml.genomics.presets import CPG, inside, outside, preset_regions
from afml.genomics.sites import SiteKey, SitePanel, is_sequence, trimmed
from afml.genomics.sources.record import CallSource, Record

DRAWN_PEOPLE = 500
"""People drawn where the panel VCF holds none, unless asked otherwise."""

AF_FIELD = "AF"
"""INFO field of its allele frequencies, one per ALT, unless asked otherwise."""

# Why a filter removes an ALT allele, in the order of the filters; more depend on the panel and the choice.
_NOT_SPELLED, _REPEATED, _EXCLUDED = "not a SNP or indel", "repeated", "in an excluded region"
_FAILED, _OUTSIDE = "failed FILTER", "outside of --regions"


@dataclass(frozen=True)
class SiteChoice:
    """Which sites of a public panel to keep.

    Attributes:
        sites: How many, at least 1.
        min_maf: Smallest minor-allele frequency in the panel.
        exclude: BED files of regions to leave out.
        af_field: INFO field of the frequencies in a file without people, or column of a table of them, by default
            `AF_FIELD`; or a name of `afml.genomics.frequencies.FREQUENCY_PRESETS`.
        drawn_people: People to draw where the file holds none, by default `DRAWN_PEOPLE`; at least 2.
        annotations: Files of VEP's that annotate the panel's sites, beside its INFO.
        filters: Whether records that failed FILTER are passed over (`pass`) or not (`any`).
        presets: Published regions to leave out, names of `afml.genomics.presets.PRESETS`, or `CPG`.
        fasta: Reference sequence, for `CPG`.
        regions: Where alone sites are chosen (`afml.genomics.filters.read_regions`); nothing is everywhere.
    """

    sites: int
    min_maf: float = 0.01
    exclude: Sequence[Path] = ()
    af_field: str | None = None
    drawn_people: int | None = None
    annotations: Sequence[Path] = ()
    filters: Filters = "pass"
    presets: Sequence[str] = ()
    fasta: Path | None = None
    regions: Sequence[str] = ()

    @property
    def field(self) -> str:
        """Where the frequencies of a file without people are."""
        return self.af_field or AF_FIELD

    def require_possible(self) -> None:
        """Refuse numbers with which nothing can be chosen.

        Raises:
            InputError: Says which.
        """
        if self.sites < 1:
            raise InputError(f"cannot choose {self.sites} sites", where="sites", cure="ask for at least 1")
        if self.drawn_people is not None and self.drawn_people < 2:
            problem = f"cannot draw a panel of {self.drawn_people}"
            raise InputError(problem, where="drawn people", cure="ask for at least 2")

    def require_no_draw(self, vcf: Path) -> None:
        """Refuse what is said of a panel without people and would not be used with one that holds some.

        Raises:
            InputError: Says what.
        """
        if self.af_field is not None:
            raise InputError(
                f"holds people: their genotypes give the frequencies, not INFO/{self.af_field}",
                where=vcf,
                cure="leave the frequency field out",
            )
        if self.drawn_people is not None:
            raise InputError(
                "holds people: none are drawn beside them",
                where=vcf,
                cure="leave the number of drawn people out",
            )


class Chosen(NamedTuple):
    """The sites that were chosen, and what became of the others.

    Attributes:
        panel: The sites.
        waterfall: (what, how many): the ALT alleles there were, those that each filter removed, those that are left.
    """

    panel: SitePanel
    waterfall: tuple[tuple[str, int], ...]


def build_site_panel(vcf: Path | Sequence[Path], choice: SiteChoice, *, progress: Step | None = None) -> SitePanel:
    """The sites of `choose_sites` alone."""
    return choose_sites(vcf, choice, progress=progress).panel


def choose_sites(vcf: Path | Sequence[Path], choice: SiteChoice, *, progress: Step | None = None) -> Chosen:
    """Choose the most common sites of the public panel.

    Filters, in this order: FILTER is PASS or absent; alleles spelled out in A, C, G, T; first of its kind (a
    repeated site is kept once); within `regions`, and not in an excluded one; at most 5 % missing calls; MAF at least
    `min_maf`. Of what is left, the `sites` with the highest MAF, ties to the earlier position; fewer if fewer are left.

    In a file without people the frequencies are those of `af_field`, and "at most 5 % missing calls" is
    replaced by "has one number in [0, 1] for this ALT".

    Args:
        vcf: The public panel (`afml.genomics.sources.opening`), with genotypes or with frequencies alone.
        choice: Which sites to keep.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable file, annotations of other sites, a BED file of other contigs, `af_field` or
            `drawn_people` for a file that holds people, or no site left (with the counts).
    """
    choice.require_possible()
    with open_panel(vcf, choice.field) as variants:
        read = partial(_filtered, variants, choice, progress)
        try:  # a library that reads it may end the process
            chosen, waterfall = in_children([read], 1)[0] if variants.fragile and not in_child() else read()
        except ChildDied as how:
            raise died_reading(variants.paths[0], how) from None
        drawn = not variants.samples
    beside = read_vep_output(choice.annotations, [site.key for site in chosen])
    harms = [site.harm.worst(beside.get(site.key, Harm())) for site in chosen]
    panel = SitePanel(
        chrom=[site.key[0] for site in chosen],
        pos=np.asarray([site.key[1] for site in chosen], dtype=np.int64),
        ref=[site.key[2] for site in chosen],
        alt=[site.key[3] for site in chosen],
        minor_is_alt=np.asarray([site.minor_is_alt for site in chosen], dtype=np.bool_),
        maf=np.asarray([site.maf for site in chosen], dtype=np.float64),
        annotations=np.asarray(
            [(2 * site.maf, harm.sift, harm.polyphen, harm.impact) for site, harm in zip(chosen, harms, strict=True)],
            dtype=np.float32,
        ),
        drawn_people=(choice.drawn_people or DRAWN_PEOPLE) if drawn else 0,
    )
    return Chosen(panel, waterfall)


def _filtered(
    variants: CallSource, choice: SiteChoice, progress: Step | None
) -> tuple[list[Candidate], tuple[tuple[str, int], ...]]:
    """The sites of a panel's file that are chosen, and what became of the others."""
    exclusions = read_exclusions(choice.exclude)
    only = read_regions(choice.regions) if choice.regions else None
    spans = None if only is None else [(contig, start + 1, end) for contig, start, end in only.intervals]
    excluded = [] if only is None else [(_OUTSIDE, outside(only))]
    excluded += [(_EXCLUDED, inside(regions)) for _, regions in exclusions]
    excluded += [(f"in {name}", inside(preset_regions(name))) for name in choice.presets if name != CPG]
    if variants.samples:
        choice.require_no_draw(variants.paths[0])
    with ExitStack() as stack:
        cpg = stack.enter_context(CpgTransitions(choice.fasta)) if CPG in choice.presets else None
        if cpg is not None:
            excluded.append((f"in {CPG}", cpg))
        filters = _Filters(choice, excluded, variants)
        for number, record in enumerate(variants.records(spans), start=1):
            if progress and number % 1000 == 0:
                progress.advance(1000)
            filters.pass_on(record)
        named = [*exclusions, *([("--regions", only)] if only is not None else [])]
        require_overlap_in_names(named, list(variants.contigs), variants.paths[0])
        if cpg is not None:
            cpg.require_contigs(filters.contigs)
    chosen = filters.chosen(variants.paths[0])
    return chosen, filters.waterfall(len(chosen))


class _Filters:
    """Filters the ALT alleles of records, keeps the most common ones, and counts why the others went."""

    def __init__(
        self, choice: SiteChoice, excluded: Sequence[tuple[str, Callable[[SiteKey], bool]]], variants: CallSource
    ) -> None:
        self._choice, self._excluded = choice, excluded
        self._annotator = Annotator(variants.info_description)
        self._field = None if variants.samples else frequency_field(choice.field, variants)
        self._unusable = (
            f"without one INFO/{self._field} in [0, 1] per ALT" if self._field is not None else "over 5 % missing"
        )
        self._rare = f"MAF below {choice.min_maf:g}"
        reasons = (_FAILED, _NOT_SPELLED, _REPEATED, *(why for why, _ in excluded), self._unusable, self._rare)
        self._removed = dict.fromkeys(reasons, 0)
        self._seen: set[SiteKey] = set()
        self._candidates: list[Candidate] = []
        self._floor = 0.0  # a site below it is not among the most common ones
        self._considered = 0

    def pass_on(self, record: Record) -> None:
        """Take those ALT alleles of a record that no filter removes."""
        if self._choice.filters == "pass" and failed(record.filters):
            self._considered += len(record.alleles) - 1
            self._removed[_FAILED] += len(record.alleles) - 1
            return
        # Filters are per ALT; the frequencies of a record are decoded once, and only if an ALT needs them.
        frequencies: list[float | None] | None = None
        for allele in range(1, len(record.alleles)):
            self._considered += 1
            key = self._key(record, allele)
            if isinstance(key, str):
                self._removed[key] += 1
                continue
            if frequencies is None:
                frequencies = stated(record, self._field) if self._field is not None else counted(record)
            frequency = frequencies[allele - 1]
            maf = 0.0 if frequency is None else min(frequency, 1 - frequency)
            if frequency is None:
                self._removed[self._unusable] += 1
            elif maf < self._choice.min_maf:
                self._removed[self._rare] += 1
            elif maf >= self._floor:
                self._keep(Candidate(key, maf, frequency <= 0.5, self._annotator.harm(record, allele)))

    def _key(self, record: Record, allele: int) -> SiteKey | str:
        """The site of one ALT, or why it is none."""
        ref, alt = record.alleles[0], record.alleles[allele]
        if ref == alt or not (is_sequence(ref) and is_sequence(alt)):
            return _NOT_SPELLED
        pos, ref, alt = trimmed(record.pos, ref, alt)
        key = (record.chrom, pos, ref, alt)
        if key in self._seen:
            return _REPEATED
        self._seen.add(key)
        for reason, is_left_out in self._excluded:
            if is_left_out(key):
                return reason
        return key

    def _keep(self, site: Candidate) -> None:
        self._candidates.append(site)
        if len(self._candidates) >= 4 * self._choice.sites + 1000:
            self._candidates = most_common(self._candidates, self._choice.sites)
            self._floor = self._candidates[-1].maf

    def chosen(self, vcf: Path) -> list[Candidate]:
        """The most common sites of all that passed, in genome order.

        Raises:
            InputError: None passed; the message says how many each filter removed.
        """
        if not self._candidates:
            counts = ", ".join(f"{count} {reason}" for reason, count in self._removed.items() if count)
            unusable = self._removed[self._unusable]
            no_frequencies = self._field is not None and unusable == max(self._removed.values()) > 0
            raise InputError(
                f"no site is left of {self._considered} ({counts or 'the file has no variant there'})",
                where=vcf,
                cure=_cure(no_frequencies),
            )
        return in_order(most_common(self._candidates, self._choice.sites))

    @property
    def contigs(self) -> set[str]:
        """Canonical contigs of the sites that were looked at."""
        return {key[0] for key in self._seen}

    def waterfall(self, kept: int) -> tuple[tuple[str, int], ...]:
        """What became of every ALT allele; see `Chosen`."""
        rest = self._considered - sum(self._removed.values()) - kept
        where = ", as far as --regions reach" if self._choice.regions else ""
        rows = [(f"ALT alleles in the panel's file{where}", self._considered), *self._removed.items()]
        return (*rows, ("less common than those chosen", rest), ("sites chosen", kept))


def _cure(no_frequencies: bool) -> str:
    if no_frequencies:
        return "name the INFO field of its frequencies, or give a panel with genotypes"
    return "loosen the filter that removed most"
