"""From records to rows: each part of the input is read by a process of its own, of this machine or of a cluster.

What a record says of a site is decided by a `Taker`, one for each part; what they counted adds up afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from afml.core.children import ChildDied, died_reading, in_children, usable_processors
from afml.core.cluster import cluster, each
from afml.core.progress import Step
from afml.genomics.rows import Rows, RowWriter
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import CallSource, Record, Span

MOST_PROCESSES = 8
"""That read side by side, unless asked otherwise."""

_PER_WORKER = 4  # parts of the input for each worker of a cluster: what an ended one leaves is done again by several
_TOLD = 1000  # records between two steps of a progress bar


class Taker(Protocol):
    """Decides what records say of the sites of a panel."""

    @property
    def tally(self) -> Any:
        """What was counted so far; can be pickled."""
        ...

    def take(self, record: Record) -> Iterable[tuple[int, NDArray[np.int8]]]:
        """(site, calls int8 [people, 2]) of each site that a record speaks of; they replace earlier ones."""
        ...


MakeTaker: TypeAlias = Callable[[Callable[[int], NDArray[np.int8]]], Taker]
"""Makes a taker; it is given what reads the calls of a site back that it gave before."""


@dataclass(frozen=True)
class Intake:
    """What was read.

    Attributes:
        rows: Of each part, in the order of the input.
        tallies: Of each part's taker.
        contigs: As spelled -> length, of the header and of all records.
    """

    rows: list[Rows]
    tallies: list[Any]
    contigs: dict[str, int | None]


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
        scratch: A folder for the rows, which are readable as long as it is there.
        spans: Where records are wanted; None for everywhere.
        processes: How many at most; None for as many as there are processors, `MOST_PROCESSES` at most.
        progress: Advanced once per 1,000 records, where this process reads.
    """

    scratch: Path
    spans: Sequence[Span] | None = None
    processes: int | None = None
    progress: Step | None = None


def take_in(source: CallSource, make: MakeTaker, reading: Reading) -> Intake:
    """Read a source into rows.

    Raises:
        InputError: As the source; or a process that read it died.
    """
    there = cluster()
    if there is not None:
        parts = source.parts(_PER_WORKER * there.workers, reading.spans)
        far = replace(reading, scratch=reading.scratch.absolute(), progress=None)
        work = [partial(_read, source, make, far, part, number) for number, part in enumerate(parts)]
        return _joined(list(each(work)))
    wanted = reading.processes or reading_processes()
    parts = source.parts(wanted, reading.spans)
    work = [partial(_read, source, make, reading, part, number) for number, part in enumerate(parts)]
    if not source.fragile and (wanted == 1 or len(parts) == 1):
        return _joined([one() for one in work])
    try:
        return _joined(in_children(work, wanted))
    except ChildDied as how:
        raise died_reading(source.paths[0], how) from None


def reading_processes() -> int:
    """How many work on a file side by side, unless asked otherwise."""
    return min(MOST_PROCESSES, usable_processors())


def spans_of(panel: SitePanel, margin: int = 0) -> list[Span]:
    """Where the sites of a panel are: the bases of each site's REF, and `margin` more on both sides."""
    return [
        (chrom, max(1, int(pos) - margin), int(pos) + len(ref) - 1 + margin)
        for chrom, pos, ref in zip(panel.chrom, panel.pos, panel.ref, strict=True)
    ]


def _read(source: CallSource, make: MakeTaker, reading: Reading, part: Any, number: int) -> Intake:
    # Of a name of its own: a worker that was given up may still be writing when another one does its work again.
    with RowWriter(reading.scratch / f"{number}-{uuid4().hex}.rows", len(source.samples)) as writer:
        taker = make(writer.stored)
        for count, record in enumerate(source.records(reading.spans, part), start=1):
            if reading.progress and count % _TOLD == 0:
                reading.progress.advance(_TOLD)
            for site, calls in taker.take(record):
                writer.put(site, calls)
        return Intake([writer.rows()], [taker.tally], dict(source.contigs))


def _joined(parts: Sequence[Intake]) -> Intake:
    contigs: dict[str, int | None] = {}
    for part in parts:
        contigs |= part.contigs
    tallies = [tally for part in parts for tally in part.tallies]
    return Intake([rows for part in parts for rows in part.rows], tallies, contigs)
