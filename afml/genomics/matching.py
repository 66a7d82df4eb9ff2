"""Sites of a panel in records whose calls are read elsewhere: one allele to count for each."""

from __future__ import annotations

from collections.abc import Sequence

from afml.genomics.calls.alleles import Matcher
from afml.genomics.calls.states import State
from afml.genomics.sites import SitePanel


class SiteMatcher:
    """Looks records up in a site panel, by the rules of `afml.genomics.calls.alleles`."""

    def __init__(self, panel: SitePanel) -> None:
        self._matcher = Matcher(panel)

    def sites(self, chrom: str, pos: int, alleles: Sequence[str]) -> list[tuple[int, int]]:
        """The panel sites of one record.

        Args:
            chrom: Canonical contig name.
            pos: 1-based position of the record.
            alleles: REF, then every ALT, upper case.

        Returns:
            (site number, allele number whose copies are those of the panel's ALT) pairs. A record that lists an ALT
            twice has no such allele.
        """
        found = self._matcher.matches(chrom, pos, alleles, pos)
        return [
            (match.site, match.meaning.index(1))
            for match in found
            if match.state is not State.FLIPPED and match.meaning.count(1) == 1
        ]
