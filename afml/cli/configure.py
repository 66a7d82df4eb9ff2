"""`afml configure`: the coordinator agrees on a run from the nodes' cards, finds the noise, signs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

import click

from afml.cli.quorum import require_quorum
from afml.consortium.card import read_cards
from afml.consortium.kit import load_roster
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import RUN_NAME, RunConfig
from afml.consortium.runfile import write_run
from afml.core.config import read_settings
from afml.core.errors import AfmlError, ConfigError
from afml.data.kind import DATA_KINDS
from afml.masking import options as masking
from afml.masking.chosen import NAME as MASKING
from afml.masking.chosen import masking_settings
from afml.masking.plan import DEFAULT_GAME_ROUNDS, DEFAULT_GAME_SHARE, GAME_ROUNDS, GAME_SHARE
from afml.masking.settings import FOCUS, GameSettings
from afml.privacy.noise import honest_nodes
from afml.release.method import require_method
from afml.training.model import ArrayModel
from afml.training.planning import Rounds, Terms
from afml.training.planning import configure as configure_run
from afml.training.registry import find
from afml.training.start import require_fitting
from crypto.public.backend import BACKENDS
from crypto.public.suites import HYBRID, PUBLIC_BYTES, KeyAgreement
from node.columns import read_by
from node.quorum import small_sums

_PATH = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("cards", type=_PATH, nargs=-1, required=True)
@click.option("--kit", type=_PATH, required=True, help="The coordinator's start kit.")
@click.option("--out", type=_PATH, required=True, help="run.json to write (run.sig beside it).")
@click.option("--force", is_flag=True, help="Write over another run that lies in --out.")
@click.option("--run", "name", default=None, help="Name of the run; by default made from the cards.")
@click.option("--task", "kind", default=MASKING, show_default=True, help="What the run trains: an installed task.")
@click.option("--settings", "settings_file", type=_PATH, default=None, help="TOML or JSON of the task's settings.")
@click.option("--ple", type=_POSITIVE, default=0.9, show_default=True, help="Target PLE of the whole plan, in sigma.")
@click.option(
    "--budget", default=None, type=_POSITIVE, help="PLE budget that nodes enforce over all runs; by default the target."
)
@click.option("--delta", type=_SHARE, default=1e-5, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=None, help="Private rounds.  [default: 20]")
@click.option("--epochs", type=_POSITIVE, default=None, help="Instead: how often a person is expected to be drawn.")
@click.option("--sample-rate", type=click.FloatRange(0, 1, min_open=True), default=None, help="Of Poisson batches.")
@click.option("--clip-norm", type=_POSITIVE, default=None, help="L2 bound of a person's gradient.")
@click.option("--learning-rate", type=_POSITIVE, default=None)
@click.option(
    "--start", type=_PATH, default=None, help="Folder of a saved model to begin at; nodes need it too (--start-model)."
)
@click.option("--noise", type=click.Choice(["distributed", "local"]), default="distributed", show_default=True)
@click.option("--quorum", default=None, type=click.IntRange(1), help="Fewest nodes of a cohort; by default all.")
@click.option(
    "--max-colluding", type=click.IntRange(0), default=1, show_default=True, help="Nodes that may pool what they know."
)
@click.option(
    "--max-enrolments",
    default=None,
    type=click.IntRange(1),
    help="Institutions that one person may be enrolled at; noise grows with it.  [default: the most that a card says]",
)
@click.option(
    "--reserve-attempts",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Attempts per phase that may be lost; nodes refuse more.",
)
@click.option(
    "--deadline", default=300.0, show_default=True, type=_POSITIVE,
    help="Seconds that a round waits for a member: to load its people, or to send an update.",
)  # fmt: skip
@click.option(
    "--enrolment-grace", type=_POSITIVE, default=None,
    help="Seconds that others are waited for once a quorum has enrolled.  [default: as --deadline]",
)  # fmt: skip
@click.option(
    "--linger", type=_POSITIVE, default=None,
    help="Seconds that the model stays on offer for nodes that were away at the end.  [default: as --deadline]",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(list(BACKENDS)), default="ckks", show_default=True, help="How updates are hidden."
)
@click.option(
    "--key-agreement", type=click.Choice(list(PUBLIC_BYTES)), default=HYBRID, show_default=True,
    help="How nodes agree on keys: so that recorded traffic stays closed to quantum computers, or by X25519 alone.",
)  # fmt: skip
@click.option(
    "--exact-noise", is_flag=True, help="Noise that is proven to be what is accounted (docs/design/noise.md)."
)
@click.option(
    "--verified-sums", is_flag=True, help="Nodes verify every sum before they apply it (docs/design/verified-sums.md)."
)
@click.option("--seed", default=None, type=int, help="Simulation only: reproducible and insecure.")
@click.option(
    "--game-rounds",
    type=click.IntRange(0),
    default=None,
    help=f"Masking: private rounds of masker and identifier.  [default: {DEFAULT_GAME_ROUNDS}]",
)
@click.option(
    "--game-share",
    type=_SHARE,
    default=None,
    help=f"Masking: their part of the squared budget.  [default: {DEFAULT_GAME_SHARE}]",
)
@click.option(
    "--game",
    "game_file",
    type=_PATH,
    default=None,
    help="Masking: TOML or JSON of the game's settings that differ from their defaults (docs/TRAINING.md).",
)
@click.option(
    "--game-steps",
    type=click.IntRange(0),
    default=None,
    help=f"Masking: steps of the game on the panel; by default those of --game, else {GameSettings().steps}.",
)
@click.option("--min-group-size", default=None, type=int, help="Masking: people who share a pattern.  [default: 20]")
@click.option("--fill", type=click.Choice(["major", "missing"]), help="Masking: see `afml mask`.  [default: missing]")
@click.option(
    "--phenotypes",
    default=None,
    type=click.IntRange(1, 16),
    help="Masking: binary phenotypes learned at once, `phenotype`, or `phenotype1`, `phenotype2`, ...  [default: 1]",
)
@click.option(
    "--risk",
    "risk_file",
    type=_PATH,
    default=None,
    help="Masking: TOML or JSON that names the traits and covariates instead (docs/DATA.md).",
)
@click.option(
    "--focus",
    default=None,
    type=click.IntRange(0),
    help="Masking: sites of each trait that the last risk rounds measure, those that stood out before "
    f"(docs/TRAINING.md); 0: all of them.  [default: {FOCUS}, or what --risk says]",
)
@click.option(
    "--patterns",
    default=None,
    type=int,
    help=f"Masking: release patterns at most; by default {masking.PATTERNS_ONE}, or {masking.PATTERNS_SEVERAL} for "
    "several traits.",
)
def configure(
    cards: tuple[Path, ...], kit: Path, out: Path, force: bool, name: str | None, kind: str,
    settings_file: Path | None, ple: float,
    budget: float | None, delta: float, rounds: int | None, epochs: float | None, sample_rate: float | None,
    clip_norm: float | None, learning_rate: float | None, start: Path | None, noise: Literal["distributed", "local"],
    quorum: int | None, max_colluding: int, max_enrolments: int | None, reserve_attempts: int, deadline: float,
    enrolment_grace: float | None, linger: float | None, backend: str, key_agreement: KeyAgreement,
    exact_noise: bool, verified_sums: bool,
    seed: int | None, game_rounds: int | None, game_share: float | None, game_file: Path | None,
    game_steps: int | None, min_group_size: int | None, fill: str | None, phenotypes: int | None,
    risk_file: Path | None, focus: int | None, patterns: int | None,
) -> None:  # fmt: skip
    """Check the nodes' CARDS, find noise for the target PLE, write and sign the run configuration."""
    if rounds is not None and epochs is not None:
        raise ConfigError("give one of them", where="--rounds and --epochs")
    if name is not None and not re.fullmatch(RUN_NAME, name):
        cure = "at most 64 letters, digits, '.', '_' and '-', a letter or digit first"
        raise ConfigError(f"{name!r} names no folder", where="--run", cure=cure)
    roster, key = load_roster(kit), load_coordinator_key(kit)
    model, task = None if start is None else ArrayModel.load(start), find(kind, where="--task")
    found = read_cards(cards, roster)
    words = masking.Words(risk_file, game_file, game_steps, phenotypes, patterns, min_group_size, fill, focus)
    further = {name: float(n) for name, n in ((GAME_ROUNDS, game_rounds), (GAME_SHARE, game_share)) if n is not None}
    settings = _given(kind, settings_file, words, bool(further))
    require_quorum(len(found), quorum, max_colluding, noise)
    # A run under the first version does not name it: seeded runs of two consortia are then the same, as trials need.
    version = "" if roster.version == 1 else roster.digest().hex()
    run = configure_run(
        roster.consortium, found, task, settings,
        Rounds(rounds=rounds or 20, epochs=epochs, sample_rate=sample_rate, clip_norm=clip_norm,
               learning_rate=learning_rate, further=further),
        Terms(name=name, roster=version, ple_sigma=ple, budget_sigma=budget, delta=delta, noise=noise,
              exact_noise=exact_noise, quorum=quorum, max_colluding=max_colluding, max_enrolments=max_enrolments,
              reserve_attempts=reserve_attempts, deadline_s=deadline, enrolment_grace_s=enrolment_grace,
              linger_s=linger, backend=backend, key_agreement=key_agreement, verified_sums=verified_sums,
              start="" if model is None else model.digest(), seed=seed),
    )  # fmt: skip
    if model is not None:
        require_fitting(task.load(), run, model)
    if kind == MASKING:
        require_method(masking_settings(run).release.method, where=f"run {run.run}")
    unit = DATA_KINDS.get(run.data.kind, where="cards").unit
    _require_free(out, run, force)
    write_run(out, run, key)
    noises = ", ".join(f"{p.name} {p.rounds} rounds z = {p.noise_multiplier:g}" for p in run.phases)
    click.echo(
        f"run {run.run}: {len(found)} nodes, {run.data.features} {unit}, PLE {ple:g} at delta {delta:g}: {noises}; "
        f"a person is enrolled at {run.enrolments_per_person} of them at most"
    )
    for line in filter(None, (_needed(run), small_sums(run), _columns(run))):
        click.echo(line)


