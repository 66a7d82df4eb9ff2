"""Records out of the content of a BCF file (version 2.2, "The BCF specification" of samtools/hts-specs)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.sources.header import Header
from afml.genomics.sources.record import ABSENT, MISSING, NoGenotypes, Record, require_listed

MAGIC = b"BCF\x02"
_SITE = struct.Struct("<iiifII")  # contig, position, length, quality, alleles and INFO, people and FORMAT
_SIZES = struct.Struct("<II")
_INT: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4")}
_FLOAT, _TEXT = 5, 7
_WIDTH = {0: 0, 1: 1, 2: 2, 3: 4, _FLOAT: 4, _TEXT: 1}
_FLOAT_MISSING, _FLOAT_END = 0x7F800001, 0x7F800002


class Dictionary:
    """The numbers by which a BCF names contigs and keys.

    Args:
        header: Its header. Contigs and keys are numbered as they come, a name that stands twice once, PASS first among
            the keys, unless a line states its `IDX`.
    """

    def __init__(self, header: Header) -> None:
        self.keys: dict[int, str] = {0: "PASS"}
        self.contigs: dict[int, str] = {}
        numbers, named = {"PASS": 0}, set[str]()
        for what, fields in header.declared:
            if what == "contig" and fields["ID"] not in named:
                named.add(fields["ID"])
                self.contigs[int(fields.get("IDX", len(self.contigs)))] = fields["ID"]
            elif what in ("FILTER", "INFO", "FORMAT") and fields["ID"] not in numbers:
                numbers[fields["ID"]] = number = int(fields.get("IDX", len(numbers)))
                self.keys[number] = fields["ID"]


class _Values:
    """Typed values of a record, one after another."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self.at = data, at

    def kind(self) -> tuple[int, int]:
        """(type, number of values) of what comes next."""
        byte = self._data[self.at]
        self.at += 1
        count, kind = byte >> 4, byte & 15
        if kind not in _WIDTH:
            raise ValueError(kind)
        return kind, self.number() if count == 15 else count

    def number(self) -> int:
        """One typed integer."""
        kind, count = self.kind()
        if kind not in _INT or count != 1:
            raise ValueError(kind)
        return int(self.array(_INT[kind], 1)[0])

    def array(self, kind: np.dtype[Any], count: int) -> NDArray[Any]:
        """`count` values of a type."""
        found = np.frombuffer(self._data, dtype=kind, count=count, offset=self.at)
        self.at += count * kind.itemsize
        return found

    def text(self) -> str:
        """One typed text."""
        kind, count = self.kind()
        if kind not in (0, _TEXT):
            raise ValueError(kind)
        return self.raw(count).decode("utf-8")

    def raw(self, size: int) -> bytes:
        """`size` bytes."""
        if size < 0 or self.at + size > len(self._data):
            raise ValueError(size)
        self.at += size
        return self._data[self.at - size : self.at]

    def skip(self) -> tuple[int, int, int]:
        """(type, number, where they begin) of values that are passed over."""
        kind, count = self.kind()
        begin = self.at
        self.raw(count * _WIDTH[kind])
        return kind, count, begin

    def value(self, kind: int, count: int, begin: int) -> str:
        """Values as the text of a VCF."""
        values = _Values(self._data, begin)
        if kind == _TEXT:
            return values.raw(count).rstrip(b"\0").decode("utf-8", "replace")
        if kind == _FLOAT:
            words = values.array(np.dtype("<u4"), count)
            shown = [
                "." if word == _FLOAT_MISSING else str(np.uint32(word).view(np.float32))
                for word in words
                if word != _FLOAT_END
            ]
            return ",".join(shown)
        if kind == 0:
            return ""
        least = np.iinfo(_INT[kind]).min
        return ",".join(
            "." if n == least else str(n) for n in values.array(_INT[kind], count).tolist() if n != least + 1
        )


