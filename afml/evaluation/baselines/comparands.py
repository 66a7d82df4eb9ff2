"""What is compared: the same people, released in one way or another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from afml.evaluation.attacks import Case, Knowledge, ReleaseFunction
from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.utility import Outcome, origin, released_auc, share


@dataclass(frozen=True, eq=False)
class Comparands:
    """The people that every family releases, and what attacks and utility need of them.

    Attributes:
        dosage: int8[n, S], raw.
        references: int8[n, S], an independent genotyping of the same people: the candidates.
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

    @property
    def declared(self) -> tuple[tuple[Outcome, float], ...]:
        """(outcome, raw AUC) of every phenotype."""
        return self.phenotypes or ((self.outcome, self.raw_auc),)

    def aucs(self, released: Int8) -> Float64:
        """float64[D], held-out AUC of the fixed pipeline on released records for every phenotype."""
        return np.array([released_auc(released, outcome) for outcome, _ in self.declared])

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
        """The attack on `released`, whose public release function is `mask`."""
        knowledge = Knowledge(self.panel, mask, self.fill, self.genotype_error)
        return Case(released, self.references, np.arange(len(released)), knowledge)

    @property
    def masked_value(self) -> int:
        """What a masked site shows."""
        return MASKED if self.fill == "missing" else 0
