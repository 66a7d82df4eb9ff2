"""The run audit: hide canaries in one whole training run, then guess from what it exchanged who was in it.

Every canary is a made-up person in the real format, enrolled with probability 1/2 on top of the real cohort.
The attacker sees every decrypted sum of the risk phases, which is more than the trained model (all later
releases are functions of them and of the panel), knows everybody else's data and all but the honest nodes'
noise, and guesses at the canaries it is surest of. How many it guesses at is fixed beforehand. The bound is
that of Mahloujifar, Melis, Chaudhuri 2025 for the mu-GDP curve, beside Steinke, Nasr, Jagielski 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from afml.audit.bounds import one_run_epsilon, one_run_mu, planned_guesses
from afml.audit.interval import Bound, accounted_mu
from afml.audit.people import as_declared, most_spread, spread
from afml.audit.rounds import cohort_of, honest_of, nobody, plain_total, play, together
from afml.audit.subject import Subject
from afml.consortium.run import Phase, RunConfig
from afml.core.children import in_child, in_children, usable_processors
from afml.core.errors import ConfigError
from afml.masking.chosen import masking_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task
from afml.masking.risk import risk_inputs
from afml.masking.settings import RISK
from afml.masking.task import MaskingTask
from afml.privacy.noise import node_std, round_grid, with_fewest_bits
from afml.training.device import device
from afml.training.step import Trainer, apply_total
from crypto.public.random import source

CANARIES = 1024
CONFIDENCE = 0.95

_APART_FROM = 1 << 30  # gradients' values of a round from which on nodes are played side by side
_LARGEST_MATRIX = 50_000_000  # values of the canaries' gradients held in memory


@dataclass(frozen=True)
class AuditResult(Bound):
    """What one audited run established; see `Bound`.

    Attributes:
        epsilon_lower: epsilon at `delta` is at least this (the cruder analysis), with `confidence`.
        delta: Of the budget.
        canaries: Canaries, each in the run with probability 1/2.
        guesses: The plans: how many canaries were guessed at.
        correct: Right guesses of each plan.
        rounds: Attacked rounds.
    """

    epsilon_lower: float
    delta: float
    canaries: int
    guesses: tuple[int, ...]
    correct: tuple[int, ...]
    rounds: int

    instrument = "one-run canaries (f-DP)"


def attackable(config: RunConfig) -> bool:
    """Whether the run has rounds that this audit attacks."""
    return bool(attacked_phases(config))


def attacked_phases(config: RunConfig) -> tuple[Phase, ...]:
    """The phases of a run that this audit attacks."""
    return tuple(phase for phase in config.phases if phase.name == RISK)


def audit_run(
    subject: Subject,
    seed: int,
    *,
    canaries: int = CANARIES,
    confidence: float = CONFIDENCE,
    progress: Callable[[int, int], None] | None = None,
) -> AuditResult:
    """Train once with canaries, in one process, and attack.

    Noise, batches and rounding are the run's: from the operating system unless the configuration has a seed.

    Args:
        subject: The run and its people. Its declared enrolment grows by the canaries; everything else stays.
        seed: Of the canaries and of who among them is enrolled.
        canaries: How many; fewer where sites or memory do not allow so many different ones.
        confidence: Of the bounds.
        progress: Called with (round, rounds).

    Raises:
        ConfigError: The run has no risk phase, or fewer than two canaries are asked for.
    """
    config = subject.config
    risk, sites = masking_settings(config).risk, config.data.features
    phases = attacked_phases(config)
    parameters = len(risk.declared) * (sites + 1 + len(risk.covariates))
    canaries = min(canaries, most_spread(sites), _LARGEST_MATRIX // max(1, parameters))
    if not phases or canaries < 2:
        raise ConfigError("needs a risk phase and at least two canaries", where=f"audit of run {config.run}")
    rng = np.random.default_rng(seed)
    honest = honest_of(config)
    where = rng.permutation(np.arange(canaries) % len(honest))
    enrolled = rng.random(canaries) < 0.5
    declared = {
        node: count + (int(np.count_nonzero(where == honest.index(node))) if node in honest else 0)
        for node, count in config.enrolled.items()
    }
    attacked = with_fewest_bits(config.model_copy(update={"enrolled": declared, "phases": phases}))
    task = masking_task(attacked, subject.panel, subject.panel_dosage)
    people = as_declared(spread(sites, canaries, rng), risk)
    absent = as_declared(nobody(sites), risk)
    real = {node: subject.enrolled.get(node, absent) for node in honest}
    joined = {
        node: together(real[node], people.rows(np.flatnonzero(enrolled & (where == index))))
        for index, node in enumerate(honest)
    }
    score = _Score(task, people)
    for round_number in range(1, attacked.rounds + 1):
        index, phase = attacked.phase_of(round_number)
        grid = round_grid(attacked, round_number)
        score.begin(task.measured())
        watched = _Watched(task, attacked, round_number, index)
        work = [partial(watched.node, node, joined[node], real[node]) for node in honest]
        shares = in_children(work, usable_processors()) if _apart(task, index, real) else [one() for one in work]
        known = phase.sample_rate * np.sum([one for _, one in shares], axis=0)
        total = plain_total({node: field for node, (field, _) in zip(honest, shares, strict=True)})
        score.observe(grid.dequantise(total) - known, phase, node_std(attacked, phase) * len(honest) ** 0.5)
        # The attacker's own nodes would add what it takes off again.
        apply_total(task, attacked, round_number, cohort_of(attacked), total)
        if progress is not None:
            progress(round_number, attacked.rounds)
    return _judge(config, phases, score.scores(), enrolled, confidence)


def _judge(
    config: RunConfig,
    phases: tuple[Phase, ...],
    scores: NDArray[np.float64],
    enrolled: NDArray[np.bool_],
    confidence: float,
) -> AuditResult:
    """Guess by the plan, count, bound."""
    delta = config.budget.delta
    attacked = accounted_mu(config, phases)
    canaries = len(scores)
    # Two plans share the error: one for a mechanism as accounted, one for one with half the noise, which a
    # few sure guesses, however right, could not tell from the first.
    each = 1 - (1 - confidence) / 2
    plans = tuple(planned_guesses(canaries, strength, each) for strength in (attacked, 2 * attacked))
    surest = np.argsort(-np.abs(scores), kind="stable")
    right = (scores > 0) == enrolled
    correct = tuple(int(np.count_nonzero(right[surest[:guesses]])) for guesses in plans)
    counted = list(zip(plans, correct, strict=True))
    return AuditResult(
        mu_lower=max(one_run_mu(canaries, guesses, hits, each) for guesses, hits in counted),
        mu_attacked=attacked,
        mu_accounted=accounted_mu(config, config.phases),
        mu_ceiling=max(one_run_mu(canaries, guesses, guesses, each) for guesses in plans),
        epsilon_lower=max(one_run_epsilon(canaries, guesses, hits, each, delta) for guesses, hits in counted),
        delta=delta,
        confidence=confidence,
        canaries=canaries,
        guesses=plans,
        correct=correct,
        rounds=sum(phase.rounds for phase in phases),
    )


class _Score:
    """The best linear guess at who is in: least squares with a prior, since canaries overlap.

    A round releases y = a G'b + noise of variance v, b in {0, 1}^m, a what a canary adds at most, and G the canaries'
    gradients at zero weights along what the round measures (`afml.masking.focus`). Summed over rounds,
    E[b - 1/2 | y] is (4 + sum a^2 G G' / v)^-1 sum a G (y - a G'1/2) / v. Any score would do for the bound; a better
    one only makes it larger.
    """

    def __init__(self, task: MaskingTask, people: Enrolled) -> None:
        phase = task.run.phases[0]
        self._inputs = risk_inputs(task.public.statistics, people).numpy().astype(np.float64)  # [people, inputs]
        at_zero = [0.0 if trait.kind == "quantitative" else 0.5 for trait in task.settings.risk.declared]
        self._residual = (np.array(at_zero) - people.phenotype.reshape(len(people), -1)) / phase.clip_norm
        self._measured, self._gradients = np.zeros(0), np.zeros((0, 0))
        self._seen, self._known = np.zeros(len(people)), 4.0 * np.eye(len(people))

    def begin(self, measured: NDArray[np.float64]) -> None:
        """Before a round: what it multiplies its inputs by, [inputs]."""
        if np.array_equal(measured, self._measured):
            return
        self._gradients = np.zeros((0, 0))  # the largest thing here: never held twice
        rows = (self._residual[:, :, None] * (self._inputs * measured)[:, None, :]).reshape(len(self._inputs), -1)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
        self._measured, self._gradients, self._gram = measured, rows, rows @ rows.T

    def observe(self, released: NDArray[np.float64], phase: Phase, std: float) -> None:
        """Add the round: the sum without what the attacker knew, and the noise it carries."""
        gain = phase.sample_rate * phase.clip_norm
        self._seen += gain / std**2 * (self._gradients @ released - gain * self._gram.sum(axis=1) / 2)
        self._known += gain**2 / std**2 * self._gram

    def scores(self) -> NDArray[np.float64]:
        """Above 0: in. [canaries]"""
        return np.asarray(np.linalg.solve(self._known, self._seen))


@dataclass(frozen=True, eq=False)
class _Watched:
    """One round, at the parameters of which the task is."""

    task: MaskingTask
    run: RunConfig
    round_number: int
    phase: int

    def node(self, node: int, joined: Enrolled, real: Enrolled) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(what the node sends, what its real people add if all are drawn: the attacker knows their data)."""
        sent = play(self.task, self.run, {node: joined}, self.round_number)[node]
        everybody = np.arange(len(real))
        return sent, Trainer(self.task.run, self.task, real).clipped_sum(self.phase, everybody, source(0))


def _apart(task: MaskingTask, phase: int, real: Mapping[int, Enrolled]) -> bool:
    """Whether each node's part of a round is worth a child of its own."""
    people = sum(len(one) for one in real.values())
    return not in_child() and device().type == "cpu" and people * task.length(phase) >= _APART_FROM
