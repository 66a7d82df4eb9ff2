"""Cases and reference profiles."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.evaluation.attacks import Case, reference_profiles
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from tests.evaluation.attacks.cases import make_case
from tests.simulated import simulate_dosage


def test_restricted_cases_keep_who_is_who() -> None:
    case = make_case(lambda dosage: dosage, people=60)
    records = np.arange(5, 25)
    part = case.restricted(records, np.sort(case.truth[records]))
    np.testing.assert_array_equal(part.references[part.truth], case.references[case.truth[records]])
    np.testing.assert_array_equal(LikelihoodLinkage().success(part), 1.0)


def test_reference_profiles_have_the_stated_errors() -> None:
    dosage = simulate_dosage(400, 200, 5)
    dosage[:, 7] = -1
    frequencies = np.tile([0.2, 0.3, 0.5], (200, 1))
    rng = np.random.default_rng(1)
    profile = reference_profiles(dosage, frequencies, error=0.02, missing=0.05, rng=rng)
    known = np.arange(200) != 7
    called = profile[:, known] >= 0
    assert 1 - called.mean() == pytest.approx(0.05, abs=0.005)
    assert (profile[:, known] != dosage[:, known])[called].mean() == pytest.approx(0.0211, abs=0.003)
    drawn = profile[:, 7][profile[:, 7] >= 0]
    assert np.bincount(drawn, minlength=3) / len(drawn) == pytest.approx([0.2, 0.3, 0.5], abs=0.08)
    assert (dosage[:, 7] == -1).all()  # the input is left alone


def test_misaligned_cases_are_refused_in_one_line() -> None:
    case = make_case(lambda dosage: dosage, people=10)
    with pytest.raises(InputError, match="has shape"):
        Case(case.released[:, 1:], case.references, case.truth, case.knowledge)
    with pytest.raises(InputError, match="index of its candidate"):
        Case(case.released, case.references[:5], case.truth, case.knowledge)
