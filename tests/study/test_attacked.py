"""Published attacks made again, on simulated people: that the figures are what they say, not how large they are."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.again import TwoReleases
from afml.evaluation.disclosure.recovery import Recovery
from afml.evaluation.groups import Advantage, ByGroup, GroupRisk
from afml.evaluation.harder import Harder
from afml.evaluation.relatives import RelativesPoint
from afml.study import published
from afml.study.attacked import UnderAttack, table
from afml.study.published import Raw
from tests.simulated import simulate_dosage


@pytest.fixture(scope="module")
def raw() -> Raw:
    dosage = simulate_dosage(300, 200, 5)
    return Raw(dosage, dosage[:150])


def test_more_sites_and_fewer_errors_find_more(raw: Raw) -> None:
    ten, twenty, noisy, more = published.sparse_and_noisy(raw)
    assert ten.measured < twenty.measured
    assert noisy.measured < ten.measured
    assert noisy.measured < more.measured
    assert twenty.measured > 0.9
    assert twenty.ci95 is not None
    assert twenty.ci95[0] <= twenty.measured <= twenty.ci95[1]


def test_mosaics_and_relatives_and_duplicates(raw: Raw) -> None:
    few, many = published.mosaics(raw, tries=40)
    assert few.measured <= many.measured
    assert [row.measured for row in published.few_of_a_relative(raw)] == sorted(
        row.measured for row in published.few_of_a_relative(raw)
    )
    same, first, second, third = published.relatives(raw)
    assert same.measured == 1.0
    assert first.measured > second.measured > third.measured


def test_a_beacon_betrays_its_members_the_more_is_asked() -> None:
    rng = np.random.default_rng(3)
    rare = rng.beta(0.3, 8, 6000)
    dosage = rng.binomial(2, rare, (400, 6000)).astype(np.int8)
    rows = published.beacon(dosage[:60], dosage[60:200], dosage[200:])
    assert rows[0].measured <= rows[1].measured <= rows[2].measured
    assert rows[2].measured > 0.9


def test_scores_give_their_genotypes_away(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SCORES", 25)
    monkeypatch.setattr(published, "LONGEST", 8)
    found, guess, unique = published.score_inversion(raw, people=4, pool=60)
    assert found.measured > guess.measured + 0.1
    assert unique.measured > 0.9


def test_the_table_has_a_line_for_every_answer(raw: Raw) -> None:
    group = GroupRisk("AFR", 10, 0.01, (0.0, 0.1), Advantage(0.5, (0.4, 0.6), 10, 5))
    harder = Harder(
        (RelativesPoint(1, 0.25, 10, 0.1, 0.2, (0.1, 0.3), {"kinship": 0.2}),),
        ByGroup(False, (group, GroupRisk("EUR", 5, 0.0, (0.0, 0.3), None)), 0.005, 2.0),
        Recovery(10, 0.61, 0.6, 0.02, {"inversion": 0.61}),
        TwoReleases("another", 9, 1, 0.2, 0.1, 0.3, (0.2, 0.4), {"kinship": 0.3}),
    )
    report = UnderAttack(
        rows=tuple(published.few_of_a_relative(raw)), rr=0.01, rr_ci95=(0.0, 0.02), rr_by_attack={"kinship": 0.01},
        membership_auc=0.51, harder=harder, patterns=10, people=2000, code_digest="",
    )  # fmt: skip
    assert UnderAttack.model_validate_json(report.model_dump_json()) == report
    text = table(report)
    for said in ("60 common SNPs", "RR of AFR, 10 people", "0.500 (0.400 to 0.600)", "degree 1", "another", "| 9, 1 |"):
        assert said in text
