"""The mechanism test: one training step, repeated many times in its worst case, with and without one person.

After Nasr et al. 2021 ("Adversary instantiation"): the attacker chooses everybody else's data, knows all
parameters, and sees what a step releases. Here that is the change of the model's parameters, divided by the
public factor that the configuration promises; so a data-dependent scale shows wherever it slips in. The
released vector is projected on the direction in which the person moves it, and called "took part" above the
midpoint. Direction and midpoint are those of the same step without noise: the attacker knows everything
but the noise, the line-ups and relaxed masks of people included, and every noisy step is evidence.

Steps run at sample rate 1 (the attacker knows who was drawn), with a noise multiplier of 1 (the accounted mu
of a step is then 1, and differences show with few repetitions) and with a clip norm so small that every
gradient is clipped. Everything else is the run's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afml.audit.bounds import mu_from_errors
from afml.audit.people import as_declared, copies, spread
from afml.audit.rounds import Channel, cohort_of, honest_of, nobody, plain_total, play, together
from afml.audit.subject import Subject
from afml.consortium.run import Phase, RunConfig
from afml.core.bounded import at_least, at_most
from afml.core.errors import ConfigError, IntegrityError
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task
from afml.masking.settings import GAME, RISK
from afml.masking.task import MaskingTask
from afml.privacy.noise import round_event, round_grid, with_fewest_bits
from afml.privacy.ple import ple
from afml.training.step import Trainer, apply_total
from crypto.public.random import source

if TYPE_CHECKING:
    pass

CROWD = 12
"""Others per node who all pull against the person: a divisor that counts heads then doubles its weight."""

CLIP_NORM = 0.01
"""Small enough that the gradients of all networks are clipped."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class WorstCase:
    """Two neighbouring inputs of one step: `others`, and `others` with `person` (one row)."""

    name: str
    others: Enrolled
    person: Enrolled


@dataclass(frozen=True)
class MechanismResult:
    """What repeated steps of one phase in one worst case established.

    Attributes:
        phase: Phase name.
        case: Worst case.
        mu_lower: mu of a step is at least this, with `confidence`.
        mu_accounted: mu of a step as the product accounts for it.
        confidence: Of this bound; bounds of several cases already share the error between them.
        absent: Steps without the person.
        present: Steps with the person.
        false_positives: Steps without the person that looked like "took part".
        false_negatives: Steps with the person that looked like "did not".
        encrypted: Steps whose sum went through pads and ciphertexts; the others use the same integers.
    """

    phase: str
    case: str
    mu_lower: float
    mu_accounted: float
    confidence: float
    absent: int
    present: int
    false_positives: int
    false_negatives: int
    encrypted: int

    @property
    def sound(self) -> bool:
        """Whether the accounted value withstood the attack."""
        return self.mu_lower <= self.mu_accounted

    def require_sound(self) -> None:
        """Refuse a mechanism that leaks more than is accounted.

        Raises:
            IntegrityError: It does.
        """
        if not self.sound:
            raise IntegrityError(
                f"one step leaks at least {at_least(self.mu_lower, 2)} sigma, {at_most(self.mu_accounted, 2)} are "
                "accounted",
                where=f"phase {self.phase}, {self.case}",
                cure="do not train with this installation; its mechanism is broken",
            )


def step_config(config: RunConfig, phase: Phase) -> RunConfig:
    """One full-batch round of one phase at noise multiplier 1, with the bits it needs; mode, nodes, quorum stay."""
    changes = {"rounds": 1, "sample_rate": 1.0, "noise_multiplier": 1.0, "clip_norm": CLIP_NORM}
    settings = masking_settings(config)
    still = settings.model_copy(update={GAME: settings.game.model_copy(update={"steps": 0})})
    one = config.model_copy(update={"phases": (phase.model_copy(update=changes),), "run": f"{config.run}-audit"})
    return with_fewest_bits(with_settings(one, still))


def worst_cases(task: MaskingTask, phase: Phase, rng: np.random.Generator) -> list[WorstCase]:
    """Inputs that put the most weight on one person.

    "alone": nobody else. "outnumbered" (risk): everybody else has the person's genotype and the other
    phenotype, so that all of them pull the other way.
    """
    person, risk = copies(spread(len(task.public), 1, rng), 1, phenotype=0), task.settings.risk
    worlds = [("alone", nobody(len(task.public)))]
    if phase.name == RISK:
        worlds.append(("outnumbered", copies(person, CROWD, phenotype=1)))
    return [WorstCase(name, as_declared(others, risk), as_declared(person, risk)) for name, others in worlds]


