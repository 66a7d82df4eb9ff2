"""What lies in a package beside the released records: card, codebook, scores, and the traits that were chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.files import write_bytes
from afml.masking.chosen import masking_settings, purpose
from afml.release.files import RELEASE_FILES
from afml.release.package.book import CODEBOOK_FILE, SCORES_FILE, Book
from afml.release.package.card import CARD_FILE, PAGE_FILE, Contents, page, release_card
from afml.release.package.manifest import Manifest
from afml.release.package.recipe import README_FILE, readme
from afml.release.package.traits import PHENOTYPES_FILE, TraitsOfPeople
from afml.release.plan import ReleasePlan
from afml.release.released import Released


@dataclass(frozen=True, eq=False)
class Made:
    """A release before it is written.

    Attributes:
        config: The run.
        plan: Of the release.
        released: Who shows what.
        people: Released traits of the people of the file, in the same order.
    """

    config: RunConfig
    plan: ReleasePlan
    released: Released
    people: TraitsOfPeople


def smallest_group(patterns: NDArray[np.int64], alike: NDArray[np.int64]) -> int:
    """People who share pattern and combination of traits, the fewest."""
    return int(np.unique(np.stack([patterns, alike], axis=1), axis=0, return_counts=True)[1].min())


def fill_package(
    folder: Path, manifest: Manifest, made: Made, columns: Sequence[int], beside: tuple[str, Mapping[str, Any]]
) -> None:
    """Write everything but manifest and plan beside the released records.

    Args:
        folder: Holds the records.
        manifest: Whose release it is; the digests are added later.
        made: The release.
        columns: Record j of the file is that of person `columns[j]` of `made`.
        beside: The codebook table, and further values of the card.
    """
    kind, order = RELEASE_FILES.get(made.config.data.kind), np.asarray(columns, dtype=np.int64)
    names, patterns, people = kind.names(folder), made.released.patterns[order], made.people.rows(order)
    book = Book.parsed(beside[0])
    write_bytes(folder / CODEBOOK_FILE, beside[0].encode())
    write_bytes(folder / SCORES_FILE, book.table(names, patterns).encode())
    if people.traits:
        write_bytes(folder / PHENOTYPES_FILE, people.table(names).encode())
    told = {**beside[1], "masked": kind.nothing[made.plan.fill], "fill": made.plan.fill}
    risk = masking_settings(made.config).risk
    names = [one.name for one in risk.diseases] + [one.name for one in risk.attributes]
    named = ", ".join(names) or purpose(risk)
    uses = named, [kind.unfit, "telling who somebody is"]
    card = release_card(manifest, made.plan, Contents(patterns, people, book), uses, told)
    write_bytes(folder / CARD_FILE, (json.dumps(card, indent=2, allow_nan=False) + "\n").encode())
    write_bytes(folder / PAGE_FILE, page(card).encode())
    write_bytes(folder / README_FILE, readme(card).encode())
