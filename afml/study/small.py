"""Small consortia, one run at a time: the release that `auto` chooses beside others that the same DP model allows.

A *cell* is a number of people, of causal sites, and a PLE. Who is in the consortium, the trait and what raw genotypes
tell of it are the same for every PLE: they are drawn once for the cells that differ in nothing else. Rivals are the
same few sites of everybody (`static`, without groups), the greedy codebook, and the score in bins, at several levels.
People of the same population who are at no institution are released by the same plan and judged beside the held-out
people, so that few people do not make a figure noisy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Phase
from afml.evaluation.masks import static_mask
from afml.evaluation.utility import Outcome, raw_auc, released_auc, score_auc
from afml.genomics.liability import simulate_phenotype
from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from afml.masking.settings import FOCUS, RISK, GameSettings, ReleaseSettings, RiskSettings
from afml.release.method import METHODS
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.public import learning_people
from afml.release.released import apply_plan
from afml.release.static import strongest_sites
from afml.release.table import decoder_of
from afml.study.data import DataSettings, StudyData, held_out
from afml.study.settings import RunSettings
from afml.study.single import enrolled_of

#: Nodes of a small consortium, the share of its people whom nobody trains on, and most others who are judged.
NODES, HELD_OUT, FURTHER = 5, 0.25, 1500
#: Levels of the rivals: sites, patterns, bins.
STATIC, GREEDY, BINNED = (1, 2, 3), (3, 5, 10), (2, 3, 4, 6, 8, 10)
PRODUCT, NOTHING = "auto", "nothing"


@dataclass(frozen=True)
class Cell:
    """What a small consortium is.

    Attributes:
        kind: Whose genotypes.
        people: Private people over all nodes.
        causal: Causal sites of the simulated trait.
        ple: Target PLE, in sigma.
        heritability: Of the trait; 0 for one that has nothing to do with genotypes.
    """

    kind: Literal["simulated", "exomes"]
    people: int
    causal: int
    ple: float
    heritability: float = 0.5

    @property
    def name(self) -> str:
        """For tables and files."""
        inherited = "" if self.heritability == 0.5 else f"-h{self.heritability:g}"
        return f"{self.kind}-people{self.people}-causal{self.causal}-ple{self.ple:g}{inherited}"


@dataclass(frozen=True)
class Reached:
    """One release of one run.

    Attributes:
        ratio: Its AUC over that of raw genotypes.
        rr_bound: Patterns over people of the consortium: an attacker's expected success at most.
    """

    ratio: float
    rr_bound: float


@dataclass(frozen=True)
class SmallRun:
    """One seed of a cell.

    Attributes:
        seed: Of the trait, the noise, and who is in the consortium.
        reached: By release: the product's, and each level of each rival.
        method: What `auto` took.
        patterns: Patterns of its plan.
        expected: Correlation with the trait that its plan expects.
        at_chance: Whether its plan says that it is not worth releasing.
    """

    seed: int
    reached: dict[str, Reached]
    method: str
    patterns: int
    expected: float
    at_chance: bool


@dataclass(frozen=True, eq=False)
class Consortium:
    """Who is in it, and who is judged beside: the same for cells that differ in their PLE alone.

    Attributes:
        seed: Of all that is drawn.
        own: The consortium's files.
        others: Files of the same size of people who are at no institution.
        enrolled: Of every own file.
        case: The trait of everybody, own people first, [people].
    """

    seed: int
    own: tuple[NDArray[np.int8], ...]
    others: tuple[NDArray[np.int8], ...]
    enrolled: tuple[NDArray[np.bool_], ...]
    case: NDArray[np.int8]

    @cached_property
    def dosage(self) -> NDArray[np.int8]:
        """Of everybody, [people, sites]."""
        return np.concatenate([*self.own, *self.others])

    @property
    def count(self) -> int:
        """People of the consortium."""
        return sum(map(len, self.own))

    @cached_property
    def outcome(self) -> Outcome:
        """The trait, and who trains."""
        return Outcome(self.case, np.concatenate([*self.enrolled, np.zeros(len(self.case) - self.count, np.bool_)]))

    @cached_property
    def raw(self) -> float:
        """AUC of raw genotypes."""
        return raw_auc(self.dosage, self.outcome)


def draw(cell: Cell, seed: int, population: NDArray[np.int8]) -> Consortium:
    """The consortium of a cell and a seed.

    Args:
        cell: Which; its PLE has no part in it.
        seed: Of the trait, and who is in the consortium.
        population: People, [people, sites].
    """
    order = np.random.default_rng([seed, 0x5A]).permutation(len(population))
    own = tuple(np.array_split(population[order[: cell.people]], NODES))
    size = min(map(len, own))
    left = order[cell.people : cell.people + FURTHER]
    others = tuple(population[left[start : start + size]] for start in range(0, len(left) - size + 1, size))
    enrolled = tuple(
        ~held_out([f"{node}-{row}" for row in range(len(file))], HELD_OUT, seed) for node, file in enumerate(own, 1)
    )
    everybody = np.concatenate([*own, *others])
    case, _ = simulate_phenotype(everybody, causal=cell.causal, heritability=cell.heritability, seed=seed)
    return Consortium(seed, own, others, enrolled, case)


def small_run(
    cell: Cell, people: Consortium, data: StudyData, phases: tuple[Phase, ...], focus: int = FOCUS
) -> SmallRun:
    """One run of a cell.

    Args:
        cell: Which.
        people: Drawn for it, or for one that has another PLE.
        data: A panel and a population.
        phases: The product's plan; its risk rounds are made, the rest of the budget is left unspent.
        focus: Of the risk rounds.
    """
    settings = RunSettings(
        data=DataSettings(kind="simulated", sites=len(data.panel), people=cell.people),
        causal=cell.causal, phenotype_seed=people.seed, heritability=cell.heritability, ple=cell.ple,
        phases=tuple(phase for phase in phases if phase.name == RISK), game=GameSettings(steps=0),
        risk=RiskSettings(focus=focus), variant="small", release=ReleaseSettings(),
    )  # fmt: skip
    drawn = replace(data, files=people.own, enrolled=people.enrolled)
    config = settings.run_config(drawn)
    case = people.case[: people.count]
    model = train_masking(config, data.panel, data.panel_dosage, enrolled_of(drawn, (case,)))
    model = replace(model, game=np.zeros(0))  # nobody has played one: there is no network codebook to compare
    smallest = min(config.enrolled.values())

    def released(plan: ReleasePlan) -> Reached:
        records = np.concatenate([apply_plan(plan, file).dosage for file in (*people.own, *people.others)])
        decoder = decoder_of(plan, data.panel_dosage)
        return _reached(records, people, None if decoder is None else decoder(records))

    plan = plan_release(model, data.panel_dosage, settings.release, people_per_file=smallest)
    reached = {PRODUCT: released(plan), NOTHING: Reached(0.5 / people.raw, 1 / people.count)}
    public, share = learning_people(model, data.panel_dosage), settings.release.min_group_size / smallest
    greedy = METHODS.get("greedy").learn(model, public, public, max(GREEDY), share)
    for count in GREEDY:
        fewer = greedy.first(count)
        assert fewer is not None  # it is learned pattern by pattern
        reached[f"greedy {count}"] = released(replace(plan, method="greedy", codebook=fewer))
    reached |= dict(_static(people, model)) | dict(_binned(people, model, data.panel_dosage))
    patterns, expected = len(plan.codebook.patterns), max(plan.expected, default=0.0)
    return SmallRun(people.seed, reached, plan.method, patterns, expected, bool(plan.at_chance))


def _reached(released: NDArray[np.int8], people: Consortium, told: NDArray[np.float64] | None = None) -> Reached:
    varying = (released != released[:1]).any(axis=0)
    read = released[:, varying] if told is None else told
    auc = released_auc(read, people.outcome) if varying.any() else 0.5
    patterns = len(np.unique(released[: people.count][:, varying], axis=0)) if varying.any() else 1
    return Reached(auc / people.raw, patterns / people.count)


def _static(people: Consortium, model: TrainedModel) -> Iterator[tuple[str, Reached]]:
    order = strongest_sites(model.weights)
    for count in STATIC:
        yield f"static {count}", _reached(static_mask(order[:count], 0)(people.dosage), people)


def _binned(people: Consortium, model: TrainedModel, panel: NDArray[np.int8]) -> Iterator[tuple[str, Reached]]:
    score, public = model.risk_score(people.dosage), model.risk_score(panel)
    for bins in BINNED:
        shown = np.searchsorted(np.unique(np.quantile(public, np.arange(1, bins) / bins)), score)
        used = len(np.unique(shown[: people.count]))
        auc = score_auc(shown.astype(np.float64), people.outcome)
        yield f"binned {bins}", Reached(auc / people.raw, used / people.count)
