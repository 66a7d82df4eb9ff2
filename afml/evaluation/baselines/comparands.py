"""What is compared: the same people, released in one way or another."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks import Case, Knowledge, ReleaseFunction
from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.attacks.scoring import SIDE_BY_SIDE_FROM, alone
from afml.evaluation.limits import LIMITS, Most
from afml.evaluation.rr import sampled
from afml.evaluation.utility import Outcome, many, origin, reached_by_all, released_auc, share


@dataclass(frozen=True, eq=False)
class Comparands:
    """The people that every family releases, and what attacks and utility need of them.

    Attributes:
        dosage: int8[n, S], raw: of everybody, or of a sample.
        references: int8[m, S], an independent genotyping of everybody: the candidates.
        outcome: Phenotype and split; of several, the one that the release under test serves worst.
        raw_auc: Held-out AUC of the fixed pipeline on `dosage`.
        panel: int8[p, S], public.
        fill: What a masked site shows.
        genotype_error: Error rate of the references.
        seed: Of random masks.
        files: People per released file, in the order of rows; () where nobody asked.
        min_group_size: k of the release under test; 1 for none. Static and random masks are then also listed
            with every pattern merged or masked until k people of each file share it.
        phenotypes: (outcome, raw AUC) of all phenotypes compared, in the order of the risk weights; () where there is
            one.
        rows: Which of the candidates the people of `dosage` are.
        everybody: int8[m, S], raw; None where `dosage` is everybody's.
        most: Pairs of record and candidate that an attack scores before it takes a sample of the records.
    """

    dosage: Int8
    references: Int8
    outcome: Outcome
    raw_auc: float
    panel: Int8
    fill: Literal["major", "missing"]
    genotype_error: float
    seed: int
    files: tuple[int, ...] = ()
    min_group_size: int = 1
    phenotypes: tuple[tuple[Outcome, float], ...] = ()
    rows: NDArray[np.int64] | slice = field(default_factory=lambda: slice(None))
    everybody: Int8 | None = None
    most: Most = LIMITS.baselines

    @property
    def people(self) -> Int8:
        """int8[m, S], raw, of everybody."""
        return self.dosage if self.everybody is None else self.everybody

    @property
    def declared(self) -> tuple[tuple[Outcome, float], ...]:
        """(outcome, raw AUC) of every phenotype."""
        return self.phenotypes or ((self.outcome, self.raw_auc),)

    def aucs(self, released: Int8 | Float64) -> Float64:
        """float64[D], held-out AUC of the fixed pipeline on released records, or on scores they tell, per phenotype."""
        outcomes = [outcome for outcome, _ in self.declared]
        if many(outcomes, released.shape[1]):
            return reached_by_all(released, outcomes)
        workers = 1 if in_child() or released.size * len(outcomes) < SIDE_BY_SIDE_FROM else usable_processors()
        if min(workers, len(outcomes)) == 1:
            return np.array([released_auc(released, outcome) for outcome in outcomes])
        work = [partial(released_auc, released, outcome) for outcome in outcomes]
        return np.array(alone(work, workers))

    @cached_property
    def _origins(self) -> tuple[float, ...]:
        """`origin` of `outcome`, then of every phenotype."""
        return tuple(origin(one) for one in (self.outcome, *(one for one, _ in self.declared)))

    def worth(self, aucs: Float64) -> float:
        """What AUCs for every phenotype are worth, as an AUC of `outcome`.

        The lowest share of what raw genotypes reach, counted from `origin`, and that share of `raw_auc`.
        """
        if len(self.declared) == 1:
            return float(aucs[0])
        own, *others = self._origins
        each = zip(aucs, self.declared, others, strict=True)
        return own + (self.raw_auc - own) * min(share(float(auc) - zero, raw - zero) for auc, (_, raw), zero in each)

    def case(self, released: Int8, mask: ReleaseFunction) -> Case:
        """The attack on `released`, or on a sample of it, whose public release function is `mask`."""
        knowledge = Knowledge(self.panel, mask, self.fill, self.genotype_error)
        return sampled(
            Case(released, self.references, np.arange(len(self.references))[self.rows], knowledge), self.most
        )

    @property
    def masked_value(self) -> int:
        """What a masked site shows."""
        return MASKED if self.fill == "missing" else 0
