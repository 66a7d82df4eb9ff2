"""Several files of the same people as one source: one per chromosome, or one per block of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from afml.core.errors import InputError
from afml.genomics.sources.record import CallSource, Record, Span, describe_names


class PartOfMany(NamedTuple):
    """A part of one of several files.

    Attributes:
        file: Which.
        part: The part of it, as its source divides it.
    """

    file: int
    part: Any


class ManyFiles:
    """Sources of the same people, one after another.

    Args:
        sources: At least one; all give the samples of the first, in its order.

    Raises:
        InputError: A file holds other people than the first.
    """

    def __init__(self, sources: Sequence[CallSource]) -> None:
        self._sources = sources
        self.paths: tuple[Path, ...] = tuple(path for source in sources for path in source.paths)
        self.samples: list[str] = sources[0].samples
        self.fragile = any(source.fragile for source in sources)
        self.lines: Sequence[str] = [line for source in sources for line in source.lines]
        for source in sources[1:]:
            if source.samples != self.samples:
                other = sorted(set(source.samples) ^ set(self.samples))
                raise InputError(
                    f"holds other people than {self.paths[0].name}: {describe_names(other)} in one of them alone",
                    where=source.paths[0],
                    cure="give files of the same people (bcftools merge puts people together)",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self._sources:
            source.__exit__(kind, error, trace)

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length; of a contig that several files declare, the first length stated."""
        found: dict[str, int | None] = {}
        for source in self._sources:
            for name, length in source.contigs.items():
                found[name] = found.get(name) or length
        return found

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key in the first file that has one."""
        return next((text for source in self._sources if (text := source.info_description(key)) is not None), None)

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> list[PartOfMany]:
        """Parts of the files: of each about as many as its share of `count`, and one at least."""
        each = max(1, -(-count // len(self._sources)))
        return [
            PartOfMany(file, part) for file, source in enumerate(self._sources) for part in source.parts(each, spans)
        ]

    def records(self, spans: Sequence[Span] | None = None, part: PartOfMany | None = None) -> Iterator[Record]:
        """The records of one file after another; see `CallSource.records`."""
        if part is not None:
            yield from self._sources[part.file].records(spans, part.part)
            return
        for source in self._sources:
            yield from source.records(spans)
