"""From an attacker's hits and misses to a lower bound on mu or epsilon that holds with a stated confidence.

Repeated independent trials: `mu_from_errors`. Repeated runs with many canaries each: `mu_from_repeats`. One run with
many canaries, whose outcomes are dependent: `one_run_mu` (Mahloujifar, Melis, Chaudhuri 2025) and `one_run_epsilon`
(Steinke, Nasr, Jagielski 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, ndtr, ndtri
from scipy.stats import beta, binom

_LARGEST = 30.0  # of mu and epsilon: nothing counted here tells larger values apart
_TOLERANCE = 1e-4


def error_rate_upper(errors: int, trials: int, confidence: float) -> float:
    """Upper confidence bound on a probability (Clopper, Pearson 1934).

    Args:
        errors: How often it happened.
        trials: In how many independent trials.
        confidence: One-sided, in (0, 1).
    """
    return 1.0 if errors >= trials else float(beta.ppf(confidence, errors + 1, trials - errors))


def mu_from_errors(false_positives: int, absent: int, false_negatives: int, present: int, confidence: float) -> float:
    """Lower bound on mu from independent trials of one test fixed in advance.

    A mu-GDP mechanism allows no test with Phi^-1(1 - FPR) - Phi^-1(FNR) > mu (Dong, Roth, Su 2022,
    Def. 2.6). Both rates are replaced by Clopper-Pearson bounds, each at half of 1 - confidence.

    Args:
        false_positives: "Took part", said of a run without the person.
        absent: Runs without the person.
        false_negatives: "Did not", said of a run with the person.
        present: Runs with the person.
        confidence: Of the bound, in (0, 1).

    Returns:
        At least 0.
    """
    each = (1.0 + confidence) / 2.0
    false_positive_rate = error_rate_upper(false_positives, absent, each)
    false_negative_rate = error_rate_upper(false_negatives, present, each)
    return max(0.0, float(-ndtri(false_positive_rate) - ndtri(false_negative_rate)))


def mu_from_repeats(shares: Sequence[float], confidence: float) -> float:
    """Lower bound on mu from repeated runs, each with many canaries that were in it by coin toss.

    Of a mu-GDP mechanism, no guess at a fair coin is right with probability above Phi(mu / 2) = p: the two error rates
    of any test come to at least 2 Phi(-mu / 2) (Dong, Roth, Su 2022, Def. 2.6). That holds for each canary whatever the
    others' coins, so the share S_r of right guesses in repeat r has expectation at most p given all that came before
    it, however the guesses within a repeat depend on each other. The product of S_r / p then has expectation at most
    1 and reaches 1 / (1 - confidence) with probability at most 1 - confidence (Markov's inequality): p is
    at least (1 - confidence)^(1/N) times the geometric mean of the shares, but for that probability.

    Args:
        shares: Of right guesses, one for each repeat, in [0, 1]; the number of repeats was fixed in advance.
        confidence: Of the bound, in (0, 1).

    Returns:
        At least 0.
    """
    if not len(shares) or min(shares) <= 0.0:
        return 0.0
    least = float(np.mean(np.log(shares))) + math.log1p(-confidence) / len(shares)
    return max(0.0, 2.0 * float(ndtri(math.exp(least))))


def one_run_mu(canaries: int, guesses: int, correct: int, confidence: float) -> float:
    """Largest mu that one run refutes: what a mu-GDP mechanism would show with probability < 1 - confidence.

    Mahloujifar, Melis, Chaudhuri 2025 ("Auditing f-DP in one run", Alg. 3), with f the trade-off curve of
    mu-GDP. Each canary was in the run with probability 1/2, independently.

    Args:
        canaries: All canaries, m.
        guesses: How many were guessed at; fixed in advance, the attacker chooses which.
        correct: Right guesses.
        confidence: Of the bound.
    """
    return _largest_refuted(lambda mu: _refuted_by_gdp(mu, canaries, guesses, correct, 1.0 - confidence))


def _refuted_by_gdp(mu: float, canaries: int, guesses: int, correct: int, level: float) -> bool:
    """Whether P(at least `correct` right) >= `level` is impossible for a mu-GDP mechanism.

    `hit` and `miss` are sums over k >= i of P(k right) times k / m and (guesses - k) / m. f-DP ties them:
    hit_i <= 1 - f(miss_(i-1)). From P(>= correct) = level the least possible masses of fewer right guesses
    follow one after the other; if they come to more than guesses / m in all, there is no such mechanism.
    """
    hit = level * correct / canaries
    miss = level * (guesses - correct) / canaries
    for right in range(correct - 1, -1, -1):
        least = float(ndtr(ndtri(hit) - mu))
        if least <= miss:
            break  # satisfied from here on with no further mass
        hit = min(1.0, hit + right / (guesses - right) * (least - miss))
        miss = least
    return hit + miss > guesses / canaries


def one_run_epsilon(canaries: int, guesses: int, correct: int, confidence: float, delta: float) -> float:
    """Largest epsilon, at `delta`, that one run refutes (Steinke, Nasr, Jagielski 2023, Thm 5.2).

    Args:
        canaries: All canaries, m.
        guesses: How many were guessed at; fixed in advance.
        correct: Right guesses.
        confidence: Of the bound.
        delta: Of (epsilon, delta)-DP.
    """
    below = np.arange(1, correct + 1)

    def refuted(epsilon: float) -> bool:
        chance = float(expit(epsilon))  # accuracy of randomised response, the best an epsilon-DP mechanism allows
        tail = float(binom.sf(correct - 1, guesses, chance))
        gained = (binom.sf(correct - below - 1, guesses, chance) - tail) / below
        return tail + 2 * canaries * delta * float(gained.max(initial=0.0)) < 1.0 - confidence

    return _largest_refuted(refuted)


def _largest_refuted(refuted: Callable[[float], bool]) -> float:
    """Bisection for the largest refuted value, rounded down; 0 where nothing is refuted."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, _LARGEST
    if refuted(high):
        return high
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def planned_guesses(canaries: int, mu: float, confidence: float) -> int:
    """How many canaries to guess at, fixed before the run: best for an attacker of strength `mu`.

    Guessing at few, the surest, makes the one-run analysis tight; too few are no evidence. For scores
    N(+-mu/2, 1), guessing where |score| > t is right with probability Phi(mu/2 - t) and wrong with
    Phi(-mu/2 - t) per canary. The t is taken whose bound is largest one standard deviation below the
    expected number of right guesses.

    Args:
        canaries: All canaries.
        mu: Accounted strength.
        confidence: Of the bound to come.
    """
    best, best_bound = canaries, 0.0
    for threshold in np.linspace(0.0, 3.5, 36):
        right = canaries * float(ndtr(mu / 2 - threshold))
        wrong = canaries * float(ndtr(-mu / 2 - threshold))
        guesses = round(right + wrong)
        if guesses < 1:
            break
        correct = math.floor(guesses * right / (right + wrong) - math.sqrt(right * wrong / (right + wrong)))
        bound = one_run_mu(canaries, guesses, max(0, correct), confidence)
        if bound > best_bound:
            best, best_bound = guesses, bound
    return best
