from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from afml.evaluation.attacks import Case, Knowledge
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.masks import static_mask
from afml.evaluation.rr import attack_all, clopper_pearson, describe, interval, retained_fraction
from tests.simulated import simulate_dosage


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (3, 50), (50, 50), (1, 2003)])
def test_interval_is_clopper_pearson_on_whole_hits(hits: int, n: int) -> None:
    success = np.r_[np.ones(hits), np.zeros(n - hits)]
    expected = binomtest(hits, n).proportion_ci(method="exact")
    assert interval(success) == pytest.approx((expected.low, expected.high))


def test_interval_covers_split_ties_at_least_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    values, share = np.array([0.0, 0.02, 0.5, 1.0]), np.array([0.6, 0.3, 0.05, 0.05])
    truth, covered = float(values @ share), 0
    for _ in range(400):
        low, high = interval(rng.choice(values, size=150, p=share))
        covered += low <= truth <= high
    assert covered >= 0.95 * 400


def test_a_known_institution_narrows_the_candidates() -> None:
    dosage = simulate_dosage(60, 30, 1)
    knowledge = Knowledge(dosage, static_mask(np.array([], dtype=np.int64), 0))
    case = Case(np.zeros_like(dosage), dosage, np.arange(60), knowledge)
    files = np.repeat([0, 1, 2], [10, 20, 30])
    found = attack_all(case, [LikelihoodLinkage(), MaskerAwareLinkage()], files)
    assert found.rr == pytest.approx(1 / 60)
    assert found.known_institution is not None
    assert found.known_institution.rr == pytest.approx(3 / 60)  # one hit in each file
    assert found.known_institution.ci95 == pytest.approx(clopper_pearson(3, 60, 0.95))
    assert found.known_institution.chance == pytest.approx(3 / 60)  # one of the people of each file
    assert (found.candidates, found.chance) == (60, 1 / 60)
    assert attack_all(case, [LikelihoodLinkage()]).known_institution is None


def test_the_worst_attack_counts() -> None:
    class Fixed:
        def __init__(self, name: str, value: float) -> None:
            self.name, self.value = name, value

        def success(self, case: Case) -> np.ndarray:
            return np.full(len(case.released), self.value)

    dosage = simulate_dosage(20, 10, 1)
    case = Case(dosage, dosage, np.arange(20), Knowledge(dosage, lambda d: d))
    found = attack_all(case, [Fixed("weak", 0.1), Fixed("strong", 0.4)])
    assert found.rr == pytest.approx(0.4)
    assert dict(found.by_attack) == pytest.approx({"weak": 0.1, "strong": 0.4})


def test_groups_are_counted_within_files() -> None:
    empty, one = np.zeros((1, 6), np.int8), np.eye(1, 6, dtype=np.int8)
    files = [
        np.repeat(empty, 8, axis=0),
        np.concatenate([np.repeat(empty, 5, axis=0), np.repeat(one, 3, axis=0)]),
    ]
    shape = describe(files, "major")
    assert (shape.patterns, shape.smallest_group) == (2, 3)
    share = np.array([13, 3]) / 16
    assert shape.entropy_bits == pytest.approx(float(-(share * np.log2(share)).sum()))
    assert shape.retained_fraction == pytest.approx(3 / 96)


def test_retention_counts_what_is_shown() -> None:
    released = np.array([[0, 1, 2, -1]], dtype=np.int8)
    assert retained_fraction(released, "major") == pytest.approx(0.5)
    assert retained_fraction(released, "missing") == pytest.approx(0.75)
