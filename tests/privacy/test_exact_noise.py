"""Exact noise: the claims of docs/design/noise.md computed from the probabilities of the integers that travel."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.stats import norm

from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import ConfigError
from afml.ledger import independent
from afml.privacy import noise
from afml.privacy.accountant import profile
from afml.privacy.events import compose
from tests.masking_runs import masking_run

DELTA = 1e-5
NOTE = Path(__file__).parents[2] / "docs" / "design" / "noise.md"
Pmf = NDArray[np.float64]


def config(**changes: Any) -> RunConfig:
    part = Phase(name="risk", rounds=4, sample_rate=1.0, clip_norm=2.0, noise_multiplier=5.0, learning_rate=0.1)
    fields: dict[str, Any] = {
        "run": "r", "consortium": "c", "sites": 10, "enrolled": dict.fromkeys(range(1, 6), 300), "quorum": 5,
        "budget": Budget(delta=DELTA, ple_sigma=9.0), "phases": (part,), "exact_noise": True,
    }  # fmt: skip
    return masking_run(**{**fields, **changes})


def rounded(centre: float, s: float, reach: int) -> Pmf:
    """P(floor(centre + s G + V) = y) for y in [-reach, reach], in closed form: the triangle's second difference."""
    x = np.arange(-reach - 1, reach + 2) - centre
    ramp = x * norm.cdf(x / s) + s * norm.pdf(x / s)  # E max(0, x - s G)
    return np.asarray(np.maximum(np.diff(ramp, 2), 0.0))


def of_the_sum(centre: float, s: float, nodes: int, reach: int) -> Pmf:
    """P*: the B-spline of order 2 nodes around a Gaussian of all noise, at whole numbers; by integration."""
    spline = BSpline.basis_element(np.arange(-nodes, nodes + 1), extrapolate=False)
    x = np.linspace(-nodes, nodes, 40_001)
    weight = np.nan_to_num(spline(x)) * (x[1] - x[0])
    y = np.arange(-reach, reach + 1)
    return np.array([float(weight @ norm.pdf(one - x, centre, s * math.sqrt(nodes))) for one in y])


def kappa(s: float, nodes: int) -> float:
    """The bound of the note."""
    return (1 + 2 * math.fsum(math.exp(-((math.pi * s * n) ** 2)) for n in range(1, 9))) ** nodes - 1


@pytest.mark.parametrize(("nodes", "s"), [(2, 0.5), (2, 0.7), (3, 0.6), (5, 0.7)])
def test_a_sum_of_roundings_is_a_rounding_of_the_sum_but_for_kappa(nodes: int, s: float) -> None:
    """At noise so small that it shows; whatever the centres. An exponent of 2 pi^2 s^2 would promise too much."""
    rng, reach, largest = np.random.default_rng(nodes), 12, 0.0
    for centres in ((0.5, *[0.0] * (nodes - 1)), *rng.uniform(-0.5, 0.5, (4, nodes))):
        total = np.ones(1)
        for centre in centres:
            total = np.convolve(total, rounded(float(centre), s, reach))
        wide = nodes * reach
        ideal = of_the_sum(float(np.sum(centres)), s, nodes, wide)
        likely = ideal > 1e-9
        assert ideal.sum() == pytest.approx(1.0, abs=1e-9)
        largest = max(largest, float(np.abs(total[likely] / ideal[likely] - 1).max()))
    assert largest <= kappa(s, nodes) * (1 + 1e-6)
    if nodes == 2:
        assert largest > kappa(s, nodes) / 20
        assert largest > 4 * nodes * math.exp(-2 * (math.pi * s) ** 2)


def released(run: RunConfig, part: Phase, person: bool, share: float) -> Pmf:
    """Of one round, all that the honest nodes send of the one coordinate along which the person lies; by definition.

    Args:
        run: Its grid, noise and rate hold.
        part: Its phase.
        person: Whether the person is enrolled, at as many nodes as the run allows.
        share: Of the noise that is accounted.
    """
    step, nodes = noise.grid_for(run, part).grid.step, noise.honest_nodes(run)
    s, moved = share * noise.node_std(run, part) / step, noise.sensitivity(run, part) / step
    reach = math.ceil(11 * s + moved) + 2
    empty, drawn = rounded(0.3, s, reach), rounded(0.3 + moved, s, reach)
    total = np.ones(1)
    for node in range(nodes):
        at_this = person and node < run.enrolments_per_person
        total = np.convolve(total, part.sample_rate * drawn + (1 - part.sample_rate) * empty if at_this else empty)
    return total


