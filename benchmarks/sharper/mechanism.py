"""The risk rounds of many seeds at once, under variants of what is clipped and where the noise goes.

The arithmetic of `afml.masking.task` and `afml.training.clipping` on all people together, in float32 and without the
integer grid; a test holds the two against each other. Noise comes from seeded numpy generators: SIMULATION.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from afml.consortium.run import Phase
from afml.masking.networks.features import MEDIAN_FEATURE_NORM
from benchmarks.sharper.ground import Floats, Ground

_STREAM = 0x5A
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Public linear coordinates that are measured in place of sites.

    Attributes:
        forth: Features -> coordinates, [sites, coordinates].
        back: Measured coordinates -> marginals of sites, [sites, coordinates].
    """

    forth: Floats
    back: Floats


@dataclass(frozen=True)
class Strategy:
    """Noise that goes with itself over rounds: round t gets row t of B z, with z white and B lower triangular.

    B is the inverse of a strategy matrix (Denisov et al. 2022; Choquette-Choo et al. 2023). Its banded inverse square
    root (Kalinin et al. 2025, BISR) has the first `bands` coefficients of (1 - x)^(1/2); one band is independent noise.

    Attributes:
        rounds, bands: R and b.
        once: Everybody takes part in one round; else in all of them.
    """

    rounds: int
    bands: int = 1
    once: bool = False

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """B, [rounds, rounds]."""
        coefficients = np.zeros(self.rounds)
        coefficients[0] = 1.0
        for k in range(1, min(self.bands, self.rounds)):
            coefficients[k] = coefficients[k - 1] * (k - 1.5) / k
        return np.asarray(np.tril(toeplitz(coefficients)))

    @property
    def sensitivity(self) -> float:
        """Of the strategy times all rounds, to one person of clip norm 1.

        Its entries are not negative (those of B are not positive below the diagonal), so the worst person sends the
        same vector each time: the norm of its row sums, or of its longest column where everybody takes part once.
        """
        strategy = np.linalg.inv(self.inverse)
        return float(np.linalg.norm(strategy.sum(axis=1) if not self.once else strategy[:, 0]))

    @property
    def of_the_sum(self) -> float:
        """Noise in the sum over rounds per standard deviation of z."""
        return float(np.linalg.norm(self.inverse.sum(axis=0)))

    @property
    def cost(self) -> float:
        """Noise of the mean association in units of that of one release at the same PLE; never below 1.

        Full participation: |1'B| |B^-1 1| / R >= 1'B B^-1 1 / R = 1 (Cauchy, Schwarz). Once: |1'B| |B^-1 e_1| >= 1.
        """
        return self.sensitivity * self.of_the_sum / (1 if self.once else self.rounds)


@dataclass(frozen=True, eq=False)
class Mechanism:
    """How a person's part of a round is made and bounded. The accounting of each is in the package's docstring.

    Attributes:
        clip_norm: In units of a typical gradient; noise is in units of it.
        blocks: Consecutive blocks of sites, each clipped to its part of the clip norm.
        measured: Sites that are measured at all, chosen on the panel, bool [sites]; None: all.
        focus: (round, sites): before that round the active sites of the largest associations so far stay active, the
            others are not measured any more. Rounds count from 0.
        smooth: Whether these associations are first projected on what the panel's LD makes likely.
        coordinates: Measured in place of sites.
        bands, once: See `Strategy`.
        game_share: Of the squared budget.
        constant: Whether the constant input takes part.
    """

    clip_norm: float = 1.0
    blocks: int = 1
    measured: NDArray[np.bool_] | None = None
    focus: tuple[tuple[int, int], ...] = ()
    smooth: bool = False
    coordinates: Coordinates | None = None
    bands: int = 1
    once: bool = False
    game_share: float = 0.1
    constant: bool = True
    noiseless: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """What the rounds of some seeds say of every site.

    Attributes:
        marginal: In Newton steps, [sites, seeds].
        noise: Standard deviation of each, mechanism and sampling together; infinite where nothing was measured.
    """

    marginal: NDArray[np.float64]
    noise: NDArray[np.float64]


