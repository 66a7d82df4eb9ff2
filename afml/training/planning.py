"""From what a coordinator asks for to a run that every node will accept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from afml.consortium.card import NodeCard, Role
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.scheme import run_params
from afml.core.config import FiniteSettings, complaint
from afml.core.errors import ConfigError
from afml.privacy.budget import balance
from afml.privacy.noise import grid_for, with_fewest_bits
from afml.privacy.plan import PhaseShare, calibrated, planned_events
from crypto.public.backend import public_backend
from crypto.public.suites import HYBRID, KeyAgreement

if TYPE_CHECKING:
    from afml.training.registry import InstalledTask


class Terms(FiniteSettings):
    """What a run may cost, who must take part and how updates are hidden, whatever it trains."""

    name: str | None = Field(default=None, description="of the run; by default made from the cards")
    roster: str = Field(default="", description="see `RunConfig.roster`")
    ple_sigma: float = Field(default=0.9, gt=0, description="target PLE of the whole plan, reserve included")
    budget_sigma: float | None = Field(default=None, gt=0, description="that nodes enforce over all runs")
    delta: float = Field(default=1e-5, gt=0, lt=1, description="PLE holds for every delta' >= delta")
    noise: Literal["distributed", "local"] = Field(
        default="distributed", description="each node adds its part of the noise of a sum, or all of it"
    )
    exact_noise: bool = Field(default=False, description="see `RunConfig.exact_noise`")
    quorum: int | None = Field(default=None, ge=1, description="fewest nodes of a cohort; by default all")
    max_colluding: int = Field(default=1, ge=0, description="nodes that may pool what they know")
    max_enrolments: int | None = Field(
        default=None, ge=1, description="nodes that one person may be enrolled at; by default the most a card says"
    )
    reserve_attempts: int = Field(default=1, ge=0, description="attempts per phase that may be lost")
    deadline_s: float = Field(default=300.0, gt=0, description="see `RunConfig.deadline_s`")
    enrolment_grace_s: float | None = Field(default=None, gt=0, description="see `RunConfig.enrolment_grace_s`")
    linger_s: float | None = Field(default=None, gt=0, description="see `RunConfig.linger_s`")
    backend: str = Field(default="ckks", description="of blind sums (crypto.public.backend)")
    key_agreement: KeyAgreement = Field(
        default=HYBRID,
        description="how nodes agree on keys: so that recorded traffic stays closed to quantum computers",
    )
    start: str = Field(default="", description="digest of the saved model that the task begins at")
    seed: int | None = Field(default=None, description="simulation only")
    verified_sums: bool = Field(default=False, description="see `RunConfig.verified_sums`")


class Rounds(FiniteSettings):
    """How a task's private rounds are asked for; what is None is the task's to choose."""

    rounds: int = Field(default=20, ge=1, description="private rounds")
    epochs: float | None = Field(default=None, gt=0, description="instead: how often a person is expected to be drawn")
    sample_rate: float | None = Field(default=None, gt=0, le=1, description="probability that a batch has a person")
    clip_norm: float | None = Field(default=None, gt=0, description="L2 bound of a person's gradient")
    learning_rate: float | None = Field(
        default=None, gt=0, description="step of the model along a noised mean gradient"
    )
    further: dict[str, float] = Field(default_factory=dict, description="numbers that only the task knows")

    def count(self, sample_rate: float) -> int:
        """How many rounds are asked for, of batches that each person is in with this probability."""
        if self.epochs is None:
            return self.rounds
        return max(1, math.ceil(self.epochs / sample_rate - 1e-9))  # 1.1 / 0.1 is a hair above 11


class Plan(FiniteSettings):
    """What a task plans: its phases, and whether it has a part that public data alone trains."""

    phases: tuple[Phase, ...]
    public_part: bool = False
    people: Role = Field(default="train", description="who takes part, see `RunConfig.people`")


def one_phase(rounds: Rounds, terms: Terms, parameters: int, *, name: str = "train") -> Plan:
    """A plan of one phase, for tasks that need no other.

    Args:
        rounds: How many and how; Poisson batches of a tenth of the people, clip norm 1 and learning rate 1 where
            nothing is asked for.
        terms: What they may cost.
        parameters: P.
        name: Of the phase.
    """
    rate = rounds.sample_rate or 0.1
    count = rounds.count(rate)
    share = PhaseShare(name, count, rate)
    (multiplier,) = calibrated(
        [share], ple_sigma=terms.ple_sigma, delta=terms.delta, reserve=terms.reserve_attempts,
        enrolments=terms.max_enrolments or 1,
    )  # fmt: skip
    phase = Phase(
        name=name,
        rounds=count,
        sample_rate=rate,
        clip_norm=rounds.clip_norm or 1.0,
        noise_multiplier=multiplier,
        learning_rate=rounds.learning_rate or 1.0,
        parameters=parameters,
    )
    return Plan(phases=(phase,))


def configure(
    consortium: str,
    cards: Sequence[NodeCard],
    task: InstalledTask,
    given: Mapping[str, Any],
    rounds: Rounds,
    terms: Terms,
) -> RunConfig:
    """A run that no node will refuse for what it says.

    Args:
        consortium: Its name.
        cards: Of the nodes that will take part, checked (`afml.consortium.card.read_cards`).
        task: What it trains.
        given: The task's settings.
        rounds: Its private rounds.
        terms: Cost, members, backend.

    Raises:
        ConfigError: The task does not train on such data, the plan is above its own budget, or anything contradicts
            anything else.
    """
    kind, data = task.load(), cards[0].data
    if data.kind not in kind.data:
        raise ConfigError(
            f"trains on {' or '.join(kind.data)}, the institutions prepared {data.kind}",
            where=f"task {task.kind}",
            cure="run `afml prepare` with that kind of data",
        )
    settings = kind.settings(given).model_dump(mode="json")
    enrolments = _enrolments(cards, terms.max_enrolments)
    terms = terms.model_copy(update={"max_enrolments": enrolments})
    plan = kind.plan(settings, data, rounds, terms)
    digest = hashlib.sha256(b"".join(card.unsigned() for card in cards)).hexdigest()
    try:
        run = RunConfig(
            run=terms.name or f"run-{digest[:8]}",
            consortium=consortium,
            roster=terms.roster,
            task=task.choice.model_copy(update={"settings": settings}),
            data=data,
            public_part=plan.public_part,
            enrolled={card.node: _people(card, plan.people) for card in cards},
            people=plan.people,
            quorum=terms.quorum or len(cards),
            max_colluding=terms.max_colluding,
            noise=terms.noise,
            exact_noise=terms.exact_noise,
            backend=terms.backend,
            key_agreement=terms.key_agreement,
            budget=Budget(delta=terms.delta, ple_sigma=terms.budget_sigma or terms.ple_sigma),
            enrolments_per_person=enrolments,
            reserve_attempts=terms.reserve_attempts,
            deadline_s=terms.deadline_s,
            enrolment_grace_s=terms.enrolment_grace_s,
            linger_s=terms.linger_s,
            phases=plan.phases,
            start=terms.start,
            seed=terms.seed,
            verified_sums=terms.verified_sums,
        )
    except ValidationError as error:
        raise ConfigError(complaint(error), where="run configuration") from None
    kind.check(run)
    _require_affordable(run)
    run = with_fewest_bits(run)
    for phase in run.phases:  # refuse here what every node would refuse later
        grid_for(run, phase)
    run_params(run)
    public_backend(run.backend)
    return run


def _people(card: NodeCard, role: Role) -> int:
    people = card.people(role)
    if people is None:
        raise ConfigError(
            "does not say how many people are kept out of training",
            where=f"card of node {card.node}",
            cure="have that institution run `afml prepare --declare-held-out`",
        )
    return people


def _require_affordable(run: RunConfig) -> None:
    """A plan above its own budget would be refused by every node before its first round."""
    found = balance(run.budget, planned_events(run))
    if not found.within:
        raise ConfigError(
            f"the plan comes to {found.spent:.4g}, its own budget is {found.limit:.4g} (delta {run.budget.delta:g})",
            where=f"run {run.run}",
            cure="raise --budget, or lower --ple: reserved attempts are paid for like any other",
        )


def _enrolments(cards: Sequence[NodeCard], wanted: int | None) -> int:
    """Nodes that one person may be enrolled at: the most that an institution says of its people.

    Raises:
        ConfigError: Less is wanted.
    """
    nodes = len(cards)
    stated = {card.node: min(card.max_enrolments, nodes) for card in cards}
    most = max(stated.values())
    if wanted is not None and wanted < most:
        node = min(node for node, value in stated.items() if value == most)
        raise ConfigError(
            f"{wanted} is below {most}, at which node {node} says that its people may be enrolled",
            where="--max-enrolments",
            cure=f"give {most} or more, or have that institution look and run `afml prepare` again",
        )
    return wanted or most
