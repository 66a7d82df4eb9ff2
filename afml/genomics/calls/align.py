"""Indels in one form: shortest and leftmost, as `bcftools norm` writes them (Tan, Abecasis, Kang 2015).

An insertion or deletion inside a repeat can be written at several places. Where a FASTA of the reference is given,
every indel is moved to the leftmost one before it is compared; without one, only its shortest form is, and an indel
that may be the panel's at another place of the repeat is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import pysam

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.contigs import ContigNames, require_shared
from afml.genomics.sites import SiteKey, is_sequence

_WINDOW = 4096


class Aligner:
    """The reference sequence, read in windows.

    Args:
        path: FASTA, plain or bgzipped, with its `.fai`.

    Raises:
        InputError: It is missing, has no index, or is no FASTA.
    """

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "FASTA")
        if not path.with_name(path.name + ".fai").is_file():
            raise InputError("FASTA has no index", where=path, cure="make one with samtools faidx")
        try:
            self._fasta = pysam.FastaFile(str(path))
        except (OSError, ValueError):
            raise InputError(
                "FASTA cannot be read", where=path, cure="make its index again with samtools faidx"
            ) from None
        names = ContigNames(path)
        self._spelling = {names.canonical(name): name for name in self._fasta.references}
        self._held: tuple[str, int, str] = ("", 0, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._fasta.close()

    def require_contigs(self, contigs: Iterable[str]) -> None:
        """Refuse a FASTA that has none of some contigs.

        Raises:
            InputError: Names some of both.
        """
        require_shared(self._spelling.values(), self.path, contigs, "the site panel")

    def bases(self, chrom: str, pos: int, length: int) -> str:
        """Upper-case bases from 1-based `pos`; fewer at the end of a contig, none of a contig that is not there."""
        held, start, text = self._held
        if held != chrom or not start <= pos or pos + length > start + len(text):
            spelled = self._spelling.get(chrom)
            if spelled is None:
                return ""
            start = max(1, pos - _WINDOW // 2)
            stop = min(start + _WINDOW + length, self._fasta.get_reference_length(spelled) + 1)
            text = self._fasta.fetch(spelled, start - 1, max(start - 1, stop - 1)).upper()
            self._held = (chrom, start, text)
        return text[pos - start : pos - start + length]

    def normal(self, chrom: str, pos: int, ref: str, alt: str) -> SiteKey:
        """The shortest and leftmost form of one change.

        Raises:
            InputError: REF is not the reference's, so that nothing can be moved along it.
        """
        there = self.bases(chrom, pos, len(ref))
        if is_sequence(there) and there != ref:
            raise InputError(
                f"has other bases at {chrom}:{pos} than REF there",
                where=self.path,
                cure="give the FASTA of the build that the genotypes and the panel are on",
            )
        while pos > 1 or min(len(ref), len(alt)) > 1:
            if ref[-1] != alt[-1]:
                break
            if min(len(ref), len(alt)) == 1:
                before = self.bases(chrom, pos - 1, 1)
                if not before:
                    break
                pos, ref, alt = pos - 1, before + ref, before + alt
            ref, alt = ref[:-1], alt[:-1]
        while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
            pos, ref, alt = pos + 1, ref[1:], alt[1:]
        return chrom, pos, ref, alt


def is_rotation(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two indels (REF, ALT), each in shortest form, put in or take out the same letters up to a rotation.

    The same change written at two places of a repeat always does; two changes that do need not be the same.
    """
    letters, others = _letters(*one), _letters(*other)
    return letters is not None and others is not None and len(letters) == len(others) and letters in others * 2


def _letters(ref: str, alt: str) -> str | None:
    """What an anchored insertion puts in or a deletion takes out; None for another kind of change."""
    long, short = (alt, ref) if len(alt) > len(ref) else (ref, alt)
    if len(short) != 1 or len(long) == 1:
        return None
    if long[0] == short:
        return long[1:]
    return long[:-1] if long[-1] == short else None
