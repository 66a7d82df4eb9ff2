"""`afml configure`: the coordinator agrees on a run from the nodes' cards, finds the noise, signs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import click
from pydantic import ValidationError

from afml.core.config import complaint
from afml.core.errors import ConfigError, InputError
from afml.core.files import write_bytes
from afml.core.run import Budget, GameSettings, NodeCard, Phase, ReleaseSettings, RiskSettings, Roster, RunConfig
from afml.genomics.sites import ANNOTATIONS
from afml.privacy.calibrate import Share, noise_multipliers_for
from afml.privacy.noise import grid_for
from afml.training.program import parameter_counts
from crypto.public import messages
from crypto.public.kit import load_roster
from crypto.public.scheme import run_params
from crypto.public.signing import sign, verify
from crypto.secret.provision import load_coordinator_key

RISK_LEARNING_RATE = 0.003  # Newton steps; larger ones let the noise into the residuals (docs/TRAINING.md)
GAME_LEARNING_RATE = 0.05
GAME_SAMPLE_RATE = 0.1
PATTERNS_ONE, PATTERNS_SEVERAL = 10, 24  # of a release that serves one phenotype, or several

_POSITIVE = click.FloatRange(0, min_open=True)
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


def read_cards(paths: tuple[Path, ...], roster: Roster) -> list[NodeCard]:
    """Read node cards, check their signatures, and that all agree on the site panel.

    Raises:
        InputError: A card is missing, not signed by its node, repeated, or disagrees on the sites.
    """
    cards: dict[int, NodeCard] = {}
    for path in paths:
        card = NodeCard.load(path)
        if card.node in cards:
            raise InputError(
                f"is a second card of node {card.node}", where=path, cure="give one card per node"
            )
        try:
            key = bytes.fromhex(roster.member(card.node).signing_key)
        except KeyError:
            raise InputError(
                f"node {card.node} is not on the roster", where=path, cure="use this consortium's cards"
            ) from None
        verify(key, messages.node_card(card.unsigned()), bytes.fromhex(card.signature), where=path)
        cards[card.node] = card
    digests: dict[str, list[int]] = {}
    for card in cards.values():
        digests.setdefault(card.site_panel, []).append(card.node)
    if len(digests) > 1:
        sides = "; ".join(f"nodes {nodes}: {digest[:12]}" for digest, nodes in digests.items())
        raise InputError(
            f"the institutions disagree on the site panel ({sides})",
            where="cards",
            cure="run `afml prepare` everywhere with the same panel VCF, exclusions and site count",
        )
    return [cards[node] for node in sorted(cards)]


def plan_phases(
    *, ple: float, delta: float, rounds: int, game_rounds: int, game_share: float, reserve: int, sites: int,
    phenotypes: int = 1, covariates: int = 0, game: GameSettings | None = None,
) -> tuple[Phase, ...]:
    """The private phases of a run whose whole plan, reserved attempts included, comes to `ple` sigma.

    Args:
        ple: Target PLE in sigma.
        delta: PLE holds for every delta' >= delta.
        rounds: Full-batch rounds of the risk model; 0 for none.
        game_rounds: Poisson-sampled rounds of masker and identifier; 0 for none.
        game_share: Their part of the squared budget.
        reserve: Attempts per phase that may be lost.
        sites: Sites of the panel.
        phenotypes: Traits learned at once, or components kept.
        covariates: Columns that they are predicted with beside genotypes.
        game: The run's game, on which the length of its updates depends; by default the default one.
    """
    shares = [Share(rounds + reserve, 1.0, 1.0 - game_share if game_rounds else 1.0)] if rounds else []
    if game_rounds:
        shares.append(Share(game_rounds + reserve, GAME_SAMPLE_RATE, game_share if rounds else 1.0))
    multipliers = noise_multipliers_for(ple, shares, delta=delta)
    risk, played = parameter_counts(sites, len(ANNOTATIONS), game, phenotypes=phenotypes, covariates=covariates)
    phases = []
    if rounds:
        phases.append(
            Phase(name="risk", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=multipliers[0],
                  learning_rate=RISK_LEARNING_RATE, parameters=risk)
        )  # fmt: skip
    if game_rounds:
        phases.append(
            Phase(name="game", rounds=game_rounds, sample_rate=GAME_SAMPLE_RATE, clip_norm=1.0,
                  noise_multiplier=multipliers[-1], learning_rate=GAME_LEARNING_RATE, parameters=played)
        )  # fmt: skip
    return tuple(phases)


@click.command()
@click.argument("cards", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--kit", type=click.Path(path_type=Path), required=True, help="The coordinator's start kit.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="run.json to write (run.sig beside it)."
)
@click.option("--run", "run_id", default=None, help="Name of the run; by default made from the cards.")
@click.option("--ple", type=_POSITIVE, default=0.9, show_default=True, help="Target PLE of the whole plan, in sigma.")
@click.option(
    "--budget",
    default=None,
    type=_POSITIVE,
    help="PLE budget that nodes enforce over all runs; by default the target.",
)
@click.option("--delta", type=_SHARE, default=1e-5, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(1), default=20, show_default=True, help="Private rounds of the risk model."
)
@click.option(
    "--game-rounds", type=click.IntRange(0), default=4, show_default=True,
    help="Private rounds of masker and identifier.",
)
@click.option(
    "--game", "game_file", type=click.Path(path_type=Path), default=None,
    help="TOML or JSON of the game's settings that differ from their defaults (docs/TRAINING.md).",
)
@click.option(
    "--game-steps", type=click.IntRange(0), default=None,
    help=f"Steps of the game on the panel; by default those of --game, else {GameSettings().steps}.",
)
@click.option("--game-share", type=_SHARE, default=0.1, show_default=True, help="Their part of the squared budget.")
@click.option(
    "--noise", type=click.Choice(["distributed", "local"]), default="distributed", show_default=True
)
@click.option("--quorum", default=None, type=click.IntRange(1), help="Fewest nodes of a cohort; by default all.")
@click.option(
    "--max-colluding", type=click.IntRange(0), default=1, show_default=True,
    help="Nodes that may pool what they know.",
)
@click.option(
    "--reserve-attempts", type=click.IntRange(0), default=1, show_default=True,
    help="Attempts per phase that may be lost; nodes refuse more.",
)
@click.option(
    "--min-group-size", default=20, show_default=True, help="People who share each released pattern."
)
@click.option(
    "--phenotypes", default=None, type=click.IntRange(1, 16),
    help="Binary phenotypes learned at once, called `phenotype`, or `phenotype1`, `phenotype2`, ...  [default: 1]",
)
@click.option(
    "--risk", "risk_file", type=click.Path(path_type=Path), default=None,
    help="TOML or JSON that names the traits and covariates instead (docs/DATA.md).",
)
@click.option(
    "--patterns", default=None, type=int,
    help=f"Release patterns at most; by default {PATTERNS_ONE}, or {PATTERNS_SEVERAL} for several traits.",
)
@click.option("--seed", default=None, type=int, help="Simulation only: reproducible and insecure.")
def configure(
    cards: tuple[Path, ...], kit: Path, out: Path, run_id: str | None, ple: float, budget: float | None,
    delta: float, rounds: int, game_rounds: int, game_share: float, noise: Literal["distributed", "local"],
    quorum: int | None, max_colluding: int, reserve_attempts: int, min_group_size: int,
    phenotypes: int | None, risk_file: Path | None,
    patterns: int | None, game_file: Path | None, game_steps: int | None, seed: int | None,
) -> None:  # fmt: skip
    """Check the nodes' CARDS, find noise for the target PLE, write and sign the run configuration."""
    roster = load_roster(kit)
    key = load_coordinator_key(kit)
    found = read_cards(cards, roster)
    sites = found[0].sites
    game = GameSettings() if game_file is None else GameSettings.load(game_file)
    if game_steps is not None:
        game = game.model_copy(update={"steps": game_steps})
    if phenotypes is not None and risk_file is not None:
        raise ConfigError("give one of them", where="--phenotypes and --risk")
    risk = RiskSettings(phenotypes=phenotypes or 1) if risk_file is None else RiskSettings.load(risk_file)
    if risk.kept_components and not game_rounds:
        raise ConfigError(
            "a run without traits has no risk rounds, and no game rounds are asked for: nothing private is trained",
            where="--game-rounds", cure="ask for at least one",
        )  # fmt: skip
    phases = plan_phases(
        ple=ple, delta=delta, rounds=0 if risk.kept_components else rounds,
        game_rounds=game_rounds, game_share=game_share,
        reserve=reserve_attempts, sites=sites, phenotypes=risk.scores, covariates=len(risk.covariates), game=game,
    )  # fmt: skip
    name = run_id or "run-" + hashlib.sha256(b"".join(card.unsigned() for card in found)).hexdigest()[:8]
    try:
        config = RunConfig(
            run=name, consortium=roster.consortium, site_panel=found[0].site_panel, sites=sites,
            enrolled={card.node: card.enrolled for card in found}, quorum=quorum or len(found),
            max_colluding=max_colluding, noise=noise, budget=Budget(delta=delta, ple_sigma=budget or ple),
            reserve_attempts=reserve_attempts, phases=phases, seed=seed, game=game,
            risk=risk,
            release=ReleaseSettings(
                min_group_size=min_group_size,
                patterns=patterns or (PATTERNS_ONE if risk.scores == 1 else PATTERNS_SEVERAL),
            ),
        )  # fmt: skip
    except ValidationError as error:
        raise ConfigError(complaint(error), where="run configuration") from None
    for phase in config.phases:  # refuse here what every node would refuse later
        grid_for(config, phase)
    run_params(config)
    signature = sign(key, messages.run_config(config.digest()))
    write_bytes(out, (config.model_dump_json(indent=2) + "\n").encode())
    write_bytes(out.with_suffix(".sig"), signature)
    noises = ", ".join(f"{p.name} {p.rounds} rounds z = {p.noise_multiplier:g}" for p in config.phases)
    click.echo(f"run {name}: {len(found)} nodes, {sites} sites, PLE {ple:g} at delta {delta:g}: {noises}")
