"""`afml plan`: what to expect before anybody spends anything, from the study's machinery on simulated people."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from afml.consortium.run import Phase
from afml.core.errors import ConfigError
from afml.core.progress import Step
from afml.evaluation.utility import Outcome, raw_auc, released_auc
from afml.masking.kind import train_masking
from afml.masking.plan import Wish, plan_phases
from afml.masking.settings import RISK, GameSettings, MaskingSettings, ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.study.data import DataSettings, StudyData, simulated
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of, phenotypes

RESERVES = (0, 1, 5, 20)
"""Numbers of attempts per phase that may be lost, to compare."""
HELD_OUT = 1000
"""Simulated people that nobody trains on: enough for an AUC to within about 0.02."""


@dataclass(frozen=True)
class Scenario:
    """What a consortium thinks of doing.

    Attributes:
        people: Enrolled in training, over all nodes.
        nodes: Institutions.
        quorum: Fewest of them in a round.
        max_colluding: Nodes that may pool what they know.
        wish: Cost and rounds of the run; its reserve is replaced by those that are compared.
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
    wish: Wish
    noise: str
    sites: int
    causal: int
    heritability: float
    min_group_size: int
    draws: int
    seed: int

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            ConfigError: Says what, and at which option.
        """
        wish, least_one = self.wish, "at least 1"
        for option, value, possible, what in (
            ("--nodes", self.nodes, self.nodes >= 1, least_one),
            ("--people", self.people, self.people >= self.nodes, "at least one at each node"),
            ("--max-colluding", self.max_colluding, self.max_colluding >= 0, "at least 0"),
            ("--ple", wish.ple, 0 < wish.ple < math.inf, "above 0 and finite"),
            ("--delta", wish.delta, 0 < wish.delta < 1, "between 0 and 1"),
            ("--rounds", wish.rounds, wish.rounds >= 1, least_one),
            ("--game-rounds", wish.game_rounds, wish.game_rounds >= 0, "at least 0"),
            ("--game-share", wish.game_share, 0 < wish.game_share < 1, "between 0 and 1"),
            ("--sites", self.sites, self.sites >= 1, least_one),
            ("--heritability", self.heritability, 0 < self.heritability < 1, "between 0 and 1"),
            ("--min-group-size", self.min_group_size, self.min_group_size >= 1, least_one),
            ("--draws", self.draws, self.draws >= 1, least_one),
            ("--seed", self.seed, self.seed >= 0, "at least 0"),
        ):
            if not possible:
                raise ConfigError(f"{value:g} is not {what}", where=option, cure="give another number")
        if not 1 <= self.quorum <= self.nodes:
            raise ConfigError(f"quorum {self.quorum} is not between 1 and {self.nodes} nodes", where="--quorum")
        if self.noise == "distributed" and self.quorum < self.max_colluding + 2:
            raise ConfigError(
                f"distributed noise needs a quorum of max_colluding + 2 = {self.max_colluding + 2}, not {self.quorum}",
                where="--quorum", cure="raise it or use --noise local",
            )  # fmt: skip
        if not 1 <= self.causal <= self.sites:
            raise ConfigError(f"{self.causal} causal of {self.sites} sites", where="--causal", cure="use fewer")

    @property
    def cases(self) -> tuple[tuple[int, int], ...]:
        """(nodes that take part, attempts in reserve) to compare: every reserve, then the smallest quorum."""
        cases = [(self.nodes, reserve) for reserve in RESERVES]
        return (*cases, (self.quorum, RESERVES[1])) if self.quorum < self.nodes else tuple(cases)


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


def forecast(scenario: Scenario, progress: Step | None = None) -> list[Expectation]:
    """What to expect in every case of a scenario.

    Args:
        scenario: What is thought of.
        progress: Advanced once per case.
    """
    found = []
    for nodes, reserve in scenario.cases:
        if progress is not None:
            progress.note(f"{nodes} nodes, {reserve} attempts in reserve")
        phases = plan_phases(replace(scenario.wish, reserve=reserve), MaskingSettings(), scenario.sites)
        found.append(expect(scenario, phases, nodes=nodes, reserve=reserve))
        if progress is not None:
            progress.advance()
    return found


def expect(scenario: Scenario, phases: tuple[Phase, ...], *, nodes: int, reserve: int) -> Expectation:
    """Simulate one plan with `nodes` of the institutions taking part in every round.

    The release is the codebook: no game is played, the noise is that of the whole plan nevertheless.
    """
    total = scenario.people + HELD_OUT
    settings = DataSettings(
        kind="simulated", sites=scenario.sites, nodes=scenario.nodes, people=total, split_seed=scenario.seed,
        holdout=HELD_OUT / total, holdout_seed=scenario.seed,
    )  # fmt: skip
    data = _people(settings.canonical().decode())
    ratios, aucs, bounds = [], [], []
    for draw in range(scenario.draws):
        run = RunSettings(
            data=settings, causal=scenario.causal, phenotype_seed=scenario.seed + draw,
            heritability=scenario.heritability, ple=scenario.wish.ple,
            noise="local" if scenario.noise == "local" else "distributed",
            quorum=min(scenario.quorum, nodes), max_colluding=scenario.max_colluding, reserve_attempts=reserve,
            phases=tuple(phase for phase in phases if phase.name == RISK), game=GameSettings(steps=0),
            release=ReleaseSettings(method="codebook", min_group_size=scenario.min_group_size),
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
    enrolled = {node: people for node, people in enrolled_of(data, values).items() if node <= nodes}
    whole = run.run_config(data)
    config = whole.model_copy(update={"enrolled": {node: whole.enrolled[node] for node in enrolled}})
    model = train_masking(config, data.panel, data.panel_dosage, enrolled)
    plan = plan_release(
        model, data.panel_dosage, run.release, people_per_file=min(config.enrolled.values())
    )  # fmt: skip
    released = [apply_plan(plan, file) for file in data.files]
    outcome = Outcome(values[0], np.concatenate(data.enrolled))
    raw = raw_auc(np.concatenate(data.files), outcome)
    bound = float(np.mean([one.patterns_used / len(one.dosage) for one in released]))
    return released_auc(np.concatenate([one.dosage for one in released]), outcome), raw, bound


def affordable(found: list[Expectation], tolerance: float) -> int:
    """Most reserved attempts whose utility ratio stays within `tolerance` of no reserve at all.

    Args:
        found: Of all nodes, by rising reserve, the first with none; what follows with fewer nodes is left out.
        tolerance: Loss of utility ratio that is acceptable.
    """
    best = found[0].reserve
    for one in found[1:]:
        if one.nodes != found[0].nodes:
            break
        if one.utility_ratio < found[0].utility_ratio - tolerance:
            break
        best = one.reserve
    return best
