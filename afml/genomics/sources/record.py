"""What every source of calls gives: records of sites, each with the calls of all people, read lazily.

A record is read once, from its site to its calls: whoever passes it over on its position has not paid for decoding
the calls. Nothing in it is interpreted: alleles are those of the file, and a call is the two allele numbers stated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError

MISSING = -1
"""A missing allele or a missing dosage; never the same as 0."""

ABSENT = -2
"""The second allele of a haploid call: there is none, which is not the same as not knowing it."""

Span = tuple[str, int, int]
"""(canonical contig, first base, last base), 1-based, both ends included."""


class NoGenotypes(InputError):
    """A record that states no genotypes; it may have dosages."""


class Record(ABC):
    """One record of a source.

    Attributes:
        chrom: Canonical contig name.
        pos: 1-based position of REF's first base.
        alleles: REF, then every ALT, in upper case; REF alone where ALT is `.`.
        where: The file, for messages.
    """

    __slots__ = ("alleles", "chrom", "pos", "where")

    chrom: str
    pos: int
    alleles: tuple[str, ...]
    where: Path

    @property
    def place(self) -> str:
        """`22:1400`."""
        return f"{self.chrom}:{self.pos}"

    @property
    def end(self) -> int:
        """1-based position of the last base that the record speaks of: INFO END where it is stated, else of REF."""
        return self.pos + len(self.alleles[0]) - 1

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters that the record failed; empty for PASS and where no filter was applied."""
        return ()

    @abstractmethod
    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, 2]: `MISSING` is a missing allele, `ABSENT` the second one of a haploid call.

        Raises:
            NoGenotypes: The record states none.
            InputError: It states more than two alleles per call, or one that it does not list.
        """

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        """A numeric FORMAT field (GQ, DP, DS, GP, ...): [people, values], NaN where missing; None where absent."""
        return None

    def texts(self, field: str) -> list[str] | None:
        """A FORMAT field as text (FT), one per person, `.` where missing; None where the record has no such field."""
        return None

    def info(self, key: str) -> str | None:
        """An INFO value as text; empty for a flag that is set, None where the key is absent."""
        return None

    def stated(self, key: str) -> list[float | None]:
        """What an INFO field states as the frequency of every ALT.

        None where it is no number in [0, 1]; all None where the field is absent or has another number of
        values than there are ALTs, because nobody knows then which is whose.
        """
        alts = len(self.alleles) - 1
        value = self.info(key)
        values = value.split(",") if value is not None else []
        return [_share(one) for one in values] if len(values) == alts else [None] * alts

    def dosage(self, allele: int) -> NDArray[np.int8]:
        """Copies of allele number `allele` per person: int8 [people], `MISSING` where not a complete pair."""
        return count_allele(self.calls(), allele)


class CallSource(Protocol):
    """Something that holds calls of people at sites; a context manager, opened for one pass or several.

    Attributes:
        samples: Its people, in the order of every record's calls.
        lines: Meta lines of its header (`##reference=...`), where its format has such.
        fragile: Whether a library reads it that may end the process: such a source is read in a child.
    """

    samples: list[str]
    lines: Sequence[str]
    fragile: bool

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        ...

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length in bases where it is stated: the header's, and those of the records read."""
        ...

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key, None where the header lacks the key."""
        ...

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> Sequence[Any]:
        """Divide the source, or what of it touches the spans, into parts of about the same work.

        At most `count`; of several files one each at least.
        """
        ...

    def records(self, spans: Sequence[Span] | None = None, part: Any = None) -> Iterator[Record]:
        """Every record in file order; with spans those alone that touch one of them.

        Args:
            spans: Where; None for everywhere. A file with an index is read there alone.
            part: One of `parts`; None for the whole. Parts are read by processes of their own.

        Raises:
            InputError: Damage or a malformed record, with its place. Never a shorter answer.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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


def require_listed(calls: NDArray[np.int16], record: Record) -> NDArray[np.int16]:
    """Return `calls`; refuse an allele number that the record does not list.

    Raises:
        InputError: Names the place.
    """
    if calls.size and int(calls.max()) >= len(record.alleles):
        raise InputError(
            f"record {record.place} has a call of an allele that it does not list",
            where=record.where,
            cure="correct this record",
        )
    return calls


def describe_names(names: Sequence[str]) -> str:
    """'sample A', or '12 samples (A, B, C, ...)'."""
    if len(names) == 1:
        return f"sample {names[0]}"
    return f"{len(names)} samples ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def columns_of(names: Sequence[str], samples: Sequence[str], where: object) -> NDArray[np.int64]:
    """Column of each named sample.

    Raises:
        InputError: Names absent samples, the first three and how many.
    """
    column = {name: index for index, name in enumerate(samples)}
    absent = [name for name in names if name not in column]
    if absent:
        raise InputError(f"lacks {describe_names(absent)}", where=where, cure="give these samples too")
    return np.asarray([column[name] for name in names], dtype=np.int64)


def _share(text: str) -> float | None:
    """A number in [0, 1] with the precision of BCF, whatever the file's form; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return float(np.float32(number)) if 0 <= number <= 1 else None
