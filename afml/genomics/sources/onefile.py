"""What a VCF and a BCF in one file have in common, however their bytes are packed: a header, and columns to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames
from afml.genomics.sources.header import Header
from afml.genomics.sources.record import columns_of


class OneFile:
    """A source of one file with a VCF header.

    Args:
        path: The file.
        header: Its header.
        need_samples: Refuse a file without genotype columns.
        keep: Samples to give, in this order; None for all.

    Attributes:
        path: The file.
        samples: The people of every record's calls.
        lines: Meta lines of the header.
        fragile: False: plain Python reads it.

    Raises:
        InputError: No samples, or lacks one to keep.
    """

    fragile = False

    def __init__(self, path: Path, header: Header, *, need_samples: bool, keep: Sequence[str] | None) -> None:
        self.path, self._header = path, header
        self._names = ContigNames(path)
        self.lines: Sequence[str] = header.lines
        self._kept: NDArray[np.int64] | None = None if keep is None else columns_of(keep, header.samples, path)
        self.samples: list[str] = header.samples if keep is None else list(keep)
        if need_samples and not self.samples:
            raise InputError("VCF holds no samples", where=path, cure="give a file with genotype columns")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open between passes."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length in bases: the header's and those of the records read so far."""
        return {**dict.fromkeys(self._names.spellings), **self._header.contigs}

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key, None where the header lacks the key."""
        return self._header.description(key)
