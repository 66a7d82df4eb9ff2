"""Opening whatever holds calls: what a file is, its first bytes say, not its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.sources.bed import MAGIC as BED_MAGIC
from afml.genomics.sources.bed import BedFile
from afml.genomics.sources.bgzf import MAGIC as BLOCKED
from afml.genomics.sources.gzipped import MAGIC as GZIPPED
from afml.genomics.sources.gzipped import GzippedText
from afml.genomics.sources.many import ManyFiles
from afml.genomics.sources.record import CallSource
from afml.genomics.sources.vcf import VariantFile

PGEN_MAGIC = BED_MAGIC[:2]
"""How the files of both versions of PLINK begin; the third byte says which."""

_GLOB = frozenset("*?[")
_LIST = "@"


def open_source(
    paths: Path | Sequence[Path], *, need_samples: bool = True, keep: Sequence[str] | None = None
) -> CallSource:
    """Open calls: one file or several of the same people.

    Args:
        paths: Files; a pattern (`chr*.vcf.gz`) stands for what it matches, `@FILE` for the paths in a list, one a line.
        need_samples: Refuse what holds no people.
        keep: Samples to give, in this order; None for all.

    Raises:
        InputError: A file is missing or of no known kind, or as its kind of source says.
    """
    found = expanded([paths] if isinstance(paths, Path) else paths)
    first = _open(found[0], need_samples, keep)
    if len(found) == 1:
        return first
    # Columns may stand in another order in each file; people who are not in all of them are named by `ManyFiles`.
    others = [_aligned(path, need_samples, first.samples) for path in found[1:]]
    return ManyFiles([first, *others])


def expanded(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant, each once.

    Raises:
        InputError: A pattern matches nothing, a list is empty, a file is named twice, or none is.
    """
    found: list[Path] = []
    for path in paths:
        name = str(path)
        if name.startswith(_LIST) and not path.exists():
            found += _listed(Path(name.removeprefix(_LIST)))
        elif _GLOB & set(path.name) and not path.exists():
            matching = sorted(path.parent.glob(path.name), key=_natural)
            if not matching:
                raise InputError("matches no file", where=path, cure="check the pattern")
            found += matching
        else:
            found.append(path)
    twice = [path for number, path in enumerate(found) if path.absolute() in {one.absolute() for one in found[:number]}]
    if twice:
        raise InputError("is named twice", where=twice[0], cure="name each file once")
    if not found:
        raise InputError("names no file", where="calls", cure="give at least one")
    return found


def _listed(path: Path) -> list[Path]:
    try:
        rows = require_file(path, "list of files").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("list of files is not text", where=path, cure="write one path a line") from None
    files = [path.parent / row.strip() for row in rows if row.strip() and not row.startswith("#")]
    if not files:
        raise InputError("list of files is empty", where=path, cure="write one path a line")
    return files


def _natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which chr2 stands before chr10."""
    runs: list[str] = []
    for character in path.name:
        if runs and runs[-1][-1].isdecimal() == character.isdecimal():
            runs[-1] += character
        else:
            runs.append(character)
    return tuple((0, int(run), "") if run.isdecimal() else (1, 0, run) for run in runs)


def _open(path: Path, need_samples: bool, keep: Sequence[str] | None) -> CallSource:
    source = _of_kind(path, need_samples, keep)
    if need_samples and not source.samples:
        raise InputError("holds no people", where=path, cure="give a file with genotypes of people")
    return source


def _of_kind(path: Path, need_samples: bool, keep: Sequence[str] | None) -> CallSource:
    if path.is_dir():
        from afml.genomics.sources.zarr_store import ZarrStore

        return ZarrStore(path, keep=keep)
    with require_file(path, "file of calls").open("rb") as handle:
        head = handle.read(len(BLOCKED))
    if head[: len(PGEN_MAGIC)] == PGEN_MAGIC and head[len(PGEN_MAGIC) : len(BED_MAGIC)] > BED_MAGIC[-1:]:
        from afml.genomics.sources.pgen import PgenFile

        return PgenFile(path, keep=keep)
    if head[: len(PGEN_MAGIC)] == PGEN_MAGIC:
        return BedFile(path, keep=keep)
    if head.startswith(GZIPPED) and head != BLOCKED:
        return GzippedText(path, need_samples=need_samples, keep=keep)
    return VariantFile(path, need_samples=need_samples, keep=keep)


def _aligned(path: Path, need_samples: bool, samples: Sequence[str]) -> CallSource:
    source = _open(path, need_samples, None)
    if source.samples != samples and sorted(source.samples) == sorted(samples):
        return _open(path, need_samples, samples)
    return source