class BcfRecord(Record):
    """One record of a BCF."""

    __slots__ = (
        "_dictionary",
        "_each",
        "_end",
        "_failed",
        "_fields",
        "_formats",
        "_info",
        "_kept",
        "_people",
        "_shared",
    )

    def __init__(self, shared: bytes, each: bytes, dictionary: Dictionary, where: Path) -> None:
        contig, position, length, _, alleles, people = _SITE.unpack_from(shared)
        self._shared, self._each, self._dictionary, self.where = shared, each, dictionary, where
        self.chrom = dictionary.contigs[contig]  # as spelled: the reader of the file names it
        self.pos = position + 1
        self._end: int = position + length
        self._people: int = people & 0xFFFFFF
        self._formats: int = people >> 24
        self._fields: dict[str, tuple[int, int, bytes]] | None = None
        self._kept: NDArray[np.int64] | None = None
        values = _Values(shared, _SITE.size)
        values.text()
        texts = tuple(values.text().upper() for _ in range(alleles >> 16))
        self.alleles = texts[:1] if texts[1:] == (".",) else texts
        kind, count = values.kind()
        self._failed = values.array(_INT[kind], count).tolist() if count else []
        self._info: dict[str, tuple[int, int, int]] = {}
        for _ in range(alleles & 0xFFFF):
            key = dictionary.keys[values.number()]
            self._info[key] = values.skip()
        if not self.alleles or "" in self.alleles or values.at != len(shared) or position < -1:
            raise ValueError(len(shared))

    def select(self, kept: NDArray[np.int64] | None) -> None:
        """Give the calls of these columns alone."""
        self._kept = kept

    @property
    def people(self) -> int:
        """Genotype columns of the record."""
        return self._people

    @property
    def end(self) -> int:
        """Last base that the record speaks of."""
        return self._end if "END" in self._info else super().end

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters that the record failed."""
        return tuple(self._dictionary.keys[number] for number in self._failed if number > 0)

    def info(self, key: str) -> str | None:
        """An INFO value as text, empty for a flag; see `Record.info`."""
        place = self._info.get(key)
        return None if place is None else _Values(self._shared).value(*place)

    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, 2]; see `Record.calls`."""
        found = self._field("GT")
        if found is None or found[0] not in _INT:
            raise NoGenotypes(f"record {self.place} has no GT field", where=self.where, cure="give genotypes")
        kind, count, raw = found
        words = np.frombuffer(raw, dtype=_INT[kind]).reshape(self._people, count)
        if self._kept is not None:
            words = words[self._kept]
        least = np.iinfo(_INT[kind]).min
        ends = words == least + 1
        if words.size and int(words.min()) < 0 and bool((words[~ends & (words < 0)] != least).any()):
            raise self._damaged()
        if count > 2 and not bool(ends[:, 2:].all()):
            raise InputError(
                f"record {self.place} has calls of more than two alleles",
                where=self.where,
                cure="give diploid genotypes",
            )
        calls = np.full((len(words), 2), ABSENT, dtype=np.int16)
        width = min(count, 2)
        calls[:, :width] = np.where(ends[:, :width], ABSENT, np.maximum((words[:, :width] >> 1) - 1, MISSING))
        return require_listed(calls, self)

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        """A numeric FORMAT field; see `Record.numbers`."""
        found = self._field(field)
        if found is None or found[0] == _TEXT:
            return None
        kind, count, raw = found
        if kind == _FLOAT:
            values = np.frombuffer(raw, dtype="<f4").reshape(self._people, count)
            values = np.where(np.isnan(values), np.float32(np.nan), values)  # missing and end are signalling NaNs
        else:
            words = np.frombuffer(raw, dtype=_INT[kind]).reshape(self._people, count)
            values = np.where(words < np.iinfo(_INT[kind]).min + 8, np.nan, words).astype(np.float32)
        return values if self._kept is None else values[self._kept]

    def texts(self, field: str) -> list[str] | None:
        """A FORMAT field as text; see `Record.texts`."""
        found = self._field(field)
        if found is None or found[0] != _TEXT:
            return None
        _, count, raw = found
        columns = range(self._people) if self._kept is None else self._kept
        return [raw[n * count : (n + 1) * count].rstrip(b"\0").decode("utf-8", "replace") or "." for n in columns]

    def _field(self, name: str) -> tuple[int, int, bytes] | None:
        """(type, values per person, their bytes) of a FORMAT field."""
        if self._fields is None:
            try:
                self._fields = self._all_fields()
            except (ValueError, KeyError, IndexError):
                raise self._damaged() from None
        return self._fields.get(name)

    def _all_fields(self) -> dict[str, tuple[int, int, bytes]]:
        values = _Values(self._each)
        found: dict[str, tuple[int, int, bytes]] = {}
        for _ in range(self._formats):
            key = self._dictionary.keys[values.number()]
            kind, count = values.kind()
            raw = values.raw(count * _WIDTH[kind] * self._people)
            if count:
                found.setdefault(key, (kind, count, raw))
        if values.at != len(self._each):
            raise ValueError(values.at)
        return found

    def _damaged(self) -> InputError:
        return InputError(f"record {self.place} is damaged", where=self.where, cure="make the file again")


def records(content: Iterator[bytes], dictionary: Dictionary, where: Path) -> Iterator[BcfRecord]:
    """Records of the content of a BCF, from the first one on.

    Raises:
        ValueError: What stands there is no record.
    """
    held, at = b"", 0
    for part in content:
        held, at = (held[at:] + part if at < len(held) else part), 0
        while at + _SIZES.size <= len(held):
            shared, each = _SIZES.unpack_from(held, at)
            begin, middle, end = at + _SIZES.size, at + _SIZES.size + shared, at + _SIZES.size + shared + each
            if shared < _SITE.size:
                raise ValueError(shared)
            if end > len(held):
                break
            try:
                yield BcfRecord(held[begin:middle], held[middle:end], dictionary, where)
            except (KeyError, IndexError, struct.error, UnicodeDecodeError) as error:
                raise ValueError(str(error)) from None
            at = end
    if at < len(held):
        raise ValueError(len(held) - at)
