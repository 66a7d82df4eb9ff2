"""Around one release: other operating points of the product, and fewer or more candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afml.consortium.run import RunConfig
from afml.core.errors import ReleaseError
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.baselines import Comparands
from afml.evaluation.details import PopulationDetails
from afml.evaluation.evaluate import attacked
from afml.evaluation.inputs import EvaluationInputs
from afml.evaluation.rr import attack_all, describe
from afml.evaluation.utility import Outcome
from afml.masking.chosen import masking_settings
from afml.masking.model import TrainedModel
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from afml.study.data import StudyData
from afml.study.record import Candidates, OperatingPoint

#: (method, patterns, min_group_size): the mask configurations of the frontier.
CONFIGURATIONS: tuple[tuple[str, int, int], ...] = (
    ("codebook", 3, 20), ("codebook", 6, 20), ("codebook", 10, 5), ("codebook", 10, 20), ("codebook", 10, 50),
    ("codebook", 16, 20), ("codebook", 24, 5), ("codebook", 24, 20),
    ("network", 6, 20), ("network", 10, 20), ("network", 24, 5),
)  # fmt: skip
FEWER = (100, 300, 1000)


def comparands_of(inputs: EvaluationInputs, phenotypes: tuple[tuple[Outcome, float], ...]) -> Comparands:
    """The people of an evaluation with the same reference profiles that `evaluate` makes.

    Args:
        inputs: What was evaluated.
        phenotypes: (outcome, raw AUC) of every phenotype.
    """
    dosage = np.concatenate([one.dosage for one in inputs.institutions])
    return Comparands(
        dosage, attacked(inputs, dosage).references, *phenotypes[0], inputs.panel, inputs.fill,
        inputs.genotype_error, inputs.seed, phenotypes=phenotypes,
    )  # fmt: skip


def operating_points(
    comparands: Comparands, model: TrainedModel, config: RunConfig, data: StudyData
) -> tuple[OperatingPoint, ...]:
    """Release the same people with other methods, numbers of patterns and group sizes."""
    found = []
    for method, patterns, size in CONFIGURATIONS:
        if method == "network" and not len(model.game):
            continue
        settings = masking_settings(config).release.model_copy(
            update={"method": method, "patterns": patterns, "min_group_size": size}
        )  # fmt: skip
        plan = plan_release(model, data.panel_dosage, settings, people_per_file=min(config.enrolled.values()))
        try:
            files = [apply_plan(plan, file).dosage for file in data.files]
        except ReleaseError:  # files too small for this group size
            continue
        released, shape = np.concatenate(files), describe(files, plan.fill)
        case = comparands.case(released, lambda dosage, plan=plan: mask_alone(plan, dosage))  # type: ignore[misc]
        found.append(
            OperatingPoint(
                method=method,
                patterns=patterns,
                min_group_size=size,
                rr=attack_all(case, (LikelihoodLinkage(), MaskerAwareLinkage())).rr,
                utility_ratio=comparands.worth(comparands.aucs(released)) / comparands.raw_auc,
                retained_fraction=shape.retained_fraction,
                entropy_bits=shape.entropy_bits,
            )
        )
    return tuple(found)


def by_candidates(
    comparands: Comparands, inputs: EvaluationInputs, more: Sequence[PopulationDetails]
) -> tuple[Candidates, ...]:
    """RR of likelihood and masker-aware linkage (the worse for the release) against the number of candidates.

    Args:
        comparands: The people.
        inputs: What was evaluated.
        more: RR among all and among more candidates, as `evaluate` found it. Fewer candidates are random
            subsets of people, records and candidates alike; the average over disjoint subsets, so that few
            candidates do not mean few records.
    """
    released = np.concatenate([one.released for one in inputs.institutions])
    case = comparands.case(released, inputs.mask)
    attacks = (LikelihoodLinkage(), MaskerAwareLinkage())
    people = len(released)
    order = np.random.default_rng([inputs.seed, 0xCA]).permutation(people)
    found = []
    for count in [n for n in FEWER if n < people]:
        parts = [np.sort(order[k : k + count]) for k in range(0, people - count + 1, count)]
        rates = [[attack.success(case.restricted(p, p)).mean() for p in parts] for attack in attacks]
        found.append(Candidates(people=count, rr=float(np.max(np.mean(rates, axis=1)))))
    return (*found, *(Candidates(people=point.candidates, rr=point.rr) for point in more))
