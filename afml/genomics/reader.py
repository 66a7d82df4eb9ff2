"""Reading VCF and BCF: the only module that opens one with cyvcf2.

Only BGZF files (bgzipped VCF, or BCF) are read. Their end-of-file block shows that no tail is
missing and every block carries a checksum, so a damaged file is an error and never a shorter file;
plain text and plain gzip can lose their tail at a line break without a trace.

Genotypes are diploid. A haploid call (chromosome X or Y of a male) counts as missing, as does a
call with one missing allele: neither says what the pair is.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cyvcf2
import cyvcf2.cyvcf2 as _extension
import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.contigs import ContigNames

MISSING = -1
"""A missing allele or a missing dosage; never the same as 0."""

_BGZF_MAGIC = b"\x1f\x8b\x08\x04"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_RESTORE = "restore the file from its source"
_NO_SAMPLES = "VCF holds no samples"
_FIXED_COLUMNS = 9  # CHROM .. FORMAT

# htslib prints its own account of an error to standard error, beside the one line that we raise.
# A build of cyvcf2 that hides the symbol only leaves that second line in place.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(_extension.__file__).hts_set_log_level(0)


def require_bgzf(path: Path, what: str = "VCF") -> Path:
    """Return `path` when it is a whole BGZF file.

    Raises:
        InputError: It is missing, not BGZF, or lacks its end-of-file block.
    """
    require_file(path, what)
    with path.open("rb") as handle:
        head = handle.read(4)
        size = handle.seek(0, 2)
        handle.seek(max(0, size - len(_BGZF_END)))
        tail = handle.read()
    if size == 0:
        raise InputError(f"{what} is empty", where=path, cure=_RESTORE)
    if head != _BGZF_MAGIC:
        raise InputError(f"{what} is not bgzipped", where=path, cure="compress it with bgzip or bcftools view -Oz")
    if tail != _BGZF_END:
        raise InputError(f"{what} is truncated (its end-of-file block is missing)", where=path, cure=_RESTORE)
    return path


def count_allele(alleles: NDArray[np.integer[Any]], allele: int | NDArray[np.int64]) -> NDArray[np.int8]:
    """Copies of one allele per diploid call.

    Args:
        alleles: [..., ploidy] allele numbers; negative is missing or absent (haploid).
        allele: The allele to count, 0 for REF; or one per call, broadcast.

    Returns:
        int8 [...] in {0, 1, 2}, `MISSING` where the call is not a complete pair.
    """
    if alleles.shape[-1] < 2:
        return np.full(alleles.shape[:-1], MISSING, dtype=np.int8)
    first, second = alleles[..., 0], alleles[..., 1]
    copies: NDArray[np.int8] = (first == allele).astype(np.int8) + (second == allele)
    copies[(first < 0) | (second < 0)] = MISSING
    return copies


class Record:
    """One VCF record, read lazily: site fields first, genotypes and INFO on demand.

    Attributes:
        chrom: Canonical contig name.
        pos: 1-based position of REF's first base.
        alleles: REF, then every ALT, in upper case.
    """

    __slots__ = ("_raw", "_where", "alleles", "chrom", "pos")

    def __init__(self, raw: Any, chrom: str, where: Path) -> None:
        self._raw, self._where = raw, where
        self.chrom = chrom
        self.pos: int = raw.POS
        self.alleles: tuple[str, ...] = (raw.REF.upper(), *(alt.upper() for alt in raw.ALT))

    def info(self, key: str) -> str | None:
        """An INFO value as text, None where it is absent."""
        value = self._raw.INFO.get(key)
        return None if value is None else str(value)

    def stated(self, key: str) -> list[float | None]:
        """What an INFO field states as the frequency of every ALT.

        None where it is no number in [0, 1]; all None where the field is absent or has another number of
        values than there are ALTs, because nobody knows then which is whose.
        """
        alts = len(self.alleles) - 1
        value = self._raw.INFO.get(key)
        values = value if isinstance(value, tuple) else str(value).split(",")
        return [_share(one) for one in values] if len(values) == alts else [None] * alts

    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, ploidy]; negative is missing, or absent in a haploid call.

        Raises:
            InputError: The record has no GT, more than two alleles per call, or an allele it does not list.
        """
        place = f"{self.chrom}:{self.pos}"
        try:
            genotype = self._raw.genotype
        except Exception:  # noqa: BLE001 (cyvcf2 raises bare Exception)
            genotype = None
        if genotype is None:
            raise InputError(f"record {place} has no GT field", where=self._where, cure="give genotypes")
        calls: NDArray[np.int16] = np.asarray(genotype.array())[:, :-1]  # the last column is the phase
        if calls.shape[1] > 2 and bool((calls[:, 2:] != -2).any()):
            raise InputError(
                f"record {place} has calls of more than two alleles",
                where=self._where,
                cure="give diploid genotypes",
            )
        if calls.size and int(calls.max()) >= len(self.alleles):
            raise InputError(
                f"record {place} has a call of an allele that it does not list",
                where=self._where,
                cure="correct this record",
            )
        return calls[:, :2]

    def dosage(self, allele: int) -> NDArray[np.int8]:
        """Copies of allele number `allele` per person: int8 [people], `MISSING` where not a complete pair."""
        return count_allele(self.calls(), allele)


