"""An institution's released files read back, by the run that they are of. For the institution itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.masking.model import TrainedModel
from afml.release.package.traits import shown_label
from afml.release.plan import ReleasePlan
from afml.release.stored import Records, StoredRelease
from afml.release.versions import Version
from node.workspace import Workspace


def read_records(work: Workspace, run: str, version: Version | None = None) -> Records:
    """The released files of a run, by default of its newest release; see `StoredRelease.records`."""
    return StoredRelease.of(work.prepared(), run, version).records()


def read_aligned(work: Workspace, run: str) -> NDArray[np.int8]:
    """The released files of a run, rows in store order; see `StoredRelease.aligned`."""
    return StoredRelease.of(work.prepared(), run).aligned()


def released_plan(work: Workspace, run: str, version: Version | None = None) -> ReleasePlan:
    """The plan that these files were made by; see `StoredRelease.plan`."""
    return StoredRelease.of(work.prepared(), run, version).plan(TrainedModel.load(work.model(run)))


def shown_labels(records: Records, plan: ReleasePlan) -> dict[str, str]:
    """What a package tells of everybody in it, person -> word: the pattern of the plan, and released traits.

    Raises:
        InputError: A record shows none.
    """
    patterns = plan.pattern_of(records.released)
    if unknown := int((patterns < 0).sum()):
        raise InputError(
            f"{unknown} records of the release show no pattern of its plan",
            where="plan.json",
            cure="put the files back as `afml mask` wrote them",
        )
    told = zip(records.people, patterns.tolist(), records.traits, strict=True)
    return {person: shown_label(pattern, traits) for person, pattern, traits in told}