def _needed(run: RunConfig) -> str:
    """That no node may be away, and the quorum that would let one be; "" where one may, or where none would.

    The budget is the same. With distributed noise each node adds z m C / sqrt(quorum - max_colluding), so one node less
    that is counted on is more noise from each (`afml.privacy.noise`).
    """
    nodes, honest = len(run.enrolled), honest_nodes(run)
    distributed = run.noise == "distributed"
    if run.quorum < nodes or nodes <= 3 or (distributed and honest <= 2):
        return ""
    more = math.sqrt(honest / (honest - 1)) if distributed else 1.0
    price = f"and each then adds {more:.2f} times the noise" if distributed else "at the same noise"
    return f"every one of the {nodes} is needed in each sum; --quorum {nodes - 1} lets one be away, {price}"


def _columns(run: RunConfig) -> str:
    """Which columns every institution must have: no card says who has them; "" where the run reads none."""
    read = ", ".join(read_by(run))
    seen = "no card says whether it has: there `afml run show` does, before anything is approved"
    return f"each institution's table must have the columns {read}; {seen}" if read else ""


def _given(kind: str, settings_file: Path | None, words: masking.Words, further: bool) -> dict[str, Any]:
    """The task's settings as they were given: a file, or the masking task's own options."""
    if kind != MASKING and (further or words.any):
        raise ConfigError("is for the masking task", where="an option marked Masking", cure="use --settings")
    if settings_file is not None:
        if words.any:
            raise ConfigError("give one of them", where="--settings and options marked Masking")
        return read_settings(settings_file)
    return masking.given(words) if kind == MASKING else {}


def _require_free(out: Path, run: RunConfig, force: bool) -> None:
    """Refuse to write over another run: it may be sent, approved or under way."""
    if force or not out.exists():
        return
    try:
        same = RunConfig.load(out) == run
    except AfmlError:
        same = False
    if not same:
        raise ConfigError("is there, and is another run", where=out, cure="give another --out, or --force")
