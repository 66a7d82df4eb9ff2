from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Int8
from afml.evaluation.details import read_details, write_details
from afml.evaluation.evaluate import Evaluation, evaluate
from afml.evaluation.groups import labelled
from afml.evaluation.headline import declared, measure
from afml.evaluation.inputs import EvaluationInputs, Institution, OtherRelease
from tests.simulated import simulate_dosage

CAUSAL = np.array([3, 30, 60, 90])


def one_genotype(dosage: Int8) -> Int8:
    """A release of three patterns: the first causal site that shows 2, if any of two."""
    released = np.zeros_like(dosage)
    first = dosage[:, 3] == 2
    second = ~first & (dosage[:, 30] == 2)
    released[first, 3], released[second, 30] = 2, 2
    return released


@pytest.fixture(scope="module")
def inputs() -> EvaluationInputs:
    dosage = simulate_dosage(420, 128, 8)
    private, panel = dosage[:300], dosage[300:]
    rng = np.random.default_rng(0)
    liability = private[:, CAUSAL].sum(axis=1) + rng.normal(size=300)
    phenotype = (liability > np.median(liability)).astype(np.int8)
    enrolled = rng.random(300) < 0.7
    files = np.array_split(np.arange(300), 3)
    institutions = tuple(Institution(private[f], phenotype[f], enrolled[f], one_genotype(private[f])) for f in files)
    weights = np.zeros(128)
    weights[CAUSAL] = 1.0
    other = OtherRelease("everything", lambda dosage: dosage)
    return EvaluationInputs(institutions, panel, one_genotype, weights, (other,), train_identifier=False)


def test_one_release_from_end_to_end(inputs: EvaluationInputs) -> None:
    said: list[str] = []
    found = evaluate(inputs, said.append)
    release = found.release
    assert release.candidates == 300
    assert release.chance == pytest.approx(1 / 300)
    assert release.patterns == 3
    assert release.rr <= 3 / 300 + 1e-9
    assert release.rr < release.rr_known_institution <= 9 / 300 + 1e-9
    assert release.rr == max(release.rr_by_attack.values())
    assert release.rr_ci95[0] <= release.rr <= release.rr_ci95[1]
    assert release.min_group_size is not None
    assert release.min_group_size >= 1
    assert release.utility_ratio == pytest.approx(release.utility_auc / release.raw_auc)
    everything = next(row for row in found.baselines if row.name == "everything")
    assert (everything.rr, everything.utility_ratio) == (1.0, 1.0)
    assert found.frontier[0].name == "AFML release"
    assert said[0] == "reference profiles"
    assert evaluate(inputs).release == release  # the same seed gives the same numbers


def test_what_it_costs_to_tell_traits_beside_the_records(inputs: EvaluationInputs) -> None:
    asked = replace(inputs, others=(), population=(1,), asked_people=50, asked_sites=(3, 9))
    ends = np.cumsum([len(one.dosage) for one in inputs.institutions])
    kinds = np.split(np.arange(300) % 7, ends[:-1])
    telling = tuple(replace(one, told=kind) for one, kind in zip(inputs.institutions, kinds, strict=True))
    alone, found = evaluate(asked), evaluate(replace(asked, institutions=telling))
    assert alone.release.known_traits is None
    cost = found.release.known_traits
    assert cost is not None
    assert cost.combinations == 7
    assert cost.chance == pytest.approx(7 / 300)
    assert cost.groups <= 3 * 7
    assert cost.chance < cost.rr == found.release.rr <= cost.groups / 300 + 1e-9
    assert cost.rr_ci95[0] < cost.rr < cost.rr_ci95[1]
    # Whoever knows genotypes alone, and what the release is compared with, stand where they stood.
    assert cost.rr_by_genotypes == alone.release.rr
    assert (found.baselines, found.rr_reduction_vs_random) == (alone.baselines, alone.rr_reduction_vs_random)
    assert found.frontier == alone.frontier
    # An institution that knows the file as well names more than who does not.
    assert found.release.rr_known_institution >= found.release.rr


