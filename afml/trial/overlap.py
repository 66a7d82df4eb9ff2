"""What the institutions of a trial did about people whom two of them have enrolled, as their work folders tell it."""

from __future__ import annotations

from collections.abc import Sequence

from afml.data.people import PeopleTable
from afml.evaluation.report import OverlapSection
from node.overlap import REPORT, WITHOUT, queries
from node.workspace import Workspace


def overlap_of(spaces: Sequence[Workspace]) -> OverlapSection | None:
    """Count whom they were told to leave out, and who of these is there no more; None where nobody has asked.

    Args:
        spaces: Work folders, one per institution.

    Raises:
        InputError: A table of people cannot be read.
    """
    runs: set[str] = set()
    found = left_out = 0
    for space in spaces:
        ended = [report.parent for report in sorted(queries(space).glob(f"*/{REPORT}"))]
        told = {name for folder in ended for name in (folder / WITHOUT).read_text().splitlines()}
        runs.update(folder.name for folder in ended)
        found += len(told)
        left_out += len(told - set(PeopleTable.load(space.people).samples))
    return OverlapSection(queries=len(runs), found=found, left_out=left_out) if runs else None
