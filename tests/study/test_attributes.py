"""The study of attributes, on simulated people: what its figures mean, not how large they are."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.agreement import frequencies, trend_z
from afml.evaluation.report import AttributeRow
from afml.study.attributes import ARMS, SEEDS, Arm, AttributesFound, table
from afml.study.data import DataSettings, StudyData, simulated
from afml.study.uses import ALLELES, TOP, Uses, frequencies_run, released_frequencies, uses_of

SITES = 150


@pytest.fixture(scope="module")
def data() -> StudyData:
    return simulated(DataSettings(kind="simulated", sites=SITES, nodes=3, panel_people=120, people=300))


def test_the_raw_genotypes_themselves_are_of_full_use_and_nothing_of_none(data: StudyData) -> None:
    dosage, training = np.concatenate(data.files), np.concatenate(data.enrolled)
    disease = (dosage[:, [3, 60]].sum(axis=1) > 1).astype(np.int8)
    exact = uses_of(data, disease, frequencies(dosage), trend_z(dosage[training], disease[training]))
    assert exact == Uses(
        frequency_error=0.0, frequency_correlation=exact.frequency_correlation, sites_without_calls=0,
        scan_retention=exact.scan_retention,
    )  # fmt: skip
    assert exact.frequency_correlation == pytest.approx(1.0)
    assert exact.scan_retention > 0.95  # sites where nothing varies are no hits
    none = uses_of(data, disease, np.full(SITES, np.nan), np.zeros(SITES))
    assert none == Uses(
        frequency_error=0.5, frequency_correlation=None, sites_without_calls=SITES, scan_retention=0.0
    )  # fmt: skip


def test_the_summary_is_nearer_the_more_it_may_cost(data: StudyData) -> None:
    dosage, disease = np.concatenate(data.files), np.zeros(300, np.int8)
    errors = [
        uses_of(data, disease, released_frequencies(data, frequencies_run(data, ALLELES, 3, ple))[0], np.zeros(SITES))
        for ple in (0.3, 3.0)
    ]
    assert errors[1].frequency_error < errors[0].frequency_error / 3
    assert errors[1].frequency_error < np.abs(frequencies(data.panel_dosage) - frequencies(dosage)).mean()


def test_the_table_has_a_line_for_every_release() -> None:
    row = AttributeRow(
        name="super_pop", classes=("a", "b"), allowed=True, people=50, base_rate=0.3, accuracy=0.9,
        accuracy_ci95=(0.8, 0.95), raw_accuracy=0.97,
    )  # fmt: skip
    uses = Uses(frequency_error=0.3, frequency_correlation=None, sites_without_calls=990, scan_retention=0.02)
    arms = tuple(
        Arm(
            tells=told, method="cells", seed=seed, patterns=patterns, least_group=20, rr=0.004, rr_ci95=(0.0, 0.01),
            rr_bound=0.005, utility_ratio=1 + seed / 100, attributes=(row, row, row), membership_auc=0.51, uses=uses,
        )
        for seed in SEEDS
        for told, _, patterns in ARMS
    )  # fmt: skip
    found = AttributesFound(arms=arms, summaries=(uses,), panel=uses, people=2003, ple=0.9, code_digest="")
    assert AttributesFound.model_validate_json(found.model_dump_json()) == found
    text = table(found)
    assert text.count("0.40 %; 0.50 %; 20 | 1.030 | 90.0 % (30.0 %), 97.0 % | 90.0 % (30.0 %)") == len(ARMS)
    assert text.count("0.3000; none; 990 | 2 % |") == len(ARMS) + 2
    assert f"the {TOP} sites" in text
