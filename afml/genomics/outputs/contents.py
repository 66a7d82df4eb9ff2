"""What a released file shows, and nothing else that a writer could write by mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sites import SitePanel


@dataclass(frozen=True, eq=False)
class Contents:
    """Records, most of which several people share; a writer sees one site of all of them at a time.

    Attributes:
        panel: The sites.
        names: Of the columns: pseudonyms.
        header: Lines `##afml_<key>=<value>`.
        alt_copies: Copies of ALT in every record that there is, -1 where it shows nothing, int8 [records, S].
        shows: The record that each column shows, int64 [people].
    """

    panel: SitePanel
    names: Sequence[str]
    header: Sequence[str]
    alt_copies: NDArray[np.int8]
    shows: NDArray[np.int64]

    def contigs(self) -> dict[str, range]:
        """Sites of every contig, contigs in the order of the panel, whose sites are in genome order."""
        starts = {contig: site for site, contig in reversed(list(enumerate(self.panel.chrom)))}
        ordered = sorted(starts, key=lambda contig: starts[contig])
        ends = [*(starts[contig] for contig in ordered[1:]), len(self.panel)]
        return {contig: range(starts[contig], end) for contig, end in zip(ordered, ends, strict=True)}

    def of(self, sites: range) -> list[str]:
        """Contigs of some sites, in the order of the panel."""
        return list(dict.fromkeys(self.panel.chrom[sites.start : sites.stop]))

    def genotypes(self, sites: range, coded: NDArray[np.generic]) -> Iterator[bytes]:
        """What every column shows, site by site.

        Args:
            sites: Which.
            coded: A genotype in the form of a file, by ALT copies; the last entry is that of nothing shown, [4].

        Yields:
            The columns of one site, coded, one after the other.
        """
        people = len(self.shows)
        for site in sites:
            records = self.alt_copies[:, site]
            if (records == records[0]).all():  # most sites of a release: the same for everybody
                yield coded[records[:1]].tobytes() * people
            else:
                yield coded[records][self.shows].tobytes()


class Form(Protocol):
    """A form of released files.

    Attributes:
        suffix: How their names end.
        indexes: How the names of indexes beside them end, after theirs.
    """

    suffix: str
    indexes: tuple[str, ...]

    def write(self, out: Path, contents: Contents, sites: range, *, csi: bool) -> None:
        """Write some sites of a release to `out`, whole or not at all, with its index.

        Args:
            out: Path; its name ends with `suffix`.
            contents: What is released.
            sites: Which sites this file holds.
            csi: Index by CSI where the form has several indexes.
        """
        ...
