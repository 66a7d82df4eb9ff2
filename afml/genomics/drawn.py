"""People drawn from allele frequencies, for a consortium whose public panel holds none.

Every allele of every person at every site is the counted one with the site's frequency, alone: sites are
independent and in Hardy-Weinberg proportions. So such a panel knows how common a genotype is, and neither
which genotypes go together (linkage disequilibrium) nor who is related to whom (ancestry, kinship).

The draw is keyed by the digest of the site panel: the same people at every institution, on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.genomics.sites import SitePanel
from crypto.public.random import SeededRandom

_LABEL = "panel drawn from allele frequencies"


def draw_people(panel: SitePanel) -> NDArray[np.int8]:
    """The people of a panel that is known by its frequencies alone.

    Public randomness: whoever holds the site panel draws the same people, and learns from them what the
    frequencies say.

    Args:
        panel: A site panel with `drawn_people` above 0.

    Returns:
        int8 [drawn people, S], panel-minor dosage in {0, 1, 2}, Binomial(2, maf) each.

    Raises:
        ConfigError: The panel has people of its own.
    """
    people = panel.drawn_people
    if not people:
        raise ConfigError("this site panel comes from people; none are drawn", cure="read their genotypes")
    stream = SeededRandom(int(panel.digest(), 16), _LABEL)
    dosage = np.empty((people, len(panel)), dtype=np.int8)
    for site, frequency in enumerate(panel.maf):
        alleles = stream.uniform(2 * people).reshape(2, people) < frequency
        dosage[:, site] = alleles.sum(axis=0)
    return dosage
