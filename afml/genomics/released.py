"""A release as it lies in its folder: which files it is, their digest, and its records read back."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.matching import SiteMatcher
from afml.genomics.release import FORMS, Output, write_release
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import MISSING, count_allele
from afml.genomics.sources.vcf import VariantFile
from afml.genomics.vcf_zarr import find_array, read_array

_RECORDS_AT_ONCE = 100
_INDEXES = (".tbi", ".csi")
#: Genotypes in words, by copies of ALT.
_CALLS = ("0/0", "0/1", "1/1")


class _Record(NamedTuple):
    chrom: str
    pos: int
    alleles: tuple[str, ...]
    dosage: Callable[[int], NDArray[np.int8]]


class GenotypeReleases:
    """See `afml.release.files.ReleaseFiles`."""

    forms = FORMS.names()
    untried: tuple[str, ...] = ()
    nothing: ClassVar = {"missing": "./.", "major": "homozygous panel-major: a masked genotype, NOT a call"}
    unfit = "allele frequencies, association or ancestry"

    def write(
        self,
        folder: Path,
        panel: SitePanel,
        released: NDArray[np.int8],
        *,
        header: Sequence[str],
        shows: NDArray[np.int64],
        output: Output,
    ) -> list[int]:
        """See `write_release`."""
        return write_release(folder, panel, released, header=header, shows=shows, output=output)

    def read(self, folder: Path, panel: SitePanel, masked: int) -> NDArray[np.int8]:
        """See `read_release`; the files themselves say what is masked."""
        return read_release(folder, panel)

    def names(self, folder: Path) -> list[str]:
        """Pseudonyms, in the order of the columns."""
        with _opened(release_files(folder)[0]) as (names, _):
            return list(names)

    def told(self, panel: SitePanel, shown: NDArray[np.int8], masked: int) -> list[list[str]]:
        """Genotypes as a VCF has them, `chromosome:position:REF:ALT=0/1`."""
        words = [":".join(map(str, panel.key(site))) for site in range(len(panel))]
        copies = panel.to_minor(shown)
        return [
            [f"{words[site]}={_CALLS[copies[row, site]]}" for site in np.flatnonzero(shown[row] != masked)]
            for row in range(len(shown))
        ]


GENOTYPES = GenotypeReleases()


def release_files(folder: Path) -> list[Path]:
    """The files of a release in a folder, whatever their form; indexes are not among them.

    Raises:
        InputError: There are none.
    """
    there = sorted(path for path in folder.glob("release.*") if not path.name.endswith(_INDEXES))
    if not there:
        raise InputError("holds no release", where=folder, cure="run `afml mask` first")
    return there


def release_digest(folder: Path) -> str:
    """SHA-256 of a release, hex: of its file where it is one; else of what `sha256sum` prints of its files.

    Their names are relative to the folder, and in the order of their bytes. Indexes follow from the files, and do not
    count.
    """
    whole = release_files(folder)
    if len(whole) == 1 and whole[0].is_file():
        return _digest(whole[0])
    files = [file for path in whole for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    listed = sorted((str(file.relative_to(folder)).encode(), _digest(file).encode()) for file in files)
    return hashlib.sha256(b"".join(digest + b"  " + name + b"\n" for name, digest in listed)).hexdigest()


def read_release(folder: Path, panel: SitePanel) -> NDArray[np.int8]:
    """Read a release back as panel-minor dosage.

    Args:
        folder: Where its files are.
        panel: The sites that it was made of.

    Returns:
        int8 [people, S] in {0, 1, 2, -1}, people in the order of the columns.

    Raises:
        InputError: An unreadable file, files of different people, or sites that are not exactly those of the panel.
    """
    matcher = SiteMatcher(panel)
    met = np.zeros(len(panel), dtype=np.bool_)
    foreign, columns, alt_copies = 0, None, np.zeros((0, len(panel)), dtype=np.int8)
    for path in release_files(folder):
        with _opened(path) as (names, records):
            if columns is None:
                columns, alt_copies = names, np.full((len(names), len(panel)), MISSING, dtype=np.int8)
            if names != columns:
                raise InputError("has other columns than the files beside it", where=path, cure="run `afml mask` again")
            for record in records:
                found = matcher.sites(record.chrom, record.pos, record.alleles)
                foreign += not found
                for site, allele in found:
                    alt_copies[:, site] = record.dosage(allele)
                    met[site] = True
    absent = int((~met).sum())
    if absent or foreign:
        raise InputError(
            f"release lacks {absent} sites of the panel and holds {foreign} others",
            where=folder,
            cure="use the site panel that the release was made with",
        )
    return panel.to_minor(alt_copies)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Iterator[_Record]]]:
    if path.is_dir():
        group = zarr.open_group(str(path), mode="r")
        yield [str(name) for name in read_array(group, "sample_id", path)], _stored(group, path)
        return
    with VariantFile(path) as variants:
        yield (
            variants.samples,
            (_Record(one.chrom, one.pos, tuple(one.alleles), one.dosage) for one in variants),
        )


def _stored(group: zarr.Group, path: Path) -> Iterator[_Record]:
    contigs = [str(name) for name in read_array(group, "contig_id", path)]
    numbers, positions = read_array(group, "variant_contig", path), read_array(group, "variant_position", path)
    alleles, calls = read_array(group, "variant_allele", path), find_array(group, "call_genotype", path)
    for first in range(0, len(positions), _RECORDS_AT_ONCE):
        block = calls[first : first + _RECORDS_AT_ONCE]
        for row, called in enumerate(block, first):
            listed = tuple(str(allele) for allele in alleles[row])

            def dosage(allele: int, called: NDArray[np.int8] = called) -> NDArray[np.int8]:
                return count_allele(called, allele)

            yield _Record(contigs[int(numbers[row])], int(positions[row]), listed, dosage)


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
