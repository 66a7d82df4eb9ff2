"""The attacks on real exomes, where the answers are known from independent measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cyvcf2 import VCF

from afml.evaluation.attacks import Case, Knowledge, ReleaseFunction, baseline_suite, reference_profiles
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.masks import random_mask, static_mask

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def exomes(real_data: Path) -> tuple[Int8, Int8]:
    """(2,003 private people, panel of 500), panel-minor dosages of every biallelic site."""
    vcf = VCF(str(real_data / "1kg_grch38_exome_common_maf1pct.2503.vcf.gz"), gts012=True)
    dosage = np.array([record.gt_types.astype(np.int8) for record in vcf if len(record.ALT) == 1]).T
    order = np.random.default_rng(0).permutation(len(dosage))
    private, panel = dosage[order[500:]], dosage[order[:500]]
    common = panel.mean(axis=0) > 1
    return np.where(common, 2 - private, private), np.where(common, 2 - panel, panel)


def most_common(exomes: tuple[Int8, Int8], sites: int) -> tuple[Int8, Int8]:
    private, panel = exomes
    top = np.sort(np.argsort(-panel.mean(axis=0), kind="stable")[:sites])
    return private[:, top], panel[:, top]


def attack(people: tuple[Int8, Int8], mask: ReleaseFunction, public: ReleaseFunction) -> Case:
    private, panel = people
    knowledge = Knowledge(panel, public)
    rng = np.random.default_rng(9)
    profiles = reference_profiles(private, knowledge.frequencies, error=0.01, missing=0.01, rng=rng)
    return Case(mask(private), profiles, np.arange(len(private)), knowledge)


def test_unmasked_exomes_are_all_found(exomes: tuple[Int8, Int8]) -> None:
    case = attack(most_common(exomes, 1024), lambda dosage: dosage, lambda dosage: dosage)
    for one in baseline_suite():
        assert one.success(case).mean() == 1.0, one.name


def test_random_masking_protects_nobody(exomes: tuple[Int8, Int8]) -> None:
    """5 % of 1,024 common sites, or 1 % of all 10,499 sites: everybody is found."""
    for people, rate in ((most_common(exomes, 1024), 0.05), (exomes, 0.01)):
        case = attack(people, random_mask(rate, 0, 1), random_mask(rate, 0, 2))
        assert LikelihoodLinkage().success(case).mean() > 0.99


@pytest.mark.parametrize(("count", "low", "high"), [(5, 0.02, 0.2), (50, 0.99, 1.0)])
def test_few_sites_already_identify(exomes: tuple[Int8, Int8], count: int, low: float, high: float) -> None:
    people = most_common(exomes, 1024)
    sites = np.random.default_rng(0).choice(1024, count, replace=False)
    mask = static_mask(sites, 0)
    assert low < LikelihoodLinkage().success(attack(people, mask, mask)).mean() <= high
