"""Records out of the lines of a VCF."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames
from afml.genomics.sources.genotypes import Malformed, call_of, calls_of, numbers_of, values_of
from afml.genomics.sources.record import NoGenotypes, Record, require_listed

_CHROM, _POS, _REF, _ALT, _FILTER, _INFO, _FORMAT, _CALLS = 0, 1, 3, 4, 6, 7, 8, 9
_LARGEST_POSITION = 1 << 31
_DIGITS = 18  # of a number that is worth reading
_CURE = "correct this line, or make the file again"


class TextRecord(Record):
    """One line of a VCF."""

    __slots__ = ("_fields", "_kept", "_people")

    def __init__(
        self, fields: list[bytes], chrom: str, where: Path, people: int, kept: NDArray[np.int64] | None
    ) -> None:
        self._fields, self._people, self._kept = fields, people, kept
        self.chrom, self.where = chrom, where
        self.pos = int(fields[_POS])
        ref, alt = fields[_REF].decode().upper(), fields[_ALT].decode().upper()
        self.alleles = (ref,) if alt == "." else (ref, *alt.split(","))

    @property
    def end(self) -> int:
        """INFO END where it is stated, else the last base of REF."""
        stated = self.info("END")
        if stated is None or stated == ".":
            return self.pos + len(self.alleles[0]) - 1
        try:
            return int(stated)
        except ValueError:
            raise self._malformed("has an INFO/END that is no position") from None

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters that the record failed."""
        text = self._fields[_FILTER]
        return () if text in (b"PASS", b".") else tuple(text.decode().split(";"))

    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, 2]; see `Record.calls`."""
        keys = self._format()
        if not self._people:
            return np.zeros((0, 2), dtype=np.int16)
        try:
            if keys[0] == b"GT":
                calls = calls_of(self._fields[_CALLS], self._people)
            elif b"GT" in keys:
                texts = values_of(self._fields[_CALLS], self._people, keys.index(b"GT"))
                calls = np.asarray([call_of(text) for text in texts], dtype=np.int16).reshape(-1, 2)
            else:
                raise NoGenotypes(f"record {self.place} has no GT field", where=self.where, cure="give genotypes")
        except Malformed as error:
            raise self._malformed(str(error)) from None
        return require_listed(calls if self._kept is None else calls[self._kept], self)

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        """A numeric FORMAT field; see `Record.numbers`."""
        values = self._values(field)
        try:
            return None if values is None else numbers_of(values)
        except Malformed as error:
            raise self._malformed(f"{error} in {field}") from None

    def texts(self, field: str) -> list[str] | None:
        """A FORMAT field as text; see `Record.texts`."""
        values = self._values(field)
        return None if values is None else [value.decode("utf-8", "replace") for value in values]

    def info(self, key: str) -> str | None:
        """An INFO value as text, empty for a flag; see `Record.info`."""
        held, wanted = self._fields[_INFO], key.encode()
        if wanted not in held:
            return None
        held = b";" + held + b";"
        at = held.find(b";" + wanted + b"=")
        if at < 0:
            return "" if b";" + wanted + b";" in held else None
        begin = at + len(wanted) + 2
        return held[begin : held.index(b";", begin)].decode("utf-8", "replace")

    def _format(self) -> list[bytes]:
        return self._fields[_FORMAT].split(b":") if len(self._fields) > _FORMAT else []

    def _values(self, field: str) -> list[bytes] | None:
        keys = self._format()
        if field.encode() not in keys or not self._people:
            return None
        try:
            values = values_of(self._fields[_CALLS], self._people, keys.index(field.encode()))
        except Malformed as error:
            raise self._malformed(str(error)) from None
        return values if self._kept is None else [values[column] for column in self._kept]

    def _malformed(self, problem: str) -> InputError:
        return InputError(f"record {self.place} {problem}", where=self.where, cure=_CURE)


class LineReader:
    """Makes records of lines, checking what can be checked without decoding calls.

    Args:
        path: The file, for messages.
        people: Genotype columns of the file.
        kept: Columns to give, None for all.
        names: The contig names of the file.
    """

    def __init__(self, path: Path, people: int, kept: NDArray[np.int64] | None, names: ContigNames) -> None:
        self._path, self._people, self._kept, self._names = path, people, kept, names
        self._chroms: dict[bytes, str] = {}
        self.last: Record | None = None

    def records(self, lines: Iterable[bytes], first: int | None) -> Iterator[Record]:
        """A record for each line.

        Args:
            lines: The lines, without their ends.
            first: Number of the first one in the file, from 1; None where it is not known.

        Raises:
            InputError: A line is none of a record; says its number, or the record that stands before it.
        """
        for number, line in enumerate(lines):
            fields = line.rstrip(b"\r").split(b"\t", _CALLS)
            problem = self._problem(fields)
            if problem:
                place = f"line {first + number}" if first is not None else f"the line {self.after}"
                raise InputError(f"{place} {problem}", where=self._path, cure=_CURE)
            chrom = self._chroms.get(fields[_CHROM]) or self._chrom(fields[_CHROM])
            try:
                self.last = TextRecord(fields, chrom, self._path, self._people, self._kept)
            except UnicodeDecodeError:
                raise InputError(f"the line {self.after} is not text", where=self._path, cure=_CURE) from None
            yield self.last

    @property
    def after(self) -> str:
        """The last record that was read, for messages."""
        return f"after {self.last.place}" if self.last is not None else "of the first record"

    def _problem(self, fields: list[bytes]) -> str:
        """What is wrong with a line, empty for nothing."""
        if len(fields) == 1 and not fields[0].strip():
            return "is blank"
        if fields[0].startswith(b"#"):
            return "is a header line among the records (files joined by cat?)"
        people = self._people
        columns = len(fields)
        if columns > _CALLS:
            # Calls alone, all of the usual length, are counted when they are decoded.
            usual = len(fields[_CALLS]) == 4 * people - 1 and fields[_FORMAT] == b"GT"
            columns = _CALLS + people if usual else _CALLS + 1 + fields[_CALLS].count(b"\t")
        wanted = _CALLS + people if people else len(fields)
        if columns != wanted or columns <= _INFO or (not people and columns > _CALLS):
            return f"has {columns} columns, not {wanted if people else _INFO + 1}"
        position = fields[_POS]
        if not position.isdigit() or len(position) > _DIGITS or int(position) >= _LARGEST_POSITION:
            return "has a POS that is no position"
        if not fields[_CHROM] or not fields[_REF] or not fields[_ALT]:
            return "lacks its contig, REF or ALT"
        if b"," in fields[_ALT] and b"" in fields[_ALT].split(b","):
            return "has an ALT without a letter"
        return ""

    def _chrom(self, spelled: bytes) -> str:
        try:
            chrom = self._names.canonical(spelled.decode("utf-8"))
        except UnicodeDecodeError:
            raise InputError(
                f"the line {self.after} has a contig that is not text", where=self._path, cure=_CURE
            ) from None
        self._chroms[spelled] = chrom
        return chrom
