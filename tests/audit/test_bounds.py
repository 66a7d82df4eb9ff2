"""The bounds hold with the confidence they claim, and say what slower formulas say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom, binomtest

from afml.audit.bounds import (
    error_rate_upper,
    mu_from_errors,
    mu_from_repeats,
    one_run_epsilon,
    one_run_mu,
    planned_guesses,
)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.51, 0.9999))
def test_error_rates_are_clopper_pearson(trials: int, errors: int, confidence: float) -> None:
    errors = min(errors, trials)
    expected = binomtest(errors, trials).proportion_ci(2 * confidence - 1, method="exact").high
    assert error_rate_upper(errors, trials, confidence) == pytest.approx(expected, abs=1e-9)


def test_repeated_trials_rarely_claim_too_much() -> None:
    """2,000 audits of an exactly mu-GDP mechanism at 90 %: a false claim in at most 10 %, five sigma on top."""
    rng, mu, steps = np.random.default_rng(1), 1.0, 200
    wrong = rng.binomial(steps, ndtr(-mu / 2), size=(2000, 2))
    claims = [mu_from_errors(a, steps, b, steps, 0.9) for a, b in wrong]
    assert np.mean(np.array(claims) > mu) <= 0.1 + 5 * math.sqrt(0.09 / 2000)
    assert np.mean(claims) > 0.6
    assert mu_from_errors(0, 10_000, 0, 10_000, 0.95) > 6
    assert mu_from_errors(5, 10, 5, 10, 0.95) == 0.0
    assert mu_from_errors(10, 10, 0, 10, 0.95) == 0.0


@given(st.lists(st.floats(0.5, 1.0), min_size=1, max_size=50), st.floats(0.5, 0.999))
def test_repeats_refute_what_their_product_refutes(shares: list[float], confidence: float) -> None:
    """The slow way: the largest mu whose product of S / Phi(mu/2) is 1 / (1 - confidence)."""
    mus = np.linspace(0.0, 8.0, 8001)
    products = np.prod(np.array(shares)[:, None] / ndtr(mus / 2), axis=0)
    refuted = mus[products >= 1 / (1 - confidence)]
    expected = refuted.max() if len(refuted) else 0.0
    assert min(mu_from_repeats(shares, confidence), 8.0) == pytest.approx(expected, abs=1.1e-3)


@pytest.mark.parametrize("together", [1, 8, 64])
def test_repeats_rarely_claim_too_much_however_their_canaries_depend_on_each_other(together: int) -> None:
    """2,000 audits at 90 % of an exactly mu-GDP mechanism, `together` canaries of 64 right or wrong as one."""
    rng, mu, repeats = np.random.default_rng(3), 1.0, 40
    right = rng.binomial(64 // together, ndtr(mu / 2), size=(2000, repeats)) * together / 64
    claims = np.array([mu_from_repeats(list(shares), 0.9) for shares in right])
    assert np.mean(claims > mu) <= 0.1 + 5 * math.sqrt(0.09 / 2000)
    if together == 1:
        assert np.mean(claims) > 0.6
    assert mu_from_repeats([], 0.9) == mu_from_repeats([0.0, 1.0], 0.9) == mu_from_repeats([0.4] * 9, 0.9) == 0.0


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("canaries", [1, 5, 40])
def test_one_run_never_refutes_independent_canaries_at_their_own_tail(canaries: int, mu: float) -> None:
    """Canaries that do not meet are right with probability Phi(mu/2) each: binomial, a mu-GDP mechanism."""
    chance = float(ndtr(mu / 2))
    for correct in range(canaries // 2 + 1, canaries + 1):
        tail = float(binom.sf(correct - 1, canaries, chance))
        assert one_run_mu(canaries, canaries, correct, 1 - tail * (1 - 1e-9)) <= mu + 1e-3


def test_one_canary_gives_the_exact_bound() -> None:
    """P(right) = 1 - tau: mu with Phi(mu/2) = 1 - tau is what a single canary can show at most."""
    assert one_run_mu(1, 1, 1, 0.2) == pytest.approx(2 * 0.8416212, abs=1e-3)  # 80 % right: 2 Phi^-1(0.8)


def test_one_run_rarely_claims_too_much_and_finds_half_the_noise() -> None:
    rng, mu, canaries = np.random.default_rng(2), 0.86, 1024
    guesses = planned_guesses(canaries, mu, 0.95)

    def audit(strength: float) -> float:
        bits = rng.integers(2, size=canaries) * 2 - 1
        scores = bits * strength / 2 + rng.normal(size=canaries)
        surest = np.argsort(-np.abs(scores))[:guesses]
        return one_run_mu(canaries, guesses, int((np.sign(scores) == bits)[surest].sum()), 0.95)

    right = [audit(mu) for _ in range(100)]
    assert max(right) < mu
    assert np.mean(right) > 0.4
    assert np.mean([audit(2 * mu) > mu for _ in range(20)]) > 0.9


@given(st.integers(2, 400), st.data())
def test_more_right_guesses_never_claim_less(canaries: int, data: st.DataObject) -> None:
    guesses = data.draw(st.integers(1, canaries))
    correct = data.draw(st.integers(1, guesses))
    assert one_run_mu(canaries, guesses, correct, 0.95) >= one_run_mu(canaries, guesses, correct - 1, 0.95)
    assert one_run_epsilon(canaries, guesses, correct, 0.95, 1e-5) >= one_run_epsilon(
        canaries, guesses, correct - 1, 0.95, 1e-5
    )


@pytest.mark.parametrize(("canaries", "guesses", "correct"), [(100, 40, 38), (500, 100, 90), (50, 50, 30)])
def test_epsilon_is_that_of_the_loop_in_the_paper(canaries: int, guesses: int, correct: int) -> None:
    delta, level = 1e-5, 0.05

    def probability(epsilon: float) -> float:
        chance = 1 / (1 + math.exp(-epsilon))
        beta = float(binom.sf(correct - 1, guesses, chance))
        alpha, total = 0.0, 0.0
        for i in range(1, correct + 1):
            total += float(binom.pmf(correct - i, guesses, chance))
            alpha = max(alpha, total / i)
        return min(beta + alpha * delta * 2 * canaries, 1.0)

    found = one_run_epsilon(canaries, guesses, correct, 1 - level, delta)
    if found == 0.0:
        assert probability(0.0) >= level
    else:
        assert probability(found) <= level <= probability(found + 2e-4)


def test_guesses_are_planned_within_the_canaries() -> None:
    for canaries in (2, 30, 1024):
        for mu in (0.05, 0.9, 4.0):
            assert 1 <= planned_guesses(canaries, mu, 0.95) <= canaries
