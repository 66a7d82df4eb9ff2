"""What PLINK writes beside its genotypes: tables of sites (.bim, .pvar) and of people (.fam, .psam)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import read_text, require_file
from afml.genomics.contigs import ContigNames
from afml.genomics.filters import Regions
from afml.genomics.sources.record import Span, describe_names

_NONE = ("0", ".")
_SEXES = {"1": 1, "M": 1, "2": 2, "F": 2}
_TABLES = {".bed": ".fam", ".pgen": ".psam"}
_POSITION = re.compile(r"[0-9]{1,10}\Z")
_CONTIG = re.compile(r"##contig=<ID=([^,>]+)(?:.*?length=(\d+))?")


@dataclass
class PlinkSites:
    """The sites of a PLINK file, in its order.

    Attributes:
        names: Contig names as spelled and as they are here.
        chrom: Canonical contigs.
        pos: int64 [sites], 1-based.
        alleles: REF, then every ALT, in upper case.
        filters: What each failed.
        lines: Meta lines of a .pvar.
        lengths: Contigs whose length these state.
    """

    names: ContigNames
    chrom: list[str]
    pos: NDArray[np.int64]
    alleles: list[tuple[str, ...]]
    filters: list[tuple[str, ...]]
    lines: list[str]
    lengths: dict[str, int | None]

    def touching(self, spans: Sequence[Span] | None) -> NDArray[np.int64]:
        """Numbers of the sites that touch some spans; None is everywhere."""
        if spans is None:
            return np.arange(len(self.chrom))
        wanted = Regions((contig, first - 1, last) for contig, first, last in spans)
        rows = zip(self.chrom, self.pos.tolist(), self.alleles, strict=True)
        return np.asarray(
            [n for n, row in enumerate(rows) if wanted.overlaps(row[0], row[1], len(row[2][0]))], dtype=np.int64
        )


def read_bim(path: Path) -> PlinkSites:
    """The sites of a .bim: its second allele is taken as REF, which PLINK 2 writes and PLINK 1 does not know.

    Raises:
        InputError: Missing, or a line that is none of a .bim, with its number.
    """
    return _sites(path, _rows(path, "PLINK sites (.bim)"), {"chrom": 0, "pos": 3, "ref": 5, "alt": 4, "width": 6})


def read_pvar(path: Path) -> PlinkSites:
    """The sites of a .pvar, with a header line or in the columns of a .bim.

    Raises:
        InputError: Missing, or a line that is none of a .pvar, with its number.
    """
    rows = list(_rows(path, "PLINK 2 sites (.pvar)", split=False))
    lines = [row for _, (row,) in rows if row.startswith("##")]
    body = [(number, row) for number, (row,) in rows if not row.startswith("##")]
    columns = {"chrom": 0, "pos": 3, "ref": 5, "alt": 4, "width": 6}
    if body and body[0][1].startswith("#CHROM"):
        header = body.pop(0)[1].lstrip("#").split()
        try:
            columns = {name.lower(): header.index(name) for name in ("CHROM", "POS", "REF", "ALT")}
        except ValueError:
            raise InputError(
                "header lacks POS, REF or ALT", where=path, cure="write it with plink2 --make-pgen"
            ) from None
        columns |= {"width": len(header)} | ({"filter": header.index("FILTER")} if "FILTER" in header else {})
    return _sites(path, ((number, row.split()) for number, row in body), columns, lines)


def read_people(path: Path, what: str) -> list[str]:
    """Names of the people of a .fam or .psam: the individual IDs.

    Raises:
        InputError: Missing, a line without an ID, or an ID that stands twice.
    """
    column, names = 1, []
    for number, fields in _rows(path, what):
        if fields[0].startswith("#"):
            header = [field.lstrip("#") for field in fields]
            if "IID" in header:
                column = header.index("IID")
            continue
        if len(fields) <= column:
            raise InputError(f"line {number} has no individual ID", where=path, cure="correct this line")
        names.append(fields[column])
    doubles = [name for name, times in Counter(names).items() if times > 1]
    if doubles:
        raise InputError(f"names {describe_names(doubles)} more than once", where=path, cure="give every person an ID")
    return names


def read_sexes_beside(path: Path) -> dict[str, int]:
    """What the table of people beside a .bed or .pgen says of their sex: name -> 1 male, 2 female; of others nothing.

    Args:
        path: A file of calls; one of another kind has no such table.
    """
    name, sex, found = 1, 4, {}
    table = path.with_suffix(_TABLES.get(path.suffix, ".none"))
    for _, fields in _rows(table, "PLINK people") if path.suffix in _TABLES and table.is_file() else ():
        if fields[0].startswith("#"):
            header = [field.lstrip("#") for field in fields]
            if "IID" in header:
                name, sex = header.index("IID"), header.index("SEX") if "SEX" in header else len(header)
        elif len(fields) > max(name, sex) and fields[sex].upper() in _SEXES:
            found[fields[name]] = _SEXES[fields[sex].upper()]
    return found


def beside(path: Path, suffix: str) -> Path:
    """The table that stands beside a PLINK file: `cohort.bed` has `cohort.bim`."""
    return require_file(path.with_suffix(suffix), f"PLINK's {suffix}", f"put it beside {path.name}")


def _rows(path: Path, what: str, *, split: bool = True) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_text(path, what).splitlines(), start=1):
        if line.strip():
            yield number, line.split() if split else [line]


def _sites(
    path: Path, rows: Iterator[tuple[int, list[str]]], columns: dict[str, int], lines: Sequence[str] = ()
) -> PlinkSites:
    names, chrom, pos = ContigNames(path), [], []
    alleles: list[tuple[str, ...]] = []
    filters: list[tuple[str, ...]] = []
    for number, fields in rows:
        if len(fields) < columns["width"] or not _POSITION.match(fields[columns["pos"]]):
            raise InputError(f"line {number} is no site", where=path, cure="correct this line")
        chrom.append(names.canonical(fields[columns["chrom"]]))
        pos.append(int(fields[columns["pos"]]))
        ref, alt = fields[columns["ref"]].upper(), fields[columns["alt"]].upper()
        alts = [] if alt in _NONE else alt.split(",")
        if "" in alts:
            raise InputError(f"line {number} has an ALT without a letter", where=path, cure="correct this line")
        alleles.append((ref, *alts))
        failed = fields[columns["filter"]] if "filter" in columns else "."
        filters.append(() if failed in ("PASS", ".") else tuple(failed.split(";")))
    found = [match for line in lines if (match := _CONTIG.match(line))]
    lengths = {match[1]: int(match[2]) if match[2] else None for match in found}
    return PlinkSites(names, chrom, np.asarray(pos, dtype=np.int64), alleles, filters, list(lines), lengths)
