"""The declared audit: the risk rounds of a run played many times, with nobody in them but canaries.

A run that is declared an audit trains on no person, so nothing needs saving in it: every canary can be far longer
than the clip norm, exactly orthogonal to all others, and the rounds can be played as often as it takes. The attacker
is that of the accounting (`afml.audit.rounds`): it sees the sum of every round, knows all canaries and everything but
the coins and the honest nodes' noise. It scores a canary by the likelihood ratio of what the rounds say in the
canary's direction, and says "in" where that is above one. The bound comes of the share of right guesses in each
repeat (`afml.audit.bounds.mu_from_repeats`) and assumes nothing of the noise, of its independence between
canaries, or of its shape.

What is attacked is the product's round: Poisson batch, clipping, noise, rotation, rounding and sum are those of
`afml.training.step`. `whole` repeats also back-propagate the task's gradients, move its parameters, and go through
pads and ciphertexts; the others take the canaries' clipped gradients as they were measured once by the same code.
They cannot change: all are clipped, and the direction of a canary's gradient is that of its genotype. (In a run with a
focus it would; all its rounds are attacked as they are while they measure every site.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.stats import binom

from afml.audit.bounds import mu_from_repeats
from afml.audit.interval import Bound, accounted_mu
from afml.audit.mechanism import CLIP_NORM
from afml.audit.people import as_declared, most_spread
from afml.audit.rounds import Channel, honest_of, plain_total, play, updates
from afml.consortium.run import Phase, RunConfig
from afml.core.errors import ConfigError
from afml.genomics.sites import SitePanel
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task
from afml.masking.settings import RISK
from afml.privacy.noise import node_std, round_grid, with_fewest_bits
from afml.training.step import Trainer, apply_total
from crypto.public.random import RandomSource, source

REPEATS = 256
WHOLE = 8
CONFIDENCE = 0.995

_LARGEST_MATRIX = 50_000_000  # values of the canaries' gradients held in memory
_PANEL_PEOPLE = 64

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeclaredResult(Bound):
    """What a declared audit established; see `Bound`.

    Attributes:
        canaries: Of each repeat, each in it with probability 1/2.
        repeats: Times that the attacked rounds were played.
        whole: Of these, repeats with back-propagation, pads and ciphertexts.
        right: Share of right guesses over all.
        rounds: Attacked rounds of each repeat.
    """

    canaries: int
    repeats: int
    whole: int
    right: float
    rounds: int

    instrument: ClassVar[str] = "declared run, orthogonal canaries, repeated (GDP)"


def audit_declared(
    config: RunConfig,
    seed: int,
    *,
    repeats: int = REPEATS,
    whole: int = WHOLE,
    confidence: float = CONFIDENCE,
    progress: Callable[[int, int], None] | None = None,
) -> DeclaredResult:
    """Play the risk rounds of a run `repeats` times with canaries alone, and attack each time.

    Noise, batches and rounding come from the operating system, or follow from the configuration's seed and `seed`.

    Args:
        config: The run: its rounds, noise, sampling, nodes, quorum and number of sites; no data are read.
        seed: Of the coins; nothing that is audited may depend on it.
        repeats: More make a tighter bound; fixed before any is played.
        whole: How many of them leave nothing out; see the module.
        confidence: Of the bound. A mechanism as accounted fails with probability at most one minus it.
        progress: Called with (repeat, repeats).

    Raises:
        ConfigError: The run has no risk phase, fewer than two sites, or no repeat is asked for.
        IntegrityError: A decrypted sum is wrong.
    """
    attack = DeclaredRun(config)
    if repeats < 1:
        raise ConfigError("needs at least one repeat", where=f"audit of run {config.run}")
    rng = np.random.default_rng(seed)
    channel = Channel(attack.config) if whole else None
    shares = []
    for repeat in range(repeats):
        run = attack.config
        if run.seed is not None:  # every repeat has noise of its own
            run = run.model_copy(update={"seed": int(rng.integers(2**62))})
        enrolled = rng.random(attack.canaries) < 0.5
        totals = attack.whole(run, enrolled, channel) if repeat < whole else attack.quick(run, enrolled)
        shares.append(float(np.mean((attack.scores(totals) > 0) == enrolled)))
        if progress is not None:
            progress(repeat + 1, repeats)
    return DeclaredResult(
        mu_lower=mu_from_repeats(shares, confidence),
        mu_attacked=accounted_mu(config, attack.config.phases),
        mu_accounted=accounted_mu(config, config.phases),
        mu_ceiling=mu_from_repeats([1.0] * repeats, confidence),
        confidence=confidence,
        canaries=attack.canaries,
        repeats=repeats,
        whole=min(whole, repeats),
        right=float(np.mean(shares)),
        rounds=attack.config.rounds,
    )


class DeclaredRun:
    """One run with canaries alone, to be played any number of times.

    Args:
        config: The run that is audited.

    Attributes:
        config: What is played: its risk phases, with canaries for people.
        canaries: How many.

    Raises:
        ConfigError: The run has no risk phase, or fewer than two sites.
    """

    def __init__(self, config: RunConfig) -> None:
        sites, settings = config.data.features, masking_settings(config)
        phases = tuple(phase for phase in config.phases if phase.name == RISK)
        if not phases or sites < 2:
            raise ConfigError("needs a risk phase and at least two sites", where=f"audit of run {config.run}")
        parameters = len(settings.risk.declared) * (sites + 1 + len(settings.risk.covariates))
        self.canaries = max(2, min(most_spread(sites), _LARGEST_MATRIX // parameters))
        honest = honest_of(config)
        homes = config.enrolments_per_person
        self._at = {node: (np.arange(self.canaries) - place) % len(honest) < homes for place, node in enumerate(honest)}
        no_components = settings.risk.model_copy(update={"panel_components": 0, "focus": 0})
        self.config = with_fewest_bits(
            with_settings(config, settings.model_copy(update={RISK: no_components})).model_copy(
                update={
                    "run": f"{config.run}-audit",
                    "enrolled": {n: int(self._at[n].sum()) if n in self._at else 1 for n in config.nodes},
                    "phases": tuple(phase.model_copy(update={"clip_norm": CLIP_NORM}) for phase in phases),
                }
            )
        )
        self._task = masking_task(self.config, *_panel(sites))
        self._start = self._task.state()
        self._people = as_declared(_orthogonal(sites, self.canaries), settings.risk)
        trainer = Trainer(self.config, self._task, self._people)
        each = [trainer.clipped_sum(0, np.array([canary]), source(0)) for canary in range(self.canaries)]
        self._clipped = np.stack(each)  # [canaries, parameters]
        # Of the inputs of a canary only its genotypes are orthogonal to those of the others.
        inputs = np.arange(parameters) % (parameters // len(settings.risk.declared))
        seen = np.where(inputs < sites, self._clipped, 0.0)
        lengths = np.linalg.norm(seen, axis=1)
        self._directions, self._gain = seen / lengths[:, None], lengths / CLIP_NORM

    def whole(self, run: RunConfig, enrolled: NDArray[np.bool_], channel: Channel | None = None) -> Floats:
        """One repeat as the product trains, from the first parameters on.

        Args:
            run: `config`, maybe under another seed.
            enrolled: Who is in it, [canaries].
            channel: Encrypts every sum; None for the same integers in the clear.

        Returns:
            The sum of every round in units of the update, [rounds, parameters].
        """
        people = {node: self._people.rows(np.flatnonzero(enrolled & at)) for node, at in self._at.items()}
        self._task.load_state(self._start)
        totals = []
        for round_number in range(1, run.rounds + 1):
            fields = play(self._task, run, people, round_number)
            total = channel.total(fields, round_number) if channel else plain_total(fields)
            apply_total(self._task, run, round_number, tuple(fields), total)
            totals.append(round_grid(run, round_number).dequantise(total))
        return np.stack(totals)

    def quick(self, run: RunConfig, enrolled: NDArray[np.bool_]) -> Floats:
        """The same repeat by canaries whose clipped gradients are known; see `whole`."""
        clipped = {node: self._clipped[enrolled & at] for node, at in self._at.items()}
        trainers = {
            node: _Known(run, self._task, self._people.rows(np.flatnonzero(enrolled & self._at[node])), clipped=rows)
            for node, rows in clipped.items()
        }
        totals = []
        for round_number in range(1, run.rounds + 1):
            total = plain_total(updates(trainers, run, round_number))
            totals.append(round_grid(run, round_number).dequantise(total))
        return np.stack(totals)

    def scores(self, totals: Floats) -> Floats:
        """Log-likelihood ratios of "in" against "out", of the mechanism as accounted, [canaries].

        A canary is drawn k times in a round, binomial over the nodes that it is enrolled at, and what the round says
        in its direction, in units of its part, is then N(k, s^2).
        """
        found, first = np.zeros(self.canaries), 0
        for phase in self.config.phases:
            rounds = totals[first : first + phase.rounds]
            seen = self._directions @ rounds.T / CLIP_NORM / self._gain[:, None]  # [canaries, rounds]
            std = node_std(self.config, phase) * len(self._at) ** 0.5 / CLIP_NORM / self._gain[:, None]
            found += _ratio(seen, std, phase, self._homes).sum(axis=1)
            first += phase.rounds
        return found

    @property
    def _homes(self) -> int:
        return min(self.config.enrolments_per_person, len(self._at))


@dataclass(frozen=True)
class _Known(Trainer):
    """A node that has the clipped gradients of its people, [people, parameters]: it draws, adds up, adds noise."""

    clipped: Floats = field(kw_only=True)

    def part(self, phase: int, batch: NDArray[np.int64], stream: RandomSource) -> Floats:
        """See `Trainer.part`."""
        return np.asarray(self.clipped[batch].sum(axis=0))


def _ratio(seen: Floats, std: Floats, phase: Phase, homes: int) -> Floats:
    """log sum_k P(k) N(seen; k, std^2) / N(seen; 0, std^2), elementwise."""
    chances = binom.logpmf(np.arange(homes + 1), homes, phase.sample_rate)
    terms = [chance + (drawn * seen - drawn**2 / 2) / std**2 for drawn, chance in enumerate(chances)]
    return np.asarray(np.logaddexp.reduce(terms))


def _orthogonal(sites: int, people: int) -> Enrolled:
    """Homozygous at the first sites, in patterns of a Hadamard matrix, heterozygous, the panel's mean, elsewhere."""
    order = most_spread(sites)
    dosage = np.ones((people, sites), np.int8)
    dosage[:, :order] += hadamard(order, dtype=np.int8)[:people]
    return Enrolled(dosage, (np.arange(people) % 2).astype(np.int8))


def _panel(sites: int) -> tuple[SitePanel, NDArray[np.int8]]:
    """A panel over which homozygous people are far out at every site, equally far, and to both sides.

    Few of its people are homozygous, so a homozygous site is long beside the constant input of the risk model,
    which is as long as several ordinary ones and which all canaries share.
    """
    dosage = np.ones((_PANEL_PEOPLE, sites), np.int8)
    dosage[0], dosage[1] = 0, 2
    panel = SitePanel(
        chrom=["1"] * sites,
        pos=1000 + 100 * np.arange(sites, dtype=np.int64),
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=np.ones(sites, np.bool_),
        maf=np.full(sites, 0.5),
        annotations=np.full((sites, 4), 0.5, np.float32),
    )
    return panel, dosage
