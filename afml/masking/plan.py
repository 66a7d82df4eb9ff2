"""The private phases of a masking run: how many rounds, and with how much noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from afml.consortium.run import Phase
from afml.core.errors import ConfigError
from afml.genomics.sites import ANNOTATIONS
from afml.masking.game import Game
from afml.masking.settings import GAME, RISK, MaskingSettings
from afml.privacy.plan import PhaseShare, calibrated
from afml.training.planning import Rounds, Terms

RISK_LEARNING_RATE = 0.003  # Newton steps; larger ones let the noise into the residuals (docs/TRAINING.md)
GAME_LEARNING_RATE = 0.05
GAME_SAMPLE_RATE = 0.1
#: What `Rounds.further` may hold for this task, and what holds where it does not.
GAME_ROUNDS, GAME_SHARE = "game_rounds", "game_share"
DEFAULT_GAME_ROUNDS, DEFAULT_GAME_SHARE = 4, 0.1


@dataclass(frozen=True)
class Wish:
    """What a masking run may cost, and in how many rounds.

    Attributes:
        ple: Target PLE of the whole plan, reserved attempts included, in sigma.
        delta: PLE holds for every delta' >= delta.
        rounds: Full-batch rounds of the risk model; 0 for none.
        game_rounds: Poisson-sampled rounds of masker and identifier; 0 for none.
        game_share: Their part of the squared budget.
        reserve: Attempts per phase that may be lost.
    """

    ple: float
    delta: float
    rounds: int
    game_rounds: int
    game_share: float
    reserve: int
    enrolments: int = 1


def wish_of(settings: MaskingSettings, rounds: Rounds, terms: Terms) -> Wish:
    """What a coordinator asks for, in the task's own words: `further` may hold game_rounds and game_share.

    Raises:
        ConfigError: A number that the task does not know, or one that it sets itself; a run without any private round.
    """
    own = {"epochs": rounds.epochs, "sample_rate": rounds.sample_rate, "clip_norm": rounds.clip_norm}
    own["learning_rate"] = rounds.learning_rate
    wrong = [name for name, value in own.items() if value is not None]
    wrong += sorted(set(rounds.further) - {GAME_ROUNDS, GAME_SHARE})
    if wrong:
        option = f"--{wrong[0].replace('_', '-')}"
        raise ConfigError("the masking task sets this itself", where=option, cure="leave it out")
    game_rounds = int(rounds.further.get(GAME_ROUNDS, DEFAULT_GAME_ROUNDS))
    if not settings.risk.declared and not game_rounds:
        raise ConfigError(
            "a run without traits has no risk rounds, and no game rounds are asked for: nothing private is trained",
            where="--game-rounds",
            cure="ask for at least one",
        )
    share = rounds.further.get(GAME_SHARE, DEFAULT_GAME_SHARE)
    return Wish(
        terms.ple_sigma,
        terms.delta,
        rounds.rounds,
        game_rounds,
        share,
        terms.reserve_attempts,
        terms.max_enrolments or 1,
    )


def plan_phases(wish: Wish, settings: MaskingSettings, sites: int) -> tuple[Phase, ...]:
    """The private phases of a run whose whole plan comes to `wish.ple` sigma.

    Args:
        wish: Rounds and cost.
        settings: On which the lengths of the updates depend.
        sites: Sites of the panel.
    """
    rounds = wish.rounds if settings.risk.declared else 0
    shares = []
    if rounds:
        shares.append(PhaseShare(RISK, rounds, 1.0, 1.0 - wish.game_share if wish.game_rounds else 1.0))
    if wish.game_rounds:
        shares.append(PhaseShare(GAME, wish.game_rounds, GAME_SAMPLE_RATE, wish.game_share if rounds else 1.0))
    multipliers = calibrated(
        shares, ple_sigma=wish.ple, delta=wish.delta, reserve=wish.reserve, enrolments=wish.enrolments
    )
    risk, game = parameter_counts(sites, settings)
    phases = []
    if rounds:
        phases.append(
            Phase(
                name=RISK,
                rounds=rounds,
                sample_rate=1.0,
                clip_norm=1.0,
                noise_multiplier=multipliers[0],
                learning_rate=RISK_LEARNING_RATE,
                parameters=risk,
            )
        )
    if wish.game_rounds:
        phases.append(
            Phase(
                name=GAME,
                rounds=wish.game_rounds,
                sample_rate=GAME_SAMPLE_RATE,
                clip_norm=1.0,
                noise_multiplier=multipliers[-1],
                learning_rate=GAME_LEARNING_RATE,
                parameters=game,
                needs_public=True,
            )
        )
    return tuple(phases)


def parameter_counts(sites: int, settings: MaskingSettings) -> tuple[int, int]:
    """Lengths of the update vectors of risk and game phases, which a run configuration declares.

    The first one is 0 in a run without traits.
    """
    risk = settings.risk
    game = Game(sites, len(ANNOTATIONS), settings.game, torch.device("cpu"), phenotypes=risk.scores)
    return len(risk.declared) * (sites + 1 + len(risk.covariates)), game.lengths.update
