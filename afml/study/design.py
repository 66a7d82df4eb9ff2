"""Which runs there are: the full grid, the extended one, and the quick one (docs/ANALYSIS_PLAN.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from afml.consortium.run import Phase
from afml.masking.settings import GAME, GameSettings, ReleaseSettings
from afml.study.data import DataSettings
from afml.study.runner import Job
from afml.study.settings import RunSettings
from afml.study.single import Federate

CAUSAL = (5, 20, 50)
SEEDS = (1, 2, 3, 4, 5)
PLES = (0.9, 0.5)
SITES = 1024
ABLATION_SEEDS = (1, 2, 3)
QUICK_SITES = 512
QUICK_SEED = 1001  # never one that results are reported on

#: (target PLE, sites, share of the squared budget that the private game has, its rounds, phenotypes, game) -> phases
Planner = Callable[[float, int, float, int, int, GameSettings], tuple[Phase, ...]]
FederatedRuns = Literal["each", "one", "none"]
GAME_SHARE, GAME_ROUNDS = 0.1, 4
ALL_PRIVATE_SHARE, ALL_PRIVATE_ROUNDS = 0.5, 20


@dataclass(frozen=True)
class Design:
    """The jobs of the study on one set of people.

    Attributes:
        data: The people; the number of sites is replaced job by job.
        planner: Finds the noise of the private phases; the product's own.
        site_counts: Sites really there, for a wish (4096, or 0 for all).
        federate: Trains through the federation.
    """

    data: DataSettings
    planner: Planner
    site_counts: Callable[[int], int]
    federate: Federate | None = None

    def job(
        self, causal: int, seed: int, ple: float = 0.9, sites: int = SITES, *, private: bool = True, **changes: Any
    ) -> Job:
        """One run with the product's defaults except for `changes` (fields of `RunSettings`)."""
        count = self.site_counts(sites)
        data = changes.pop("data", self.data).model_copy(update={"sites": sites})
        phenotypes, game = changes.get("phenotypes", 1), changes.get(GAME, GameSettings())
        settings = RunSettings(
            data=data,
            causal=causal,
            phenotype_seed=seed,
            ple=ple,
            phases=self.planner(ple, count, GAME_SHARE, GAME_ROUNDS, phenotypes, game),
            **changes,
        )
        if not private:
            return Job(settings, None, self.federate)
        changed = {
            "variant": "all-private",
            "phases": self.planner(ple, count, ALL_PRIVATE_SHARE, ALL_PRIVATE_ROUNDS, phenotypes, game),
            GAME: settings.game.model_copy(update={"steps": 0}),
        }
        return Job(settings, settings.model_copy(update=changed), self.federate)

    def full(self, federated: FederatedRuns = "each", seeds: tuple[int, ...] = SEEDS) -> list[Job]:
        """The 30 runs: causal sites x phenotype seeds x PLE, noise distributed, 1,024 sites."""
        made = []
        for seed in seeds:
            for ple in PLES:
                for causal in CAUSAL:
                    first = seed == seeds[0]
                    headline = (causal, ple) == (20, 0.9)
                    chosen = first and (federated == "each" or (federated == "one" and headline))
                    population = (10, 100) if first and ple == 0.9 else (10,)
                    made.append(self.job(causal, seed, ple, federated=chosen, audited=first, population=population))
        return made

    def extended(self, seeds: tuple[int, ...] = SEEDS, ablation_seeds: tuple[int, ...] = ABLATION_SEEDS) -> list[Job]:
        """Noise local; two phenotypes; ablations; 4,096 and all sites."""
        made = [self.job(causal, seed, noise="local") for seed in seeds for causal in CAUSAL]
        made += [
            self.job(causal, seed, phenotypes=2, private=False, release=ReleaseSettings(patterns=24))
            for seed in seeds
            for causal in (5, 20)
        ]
        made += [self._ablation(name, seed, change) for name, change in ablations() for seed in ablation_seeds]
        made += [
            self.job(causal, seed, sites=sites, private=False)
            for sites in (4096, 0)
            for seed in ablation_seeds
            for causal in CAUSAL
        ]
        return made

    def extended_names(
        self, seeds: tuple[int, ...] = SEEDS, ablation_seeds: tuple[int, ...] = ABLATION_SEEDS
    ) -> set[str]:
        """Names of the runs of `extended`, without counting sites or finding noise: neither is part of a name."""
        nameless = replace(self, planner=lambda *_: (), site_counts=lambda sites: sites)
        return {job.settings.name for job in nameless.extended(seeds, ablation_seeds)}

    def _ablation(self, name: str, seed: int, change: dict[str, Any]) -> Job:
        data = self.data.model_copy(update=change.get("data", {}))
        game = GameSettings.model_validate(GameSettings().model_dump() | change.get(GAME, {}))
        release = ReleaseSettings.model_validate({"method": "network"} | change.get("release", {}))
        return self.job(20, seed, private=False, data=data, variant=name, game=game, release=release)


def ablations() -> list[tuple[str, dict[str, Any]]]:
    """(name, what is changed): the network release with one thing changed at a time."""
    made: list[tuple[str, dict[str, Any]]] = [("network", {})]
    made += [(f"objective-{name}", {GAME: {"objective": name}}) for name in ("printed", "confusion")]
    if "context_scores" in GameSettings.model_fields:
        made.append(("no-context", {GAME: {"context_scores": 0}}))
    made += [(f"panel-{people}", {"data": {"panel_used": people}}) for people in (100, 250)]
    made += [(f"windows-{sites}", {GAME: {"windows": sites}}) for sites in (16, 256)]
    made += [(f"lineup-{people}", {GAME: {"lineup": people}}) for people in (4, 48)]
    made.append(("no-public-game", {GAME: {"steps": 0}}))
    made.append(("codebook", {"release": {"method": "codebook"}}))
    made.append(("panel-frequencies", {"release": {"method": "codebook"}, "data": {"panel": "frequencies"}}))
    return made


def quick(planner: Planner, real: DataSettings | None) -> list[Job]:
    """Two small runs: simulated people, and real ones where there are any (else other simulated ones)."""
    simulated = DataSettings(kind="simulated", sites=256, people=1500, panel_people=300, split_seed=11)
    game = GameSettings(steps=60)
    second = simulated.model_copy(update={"split_seed": 12}) if real is None else real
    made = []
    for data, causal in ((simulated, 5), (second, 20)):
        settings = RunSettings(
            data=data,
            causal=causal,
            phenotype_seed=QUICK_SEED,
            ple=0.9,
            phases=planner(0.9, data.sites, GAME_SHARE, GAME_ROUNDS, 1, game),
            game=game,
            variant=f"quick-{data.kind}",
            population=(),
        )
        made.append(Job(settings))
    return made
