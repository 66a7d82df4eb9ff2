"""Linkage by somebody who knows the released traits, against all pairs looked at one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.evaluation.attacks import ATTACKS, KNOWING, Attack, scoring
from afml.evaluation.attacks.base import Case
from afml.evaluation.attacks.known_traits import KnownTraitsLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.known import known_traits
from afml.evaluation.masks import random_mask, static_mask
from afml.evaluation.rr import attack_all, interval
from tests.evaluation.attacks.cases import make_case, slow_likelihood, split_ties


def told(case: Case, kinds: int, seed: int = 0) -> Case:
    """Traits of everybody, of so many combinations."""
    return replace(case, traits=np.random.default_rng(seed).integers(0, kinds, len(case.references)))


def slow(case: Case, *, aware: bool, file: np.ndarray | None = None) -> list[float]:
    """Success of each record: every candidate with its traits (and of its file) is scored by itself."""
    assert case.traits is not None
    found, masks = [], case.knowledge.mask(case.knowledge.complete(case.references))
    for record, own in zip(case.released, case.truth, strict=True):
        if own < 0:
            found.append(0.0)
            continue
        alike = [j for j in range(len(case.references)) if case.traits[j] == case.traits[own]]
        alike = [j for j in alike if file is None or file[j] == file[own]]
        scores = [
            slow_likelihood(case, record, case.references[j]) - 1e4 * aware * int((masks[j] != record).sum())
            for j in alike
        ]
        found.append(split_ties(scores, alike.index(own)))
    return found


@pytest.mark.parametrize("kinds", [1, 2, 5, 25])
@pytest.mark.parametrize("static", [False, True])
def test_it_equals_the_slow_reference(kinds: int, static: bool) -> None:
    mask = static_mask(np.array([3, 20, 31]), -1) if static else random_mask(0.1, -1, 1)
    case = told(make_case(mask, people=25, sites=40, fill="missing", error=0.05), kinds)
    case = replace(case, truth=np.where(np.arange(25) == 7, -1, case.truth))
    expected = max((slow(case, aware=aware) for aware in (False, True)), key=sum)
    np.testing.assert_allclose(KnownTraitsLinkage().success(case), expected)


def test_knowing_the_file_too_equals_the_slow_reference() -> None:
    case = told(make_case(static_mask(np.array([3, 20]), -1), people=30, sites=40, fill="missing"), 3)
    file = np.arange(30) // 10
    standing = KnownTraitsLinkage().standing(replace(case, file=file))
    np.testing.assert_allclose(standing.success(), slow(case, aware=False))
    assert standing.home is not None
    np.testing.assert_allclose(standing.home.success(), slow(case, aware=False, file=file))


def test_in_blocks_and_in_children_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = told(make_case(random_mask(0.05, -1, 1), people=60, fill="missing"), 4)
    whole = KnownTraitsLinkage().success(case)
    monkeypatch.setattr(scoring, "BLOCK_VALUES", 500)
    monkeypatch.setattr(scoring, "IN_CHILDREN_FROM", 1)
    np.testing.assert_array_equal(KnownTraitsLinkage().success(replace(case)), whole)


@pytest.mark.parametrize("base", [LikelihoodLinkage(), MaskerAwareLinkage()], ids=["likelihood", "masker-aware"])
def test_one_combination_tells_nothing_and_one_each_tells_all(base: Attack) -> None:
    case = make_case(static_mask(np.array([3, 20]), -1), people=50, fill="missing")
    nothing = replace(case, traits=np.zeros(50, np.int64))
    assert KnownTraitsLinkage().success(nothing).sum() >= base.success(case).sum() - 1e-9
    np.testing.assert_array_equal(KnownTraitsLinkage().success(replace(case, traits=np.arange(50))), 1.0)


def test_a_constant_release_leaves_what_traits_tell() -> None:
    case = told(make_case(lambda dosage: np.full_like(dosage, -1), people=50, fill="missing"), 6)
    linked = attack_all(case, (LikelihoodLinkage(), KnownTraitsLinkage()))
    found = known_traits(case, linked)
    assert found is not None
    kinds = len(np.unique(case.traits))
    assert (found.combinations, found.groups) == (kinds, kinds)
    assert found.rr == pytest.approx(found.chance) == pytest.approx(kinds / 50)
    assert found.rr_by_genotypes == pytest.approx(1 / 50)
    assert found.rr_ci95 == interval(linked.success["known traits"])
    assert linked.rr == found.rr


def test_no_attack_exceeds_groups_over_people() -> None:
    case = told(make_case(static_mask(np.array([3, 20, 31]), -1), people=120, fill="missing"), 3)
    linked = attack_all(case, (LikelihoodLinkage(), KnownTraitsLinkage()))
    found = known_traits(case, linked)
    assert found is not None
    assert found.rr_by_genotypes < found.rr <= found.groups / 120 + 1e-9


def test_it_asks_for_traits_and_is_apart_from_attacks_that_need_none() -> None:
    (name,) = KNOWING.names()
    kind = KNOWING.get(name)
    assert (kind.name, kind.seeded(1).name, kind.baseline) == (name, name, False)
    assert name not in ATTACKS
    case = make_case(static_mask(np.array([3]), -1), people=20, fill="missing")
    with pytest.raises(InputError, match="no traits are known"):
        KnownTraitsLinkage().success(case)
    assert known_traits(case, attack_all(case, (LikelihoodLinkage(),))) is None
    with pytest.raises(InputError, match="every candidate needs the traits"):
        replace(case, traits=np.zeros(3, np.int64))
    rows = np.array([4, 2])
    some = told(case, 3).restricted(rows, rows)
    np.testing.assert_array_equal(some.traits, told(case, 3).traits[rows])  # type: ignore[index]