def test_two_phenotypes_and_a_trait_in_one_release(inputs: EvaluationInputs) -> None:
    rng = np.random.default_rng(5)
    both = []
    for one in inputs.institutions:
        unrelated = (rng.random(len(one.phenotype)) < 0.5).astype(np.int8)
        trait = one.dosage[:, 3] + rng.normal(size=len(unrelated))
        both.append(replace(one, phenotype=np.stack([one.phenotype, unrelated], axis=1), traits=trait))
    asked = replace(
        inputs, institutions=tuple(both), others=(), population=(1,), asked_people=50, asked_sites=(3, 9),
        risk_weights=np.stack([inputs.risk_weights] * 3), names=("gout", "asthma", "height"),
    )  # fmt: skip
    found, alone = evaluate(asked), evaluate(replace(inputs, others=()))
    assert len(found.details.phenotypes) == 2
    gout = found.details.phenotypes[0]
    assert gout.model_copy(update={"name": "", "free_codebook_auc": None}) == alone.details.phenotypes[0]
    # As many cells as patterns, and no genotype in them: the release of the very score can hardly do better.
    assert gout.free_codebook_auc is not None
    assert gout.auc - 0.05 < gout.free_codebook_auc < gout.best_raw_auc + 0.05
    assert found.details.traits[0].free_codebook_r2 is not None
    assert [one.name for one in (*found.details.phenotypes, *found.details.traits)] == ["gout", "asthma", "height"]
    assert found.release.utility_measure == "auc"
    compared = [one for one in found.details.phenotypes if one.comparable]
    assert found.release.utility_ratio == min(one.utility_ratio for one in compared)
    assert found.release.utility_phenotype in {one.name for one in compared}
    assert alone.release.utility_phenotype is None
    assert found.details.traits[0].r2 > 0.05
    assert [site.site for site in found.details.genotype.sites] == [3, 9]
    assert len(found.details.population) == 1
    some = (*both[:2], replace(both[2], traits=None))
    with pytest.raises(InputError, match="some institutions hold quantitative traits"):
        evaluate(replace(asked, institutions=some))


def test_a_trait_and_covariates_without_any_binary_phenotype(inputs: EvaluationInputs) -> None:
    rng = np.random.default_rng(6)
    files = []
    for one in inputs.institutions:
        age = rng.normal(size=len(one.dosage))
        trait = one.dosage[:, 3] + one.dosage[:, 30] + age + rng.normal(size=len(age))
        none = np.zeros((len(age), 0), np.int8)
        files.append(replace(one, phenotype=none, traits=trait[:, None], covariates=age[:, None]))
    asked = replace(inputs, institutions=tuple(files), others=(), population=(1,), asked_people=50, asked_sites=(3,))
    found = evaluate(asked)
    release, trait_found = found.release, found.details.traits[0]
    assert release.utility_measure == "r2"
    assert found.details.phenotypes == ()
    assert (release.utility_auc, release.raw_auc) == (trait_found.r2, trait_found.raw_r2)
    assert trait_found.r2_ratio == release.utility_ratio
    assert 0.1 < trait_found.covariates_r2 < trait_found.r2
    assert all(row.utility_ratio >= 0 for row in found.baselines)
    with pytest.raises(InputError, match="some institutions hold covariates"):
        evaluate(replace(asked, institutions=(*files[:2], replace(files[2], covariates=None))))


def few(inputs: EvaluationInputs, files: list[Institution], **changes: object) -> EvaluationInputs:
    """The same evaluation of other phenotypes, with no more than the headline needs."""
    given = {"institutions": tuple(files), "others": (), "population": (1,), "asked_people": 20, "asked_sites": (3,)}
    return replace(inputs, **(given | changes))  # type: ignore[arg-type]


def of_all(inputs: EvaluationInputs, values: np.ndarray) -> list[np.ndarray]:
    cuts = np.cumsum([len(one.dosage) for one in inputs.institutions])[:-1]
    return list(np.split(values, cuts))


