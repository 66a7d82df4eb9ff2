"""What happened to a person's data, as frozen values that any accountant can read.

An event says which mechanism ran and with which public parameters, never what it returned. The
meaning of a kind of event is fixed for good, because ledgers keep events for years; a reader that
meets an unknown kind refuses it rather than guess.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from afml.core.errors import InputError

_WHERE = "privacy event"


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a positive number, not {value!r}", where=_WHERE)


@dataclass(frozen=True)
class Gaussian:
    """One Gaussian mechanism over everybody (sample rate 1).

    Attributes:
        noise_multiplier: Noise standard deviation divided by the L2 clip norm.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        _require_positive("noise_multiplier", self.noise_multiplier)

    def to_json(self) -> dict[str, object]:
        """A JSON object; `from_json` is the inverse."""
        return {"kind": "gaussian", "noise_multiplier": float(self.noise_multiplier)}


@dataclass(frozen=True)
class SubsampledGaussian:
    """Gaussian mechanisms on fresh Poisson batches, with fresh noise each time.

    Attributes:
        sample_rate: Probability that a person is in a batch, in (0, 1].
        noise_multiplier: Noise standard deviation divided by the L2 clip norm.
        steps: How many independent batches.
    """

    sample_rate: float
    noise_multiplier: float
    steps: int = 1

    def __post_init__(self) -> None:
        _require_positive("noise_multiplier", self.noise_multiplier)
        if not 0 < self.sample_rate <= 1:
            raise InputError(f"sample_rate must be in (0, 1], not {self.sample_rate!r}", where=_WHERE)
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"steps must be a positive whole number, not {self.steps!r}", where=_WHERE)

    def to_json(self) -> dict[str, object]:
        """A JSON object; `from_json` is the inverse."""
        return {
            "kind": "subsampled_gaussian",
            "sample_rate": float(self.sample_rate),
            "noise_multiplier": float(self.noise_multiplier),
            "steps": self.steps,
        }


Event = Gaussian | SubsampledGaussian


def gaussian_rounds(sample_rate: float, noise_multiplier: float, steps: int = 1) -> Event:
    """The event of `steps` rounds with one mechanism; a single full-batch round is a `Gaussian`."""
    if sample_rate == 1.0 and steps == 1:
        return Gaussian(noise_multiplier)
    return SubsampledGaussian(sample_rate, noise_multiplier, steps)


def from_json(value: object) -> Event:
    """Read an event back.

    Raises:
        InputError: Unknown kind, missing, extra or impossible field.
    """
    if not isinstance(value, Mapping):
        raise InputError("is not a JSON object", where=_WHERE)
    fields = dict(value)
    kind = fields.pop("kind", None)
    try:
        if kind == "gaussian":
            return Gaussian(**_numbers(fields))
        if kind == "subsampled_gaussian":
            steps = fields.pop("steps")
            return SubsampledGaussian(**_numbers(fields), steps=steps)
    except (TypeError, KeyError):
        raise InputError(f"{kind} event has missing or unknown fields", where=_WHERE) from None
    raise InputError(f"unknown kind {kind!r}", where=_WHERE, cure="a newer AFML wrote it: use that")


def _numbers(fields: Mapping[str, object]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{name} is not a number", where=_WHERE)
        numbers[name] = float(value)
    return numbers


@dataclass(frozen=True)
class Composition:
    """Events gathered by mechanism; what every accountant starts from. Order does not matter.

    Attributes:
        gaussian_mu: mu of all full-batch Gaussians together, sqrt(sum 1/z^2) (Dong, Roth, Su 2022, Cor. 3.3).
        subsampled: (sample_rate, noise_multiplier, steps), sample_rate < 1, each mechanism once, sorted.
    """

    gaussian_mu: float
    subsampled: tuple[tuple[float, float, int], ...]

    @property
    def steps(self) -> int:
        """Subsampled steps in all."""
        return sum(steps for _, _, steps in self.subsampled)


def compose(events: Iterable[Event]) -> Composition:
    """Gather events by mechanism."""
    mu_squares: list[float] = []
    steps: dict[tuple[float, float], int] = {}
    for event in events:
        if isinstance(event, Gaussian):
            mu_squares.append(event.noise_multiplier**-2)
        elif event.sample_rate == 1.0:
            mu_squares.append(event.steps * event.noise_multiplier**-2)
        else:
            key = (event.sample_rate, event.noise_multiplier)
            steps[key] = steps.get(key, 0) + event.steps
    # fsum: the result does not depend on the order in which a database returned the events.
    gathered = tuple((q, z, n) for (q, z), n in sorted(steps.items()))
    return Composition(math.sqrt(math.fsum(mu_squares)), gathered)


def charged(plan: Sequence[Event], spent: Sequence[Event]) -> list[Event]:
    """What a finished run costs a filter: full-batch steps as taken, subsampled mechanisms as planned.

    Charging the plan where a filter certifies several steps as one block keeps it sound when a run is
    stopped early because of what its rounds returned (see afml.privacy.budget). Steps beyond the plan
    count too.
    """
    planned, done = compose(plan), compose(spent)
    steps = {(q, z): n for q, z, n in planned.subsampled}
    for q, z, n in done.subsampled:
        steps[q, z] = max(n, steps.get((q, z), 0))
    events: list[Event] = [SubsampledGaussian(q, z, n) for (q, z), n in sorted(steps.items())]
    if done.gaussian_mu > 0:
        events.append(Gaussian(1.0 / done.gaussian_mu))
    return events


def reserved(plan: Sequence[Event], spent: Sequence[Event]) -> list[Event]:
    """What a run that may still go on must be charged: its whole plan, and whatever was spent beyond it."""
    planned, done = compose(plan), compose(spent)
    steps = {(q, z): n for q, z, n in planned.subsampled}
    for q, z, n in done.subsampled:
        steps[q, z] = max(n, steps.get((q, z), 0))
    events: list[Event] = [SubsampledGaussian(q, z, n) for (q, z), n in sorted(steps.items())]
    if (mu := max(planned.gaussian_mu, done.gaussian_mu)) > 0:
        events.append(Gaussian(1.0 / mu))
    return events


def covers(plan: Sequence[Event], spent: Sequence[Event]) -> bool:
    """Whether everything spent is part of a plan, mechanism by mechanism."""
    planned, done = compose(plan), compose(spent)
    steps = {(q, z): n for q, z, n in planned.subsampled}
    within = all(n <= steps.get((q, z), 0) for q, z, n in done.subsampled)
    return within and done.gaussian_mu <= planned.gaussian_mu * (1 + 1e-9)
