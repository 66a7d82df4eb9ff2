"""Hypermutable sites: transitions at CpG dinucleotides, about ten times as frequent as other point mutations.

C in CpG is methylated and deaminates to T (Nachman and Crowell 2000, Genetics 156:297-304). Which allele is the older
one does not matter: a site is left out where one of its alleles makes a CpG of the reference around it and the other is
the transition of that C or G.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from afml.core.errors import InputError
from afml.genomics.calls.align import Aligner
from afml.genomics.presets import CPG
from afml.genomics.sites import SiteKey


class CpgTransitions:
    """Which sites are transitions at a CpG.

    Args:
        fasta: The reference, with its `.fai`.

    Raises:
        InputError: There is none, or as `Aligner`.
    """

    def __init__(self, fasta: Path | None) -> None:
        if fasta is None:
            raise InputError("needs a reference sequence", where=f"--exclude-preset {CPG}", cure="give --fasta")
        self._reference = Aligner(fasta)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reference.__exit__(*_)

    def __call__(self, site: SiteKey) -> bool:
        """Whether a site is one."""
        chrom, pos, ref, alt = site
        if {ref, alt} == {"C", "T"}:
            return self._reference.bases(chrom, pos + 1, 1) == "G"
        return {ref, alt} == {"A", "G"} and pos > 1 and self._reference.bases(chrom, pos - 1, 1) == "C"

    def require_contigs(self, contigs: Iterable[str]) -> None:
        """Refuse a reference that has none of some contigs.

        Raises:
            InputError: Names some of both.
        """
        self._reference.require_contigs(contigs)