def true_epsilon(run: RunConfig, part: Phase, share: float = 1.0) -> float:
    """Of all rounds, from the probabilities of the integers, rounded down where they have to be discretised."""
    with_person, without = (released(run, part, person, share) for person in (True, False))
    seen = [
        {index: math.log(p) for index, p in enumerate(pmf) if min(with_person[index], without[index]) > 1e-40}
        for pmf in (with_person, without)
    ]
    one = pld.from_two_probability_mass_functions(
        seen[0], seen[1], pessimistic_estimate=False, value_discretization_interval=1e-4, symmetric=False
    )  # fmt: skip
    return float(one.self_compose(part.rounds).get_epsilon_for_delta(DELTA))


def plans() -> list[tuple[RunConfig, Phase]]:
    """20 of all kinds: nodes, enrolments, colluders, rates, rounds, noise; of a grid as coarse as is allowed."""
    rng, made = np.random.default_rng(7), []
    for _ in range(20):
        nodes, rate = int(rng.integers(3, 9)), float(rng.choice([1.0, rng.uniform(0.02, 0.5)]))
        quorum = int(rng.integers(3, nodes + 1))
        part = Phase(
            name="risk", rounds=int(rng.integers(1, 40)), sample_rate=rate, clip_norm=float(rng.uniform(0.1, 9)),
            noise_multiplier=float(rng.uniform(1.0, 6.0)), learning_rate=0.1, parameters=1,
        )  # fmt: skip
        colluding = int(rng.integers(0, quorum - 1))
        many = int(rng.integers(1, min(3, quorum - colluding) + 1))
        run = config(
            enrolled=dict.fromkeys(range(1, nodes + 1), int(rng.integers(1, 200))), quorum=quorum,
            max_colluding=colluding, enrolments_per_person=many, phases=(part,),
        )  # fmt: skip
        made.append((noise.with_fewest_bits(run), part))
    assert {run.enrolments_per_person for run, _ in made} == {1, 2, 3}
    assert {noise.honest_nodes(run) for run, _ in made} >= {2, 3, 4}
    return made


@pytest.mark.parametrize("index", range(20))
def test_no_accountant_says_less_than_the_integers_tell(index: int) -> None:
    run, part = plans()[index]
    events = [noise.round_event(run, part, part.rounds)]
    gathered = compose(events)
    counts = {(q, z): n for q, z, n in gathered.subsampled}
    if gathered.gaussian_mu:
        counts[1.0, 1 / gathered.gaussian_mu] = 1
    accounted = profile(events, DELTA).epsilon(DELTA), independent.spend(counts, DELTA).epsilon
    truth = true_epsilon(run, part)
    assert all(truth <= said for said in accounted)
    # One mechanism of a sum tells less than the several that are counted, where somebody is at several nodes.
    if run.enrolments_per_person == 1 or part.sample_rate == 1.0:
        assert min(accounted) < truth * 1.02 + 0.03, "so it would be found if noise were missing"
        assert true_epsilon(run, part, share=0.95) > max(accounted)


def test_what_float64_may_add_is_paid_for_and_is_next_to_nothing() -> None:
    """At 1M and 11M parameters less than a millionth of the noise multiplier; what is accounted is as ever."""
    for parameters, people in itertools.product((1_000_000, 11_000_000), (400, 20_000)):
        part = config().phases[0].model_copy(update={"parameters": parameters})
        run = config(phases=(part,), enrolled=dict.fromkeys(range(1, 6), people))
        plain = run.model_copy(update={"exact_noise": False})
        lost = noise.node_std(run, part) / noise.node_std(plain, part) - 1
        assert 0 < lost < 1e-6
        assert lost == pytest.approx(noise.slack(run, part), rel=1e-6)
        assert noise.round_event(run, part) == noise.round_event(plain, part)
        assert noise.broken_multiplier(run, part) == pytest.approx(noise.broken_multiplier(plain, part), rel=1e-12)


def test_the_documented_losses_are_what_runs_pay() -> None:
    rows = re.findall(r"^\| ([\d,]+|any), ([\d,]+) \| (\S+) \|$", NOTE.read_text(), re.MULTILINE)
    assert len(rows) == 5
    for parameters, people, lost in rows:
        count = 1 if parameters == "any" else int(parameters.replace(",", ""))
        part = config().phases[0].model_copy(update={"parameters": count})
        run = config(phases=(part,), enrolled=dict.fromkeys(range(1, 6), int(people.replace(",", ""))))
        assert f"{noise.slack(run, part):.2g}" == f"{float(lost):.2g}"


def test_more_people_than_the_proof_holds_for_are_refused() -> None:
    run = config(enrolled=dict.fromkeys(range(1, 6), 6_000_000))
    found = noise.with_fewest_bits(run)
    with pytest.raises(ConfigError, match="make it without `afml configure --exact-noise`"):
        noise.grid_for(found, run.phases[0])
    plain = noise.with_fewest_bits(run.model_copy(update={"exact_noise": False}))
    noise.grid_for(plain, plain.phases[0])