def test_a_trait_that_raw_genotypes_do_not_predict_takes_no_headline(inputs: EvaluationInputs) -> None:
    dosage = np.concatenate([one.dosage for one in inputs.institutions])
    rng = np.random.default_rng(7)
    height = dosage[:, 3] + dosage[:, 30] + 0.5 * rng.normal(size=300)
    noise = rng.normal(size=300)
    nobody = np.zeros((300, 0), np.int8)
    rows = np.stack([inputs.risk_weights, inputs.risk_weights])

    def found(*columns: np.ndarray, names: tuple[str, ...]) -> Evaluation:
        traits = of_all(inputs, np.stack(columns, axis=1))
        files = [
            replace(one, phenotype=none, traits=own)
            for one, none, own in zip(inputs.institutions, of_all(inputs, nobody), traits, strict=True)
        ]
        return evaluate(few(inputs, files, risk_weights=rows[: len(columns)], names=names))

    beside, alone = found(noise, height, names=("noise", "height")), found(height, names=("height",))
    assert [(one.name, one.comparable) for one in beside.details.traits] == [("noise", False), ("height", True)]
    assert beside.details.traits[0].r2_ratio is None
    assert beside.release == alone.release  # what cannot be compared changes neither headline nor baselines
    assert beside.baselines == alone.baselines
    assert beside.release.utility_phenotype == "height"
    assert beside.release.utility_comparable
    nothing = found(noise, names=("noise",))
    assert not nothing.release.utility_comparable
    assert nothing.release.utility_phenotype == "noise"
    assert nothing.release.rr == beside.release.rr


def test_with_covariates_the_worst_is_the_one_to_which_genotypes_add_least(inputs: EvaluationInputs) -> None:
    """The covariate tells nearly all of the first phenotype: its ratio is near 1 though the release serves it badly."""
    dosage = np.concatenate([one.dosage for one in inputs.institutions])
    rng = np.random.default_rng(9)
    age = rng.normal(size=300)
    hidden = dosage[:, [60, 90]].sum(axis=1)  # sites that are never released
    shown = dosage[:, [3, 30]].sum(axis=1)
    traits = np.stack([3 * age + 1.5 * hidden, shown + 0.7 * rng.normal(size=300)], axis=1)
    parts = [of_all(inputs, values) for values in (np.zeros((300, 0), np.int8), traits, age[:, None])]
    files = [
        replace(one, phenotype=none, traits=own, covariates=known)
        for one, none, own, known in zip(inputs.institutions, *parts, strict=True)
    ]
    rows = np.stack([inputs.risk_weights, inputs.risk_weights])
    found = evaluate(few(inputs, files, risk_weights=rows, names=("stiffness", "height"), others=inputs.others))
    stiff, height = found.details.traits
    assert stiff.r2_ratio is not None
    assert height.r2_ratio is not None
    assert stiff.r2_ratio > height.r2_ratio
    assert found.release.utility_phenotype == "stiffness"
    assert found.release.utility_ratio_chance_corrected == stiff.r2_ratio_chance_corrected
    assert next(row for row in found.baselines if row.name == "everything").utility_ratio == pytest.approx(1)


def test_several_phenotypes_without_names_are_numbered(inputs: EvaluationInputs) -> None:
    both = [np.stack([one.phenotype, 1 - one.phenotype], axis=1) for one in inputs.institutions]
    files = [replace(one, phenotype=own) for one, own in zip(inputs.institutions, both, strict=True)]
    found = evaluate(few(inputs, files, risk_weights=np.stack([inputs.risk_weights] * 2)))
    assert [one.name for one in found.details.phenotypes] == ["binary 1", "binary 2"]
    assert found.release.utility_phenotype in ("binary 1", "binary 2")


def test_details_are_written_and_read_back(inputs: EvaluationInputs, tmp_path: Path) -> None:
    details = evaluate(replace(inputs, others=())).details
    assert details.membership.members == 300
    assert [point.candidates for point in details.population] == [300, 3000]
    assert details.population[1].rr < details.population[0].rr
    write_details(details, tmp_path / "details.json")
    assert read_details(tmp_path / "details.json") == details
    document = (Path(__file__).parents[2] / "docs" / "REPORT.md").read_text()
    for section, fields in json.loads((tmp_path / "details.json").read_text()).items():
        assert f"`{section}`" in document or f"`{section}[]`" in document, section
        for key in fields[0] if isinstance(fields, list) and fields else fields or {}:
            assert f"`{key}`" in document, f"{section}.{key}"


