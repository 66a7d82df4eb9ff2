"""Records out of hand-written lines, by the most obvious code there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.genomics.calls.site_calls import Rules, SiteCalls
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import NoGenotypes


class Line:
    """`22 10 . A C,T . PASS END=12 GT:GQ 0/1:20 ./.:.`, fields separated by spaces."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        self.chrom, self.pos, self.where = fields[0], int(fields[1]), Path("own.vcf.gz")
        self.alleles = (fields[3], *([] if fields[4] == "." else fields[4].split(",")))
        self.filters = () if fields[6] in (".", "PASS") else tuple(fields[6].split(";"))
        ends = [one for one in fields[7].split(";") if one.startswith("END=")]
        self.end = int(ends[0][4:]) if ends else self.pos + len(fields[3]) - 1
        keys = fields[8].split(":")
        self._columns = [dict(zip(keys, column.split(":"), strict=False)) for column in fields[9:]]
        self._keys = keys

    def calls(self) -> NDArray[np.int16]:
        if "GT" not in self._keys:
            raise NoGenotypes("record has no GT field")
        found = []
        for column in self._columns:
            alleles = column["GT"].replace("|", "/").split("/")
            found.append([-1 if one == "." else int(one) for one in alleles] + [-2] * (2 - len(alleles)))
        return np.array(found, dtype=np.int16)

    def texts(self, field: str) -> list[str] | None:
        return [column.get(field, ".") for column in self._columns] if field in self._keys else None

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        texts = self.texts(field)
        if texts is None:
            return None
        rows = [[np.nan if one == "." else float(one) for one in text.split(",")] for text in texts]
        width = max(map(len, rows))
        return np.array([row + [np.nan] * (width - len(row)) for row in rows], dtype=np.float32)


class Taken:
    """Lines taken one after the other into a matrix of calls, int8 [S, people, 2]."""

    def __init__(self, panel: SitePanel, people: int, rules: Rules | None = None) -> None:
        self.calls = np.full((len(panel), people, 2), -1, dtype=np.int8)
        self.panel, self.build = panel, (rules or Rules()).build
        self._taker = SiteCalls(panel, people, rules or Rules(), lambda site: self.calls[site])
        self.tally = self._taker.tally

    def add(self, lines: Sequence[str]) -> Taken:
        for line in lines:
            for site, calls in self._taker.take(Line(line)):
                self.calls[site] = calls
        return self

    @property
    def copies(self) -> list[list[int]]:
        """Copies of every site's ALT per person, -1 missing."""
        found = np.where((self.calls < 0).any(axis=2), -1, self.calls.sum(axis=2))
        return [[int(one) for one in row] for row in found]


def panel_of(*rows: str, alt_frequency: Sequence[float] | None = None) -> SitePanel:
    """`22 10 A C` a row; frequencies of ALT, by default 0.3."""
    split = [row.split() for row in rows]
    frequency = np.array(alt_frequency or [0.3] * len(rows))
    return SitePanel(
        chrom=[row[0] for row in split],
        pos=np.array([int(row[1]) for row in split], dtype=np.int64),
        ref=[row[2] for row in split],
        alt=[row[3] for row in split],
        minor_is_alt=frequency <= 0.5,
        maf=np.minimum(frequency, 1 - frequency),
        annotations=np.zeros((len(rows), 4), dtype=np.float32),
    )


def taken(panel: SitePanel, *lines: str, rules: Rules | None = None) -> Taken:
    """A file of some lines, all with the same number of people."""
    return Taken(panel, len(lines[0].split()) - 9, rules).add(lines)
