"""What every attack in the registry must do. One that is new is in it by its line in `ATTACKS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from afml.evaluation.attacks import ATTACKS, Attack, Case, baseline_suite, full_suite, scoring
from afml.evaluation.attacks.identifier import TrainedIdentifier, Training
from afml.evaluation.masks import random_mask
from tests.evaluation.attacks.cases import Fill, make_case

Make = Callable[[int], Attack]
#: Trained for a report they take seconds; a few steps are enough to keep the contract.
SMALLER: dict[str, Make] = {
    "trained identifier": lambda seed: TrainedIdentifier(Training(20, 32, lineup=12, mosaics=60, patience=1), seed=seed)
}
every_attack = pytest.mark.parametrize(
    "make", [SMALLER.get(name, ATTACKS.get(name).seeded) for name in ATTACKS.names()], ids=ATTACKS.names()
)


@pytest.mark.parametrize("name", ATTACKS.names())
def test_it_says_of_itself_what_reports_need(name: str) -> None:
    kind = ATTACKS.get(name)
    assert kind.name == kind.seeded(3).name == name
    assert kind.guess
    assert (name in [one.name for one in baseline_suite()]) == kind.baseline


def test_the_full_suite_is_all_of_them() -> None:
    assert [one.name for one in full_suite(1)] == list(ATTACKS.names())


@every_attack
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_success_is_a_probability_for_every_record(make: Make, fill: Fill) -> None:
    value = 0 if fill == "major" else -1
    case = make_case(random_mask(0.1, value, 1), public=random_mask(0.1, value, 2), people=50, fill=fill)
    success = make(0).success(case)
    assert (success.shape, success.dtype) == ((50,), np.float64)
    assert success.min() >= 0
    assert success.max() <= 1


@every_attack
def test_the_same_seed_gives_the_same_guesses(make: Make) -> None:
    case = make_case(random_mask(0.1, 0, 1), public=random_mask(0.1, 0, 2), people=50)
    np.testing.assert_array_equal(make(5).success(case), make(5).success(case))


@every_attack
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_unmasked_records_are_all_found(make: Make, fill: Fill) -> None:
    success = make(0).success(make_case(lambda dosage: dosage, fill=fill))
    np.testing.assert_array_equal(success, 1.0)


@every_attack
@pytest.mark.parametrize(("fill", "value"), [("major", 0), ("missing", -1), ("major", 1)])
def test_a_constant_release_leaves_chance(make: Make, fill: Fill, value: int) -> None:
    case = make_case(lambda dosage: np.full_like(dosage, value), fill=fill)
    assert make(0).success(case).mean() == pytest.approx(1 / len(case.references), abs=1e-12)


@every_attack
def test_a_mask_that_shows_the_genotype_by_its_absence_is_found(make: Make) -> None:
    """Every shown value is 0, so that the values say nothing: only which sites are shown does."""
    case = make_case(lambda dosage: np.where(dosage == 0, 0, -1).astype(np.int8), fill="missing")
    assert set(np.unique(case.released)) == {-1, 0}
    assert make(0).success(case).mean() > 0.95


@every_attack
def test_equal_candidates_share_the_guess(make: Make) -> None:
    case = make_case(lambda dosage: dosage, people=40)
    twice = Case(case.released, np.concatenate([case.references, case.references]), case.truth, case.knowledge)
    np.testing.assert_array_equal(make(0).success(twice), 0.5)


@every_attack
def test_blocks_of_candidates_do_not_change_the_result(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(random_mask(0.08, 0, 1), public=random_mask(0.08, 0, 2), people=60)
    attack = make(0)
    whole = attack.success(case)
    monkeypatch.setattr(scoring, "BLOCK_VALUES", 1000)
    np.testing.assert_array_equal(attack.success(case), whole)
