from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, IntegrityError, ReleaseError
from afml.core.run import ReleaseSettings
from afml.training.codebook import Codebook, Pattern, common_genotypes, learn
from afml.training.greedy import learn_greedy
from afml.training.grouping import assign_groups, entropy_bits
from afml.training.inprocess import train_in_process
from afml.training.model import TrainedModel
from afml.training.release import PanelCase, ReleasePlan, apply_plan, plan_release
from tests.training.simulated import cohorts, config, dosages, sites_panel

SITES, PEOPLE = 24, 40


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train_in_process(config(SITES, PEOPLE), sites_panel(SITES), PANEL, cohorts(SITES, PEOPLE))  # type: ignore[arg-type]


PANEL = dosages(120, SITES, seed=0)


@given(
    people=st.integers(1, 60),
    k=st.integers(1, 30),
    patterns=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)
def test_every_pattern_in_a_file_is_shared_by_k(people: int, k: int, patterns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dosage = dosages(people, 8, seed) if people > 1 else rng.integers(-1, 3, size=(1, 8)).astype(np.int8)
    drawn: list[Pattern] = [()]
    for _ in range(patterns - 1):
        sites = np.sort(rng.choice(8, size=rng.integers(1, 4), replace=False))
        drawn.append(tuple((int(s), int(rng.integers(1, 3))) for s in sites))
    codebook = Codebook(8, tuple(drawn), rng.normal(size=(patterns, 1)))
    score = rng.normal(size=people)
    if people < k:
        with pytest.raises(ReleaseError, match="group"):
            assign_groups(codebook, dosage, score, k)
        return
    assigned = assign_groups(codebook, dosage, score, k)
    released = codebook.show(assigned, 0)
    _, counts = np.unique(released, axis=0, return_counts=True)
    assert counts.min() >= k
    assert len(counts) / people <= 1 / k
    # Nothing false is shown: what is not masked is the person's own genotype.
    assert np.all((released == 0) | (released == dosage))


@pytest.mark.parametrize("method", ["codebook", "greedy", "network", "auto"])
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_released_file(model: TrainedModel, method: str, fill: str) -> None:
    settings = ReleaseSettings(method=method, fill=fill, min_group_size=6, patterns=6)  # type: ignore[arg-type]
    plan = plan_release(model, PANEL, settings, people_per_file=50)
    people = dosages(50, SITES, seed=77)
    released = apply_plan(plan, people)
    masked = 0 if fill == "major" else -1
    rows, counts = np.unique(released.dosage, axis=0, return_counts=True)
    assert counts.min() >= 6
    assert released.min_group_size >= 6
    assert released.patterns_used >= len(rows)
    assert np.all((released.dosage == masked) | (released.dosage == people))
    assert 0.0 <= released.retained_fraction <= 1.0
    assert 0.0 <= released.entropy_bits <= np.log2(50 / 6) + 1e-9
    assert plan.method in plan.reason
    if method == "network":
        assert np.all((released.dosage <= 0) | (released.dosage == model.network_release(people)))


def test_a_missing_genotype_is_never_shown(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=1, method="codebook"))
    nothing_called = np.full((5, SITES), -1, np.int8)
    assert not apply_plan(plan, nothing_called).dosage.any()


def test_a_file_smaller_than_a_group_is_refused(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=20))
    with pytest.raises(ReleaseError, match="7 people"):
        apply_plan(plan, dosages(7, SITES, seed=1))


def test_a_plan_survives_storage_and_is_bound_to_its_model(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5))
    again = ReleasePlan.from_dict(model, plan.to_dict())
    assert again.codebook.digest() == plan.codebook.digest()
    people = dosages(50, SITES, seed=3)
    assert np.array_equal(apply_plan(again, people).dosage, apply_plan(plan, people).dosage)
    with pytest.raises(ConfigError, match="another model"):
        ReleasePlan.from_dict(model, plan.to_dict() | {"model": "00"})


def test_planning_is_deterministic(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5)
    assert plan_release(model, PANEL, settings).to_dict() == plan_release(model, PANEL, settings).to_dict()


def test_a_network_release_needs_a_network(model: TrainedModel) -> None:
    bare = TrainedModel(model.mean, model.scale, model.annotations, model.weights, np.zeros(0), model.card)
    with pytest.raises(ConfigError, match="without a game"):
        plan_release(bare, PANEL, ReleaseSettings(method="network"))
    assert plan_release(bare, PANEL, ReleaseSettings(method="auto")).method == "codebook"


def test_availability_is_what_a_slow_loop_says() -> None:
    people = dosages(20, 6, seed=4)
    patterns: tuple[Pattern, ...] = ((), ((0, 1),), ((1, 2), (3, 1)), ((5, 2),))
    got = Codebook(6, patterns, np.zeros((4, 1))).available(people)
    for person, row in enumerate(people):
        for index, pattern in enumerate(patterns):
            assert got[person, index] == all(row[site] == value for site, value in pattern)


