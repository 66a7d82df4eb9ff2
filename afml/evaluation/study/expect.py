"""`afml plan`: what to expect before anybody spends anything, from the study's machinery on simulated people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from afml.core.run import GameSettings, Phase, ReleaseSettings
from afml.evaluation.study.data import DataSettings, StudyData, simulated
from afml.evaluation.study.settings import RunSettings
from afml.evaluation.study.single import cohorts, phenotypes
from afml.evaluation.utility import Outcome, raw_auc, released_auc
from afml.training.inprocess import train_in_process
from afml.training.release import apply_plan, plan_release

HELD_OUT = 1000
"""Simulated people that nobody trains on: enough for an AUC to within about 0.02."""


@dataclass(frozen=True)
class Wish:
    """What a consortium thinks of doing.

    Attributes:
        people: Enrolled in training, over all nodes.
        nodes: Institutions.
        quorum: Fewest of them in a round.
        max_colluding: Nodes that may pool what they know.
        ple: Target PLE of the whole plan, in sigma.
        noise: "distributed" or "local".
        sites, causal, heritability: Of the simulated trait.
        min_group_size: k of every released file.
        draws: Cohorts (phenotype and noise) to simulate.
        seed: Of all of them.
    """

    people: int
    nodes: int
    quorum: int
    max_colluding: int
    ple: float
    noise: str
    sites: int
    causal: int
    heritability: float
    min_group_size: int
    draws: int
    seed: int


@dataclass(frozen=True)
class Expectation:
    """What a plan gives on simulated people.

    Attributes:
        nodes: Institutions that take part in every round.
        reserve: Attempts per phase that may be lost.
        noise_multiplier: z of the risk rounds.
        utility_ratios: Released AUC / raw AUC of every draw.
        aucs: Released AUC of every draw.
        rr_bound: Mean of patterns / people over files: bounds RR for who knows the institution.
    """

    nodes: int
    reserve: int
    noise_multiplier: float
    utility_ratios: tuple[float, ...]
    aucs: tuple[float, ...]
    rr_bound: float

    @property
    def utility_ratio(self) -> float:
        """Median over draws."""
        return float(np.median(self.utility_ratios))


def expect(wish: Wish, phases: tuple[Phase, ...], *, nodes: int, reserve: int) -> Expectation:
    """Simulate one plan with `nodes` of the institutions taking part in every round.

    The release is the codebook: no game is played, the noise is that of the whole plan nevertheless.
    """
    total = wish.people + HELD_OUT
    settings = DataSettings(
        kind="simulated", sites=wish.sites, nodes=wish.nodes, people=total, split_seed=wish.seed,
        holdout=HELD_OUT / total, holdout_seed=wish.seed,
    )  # fmt: skip
    data = _people(settings.canonical().decode())
    ratios, aucs, bounds = [], [], []
    for draw in range(wish.draws):
        run = RunSettings(
            data=settings, causal=wish.causal, phenotype_seed=wish.seed + draw, heritability=wish.heritability,
            ple=wish.ple, noise="local" if wish.noise == "local" else "distributed",
            quorum=min(wish.quorum, nodes), max_colluding=wish.max_colluding, reserve_attempts=reserve,
            phases=tuple(phase for phase in phases if phase.name == "risk"), game=GameSettings(steps=0),
            release=ReleaseSettings(method="codebook", min_group_size=wish.min_group_size),
        )  # fmt: skip
        auc, raw, bound = _draw(run, data, nodes)
        ratios.append(auc / raw)
        aucs.append(auc)
        bounds.append(bound)
    return Expectation(
        nodes, reserve, phases[0].noise_multiplier, tuple(ratios), tuple(aucs), float(np.mean(bounds))
    )  # fmt: skip


@lru_cache(maxsize=1)
def _people(settings: str) -> StudyData:
    return simulated(DataSettings.model_validate_json(settings))


def _draw(run: RunSettings, data: StudyData, nodes: int) -> tuple[float, float, float]:
    values, _ = phenotypes(run, data)
    people = {node: cohort for node, cohort in cohorts(data, values).items() if node <= nodes}
    whole = run.run_config(data)
    config = whole.model_copy(update={"enrolled": {node: whole.enrolled[node] for node in people}})
    model = train_in_process(config, data.panel, data.panel_dosage, people)
    plan = plan_release(
        model, data.panel_dosage, config.release, people_per_file=min(config.enrolled.values())
    )  # fmt: skip
    released = [apply_plan(plan, file) for file in data.files]
    outcome = Outcome(values[0], np.concatenate(data.enrolled))
    raw = raw_auc(np.concatenate(data.files), outcome)
    bound = float(np.mean([one.patterns_used / len(one.dosage) for one in released]))
    return released_auc(np.concatenate([one.dosage for one in released]), outcome), raw, bound


def affordable(found: list[Expectation], tolerance: float) -> int:
    """Most reserved attempts whose utility ratio stays within `tolerance` of no reserve at all.

    Args:
        found: By rising reserve, the first with none.
        tolerance: Loss of utility ratio that is acceptable.
    """
    best = found[0].reserve
    for one in found[1:]:
        if one.utility_ratio < found[0].utility_ratio - tolerance:
            break
        best = one.reserve
    return best
