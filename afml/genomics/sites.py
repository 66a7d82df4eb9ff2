"""The site panel: which sites a consortium works on, and which allele of each is the rarer one.

A site is one (contig, position, REF, ALT). A record with several ALT alleles gives one site per ALT;
the dosage of such a site counts copies of that ALT, and every other allele counts as "not this ALT".
Alleles are trimmed to their shortest form (Tan, Abecasis, Kang 2015, without left alignment, which
needs the reference), so that a site split from a multi-allelic record meets the same site elsewhere.

Frequencies come from the public panel VCF only, over its complete calls.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file, write_bytes
from afml.core.progress import Task
from afml.genomics.annotations import Annotator, Harm
from afml.genomics.contigs import genome_order
from afml.genomics.filters import read_exclusions, require_overlap_in_names
from afml.genomics.reader import VariantFile, count_allele

ANNOTATIONS = ("maf", "sift", "polyphen", "impact")
"""Columns of `SitePanel.annotations`. `maf` is twice the panel MAF; see `annotations` for the others."""

MAX_MISSING = 0.05
"""Largest fraction of panel people whose call at a site may be missing."""

_FORMAT = "##afml_site_panel=1"
_DIGEST = "##sha256="
_COLUMNS = ("chrom", "pos", "ref", "alt", "minor", "maf", *(f"channel_{name}" for name in ANNOTATIONS))
_BASES = re.compile(r"^[ACGT]+$")

SiteKey = tuple[str, int, str, str]
"""(canonical contig, 1-based position, REF, ALT), trimmed."""


def trimmed(pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The shortest (position, REF, ALT) that says the same: common suffix, then common prefix removed."""
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return pos, ref, alt


def is_sequence(allele: str) -> bool:
    """Whether an allele is spelled out in A, C, G, T (not symbolic, not `*`, not ambiguous)."""
    return _BASES.match(allele) is not None


