"""The files of a release, by the kind of data: genotypes as VCF, BCF or VCF Zarr, matrices as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.genomics.release import Output
from afml.genomics.sites import SitePanel


class ReleaseFiles(Protocol):
    """How releases of one kind of data are written and read back.

    Attributes:
        forms: Names of the forms, the usual one first.
        nothing: What a masked value looks like in its files, by the fill of the plan, in words.
        unfit: What such a release is not good for, in words.
        untried: Release methods whose patterns may look alike in such files: "auto" does not compare them.
    """

    forms: tuple[str, ...]
    nothing: dict[str, str]
    unfit: str
    untried: tuple[str, ...]

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
        """Write a release; see `afml.genomics.release.write_release`."""
        ...

    def read(self, folder: Path, panel: SitePanel, masked: int) -> NDArray[np.int8]:
        """Read it back, [people, columns of the panel]; `masked` stands where nothing is shown."""
        ...

    def names(self, folder: Path) -> list[str]:
        """Pseudonyms of its records, in the order of its files."""
        ...

    def told(self, panel: SitePanel, shown: NDArray[np.int8], masked: int) -> list[list[str]]:
        """What released records show, in the words of the files: `column=value`, a list for each record.

        Args:
            panel: The columns.
            shown: int8 [records, columns].
            masked: What stands where nothing is shown: -1 or 0.
        """
        ...


RELEASE_FILES: Registry[ReleaseFiles] = Registry(
    "kind of data that releases are made of",
    {"genotypes": "afml.genomics.released:GENOTYPES", "matrix": "afml.matrices.release:MATRICES"},
)


def forms() -> tuple[str, ...]:
    """The forms of all kinds of data."""
    return tuple(form for kind in RELEASE_FILES.names() for form in RELEASE_FILES.get(kind).forms)


def settled(kind: str, output: Output | None) -> Output:
    """In which files a release of this kind of data is written.

    Raises:
        ConfigError: It has no such form, or is not written by contigs.
    """
    known, wanted = RELEASE_FILES.get(kind).forms, output or Output()
    if wanted.form is None:
        wanted = Output(known[0], wanted.per_contig, wanted.csi)
    if wanted.form not in known:
        raise ConfigError(
            f"data of the kind {kind} are not released as {wanted.form}", where="--form", cure=f"use {', '.join(known)}"
        )
    if kind != "genotypes" and (wanted.per_contig or wanted.csi):
        raise ConfigError(
            f"data of the kind {kind} have no contigs", where="--per-contig, --csi", cure="leave them out"
        )
    return wanted