def test_the_greedy_codebook_finds_the_best_single_pattern() -> None:
    """With J = 2 it must be within a hair of trying every genotype with every threshold assignment."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, 3, size=(200, 5)).astype(np.int8)
    score = 2.0 * (people[:, 3] == 2) + 0.1 * rng.normal(size=200)
    book = learn_greedy(people, score, np.array([0.1, 0.0, 0.0, 1.0, 0.0]), patterns=2)
    assert book.patterns[1] == ((3, 2),)


def test_more_patterns_explain_more() -> None:
    people = dosages(300, 12, seed=2, missing=0.0)
    score = people @ np.linspace(1, 0, 12)
    pool: list[Pattern] = [((site, value),) for site in range(12) for value in (1, 2)]
    pool += [(a, b) for (a,), (b,) in combinations(pool, 2) if a[0] < b[0]]
    errors = []
    for patterns in (1, 3, 6, 12):
        book = learn(people, score, pool, patterns=patterns)
        assigned = book.assign(people, score)
        errors.append(np.mean((score - book.centroids[assigned, 0]) ** 2))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


def test_two_scores_at_once() -> None:
    people = dosages(100, 6, seed=2)
    scores = np.stack([people[:, 0], people[:, 1]], axis=1).astype(float)
    book = learn(people, scores, [((0, 2),), ((1, 2),)], patterns=3)
    assert book.centroids.shape == (3, 2)
    assert assign_groups(book, people, scores, 5).shape == (100,)


def test_entropy() -> None:
    assert entropy_bits(np.zeros(10, np.int64)) == 0.0
    assert entropy_bits(np.arange(8)) == pytest.approx(3.0)


def test_a_model_survives_storage(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    people = dosages(10, SITES, seed=1)
    assert again.digest() == model.digest()
    assert np.array_equal(again.network_release(people), model.network_release(people))
    np.testing.assert_array_equal(again.risk_score(people), model.risk_score(people))
    assert set(people[again.network_release(people) > 0]) <= {1, 2}
    probability = model.keep_probability(people)
    assert np.array_equal((probability > 0.5) & (people > 0), model.network_release(people) > 0)


def test_a_damaged_model_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    card = tmp_path / "model" / "model.json"
    card.write_text(card.read_text().replace('"run": "test"', '"run": "other"'))
    with pytest.raises(IntegrityError, match="digest"):
        TrainedModel.load(tmp_path / "model")
    (tmp_path / "model" / "model.npz").write_bytes(b"PK")
    with pytest.raises(IntegrityError, match="cannot be read"):
        TrainedModel.load(tmp_path / "model")


def test_the_codebook_reads_like_a_binned_score() -> None:
    """The first pattern is the best of all genotypes with all trial centroids, and more come close to bins."""
    people = dosages(600, 60, seed=2, missing=0.0)
    score = people[:, :20] @ np.linspace(1, 0.2, 20)
    book = learn(people, score, common_genotypes(people), patterns=10, min_share=0.05)
    assert book.centroids[0, 0] == pytest.approx(score.mean())
    shown = [site for pattern in book.patterns for site, _ in pattern]
    assert len(set(shown)) == len(shown) == 9
    told = book.centroids[assign_groups(book, people, score, 30), 0]
    assert 1 - np.mean((told - score) ** 2) / score.var() > 0.9


def test_the_first_pattern_is_the_best_of_a_slow_search() -> None:
    people = dosages(80, 6, seed=3, missing=0.0)
    score = people @ np.array([1.0, 0.5, 0.2, 0.1, -0.4, 0.3])
    pool = common_genotypes(people)
    book = learn(people, score, pool, patterns=2)
    errors = {}
    for pattern in pool:
        has = people[:, pattern[0][0]] == pattern[0][1]
        for level in np.quantile(score, (np.arange(24) + 0.5) / 24):
            near = np.minimum((score - score.mean()) ** 2, (score - level) ** 2)
            errors[pattern, level] = np.where(has, near, (score - score.mean()) ** 2).sum()
    assert book.patterns[1] == min(errors, key=errors.__getitem__)[0]


def test_a_small_group_is_fed_where_that_costs_less_than_closing_it() -> None:
    people = np.ones((30, 2), np.int8)
    score = np.concatenate([np.full(9, 2.0), np.full(21, 0.9)])
    book = Codebook(2, ((), ((0, 1),)), np.array([[0.0], [2.0]]))
    assigned = assign_groups(book, people, score, 10)
    assert np.bincount(assigned).tolist() == [20, 10]
    far = Codebook(2, ((), ((0, 1),)), np.array([[0.0], [9.0]]))
    lonely = np.concatenate([np.full(1, 5.0), np.full(29, -9.0)])
    assert np.bincount(assign_groups(far, people, lonely, 10)).tolist() == [30]


def test_a_plan_is_attacked_before_it_is_used(model: TrainedModel) -> None:
    seen: list[PanelCase] = []

    def rr(case: PanelCase) -> float:
        seen.append(case)
        return len(np.unique(case.released, axis=0)) / 10

    settings = ReleaseSettings(min_group_size=5, patterns=8, target_rr=0.4, method="codebook")
    plan = plan_release(model, PANEL, settings, people_per_file=100, rr=rr)
    assert len(plan.codebook.patterns) <= 5
    assert [patterns for patterns, _ in plan.verified] == [8, 6, 4][: len(seen)]
    assert plan.verified[-1][1] <= 0.4
    case = seen[0]
    assert case.dosage.shape == case.released.shape
    held_out = {row.tobytes() for row in PANEL[1::2]}
    assert {row.tobytes() for row in case.dosage[: len(held_out)]} == held_out
    assert np.all((case.released == 0) | (case.released == case.dosage))
    assert case.mask(case.dosage).shape == case.dosage.shape
    again = ReleasePlan.from_dict(model, plan.to_dict())
    assert again.verified == plan.verified


def test_a_plan_that_never_withstands_is_refused(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5, patterns=4, target_rr=0.01, method="codebook")
    with pytest.raises(ReleaseError, match="target is 1 %"):
        plan_release(model, PANEL, settings, rr=lambda case: 0.5)
    with pytest.raises(ConfigError, match="attack suite"):
        plan_release(model, PANEL, settings)
