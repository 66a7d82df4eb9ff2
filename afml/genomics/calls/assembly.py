"""Which build of the human genome a file's positions count on, by what its header says.

Contig lengths are the evidence; a name (`##reference`, `assembly=` of a contig line, `##assembly`) counts where
there is no length, since such lines survive a change of the build. Lengths: the assemblies' own (NCBI
GCF_000001405.13, .26; GCF_000001405.12 for build 36; T2T-CHM13 v2.0 GCF_009914755.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import InputError
from afml.genomics.contigs import canonical, genome_order
from afml.genomics.sources.opening import open_source

_CONTIGS = (*map(str, range(1, 23)), "X", "Y")

LENGTHS: dict[str, tuple[int, ...]] = {
    "GRCh37": (
        249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431, 135534747,
        135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248, 59128983, 63025520,
        48129895, 51304566, 155270560, 59373566,
    ),
    "GRCh38": (
        248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717, 133797422,
        135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285, 58617616, 64444167,
        46709983, 50818468, 156040895, 57227415,
    ),
    "NCBI36": (
        247249719, 242951149, 199501827, 191273063, 180857866, 170899992, 158821424, 146274826, 140273252, 135374737,
        134452384, 132349534, 114142980, 106368585, 100338915, 88827254, 78774742, 76117153, 63811651, 62435964,
        46944323, 49691432, 154913754, 57772954,
    ),
    "T2T-CHM13": (
        248387328, 242696752, 201105948, 193574945, 182045439, 172126628, 160567428, 146259331, 150617247, 134758134,
        135127769, 133324548, 113566686, 101161492, 99753195, 96330374, 84276897, 80542538, 61707364, 66210255,
        45090682, 51324926, 154259566, 62460029,
    ),
}  # fmt: skip
"""Build -> lengths of chromosomes 1 to 22, X and Y, bases."""

_OF_LENGTH = {
    (contig, length): build
    for build, lengths in LENGTHS.items()
    for contig, length in zip(_CONTIGS, lengths, strict=True)
}
_NAMES = (
    ("T2T-CHM13", re.compile(r"chm13|t2t|(?<![a-z0-9])hs1(?![0-9])", re.IGNORECASE)),
    ("GRCh38", re.compile(r"grch38|hg38|hs38|(?<![a-z0-9])b38", re.IGNORECASE)),
    ("GRCh37", re.compile(r"grch37|hg19|hs37|(?<![a-z0-9])b37|g1k_v37|1kg_v37", re.IGNORECASE)),
    ("NCBI36", re.compile(r"ncbi36|hg18|(?<![a-z0-9])b36|g1k_b36", re.IGNORECASE)),
)
_WORD = re.compile(r'##(?:reference=|assembly=|contig=<.*?\bassembly=)("[^"]*"|[^,>]*)')

PSEUDOAUTOSOMAL: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "GRCh37": {
        "X": ((60001, 2699520), (154931044, 155260560)),
        "Y": ((10001, 2649520), (59034050, 59363566)),
    },
    "GRCh38": {
        "X": ((10001, 2781479), (155701383, 156030895)),
        "Y": ((10001, 2781479), (56887903, 57217415)),
    },
}
"""First and last base of the pseudoautosomal regions (Genome Reference Consortium, assembly pages of GRCh37 and
38)."""


@dataclass(frozen=True)
class Assembly:
    """What a header says of the build.

    Attributes:
        lengths: Canonical contig -> declared length.
        words: What `##reference`, `##assembly` and `assembly=` say.
    """

    lengths: Mapping[str, int]
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, contigs: Mapping[str, int | None], lines: Iterable[str] = ()) -> Assembly:
        """What a header says.

        Args:
            contigs: Contigs as spelled -> length where it is stated.
            lines: Meta lines, of which those on the reference are looked at.
        """
        known = {canonical(name): length for name, length in contigs.items() if length}
        words = [match.group(1).strip('"') for line in lines if (match := _WORD.match(line))]
        return cls(known, tuple(dict.fromkeys(words)))

    @property
    def build(self) -> str | None:
        """`GRCh37`, `GRCh38`, `NCBI36` or `T2T-CHM13`; None where the header does not say, or says two at once."""
        by_length = {_OF_LENGTH[one] for one in self.lengths.items() if one in _OF_LENGTH}
        if by_length:
            return by_length.pop() if len(by_length) == 1 else None
        if any(contig in _CONTIGS for contig in self.lengths):
            return None  # lengths of none of these, whatever a word says
        by_word = {build for word in self.words for build, pattern in _NAMES if pattern.search(word)}
        return by_word.pop() if len(by_word) == 1 else None

    def seen(self, contigs: Sequence[str]) -> str:
        """What of it shows the build, in words: a contig's length, or the first word on an assembly."""
        for contig in contigs:
            if contig in self.lengths:
                return f"contig {contig} of {self.lengths[contig]} bases" + (f", {self.build}" if self.build else "")
        word = next((word for word in self.words if any(pattern.search(word) for _, pattern in _NAMES)), "")
        return f"{word}, {self.build}" if self.build and word != self.build else word or "nothing"


def read_assembly(paths: Path | Sequence[Path]) -> Assembly:
    """What the header of some files that are read as one says.

    Raises:
        InputError: As `open_source`.
    """
    with open_source(paths, need_samples=False) as source:
        return Assembly.of(source.contigs, source.lines)


def require_one_build(ours: Assembly, path: Path, theirs: Assembly, panel: Path, contigs: Sequence[str]) -> None:
    """Refuse two files whose headers show that they count positions on different builds.

    Args:
        ours: Of the file to blame.
        path: It.
        theirs: Of the public panel.
        panel: The panel's file.
        contigs: Canonical contigs that the panel's sites are on.

    Raises:
        InputError: Says what was seen in both.
    """
    shared = sorted(set(contigs) & ours.lengths.keys() & theirs.lengths.keys(), key=genome_order)
    lengths = [contig for contig in shared if ours.lengths[contig] != theirs.lengths[contig]]
    builds = {ours.build, theirs.build} - {None}
    if not lengths and len(builds) < 2:
        return
    at = lengths or [*shared, *contigs]
    raise InputError(
        f"is of another build of the genome than {panel}: here {ours.seen(at)}; there {theirs.seen(at)}",
        where=path,
        cure="give files of one build (lift one of them over, or call it again)",
    )


def is_pseudoautosomal(build: str | None, chrom: str, pos: int) -> bool:
    """Whether a place on X or Y is in a pseudoautosomal region; of any build, where this one's are not known."""
    regions = [PSEUDOAUTOSOMAL[build]] if build in PSEUDOAUTOSOMAL else PSEUDOAUTOSOMAL.values()
    return any(first <= pos <= last for one in regions for first, last in one.get(chrom, ()))
