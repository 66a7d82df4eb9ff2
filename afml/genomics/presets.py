"""Regions that many studies leave out, by build: small, published, and named with their source.

`--exclude-preset GRCh38-centromeres` leaves out what is inside, beside the BED files of `--exclude`. Larger sets (the
ENCODE blacklist, low-complexity regions) are files of their publishers: give them with `--exclude`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from afml.core.errors import InputError
from afml.genomics.calls.assembly import LENGTHS
from afml.genomics.filters import Regions
from afml.genomics.sites import SiteKey

_CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y")
# 0-based first base; every gap is 3,000,000 bases long.
_CENTROMERE_GAPS = (
    121535434, 92326171, 90504854, 49660117, 46405641, 58830166, 58054331, 43838887, 47367679, 39254935, 51644205,
    34856694, 16000000, 16000000, 17000000, 35335801, 22263006, 15460898, 24681782, 26369569, 11288129, 13000000,
    58632012, 10104553,
)  # fmt: skip
_GAP = 3_000_000
_CENTROMERE_MODELS = (
    (122026459, 124932724), (92188145, 94090557), (90772458, 93655574), (49712061, 51743951), (46485900, 50059807),
    (58553888, 59829934), (58169653, 61528020), (44033744, 45877265), (43389635, 45518558), (39686682, 41593521),
    (51078348, 54425074), (34769407, 37185252), (16000000, 18051248), (16000000, 18173523), (17083673, 19725254),
    (36311158, 38265669), (22813679, 26616164), (15460899, 20861206), (24498980, 27190874), (26436232, 30038348),
    (10864560, 12915808), (12954788, 15054318), (58605579, 62412542), (10316944, 10544039),
)  # fmt: skip
_TELOMERE = 10_000

_Intervals = tuple[tuple[str, int, int], ...]


class Preset(NamedTuple):
    """A set of regions.

    Attributes:
        intervals: (contig, start, end), 0-based and half-open.
        source: Who published them.
    """

    intervals: _Intervals
    source: str


def _on_all(spans: Iterable[tuple[int, int]]) -> _Intervals:
    return tuple((name, *span) for name, span in zip(_CHROMOSOMES, spans, strict=True))


def _ends(build: str) -> _Intervals:
    lengths = LENGTHS[build]
    return _on_all((0, _TELOMERE) for _ in lengths) + _on_all((length - _TELOMERE, length) for length in lengths)


_TELOMERES = "first and last 10,000 bases of each chromosome: telomere gaps of UCSC's gap track"
_MHC = "the MHC as the Genome Reference Consortium bounds it (region MHC)"
PRESETS: dict[str, Preset] = {
    "GRCh37-centromeres": Preset(
        _on_all((start, start + _GAP) for start in _CENTROMERE_GAPS),
        "gaps of type centromere, UCSC's gap track of hg19",
    ),
    "GRCh38-centromeres": Preset(
        _on_all(_CENTROMERE_MODELS),
        "centromere models of the assembly (UCSC's centromeres track of hg38), from the first to the last of each "
        "chromosome; Miga et al., Genome Research 2014, doi:10.1101/gr.159624.113",
    ),
    "GRCh37-telomeres": Preset(_ends("GRCh37"), _TELOMERES),
    "GRCh38-telomeres": Preset(_ends("GRCh38"), _TELOMERES),
    "GRCh37-mhc": Preset((("6", 28477796, 33448354),), _MHC),
    "GRCh38-mhc": Preset((("6", 28510119, 33480577),), _MHC),
    "rCRS-hypervariable": Preset(
        (("MT", 56, 372), ("MT", 437, 574), ("MT", 16023, 16383)),
        "HV-II, HV-III and HV-I of the mitochondrial control region, 57-372, 438-574 and 16024-16383 of rCRS (MITOMAP)",
    ),
}
"""Name -> regions; a name begins with the build that it is of."""


CPG = "CpG-transitions"
"""The preset that needs a reference sequence instead of regions (`afml.genomics.cpg`)."""


def preset_regions(name: str) -> Regions:
    """The regions of a preset.

    Raises:
        InputError: There is no such preset.
    """
    if name not in PRESETS:
        raise InputError(
            f"there is no preset {name!r}", where="--exclude-preset", cure=f"use {', '.join((*PRESETS, CPG))}"
        )
    return Regions(PRESETS[name].intervals, [contig for contig, _, _ in PRESETS[name].intervals])


def inside(regions: Regions) -> Callable[[SiteKey], bool]:
    """Whether a base of a site's REF is in some regions."""
    return lambda key: regions.overlaps(key[0], key[1], len(key[2]))


def outside(regions: Regions) -> Callable[[SiteKey], bool]:
    """Whether no base of a site's REF is in some regions."""
    return lambda key: not regions.overlaps(key[0], key[1], len(key[2]))


def require_build(names: Sequence[str], build: str | None, where: Path) -> None:
    """Refuse regions of another build than that of the panel's file; where no header says one, all pass.

    Raises:
        InputError: Likewise.
    """
    for name in names:
        of = name.partition("-")[0]
        if build is not None and of in LENGTHS and of != build:
            problem = f"is on {build}, and the regions of {name} are on {of}"
            raise InputError(problem, where=where, cure="give the --exclude-preset of the same build")