class VariantFile:
    """A bgzipped VCF or a BCF, opened for one pass over its records.

    Args:
        path: The file.
        need_samples: Refuse a file without genotype columns.

    Raises:
        InputError: Missing, not BGZF, truncated, malformed header, duplicate samples, or no samples.
    """

    def __init__(self, path: Path, *, need_samples: bool = True) -> None:
        self.path = require_bgzf(path)
        try:
            self._vcf = cyvcf2.VCF(str(path))
        except Exception:  # noqa: BLE001 (cyvcf2 raises OSError or bare Exception)
            raise _header_error(path) from None
        self.samples: list[str] = list(self._vcf.samples)
        self._names = ContigNames(path)
        if need_samples and not self.samples:
            self.close()
            raise InputError(_NO_SAMPLES, where=path, cure="give a file with genotype columns")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._vcf.close()

    @property
    def contigs(self) -> list[str]:
        """Contig names, as spelled: the header's and those of the records read so far."""
        try:
            declared = list(self._vcf.seqnames)
        except (AttributeError, OSError):  # neither contig lines nor an index
            declared = []
        return list(dict.fromkeys([*declared, *self._names.spellings]))

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key, None where the header lacks the key."""
        try:
            return str(self._vcf.get_header_type(key, order=[1])["Description"])
        except KeyError:
            return None

    def positions_of(self, samples: list[str]) -> NDArray[np.int64]:
        """Column of each named sample.

        Raises:
            InputError: Names absent samples, the first three and how many.
        """
        column = {name: index for index, name in enumerate(self.samples)}
        absent = [name for name in samples if name not in column]
        if absent:
            raise InputError(f"lacks {describe_names(absent)}", where=self.path, cure="give these samples too")
        return np.asarray([column[name] for name in samples], dtype=np.int64)

    def __iter__(self) -> Iterator[Record]:
        """Every record in file order.

        Raises:
            InputError: A damaged block or a malformed record, with the last place that could be read.
        """
        records = iter(self._vcf)
        last: Record | None = None
        while True:
            try:
                raw = next(records)
            except StopIteration:
                return
            except Exception:  # noqa: BLE001 (cyvcf2 raises bare Exception)
                place = f"after {last.chrom}:{last.pos}" if last else "the first one"
                raise InputError(
                    f"a record cannot be read, {place} (damaged block or malformed line)",
                    where=self.path,
                    cure=f"{_RESTORE}, or find the line with bcftools view",
                ) from None
            last = Record(raw, self._names.canonical(raw.CHROM), self.path)
            yield last


def _share(value: object) -> float | None:
    """A number in [0, 1], or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def describe_names(names: list[str]) -> str:
    """'sample A', or '12 samples (A, B, C, ...)'."""
    if len(names) == 1:
        return f"sample {names[0]}"
    return f"{len(names)} samples ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _header_error(path: Path) -> InputError:
    """Say why a header was refused, reading the column line again by hand."""
    columns: list[str] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.startswith("#"):
                    break
                if line.startswith("#CHROM"):
                    columns = line.rstrip("\r\n").split("\t")
                    break
    except (OSError, EOFError, ValueError, zlib.error):
        return InputError("VCF is damaged", where=path, cure=_RESTORE)
    doubles = [name for name, times in Counter(columns[_FIXED_COLUMNS:]).items() if times > 1]
    if doubles:
        return InputError(
            f"VCF header names {describe_names(doubles)} more than once",
            where=path,
            cure="give every column its own name",
        )
    if len(columns) == _FIXED_COLUMNS:
        return InputError(_NO_SAMPLES, where=path, cure="give a file with genotype columns")
    what = "is malformed" if columns else "has no #CHROM line"
    return InputError(f"VCF header {what}", where=path, cure="correct the header (bcftools view -h shows it)")
