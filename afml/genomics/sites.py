"""The site panel: which sites a consortium works on, and which allele of each is the rarer one.

A site is one (contig, position, REF, ALT). A record with several ALT alleles gives one site per ALT;
the dosage of such a site counts copies of that ALT, and every other allele counts as "not this ALT".
Alleles are trimmed to their shortest form (Tan, Abecasis, Kang 2015, without left alignment, which
needs the reference), so that a site split from a multi-allelic record meets the same site elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file, write_bytes

ANNOTATIONS = ("maf", "sift", "polyphen", "impact")
"""Columns of `SitePanel.annotations`. `maf` is twice the panel MAF; see `annotations` for the others."""

_FORMAT = "##afml_site_panel=1"
_DIGEST = "##sha256="
_DRAWN = "##drawn_people="
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
        drawn_people: 0 for a panel of people; else the panel is known by its frequencies alone, and this many
            people are drawn from them.
    """

    chrom: list[str]
    pos: NDArray[np.int64]
    ref: list[str]
    alt: list[str]
    minor_is_alt: NDArray[np.bool_]
    maf: NDArray[np.float64]
    annotations: NDArray[np.float32]
    drawn_people: int = 0

    def __len__(self) -> int:
        return len(self.chrom)

    def __repr__(self) -> str:
        return f"SitePanel(sites={len(self)}, digest={self.digest()[:12]})"

    @property
    def drawn_note(self) -> str:
        """What results say of a panel without people; empty for a panel of people."""
        if not self.drawn_people:
            return ""
        return f"panel drawn from allele frequencies: {self.drawn_people} people, independent sites"

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
        write_bytes(path, self.text())

    def text(self) -> bytes:
        """What `save` writes."""
        return f"{_FORMAT}\n{_DIGEST}{self.digest()}\n".encode() + self._table()

    @classmethod
    def load(cls, path: Path) -> SitePanel:
        """Read a panel written by `save`.

        Raises:
            InputError: Missing file, or not a site panel.
            IntegrityError: The table is not the one whose digest the file names.
        """
        return cls.parse(require_file(path, "site panel").read_bytes(), path)

    @classmethod
    def parse(cls, text: bytes, path: Path) -> SitePanel:
        """Read what `text` gives.

        Args:
            text: The table with its digest.
            path: Where it is from, to blame.

        Raises:
            InputError: Not a site panel.
            IntegrityError: The table is not the one whose digest it names.
        """
        lines = text.decode("utf-8", "replace").splitlines()
        drawn = lines.pop(2).removeprefix(_DRAWN) if len(lines) > 2 and lines[2].startswith(_DRAWN) else "0"
        if len(lines) < 3 or lines[0] != _FORMAT or lines[2].split("\t") != list(_COLUMNS):
            raise InputError("is not a site panel", where=path, cure="make one with 'afml prepare'")
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
                drawn_people=int(drawn),
            )
        except (ValueError, IndexError):
            raise InputError("site panel has a malformed line", where=path, cure="fetch it again") from None
        if panel.digest() != lines[1].removeprefix(_DIGEST):
            raise IntegrityError("site panel was changed after it was made", where=path, cure="fetch it again")
        return panel

    def _table(self) -> bytes:
        rows = [f"{_DRAWN}{self.drawn_people}"] if self.drawn_people else []
        rows.append("\t".join(_COLUMNS))
        numbers = [_texts(self.maf), *(_texts(column) for column in self.annotations.T)]
        minor = ["alt" if is_alt else "ref" for is_alt in self.minor_is_alt.tolist()]
        columns = (self.chrom, map(str, self.pos.tolist()), self.ref, self.alt, minor, *numbers)
        rows += map("\t".join, zip(*columns, strict=True))
        return ("\n".join(rows) + "\n").encode()


def _texts(numbers: NDArray[np.floating[Any]]) -> list[str]:
    """Each number as the shortest text that reads back to it; few of many are different."""
    values, which = np.unique(numbers, return_inverse=True)
    texts = [str(value) for value in values]
    return [texts[place] for place in which.tolist()]