@dataclass(frozen=True, eq=False)
class SitePanel:
    """The agreed sites, in genome order. Columns of every dosage matrix refer to it.

    Attributes:
        chrom: Canonical contig names, S of them.
        pos: int64 [S], 1-based.
        ref: REF alleles, S of them.
        alt: ALT alleles, S of them.
        minor_is_alt: bool [S]; dosage counts ALT where true, the other alleles where false.
        maf: float64 [S], frequency of the counted allele in the public panel, at most 0.5.
        annotations: float32 [S, 4] in [0, 1], columns `ANNOTATIONS`.
    """

    chrom: list[str]
    pos: NDArray[np.int64]
    ref: list[str]
    alt: list[str]
    minor_is_alt: NDArray[np.bool_]
    maf: NDArray[np.float64]
    annotations: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.chrom)

    def __repr__(self) -> str:
        return f"SitePanel(sites={len(self)}, digest={self.digest()[:12]})"

    def key(self, site: int) -> SiteKey:
        """(contig, position, REF, ALT) of one site."""
        return self.chrom[site], int(self.pos[site]), self.ref[site], self.alt[site]

    def index(self) -> dict[SiteKey, int]:
        """Site number of every key."""
        return {self.key(site): site for site in range(len(self))}

    def to_minor(self, alt_copies: NDArray[np.int8]) -> NDArray[np.int8]:
        """Panel-minor dosage from copies of ALT; its own inverse.

        Args:
            alt_copies: int8 [people, S] in {0, 1, 2, -1}.

        Returns:
            int8 [people, S]; -1 stays -1.
        """
        flipped = np.where(alt_copies < 0, alt_copies, 2 - alt_copies).astype(np.int8)
        return np.where(self.minor_is_alt, alt_copies, flipped)

    def digest(self) -> str:
        """Hex SHA-256 of the canonical table: what institutions compare."""
        return hashlib.sha256(self._table()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the panel as a table with its digest (docs/DATA.md)."""
        write_bytes(path, f"{_FORMAT}\n{_DIGEST}{self.digest()}\n".encode() + self._table())

    @classmethod
    def load(cls, path: Path) -> SitePanel:
        """Read a panel written by `save`.

        Raises:
            InputError: Missing file, or not a site panel.
            IntegrityError: The table is not the one whose digest the file names.
        """
        require_file(path, "site panel")
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
        if len(lines) < 3 or lines[0] != _FORMAT or lines[2].split("\t") != list(_COLUMNS):
            raise InputError("is not a site panel", where=path, cure="make one with 'afml panel'")
        rows = [line.split("\t") for line in lines[3:]]
        try:
            panel = cls(
                chrom=[row[0] for row in rows],
                pos=np.asarray([int(row[1]) for row in rows], dtype=np.int64),
                ref=[row[2] for row in rows],
                alt=[row[3] for row in rows],
                minor_is_alt=np.asarray([row[4] == "alt" for row in rows], dtype=np.bool_),
                maf=np.asarray([float(row[5]) for row in rows], dtype=np.float64),
                annotations=np.asarray(
                    [[float(value) for value in row[6:10]] for row in rows], dtype=np.float32
                ).reshape(len(rows), len(ANNOTATIONS)),
            )
        except (ValueError, IndexError):
            raise InputError("site panel has a malformed line", where=path, cure="fetch it again") from None
        if panel.digest() != lines[1].removeprefix(_DIGEST):
            raise IntegrityError(
                "site panel was changed after it was made", where=path, cure="fetch it again"
            )
        return panel

    def _table(self) -> bytes:
        rows = ["\t".join(_COLUMNS)]
        for site in range(len(self)):
            minor = "alt" if self.minor_is_alt[site] else "ref"
            numbers = (repr(float(self.maf[site])), *(str(value) for value in self.annotations[site]))
            rows.append("\t".join((*map(str, self.key(site)), minor, *numbers)))
        return ("\n".join(rows) + "\n").encode()


@dataclass(frozen=True)
class _Candidate:
    """A site that passed the filters."""

    key: SiteKey
    maf: float
    minor_is_alt: bool
    harm: Harm


def build_site_panel(
    vcf: Path,
    *,
    sites: int,
    min_maf: float = 0.01,
    exclude: Sequence[Path] = (),
    progress: Task | None = None,
) -> SitePanel:
    """Choose the most common sites of the public panel.

    Filters, in this order: alleles spelled out in A, C, G, T; first of its kind (a repeated site is
    kept once); not in an excluded region; at most 5 % missing calls; MAF at least `min_maf`. Of what
    is left, the `sites` with the highest MAF, ties to the earlier position; fewer if fewer are left.

    Args:
        vcf: The public panel, bgzipped VCF or BCF.
        sites: How many sites to keep.
        min_maf: Smallest minor-allele frequency in the panel.
        exclude: BED files of regions to leave out.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable file, a BED file of other contigs, or no site left (with the counts).
    """
    if sites < 1:
        raise InputError(f"cannot choose {sites} sites", where="sites", cure="ask for at least 1")
    exclusions = read_exclusions(exclude)
    removed = dict.fromkeys(
        (
            "not a SNP or indel",
            "repeated",
            "in an excluded region",
            "over 5 % missing",
            f"MAF below {min_maf:g}",
        ),
        0,
    )
    not_spelled, repeated, excluded, missing, rare = removed
    seen: set[SiteKey] = set()
    candidates: list[_Candidate] = []
    floor = 0.0
    considered = 0
    with VariantFile(vcf) as variants:
        annotator = Annotator(variants.info_description)
        # Filters are per ALT; the genotypes of a record are decoded once, and only if an ALT needs them.
        for number, record in enumerate(variants, start=1):
            if progress and number % 1000 == 0:
                progress.advance(1000)
            calls: NDArray[np.int16] | None = None
            for allele in range(1, len(record.alleles)):
                considered += 1
                if not (is_sequence(record.alleles[0]) and is_sequence(record.alleles[allele])):
                    removed[not_spelled] += 1
                    continue
                pos, ref, alt = trimmed(record.pos, record.alleles[0], record.alleles[allele])
                key = (record.chrom, pos, ref, alt)
                if key in seen:
                    removed[repeated] += 1
                    continue
                seen.add(key)
                if any(regions.overlaps(record.chrom, pos, len(ref)) for _, regions in exclusions):
                    removed[excluded] += 1
                    continue
                if calls is None:
                    calls = record.calls()
                copies, complete = _frequency(calls, allele)
                if complete == 0 or complete < (1 - MAX_MISSING) * len(calls):
                    removed[missing] += 1
                    continue
                frequency = copies / (2 * complete)
                maf = min(frequency, 1 - frequency)
                if maf < min_maf:
                    removed[rare] += 1
                    continue
                if maf < floor:
                    continue
                candidates.append(_Candidate(key, maf, frequency <= 0.5, annotator.harm(record, allele)))
                if len(candidates) >= 4 * sites + 1000:
                    candidates = _most_common(candidates, sites)
                    floor = candidates[-1].maf
        require_overlap_in_names(exclusions, variants.contigs, vcf)
    if not candidates:
        counts = ", ".join(f"{count} {reason}" for reason, count in removed.items() if count)
        raise InputError(
            f"no site is left of {considered} ({counts or 'the file has no variant'})",
            where=vcf,
            cure="loosen the filter that removed most",
        )
    chosen = sorted(_most_common(candidates, sites), key=_genome_order)
    return SitePanel(
        chrom=[site.key[0] for site in chosen],
        pos=np.asarray([site.key[1] for site in chosen], dtype=np.int64),
        ref=[site.key[2] for site in chosen],
        alt=[site.key[3] for site in chosen],
        minor_is_alt=np.asarray([site.minor_is_alt for site in chosen], dtype=np.bool_),
        maf=np.asarray([site.maf for site in chosen], dtype=np.float64),
        annotations=np.asarray(
            [(2 * site.maf, site.harm.sift, site.harm.polyphen, site.harm.impact) for site in chosen],
            dtype=np.float32,
        ),
    )


def _genome_order(site: _Candidate) -> tuple[tuple[int, str], int, str, str]:
    chrom, pos, ref, alt = site.key
    return genome_order(chrom), pos, ref, alt


def _most_common(candidates: list[_Candidate], sites: int) -> list[_Candidate]:
    return sorted(candidates, key=lambda site: (-site.maf, _genome_order(site)))[:sites]


def _frequency(calls: NDArray[np.int16], allele: int) -> tuple[int, int]:
    """(copies of the allele, complete calls) of allele numbers [people, ploidy]."""
    dosage = count_allele(calls, allele)
    complete = dosage >= 0
    return int(dosage[complete].sum()), int(complete.sum())