class StepAttack:
    """Repeats one step of one worst case.

    Args:
        task: Over `config`, with its public part where the phase needs one.
        config: A one-round configuration (`step_config`).
        case: The neighbouring inputs.
        channel: Encrypts some of the steps; None for none.
    """

    def __init__(self, task: MaskingTask, config: RunConfig, case: WorstCase, channel: Channel | None = None) -> None:
        self._task, self._config, self._channel = task, config, channel
        _, self._phase = config.phase_of(1)
        self._honest, self._cohort = honest_of(config), cohort_of(config)
        self._worlds = [self._cohorts(case, case.others), self._cohorts(case, together(case.others, case.person))]
        self._start = task.state()
        self._before = task.trained(0)
        # apply() is linear and public: what it makes of a vector of ones is the factor of every coordinate.
        task.apply(0, np.ones(task.length(0)), sum(config.enrolled[node] for node in self._cohort))
        self._factor = self._moved()

    def _cohorts(self, case: WorstCase, first: Enrolled) -> Mapping[int, Enrolled]:
        """The person stands at as many honest nodes as the run allows; the attacker's own nodes need nobody."""
        empty = as_declared(nobody(len(self._task.public)), self._task.settings.risk)
        with_person = self._honest[: self._config.enrolments_per_person]
        rest = {node: case.others if node in self._honest else empty for node in self._cohort}
        return {**rest, **dict.fromkeys(with_person, first)}

    def _moved(self) -> NDArray[np.float64]:
        """Change of the parameters since the start; rewinds."""
        moved = self._task.trained(0) - self._before
        self._task.load_state(self._start)
        return moved

    def aim(self, seed: int) -> tuple[NDArray[np.float64], float]:
        """Direction (unit length, or zero) and midpoint of the step with this seed, without its noise."""
        sums = []
        for world in self._worlds:
            total = np.zeros(len(self._before))
            for node in self._honest:
                if len(world[node]):
                    # The stream of `node_update`: each person's line-up and mask are those of the noisy step.
                    stream = source(seed, "node", node, "round", 1)
                    total += Trainer(self._config, self._task, world[node]).private_update(0, stream, 0.0)
            sums.append(total)
        difference = sums[1] - sums[0]
        length = float(np.linalg.norm(difference))
        direction = difference / length if length > 0 else difference
        return direction, float(direction @ (sums[0] + sums[1])) / 2

    def released(self, world: int, seed: int, *, encrypted: bool = False) -> NDArray[np.float64]:
        """What one step shows the attacker, in units of the update, [parameters].

        Args:
            world: 1 with the person, 0 without.
            seed: Of batch, people's streams, noise and rounding.
            encrypted: All nodes send, through pads and ciphertexts, and the attacker takes its own part off
                again. Otherwise its nodes, whose part would cancel, send nothing.
        """
        config = self._config.model_copy(update={"seed": seed})
        if encrypted and self._channel:
            fields = play(self._task, config, self._worlds[world], 1)
            total = self._channel.total(fields, 1)
            theirs = [fields[node] for node in fields if node not in self._honest]
            known = np.sum([np.zeros_like(total), *theirs], axis=0)
        else:
            fields = play(self._task, config, {node: self._worlds[world][node] for node in self._honest}, 1)
            total = plain_total(fields)
            known = np.zeros_like(total)
        apply_total(self._task, config, 1, self._cohort, total)
        return np.asarray(self._moved() / self._factor - round_grid(config, 1).dequantise(known))

    def errors(
        self, trials: int, encrypted: int, rng: np.random.Generator, note: Callable[[int], None]
    ) -> tuple[int, int]:
        """(false positives, false negatives) of `trials` steps in each world."""
        wrong = [0, 0]
        fixed = None if self._phase.name == GAME else self.aim(0)  # the risk model draws nothing per person
        for trial in range(trials):
            for world in (0, 1):
                seed = int(rng.integers(2**62))
                direction, midpoint = fixed or self.aim(seed)
                score = float(direction @ self.released(world, seed, encrypted=trial < encrypted))
                wrong[world] += (score > midpoint) != bool(world)
            note(trial + 1)
        return wrong[0], wrong[1]


def mechanism_test(
    subject: Subject,
    *,
    trials: int = 400,
    confidence: float = 0.999,
    encrypted: int = 2,
    seed: int | None = None,
    progress: Progress | None = None,
) -> list[MechanismResult]:
    """Attack single steps of every phase of a run.

    Args:
        subject: The run whose mechanism is tested; its people are not used.
        trials: Steps per world and case; a quarter of them in the game, whose steps are slow and whose own
            errors (per-window clipping) are large.
        confidence: With which all bounds hold together.
        encrypted: Steps per world and case that go through pads and ciphertexts.
        seed: Makes the test reproducible; None draws the seeds of the steps from the operating system.
        progress: Called with (what, step, steps).

    Returns:
        One result per phase and worst case.

    Raises:
        ConfigError: The run has no phases, or nobody to test.
        IntegrityError: A decrypted sum is wrong.
    """
    config = subject.config
    if not config.phases or trials < 1:
        raise ConfigError("nothing to repeat: no phases or no trials", where=f"run {config.run}")
    rng = np.random.default_rng(seed)
    prepared: list[tuple[MaskingTask, RunConfig, WorstCase, Channel]] = []
    for phase in {phase.name: phase for phase in config.phases}.values():
        one = step_config(config, phase)
        task = masking_task(one, subject.panel, subject.panel_dosage)
        if phase.needs_public:
            task.load_public(task.train_public())
        sized = phase.model_copy(update={"parameters": task.length(0)})
        channel = Channel(one.model_copy(update={"phases": (sized,)}))
        for case in worst_cases(task, phase, rng):
            prepared.append((task, one, case, channel))
    each = 1 - (1 - confidence) / len(prepared)
    results = []
    for task, one, case, channel in prepared:
        phase = one.phases[0]
        repeats = max(1, trials // 4) if phase.name == GAME else trials
        what = f"{phase.name} steps, {case.name}"

        def note(done: int, what: str = what, repeats: int = repeats) -> None:
            if progress is not None:
                progress(what, done, repeats)

        wrong = StepAttack(task, one, case, channel).errors(repeats, encrypted, rng, note)
        results.append(
            MechanismResult(
                phase=phase.name,
                case=case.name,
                mu_lower=mu_from_errors(wrong[0], repeats, wrong[1], repeats, each),
                mu_accounted=ple([round_event(one, phase)], one.budget.delta).sigma,
                confidence=each,
                absent=repeats,
                present=repeats,
                false_positives=wrong[0],
                false_negatives=wrong[1],
                encrypted=2 * min(encrypted, repeats),
            )
        )
    return results
