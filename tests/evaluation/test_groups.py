"""Groups of people: whom a mean hides, on cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from afml.core.errors import InputError
from afml.evaluation.attacks import Knowledge
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.disclosure import Judged, judge
from afml.evaluation.disclosure.membership import auc
from afml.evaluation.groups import ByGroup, Labels, by_group, clustered, labelled
from afml.evaluation.rr import ReIdentification, attack_all
from tests.evaluation.cases import make_case


def test_the_group_that_shows_itself_is_the_worst() -> None:
    """Only one ancestry's people show their genotypes: they alone are recognised."""
    case, _ = make_case()
    labels = labelled(["a"] * 30 + ["b"] * 80 + [None] * 10, ["a", "b"] * 80)
    released = case.released.copy()
    released[30:] = 0
    shown = replace(case, released=released)
    found = attack_all(shown, [LikelihoodLinkage()])
    groups = by_group(labels, found, judge(released, case.references, case.knowledge), released)
    first, second = groups.groups
    assert (first.name, first.people, first.rr) == ("a", 30, 1.0)
    assert second.rr < 0.05
    assert (first.rr_among_equals, second.rr_among_equals) == (1.0, pytest.approx(1 / 90))
    assert groups.mean_among_equals == pytest.approx(31 / 120)  # distinct records over people
    assert "share their records with few" in groups.why
    fewer = replace(found, people=found.people[:50], success={"likelihood": found.success["likelihood"][:50]})
    some = by_group(labels, fewer, judge(released, case.references[:40], case.knowledge, people=np.arange(40)))
    assert [(group.name, group.people) for group in some.groups] == [("a", 30), ("b", 20)]
    assert not groups.even
    assert groups.ratio == pytest.approx(first.rr / found.rr)
    assert first.membership is not None
    assert first.membership.non_members == 80
    assert first.membership.ci95[0] <= first.membership.auc <= first.membership.ci95[1]


def test_few_names_always_have_a_worst_group() -> None:
    """Random groups beside the given ones: as a slow shuffler finds it; a group shown alone passes it."""
    case, _ = make_case()
    labels = labelled(["a"] * 30 + ["b"] * 80 + [None] * 10, ["a", "b"] * 80)
    judged = judge(case.released, case.references, case.knowledge)
    hits, shy = np.zeros(120), np.zeros(120)
    hits[[3, 50, 70, 90]], shy[:20] = 1.0, 1.0
    few = replace(attack_all(case, [LikelihoodLinkage()]), rr=4 / 120, success={"one": hits, "two": hits / 2})
    found = by_group(labels, few, judged, seed=5)
    rng, worst = np.random.default_rng(1), []
    for _ in range(4000):
        dealt = rng.permutation(hits[:110])
        worst.append(max(dealt[:30].mean(), dealt[30:].mean()) / few.rr)
    assert found.ratio_by_chance == pytest.approx(np.quantile(worst, 0.95), abs=1e-9)  # one of few values
    assert found.ratio < found.ratio_by_chance
    assert found.why == ""  # nobody asked
    same = by_group(labels, few, judged, np.zeros_like(case.released))
    assert "names drawn among equal records give it 1.0 times" in same.why
    assert "no more than chance" in found.by_chance
    told = by_group(labels, replace(few, rr=20 / 120, success={"one": shy}), judged, seed=5)
    assert told.ratio_by_chance is not None
    assert told.ratio > told.ratio_by_chance
    assert "no more than chance" not in told.by_chance
    assert ByGroup(True, found.groups, found.mean_rr, found.ratio).by_chance == ""


def test_a_group_has_its_own_rate_where_the_institution_is_known() -> None:
    """As a slow attacker finds it who is given one file and its people after the other."""
    case, _ = make_case()
    labels, institution = labelled(["a"] * 30 + ["b"] * 90, ["a", "b"] * 80), np.repeat([0, 1, 2], 40)
    released = case.released.copy()
    released[30:] = 0
    shown, attack = replace(case, released=released), LikelihoodLinkage()
    judged = judge(released, case.references, case.knowledge)
    slow = np.zeros(120)
    for file in range(3):
        rows = np.flatnonzero(institution == file)
        slow[rows] = attack.success(shown.restricted(rows, rows))
    found = by_group(labels, attack_all(shown, [attack], institution), judged).groups
    assert [group.rr_known_institution for group in found] == pytest.approx([slow[:30].mean(), slow[30:].mean()])
    assert found[1].rr_known_institution is not None
    assert found[1].rr_known_institution > 2 * found[1].rr
    for group in found:
        assert group.rr_known_institution_ci95 is not None
        assert group.rr_known_institution_ci95[0] <= group.rr_known_institution <= group.rr_known_institution_ci95[1]
    unasked = by_group(labels, attack_all(shown, [attack]), judged).groups
    assert {(one.rr_known_institution, one.rr_known_institution_ci95) for one in unasked} == {(None, None)}


def test_the_area_of_a_group_is_the_auc_of_its_people_and_its_interval_holds_the_truth() -> None:
    """Many draws of normal scores whose true AUC is known: the interval covers it about as often as it says."""
    rng = np.random.default_rng(0)
    truth, covered = float(norm.cdf(0.7 / np.sqrt(2))), 0
    labels = Labels(("g",), np.zeros(60, np.int64), np.zeros(60, np.int64))
    half = {"x": np.full(60, 0.5)}
    linked = ReIdentification(0.5, (0.4, 0.6), {"x": 0.5}, 60, 1 / 60, success=half, people=np.arange(60))
    for _ in range(300):
        outside = np.arange(60)
        one = Judged("x", rng.normal(0.7, 1, 60), rng.normal(0, 1, 60), outside, outside)
        risk = by_group(labels, linked, [one]).groups[0].membership
        assert risk is not None
        assert risk.auc == pytest.approx(auc(one.members, one.others))
        covered += risk.ci95[0] <= truth <= risk.ci95[1]
    assert 0.90 < covered / 300 < 0.985


def test_clusters_of_genotypes_are_the_populations_they_were_drawn_from() -> None:
    rng = np.random.default_rng(2)
    frequency = rng.uniform(0.05, 0.95, (3, 300))
    which = rng.integers(3, size=400)
    dosage = rng.binomial(2, frequency[which]).astype(np.int8)
    knowledge = Knowledge(dosage[200:], lambda d: d)
    labels = clustered(dosage[:200], knowledge)
    assert labels.inferred
    for number in range(len(labels.names)):
        inside = which[:200][labels.people == number]
        assert len(inside) == 0 or np.bincount(inside).max() == len(inside)
    assert (np.diff(np.bincount(labels.panel)) <= 0).all()


def test_labels_that_name_nobody_are_refused() -> None:
    with pytest.raises(InputError, match="nobody of the release is in a group"):
        labelled([None, None], ["EUR"])
    case, _ = make_case(people=20, sites=32)
    labels = labelled(["a"] * 5, ["a"] * 160)
    with pytest.raises(InputError, match="label every released person"):
        by_group(labels, attack_all(case, [KinshipLinkage()]), judge(case.released, case.references, case.knowledge))
