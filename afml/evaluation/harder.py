"""Harder than RR: attackers with a person's relatives or a second release, and whom a mean hides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.again import TwoReleases, joint_groups, two_releases
from afml.evaluation.attacks.base import Attack, Case
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.markov import HiddenMarkovLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.disclosure.membership import Judged
from afml.evaluation.disclosure.recovery import Recovery, recover
from afml.evaluation.groups import ByGroup, by_group, clustered
from afml.evaluation.inputs import EvaluationInputs, Records, stacked, taken
from afml.evaluation.limits import chosen
from afml.evaluation.relatives import RelativesPoint, rr_by_degree
from afml.evaluation.rr import ReIdentification


@dataclass(frozen=True)
class Harder:
    """What details.json and the page hold beside RR.

    Attributes:
        relatives: RR where the candidates are relatives.
        groups: RR and membership by group of people.
        recovery: Genotypes that follow from a record.
        again: What a second release of the same people adds; None where none was given.
    """

    relatives: tuple[RelativesPoint, ...]
    groups: ByGroup
    recovery: Recovery
    again: TwoReleases | None = None


def attackers() -> tuple[Attack, ...]:
    """Attacks that need no training: worth running again for every question."""
    return (LikelihoodLinkage(), MaskerAwareLinkage(), KinshipLinkage(), HiddenMarkovLinkage())


def harder(
    inputs: EvaluationInputs,
    case: Case,
    linked: ReIdentification,
    judged: list[Judged],
    note: Callable[[str], None] = lambda _: None,
) -> Harder:
    """Ask the harder questions.

    Args:
        inputs: The release.
        case: It under attack, records and references of all institutions in order.
        linked: Its records linked to people.
        judged: Scores of the membership attacks.
        note: Told what is running.
    """
    dosage = stacked([one.dosage for one in inputs.institutions])
    everybody = np.arange(len(dosage))
    rows = everybody[chosen(len(dosage), inputs.limits.harder, inputs.seed, 0xA6)]
    some = case if len(rows) == len(dosage) else case.restricted(rows, rows)
    relatives = rr_by_degree(some, dosage[rows], attackers(), seed=inputs.seed, note=note)
    note("groups of people")
    labels = inputs.labels or clustered(dosage, case.knowledge, inputs.seed)
    groups = by_group(labels, linked, judged, case.released, inputs.seed)
    note("genotypes that follow from a record")
    asked = everybody[chosen(len(dosage), inputs.asked_people, inputs.seed, 0xA6)]
    recovery = recover(case.released[asked], dosage[asked], case.knowledge, seed=inputs.seed)
    return Harder(relatives, groups, recovery, _again(inputs, some, rows, note))


def _again(
    inputs: EvaluationInputs, case: Case, rows: NDArray[np.int64], note: Callable[[str], None]
) -> TwoReleases | None:
    second = inputs.second
    if second is None:
        return None
    note(f"a second release: {second.name}")
    files: tuple[Records, ...] = second.released or tuple(second.mask(one.dosage) for one in inputs.institutions)
    groups = joint_groups([one.released for one in inputs.institutions], files)
    return two_releases(second, case, taken(files, rows), attackers(), groups, seed=inputs.seed)
