"""Exact noise against a slow reference in many digits, against its probabilities, and where float64 cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import chi2, norm

from crypto.public import exactnoise
from crypto.public.exactnoise import NARROWEST, SPARE, noised
from crypto.public.random import SeededRandom

DIGITS = 640  # of every uniform of the reference


class Given:
    """A stream of chosen words; its children have chosen further words, the same four again and again."""

    insecure, path = True, None

    def __init__(self, words: list[int], further: list[int] | None = None) -> None:
        self._words, self._further = np.array(words, dtype=np.uint64), further
        self.asked = 0

    def uint64(self, count: int) -> NDArray[np.uint64]:
        taken = self._words[:count]
        assert len(taken) == count
        return taken

    def child(self, *labels: object) -> Given:
        self.asked += 1
        assert self._further is not None, "float64 was not believed"
        return Given(self._further)


def reference(centres: NDArray[np.float64], sigma: float, seed: int) -> list[int]:
    """What `noised` draws from `SeededRandom(seed)`, all of it in DIGITS digits, by definition; of one block."""
    pairs = (len(centres) + 1) // 2
    words = SeededRandom(seed).uint64(4 * pairs).reshape(4, pairs)
    drawn = [0] * (2 * pairs)
    for pair in range(pairs):
        more = SeededRandom(seed).child("digits", pair).uint64(4 * (DIGITS // 64 - 1)).reshape(-1, 4)
        radius, angle, *rounding = (
            _uniform([int(words[row, pair]), *(int(word) for word in more[:, row])]) for row in range(4)
        )
        with mpmath.workprec(DIGITS):
            for index, part in ((pair, mpmath.cos), (pairs + pair, mpmath.sin)):
                if index < len(centres):
                    normal = mpmath.sqrt(-2 * mpmath.log(radius)) * part(2 * mpmath.pi * angle)
                    value = mpmath.mpf(float(centres[index])) + mpmath.mpf(sigma) * normal + rounding[index >= pairs]
                    drawn[index] = int(mpmath.floor(value))
    return drawn[: len(centres)]


def _uniform(words: list[int]) -> mpmath.mpf:
    with mpmath.workprec(DIGITS + 64):
        return mpmath.fsum(mpmath.mpf(word) / mpmath.mpf(2) ** (64 * place) for place, word in enumerate(words, 1))


def probabilities(centre: float, sigma: float, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(floor(c + sigma G + V) = y): the Gaussian density around c, weighted by the triangle 1 - |y - x|."""

    def one(y: int) -> float:
        def weighted(x: float) -> float:
            return float(norm.pdf(x, centre, sigma)) * (1 - abs(y - x))

        return float(quad(weighted, y - 1, y, epsabs=1e-13)[0] + quad(weighted, y, y + 1, epsabs=1e-13)[0])

    return np.array([one(int(y)) for y in steps])


CENTRES = st.floats(-1e9, 1e9) | st.floats(-2.0, 2.0) | st.integers(-5, 5).map(lambda n: n / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(CENTRES, max_size=21), st.sampled_from([0.01, 0.3, 4.0, 4.7, 1000.0, 1e7]), st.integers(0, 2**30))
def test_it_is_what_many_digits_say(centres: list[float], sigma: float, seed: int) -> None:
    values = np.array(centres)
    assert noised(values, sigma, SeededRandom(seed)).tolist() == reference(values, sigma, seed)