def rounds_of(
    ground: Ground, mechanism: Mechanism, plan: tuple[Phase, float], case: NDArray[np.int8], seeds: Sequence[int]
) -> Measured:
    """Play the risk rounds.

    Args:
        ground: People.
        mechanism: The variant.
        plan: Risk phase, and noise in the sum, in clip norms (`Ground.planned`).
        case: Of everybody who trains, [people, seeds].
        seeds: Of the noise, one per column.
    """
    phase, std = plan
    inputs, lengths = _inputs(ground, mechanism)
    sites, people = inputs.shape[1] - 1, len(inputs)
    strategy = Strategy(phase.rounds, mechanism.bands, mechanism.once)
    std *= strategy.sensitivity / phase.rounds**0.5  # one release has std / sqrt(R)
    if mechanism.noiseless:
        std = 0.0
    squares = inputs * inputs
    batch = np.random.default_rng(_STREAM).integers(phase.rounds, size=people) if mechanism.once else None
    white = np.stack([_white(seed, phase.rounds, inputs.shape[1]) for seed in seeds], axis=-1)
    noise = np.tensordot(strategy.inverse.astype(np.float32), white, 1)  # [rounds, inputs, seeds]
    active = np.ones((sites, len(seeds)), np.bool_)
    if mechanism.measured is not None:
        active &= mechanism.measured[:, None]
    weight = _scaled(active, lengths, mechanism)
    moved, total, info = (np.zeros((sites + 1, len(seeds)), np.float32) for _ in range(3))
    stops = dict(mechanism.focus)
    for number in range(phase.rounds):
        if number in stops:
            seen = total[:sites] / np.maximum(info[:sites], _TINY)
            if mechanism.smooth:
                seen = _smoothed(ground, seen, std**2 / np.maximum(info[:sites], _TINY))
            active = _strongest(np.abs(seen), active, stops[number])
            weight = _scaled(active, lengths, mechanism)
        residual = 1 / (1 + np.exp(-(inputs @ (moved * np.float32(ground.newton))))) - case
        if batch is not None:
            residual *= (batch == number)[:, None]
        step = weight * (_clipped(inputs, squares, residual, weight, mechanism) + np.float32(std) * noise[number])
        moved -= np.float32(phase.learning_rate / people) * step
        total -= step
        info += weight * weight
    seen = info * (1 / phase.rounds if mechanism.once else 1)
    spent = std**2 * strategy.of_the_sum**2 / phase.rounds * info.astype(np.float64)
    return _of_sites(
        ground,
        mechanism,
        total[:sites] / np.maximum(seen[:sites], _TINY),
        (spent / np.maximum(seen, _TINY) ** 2)[:sites],
    )


def _inputs(ground: Ground, mechanism: Mechanism) -> tuple[Floats, Floats]:
    """What is measured of everybody, [people, coordinates + 1], and its squares of the panel, [people, coordinates]."""
    inputs, panel = ground.inputs, ground.panel
    if mechanism.coordinates is not None:
        forth = mechanism.coordinates.forth
        inputs, panel = np.hstack([inputs[:, :-1] @ forth, inputs[:, -1:]]), panel @ forth
    if not mechanism.constant:
        inputs = inputs * np.append(np.ones(inputs.shape[1] - 1, np.float32), np.float32(0))
    return inputs, panel * panel


def _white(seed: int, rounds: int, inputs: int) -> Floats:
    return np.random.default_rng([_STREAM, seed]).standard_normal((rounds, inputs), np.float32)


def _scaled(active: NDArray[np.bool_], lengths: Floats, mechanism: Mechanism) -> Floats:
    """Weights of the inputs at which the median panel person is as long as with all sites, [inputs, seeds]."""
    median = np.sqrt(np.median(lengths @ active.astype(np.float32), axis=0))
    scale = MEDIAN_FEATURE_NORM / np.maximum(median, _TINY)
    return np.vstack([active * scale, np.ones((1, active.shape[1]))]).astype(np.float32)


def _strongest(size: Floats, active: NDArray[np.bool_], kept: int) -> NDArray[np.bool_]:
    """The `kept` largest of what is active, [sites, seeds]: all of it was measured as well as the rest."""
    size = np.where(active, size, -1.0)
    cut = np.partition(size, len(size) - kept, axis=0)[len(size) - kept]
    return np.asarray(active & (size >= cut))


def _smoothed(ground: Ground, sums: Floats, variance: Floats) -> Floats:
    """Posterior means of sums under normal effects, along the panel's components, [sites, seeds]; post-processing."""
    values, vectors = ground.spectrum  # a sum along a component is its eigenvalue times the effect, plus noise
    along = vectors.T @ sums
    noise = (vectors.T**2) @ variance + len(ground.inputs) * ground.statistics.variance / 4 * values[:, None]
    spread = np.maximum((along**2 - noise).sum(axis=0) / (values**2).sum(), _TINY)
    kept = values[:, None] ** 2 * spread
    return np.asarray(vectors @ (along * kept / (kept + noise)), dtype=np.float32)


def _clipped(inputs: Floats, squares: Floats, residual: Floats, weight: Floats, mechanism: Mechanism) -> Floats:
    """Sum over people of clipped gradients along the weighted inputs, in clip norms, [inputs, seeds]."""
    found = np.empty((inputs.shape[1], residual.shape[1]), np.float32)
    bound = mechanism.clip_norm / mechanism.blocks**0.5
    for block in np.array_split(np.arange(inputs.shape[1]), mechanism.blocks):
        part = slice(block[0], block[-1] + 1)
        norm = np.abs(residual) * np.sqrt(squares[:, part] @ (weight[part] ** 2))
        share = np.minimum(1.0, bound / np.maximum(norm, _TINY)) / mechanism.clip_norm
        found[part] = weight[part] * (inputs[:, part].T @ (residual * share))
    return found


def _of_sites(
    ground: Ground, mechanism: Mechanism, measured: NDArray[np.float32], variance: NDArray[np.float64]
) -> Measured:
    """Sums over people as marginals in Newton steps."""
    people, unit = len(ground.inputs), ground.newton / len(ground.inputs)
    values = measured.astype(np.float64)
    if mechanism.coordinates is not None:
        back = mechanism.coordinates.back.astype(np.float64)
        values, variance = back @ values, back**2 @ variance
    else:
        variance = np.where(variance > 0, variance, np.where(measured == 0, np.inf, 0.0))
    sampling = people * ground.statistics.variance / 4
    return Measured(unit * values, unit * np.sqrt(variance + sampling))
