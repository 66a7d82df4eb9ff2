"""Contig names: "chr22" and "22" are the same chromosome, written by two conventions.

Everything inside AFML uses one canonical name: no "chr" prefix, "MT" for the mitochondrion. Files
keep their own spelling; a file that uses two spellings of one contig is refused, and so are two
files that share no contig at all, because the empty result that follows would look like an answer.

The genome is a human one: PLINK's numbers for X, Y, the part of X that pairs, and the mitochondrion (23 to 26, and
`XY`, `PAR1`, `PAR2`) are these. Positions of the part that pairs are positions on X, so a file may name it beside X.
"""

from __future__ import annotations

from collections.abc import Iterable

from afml.core.errors import InputError

_SEXES_AND_MITOCHONDRION = {"X": 23, "Y": 24, "MT": 25}
_PAIRING = frozenset({"25", "XY", "PAR1", "PAR2"})
_ALSO = {"X": "X", "23": "X", **dict.fromkeys(_PAIRING, "X"), "Y": "Y", "24": "Y", "M": "MT", "MT": "MT", "26": "MT"}


def canonical(name: str) -> str:
    """The canonical name of one contig: `chr22` -> `22`, `chrM` -> `MT`, `23` -> `X`, others unchanged."""
    bare = _bare(name)
    return _ALSO.get(bare.upper(), bare)


def _bare(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def genome_order(name: str) -> tuple[int, str]:
    """Sort key of a canonical name: 1..22, X, Y, MT, then every other contig by name."""
    if name.isascii() and name.isdigit():
        number = int(name)
        # Autosomes 23 and up of other species come after MT, so that human order stays X, Y, MT.
        return (number if number < 23 else number + 3, "")
    return (_SEXES_AND_MITOCHONDRION.get(name, 1 << 30), name)


class ContigNames:
    """The contig names of one file, each mapped to its canonical name as it is met.

    Args:
        where: The file, for error messages.
    """

    def __init__(self, where: object) -> None:
        self._where = where
        self._canonical: dict[str, str] = {}
        self._spelling: dict[str, str] = {}

    def canonical(self, name: str) -> str:
        """The canonical name of `name`.

        Raises:
            InputError: The file has already used another spelling of the same contig.
        """
        known = self._canonical.get(name)
        if known is not None:
            return known
        result = canonical(name)
        # The part of X that pairs has a name of its own beside X.
        first = name if _bare(name).upper() in _PAIRING else self._spelling.setdefault(result, name)
        if first != name:
            raise InputError(
                f"holds both '{first}' and '{name}', two names of one contig",
                where=self._where,
                cure="rename the contigs to one convention (bcftools annotate --rename-chrs)",
            )
        self._canonical[name] = result
        return result

    @property
    def spellings(self) -> list[str]:
        """The file's own spellings met so far, in genome order."""
        return sorted(self._canonical, key=lambda name: genome_order(self._canonical[name]))


def require_shared(left: Iterable[str], left_file: object, right: Iterable[str], right_file: object) -> None:
    """Refuse two files that name no contig in common.

    Args:
        left: Contig names (any spelling) of `left_file`, the file that the message blames.
        left_file: Path of the first file.
        right: Contig names (any spelling) of `right_file`.
        right_file: Path of the second file.

    Raises:
        InputError: Both name contigs, and none in common even after dropping "chr".
    """
    ours, theirs = sorted(set(left)), sorted(set(right))
    if ours and theirs and not {canonical(n) for n in ours} & {canonical(n) for n in theirs}:
        raise InputError(
            f"shares no contig with {right_file} ({_some(ours)} here, {_some(theirs)} there)",
            where=left_file,
            cure="use files of the same genome and the same contig names",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in sorted(names, key=lambda n: genome_order(canonical(n)))[:3])
    return shown + (", ..." if len(names) > 3 else "")