def test_without_grouping_there_is_no_group_size(inputs: EvaluationInputs) -> None:
    assert evaluate(replace(inputs, grouped=False)).release.min_group_size is None


def test_a_site_at_which_nobody_has_a_call_is_not_guessed(inputs: EvaluationInputs) -> None:
    """Institutions whose files lack a site of the panel."""
    files = []
    for one in inputs.institutions:
        dosage = one.dosage.copy()
        dosage[:, 7] = -1
        files.append(replace(one, dosage=dosage))
    found = evaluate(replace(inputs, institutions=tuple(files), asked_sites=(3, 7, 30)))
    assert [one.site for one in found.details.genotype.sites] == [3, 30]


def test_misaligned_people_are_refused(inputs: EvaluationInputs) -> None:
    one = inputs.institutions[0]
    with pytest.raises(InputError, match="do not match"):
        Institution(one.dosage, one.phenotype[1:], one.enrolled, one.released)


def test_a_release_that_is_read_by_its_table_is_worth_what_that_says(inputs: EvaluationInputs) -> None:
    def told(released: Int8) -> NDArray[np.float64]:
        return np.stack([released[:, 3] == 2, released[:, 30] == 2], axis=1).astype(np.float64) * [[-3.0, 5.0]]

    dosage = np.concatenate([one.dosage for one in inputs.institutions])
    released = np.concatenate([one.released for one in inputs.institutions])
    asked = declared(inputs.institutions)
    by_table = measure(replace(inputs, told=told), asked, dosage, released).worst
    by_dosage = measure(inputs, asked, dosage, released).worst
    # Two columns that vary either way: the same numbers for the same people, whatever stands for a pattern.
    assert by_table.utility.auc == pytest.approx(by_dosage.utility.auc, abs=1e-9)
    assert by_table.utility.raw_auc == by_dosage.utility.raw_auc
    blind = measure(replace(inputs, told=lambda records: told(records) * 0.0), asked, dosage, released).worst
    assert blind.utility.auc == 0.5


def test_the_harder_questions_are_asked_of_the_same_release(inputs: EvaluationInputs) -> None:
    second = OtherRelease("again", lambda dosage: one_genotype(dosage[:, ::-1])[:, ::-1])
    labels = labelled(["a", "b", "c"] * 100, ["a", "b", "c"] * 40)
    asked = replace(inputs, others=(), population=(1,), asked_people=50, labels=labels, second=second)
    found = evaluate(asked)
    harder = found.details.harder
    assert harder is not None
    assert [point.degree for point in harder.relatives] == [1, 2, 3]
    assert all(point.rr <= 3 / 300 + 1e-9 and point.candidates == 300 for point in harder.relatives)
    assert {group.name for group in harder.groups.groups} == {"a", "b", "c"}
    assert harder.groups.mean_rr == pytest.approx(found.release.rr)
    assert sum(group.people * group.rr for group in harder.groups.groups) >= 300 * found.release.rr - 1e-9
    assert harder.recovery.people == 50
    assert harder.again is not None
    assert 3 < harder.again.patterns <= 9
    assert found.release.rr <= harder.again.rr <= 9 / 300 + 1e-9


def test_of_more_people_a_sample_is_asked(inputs: EvaluationInputs) -> None:
    second = OtherRelease("same", one_genotype)
    given = replace(inputs, others=(), population=(1,), asked_people=20, second=second)
    found = evaluate(replace(given, limits=replace(given.limits, harder=90))).details.harder
    assert found is not None
    assert {point.candidates for point in found.relatives} == {90}
    assert found.groups.inferred
    assert found.again is not None
    assert found.again.patterns == 3
    files = [np.unique(one.released, axis=0, return_counts=True)[1] for one in inputs.institutions]
    assert found.again.smallest_group == min(int(counts.min()) for counts in files)  # of everybody, not of the 90
    assert found.again.rr <= 3 / 90 + 1e-9