def test_float64_and_intervals_settle_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is believed every pair is settled by intervals; of several blocks, the last one odd."""
    monkeypatch.setattr(exactnoise, "_PAIRS", 128)
    values = np.random.default_rng(1).normal(size=601) * 20
    quick = noised(values, 4.3, SeededRandom(5))
    monkeypatch.setattr(exactnoise, "SPARE", 0.6)
    assert (noised(values, 4.3, SeededRandom(5)) == quick).all()


def test_every_pair_has_further_digits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    class Asked(SeededRandom):
        def child(self, *labels: object) -> SeededRandom:
            asked.append(labels)
            return super().child(*labels)

    monkeypatch.setattr(exactnoise, "_PAIRS", 4)
    monkeypatch.setattr(exactnoise, "SPARE", 0.6)
    noised(np.zeros(21), 4.0, Asked(1))
    assert asked == [("digits", pair) for pair in range(11)]


def _knife_edge(sigma: float) -> Iterator[tuple[list[int], int]]:
    """Words whose value is closest to a whole number from below, by their 64 digits, and that whole number."""
    for seed in range(6):
        radius, angle, _, other = (int(word) for word in SeededRandom(8, seed).uint64(4))
        with mpmath.workprec(400):
            one, two = (mpmath.mpf(word) / 2**64 for word in (radius, angle))
            normal = mpmath.mpf(sigma) * mpmath.sqrt(-2 * mpmath.log(one)) * mpmath.cos(2 * mpmath.pi * two)
            whole = int(mpmath.floor(normal)) + 1
            rounding = int(mpmath.floor((whole - normal) * 2**64))  # the largest with normal + rounding / 2^64 < whole
        yield [radius, angle, rounding, other], whole


@pytest.mark.parametrize("sigma", [0.5, 4.0, 90.0])
def test_where_64_digits_cannot_tell_further_ones_do(sigma: float) -> None:
    both = set()
    for words, whole in _knife_edge(sigma):
        for further in (0, 2**64 - 1):
            rng = Given(words, [0, 0, further, 0])
            (drawn,) = noised(np.zeros(1), sigma, rng)
            assert rng.asked == 1
            with mpmath.workprec(700):
                one, two, rounding = (_uniform([words[n], *[(further if n == 2 else 0)] * 9]) for n in range(3))
                normal = sigma * mpmath.sqrt(-2 * mpmath.log(one)) * mpmath.cos(2 * mpmath.pi * two)
                assert drawn == int(mpmath.floor(normal + rounding))
            both.add(drawn - whole)
    assert both == {-1, 0}


@pytest.mark.parametrize("radius", [0, 1, 2**40 - 1, 2**64 - 1, 2**64 - 2**39])
def test_uniforms_whose_logarithm_float64_does_not_know_are_not_left_to_it(radius: int) -> None:
    rng = Given([radius, 2**61, 2**63, 2**63], [2**63, 1, 2, 3])
    assert abs(int(noised(np.zeros(1), 4.0, rng)[0])) < 4 * math.sqrt(2 * 128 * math.log(2)) + 1
    assert rng.asked == 1


def test_float64_is_within_what_is_spared_for_it() -> None:
    """Of 10,000 pairs, at both ends of what float64 is believed too: an eighth of `SPARE` at most, whatever follows."""
    rng, worst = np.random.default_rng(4), mpmath.mpf(0)
    end = int(NARROWEST * 2.0**64) + 2**24
    ends = [end, 2**64 - end, 2**63 - 1, 2**63]
    radii = [*ends * 20, *(int(word) for word in rng.integers(2**41, 2**64 - 2**41, 5000, dtype=np.uint64))]
    radii += [int(2.0**exponent) for exponent in rng.uniform(40.1, 63.9, 2500)]
    radii += [2**64 - int(2.0**exponent) for exponent in rng.uniform(40.1, 63, 2500)]
    angles = rng.integers(0, 2**64, len(radii), dtype=np.uint64, endpoint=False)
    words = np.array([radii, angles.tolist(), *[[0] * len(radii)] * 2], dtype=np.uint64)
    sigma = 4.0
    values, square = exactnoise._normals(sigma, words)
    assert exactnoise._LEAST < square.min() < 1.0001 * exactnoise._LEAST
    assert 0.9999 * exactnoise._MOST < square.max() < exactnoise._MOST
    with mpmath.workprec(300):
        for index, (radius, angle) in enumerate(zip(radii, angles.tolist(), strict=True)):
            for spread in (0.0, 1.0):  # of the digits that are not known
                one, two = (radius + spread) / mpmath.mpf(2) ** 64, (angle + spread) / mpmath.mpf(2) ** 64
                length = mpmath.sqrt(-2 * mpmath.log(one))
                for row, part in enumerate((mpmath.cos, mpmath.sin)):
                    truth = sigma * length * part(2 * mpmath.pi * two)
                    worst = max(worst, abs(truth - mpmath.mpf(float(values[row, index]))))
    assert worst < SPARE * sigma / 8


@pytest.mark.parametrize(("centre", "sigma"), [(0.0, 0.3), (0.25, 0.5), (-7.5, 1.0), (1000.9, 4.0), (0.5, 0.05)])
def test_integers_have_their_probabilities(centre: float, sigma: float) -> None:
    """Chi-square over 200,000 draws, refused with probability 1e-6 over the choice of seed."""
    count = 200_000
    drawn = noised(np.full(count, centre), sigma, SeededRandom(11, centre))
    steps = np.arange(math.floor(centre - 8 * sigma) - 1, math.ceil(centre + 8 * sigma) + 2)
    expected = count * probabilities(centre, sigma, steps)
    assert expected.sum() == pytest.approx(count, rel=1e-9)
    seen = np.array([np.count_nonzero(drawn == y) for y in steps])
    assert seen.sum() == count
    often = expected >= 10
    statistic = float(((seen - expected)[often] ** 2 / expected[often]).sum())
    rest = (seen[~often].sum() - expected[~often].sum()) ** 2 / max(expected[~often].sum(), 10.0)
    assert statistic + rest < chi2(int(often.sum())).isf(1e-6)


def test_the_two_of_a_pair_are_independent() -> None:
    drawn = noised(np.zeros(400_000), 3.0, SeededRandom(3)).astype(float)
    first, second = drawn[: 1 << 14], drawn[1 << 14 : 1 << 15]  # of one block: cosines, then sines
    for power in (1, 2):
        related = float(np.corrcoef(first**power, second**power)[0, 1])
        assert abs(related) * math.sqrt(len(first)) < 5


def test_no_coordinates() -> None:
    assert noised(np.zeros(0), 1.0, SeededRandom(1)).tolist() == []
