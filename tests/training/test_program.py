from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError, IntegrityError
from afml.core.run import GameSettings, Phase, RiskSettings
from afml.privacy.noise import grid_for
from afml.training.inprocess import train_in_process
from afml.training.program import Cohort, Program
from afml.training.step import apply_total, node_update
from crypto.public.random import source
from tests.training.simulated import cohorts, config, dosages, phenotype, sites_panel

SITES, PEOPLE = 24, 30
RISK, GAME = 0, 1


@pytest.fixture
def program() -> Program:
    made = Program(config(SITES, PEOPLE), sites_panel(SITES), dosages(60, SITES, seed=0))  # type: ignore[arg-type]
    made.load_public(made.train_public())
    return made


@pytest.fixture
def cohort() -> Cohort:
    return cohorts(SITES, PEOPLE)[1]


@pytest.mark.parametrize("phase", [RISK, GAME])
def test_a_persons_share_of_the_sum_does_not_depend_on_others(program: Program, cohort: Cohort, phase: int) -> None:
    def total(batch: list[int]) -> np.ndarray:
        return program.clipped_sum(phase, cohort, np.array(batch, dtype=np.int64), source(1, "people"))

    np.testing.assert_allclose(total([3, 5, 7]), total([3]) + total([5]) + total([7]), atol=2e-5)


@pytest.mark.parametrize("phase", [RISK, GAME])
def test_sensitivity_is_the_clip_norm(program: Program, cohort: Cohort, phase: int) -> None:
    for person in range(4):
        share = program.clipped_sum(phase, cohort, np.array([person]), source(1, "people"))
        assert np.linalg.norm(share) <= program.config.phases[phase].clip_norm


@pytest.mark.parametrize("phase", [RISK, GAME])
def test_an_empty_batch_sends_noise_alone(program: Program, cohort: Cohort, phase: int) -> None:
    nobody = Cohort(cohort.dosage[:0], cohort.phenotype[:0])
    update = program.private_update(phase, nobody, source(1, "round"), 2.5)
    expected = 2.5 * source(1, "round").child("noise").normal(program.parameters(phase))
    np.testing.assert_array_equal(update, expected)


def test_a_drawn_panel_has_no_ancestry_to_project_out() -> None:
    panel = sites_panel(SITES)
    drawn = replace(panel, drawn_people=60, drawn_note="panel drawn from allele frequencies")
    dosage = dosages(60, SITES, seed=0)
    of_people, of_nobody = (Program(config(SITES, PEOPLE), one, dosage) for one in (panel, drawn))  # type: ignore[arg-type]
    assert of_people.statistics.components.shape == (10, SITES)
    assert of_nobody.statistics.components.shape == (0, SITES)
    assert "panel" not in of_people.model().card
    assert of_nobody.model().card["panel"] == "panel drawn from allele frequencies"
    keeps = config(SITES, PEOPLE, phases=config(SITES, PEOPLE).phases[1:], risk=RiskSettings(kept_components=2))
    with pytest.raises(ConfigError, match="has no principal components that a release could keep"):
        Program(keeps, drawn, dosage)  # type: ignore[arg-type]


def test_the_batch_is_a_poisson_sample(program: Program, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        program, "clipped_sum", lambda phase, cohort, batch, seed: drawn.append(len(batch)) or np.zeros(1)
    )
    for attempt in range(200):
        program.private_update(GAME, cohort, source(1, attempt), 0.0)
    # 200 x 30 people at rate 0.5: mean 15 per round, standard error 0.19.
    assert abs(np.mean(drawn) - 15.0) < 1.0
    assert len(set(drawn)) > 3


def test_the_divisor_is_public(program: Program) -> None:
    before = np.frombuffer(program.digest(), np.uint8).copy()
    total = np.ones(program.parameters(GAME))
    start = program.model().game
    program.apply(GAME, total, 3 * PEOPLE)
    phase = program.config.phases[GAME]
    step = phase.learning_rate / (phase.sample_rate * 3 * PEOPLE)
    np.testing.assert_allclose(program.model().game, start - step)
    assert not np.array_equal(before, np.frombuffer(program.digest(), np.uint8))


def test_machines_whose_linear_algebra_differs_hold_the_same_master_bits(program: Program) -> None:
    other = Program(config(SITES, PEOPLE), sites_panel(SITES), program.panel_dosage)  # type: ignore[arg-type]
    other.load_public(program.train_public())
    program.load_public(program.train_public())
    assert other.digest() == program.digest()
    other.statistics = replace(other.statistics, variance=other.statistics.variance * (1 + 1e-6))
    rng = np.random.default_rng(3)
    for phase in (RISK, RISK, GAME):
        total = rng.standard_normal(program.parameters(phase))
        program.apply(phase, total, PEOPLE)
        other.apply(phase, total, PEOPLE)
    assert other.digest() == program.digest()
    assert not np.array_equal(other.trained(RISK), program.trained(RISK))


def test_state_survives_and_continues_bit_for_bit(program: Program, cohort: Cohort) -> None:
    program.apply(RISK, program.private_update(RISK, cohort, source(1, "a"), 1.0), PEOPLE)
    twin = Program(program.config, sites_panel(SITES), program.panel_dosage)  # type: ignore[arg-type]
    twin.load_state(program.state())
    assert twin.digest() == program.digest()
    for each in (program, twin):
        each.apply(GAME, each.private_update(GAME, cohort, source(1, "b"), 1.0), PEOPLE)
    assert twin.digest() == program.digest()
    assert twin.model().digest() == program.model().digest()


def test_training_is_a_function_of_configuration_and_seed() -> None:
    run = config(SITES, PEOPLE)
    panel = dosages(60, SITES, seed=0)
    models = [train_in_process(run, sites_panel(SITES), panel, cohorts(SITES, PEOPLE)) for _ in range(2)]  # type: ignore[arg-type]
    assert models[0].digest() == models[1].digest()


def test_the_in_process_sum_is_the_federations(program: Program) -> None:
    """Nodes that each hold a program of their own end with the bits of the reference."""
    run, panel, people = config(SITES, PEOPLE), dosages(60, SITES, seed=0), cohorts(SITES, PEOPLE)
    reference = train_in_process(run, sites_panel(SITES), panel, people)  # type: ignore[arg-type]
    nodes = {node: Program(run, sites_panel(SITES), panel) for node in run.nodes}  # type: ignore[arg-type]
    for round_number in range(1, run.rounds + 1):
        _, phase = run.phase_of(round_number)
        if phase.name == "game":
            blob = nodes[2].train_public()
            for each in nodes.values():
                each.load_public(blob)
        grid = grid_for(run, phase).grid
        updates = []
        for node in reversed(run.nodes):
            update = node_update(nodes[node], run, people[node], node=node, round_number=round_number)
            updates.append(grid.quantise(update.values, update.rounding))
        for each in nodes.values():
            apply_total(each, run, round_number, run.nodes, np.sum(updates, axis=0))
        assert len({each.digest() for each in nodes.values()}) == 1
    assert nodes[1].model().digest() == reference.digest()


def test_rounds_and_nodes_draw_their_own_randomness(program: Program, cohort: Cohort) -> None:
    first, again, round_two, node_two = (
        node_update(program, program.config, cohort, node=node, round_number=round_number).values
        for node, round_number in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, round_two)
    assert not np.array_equal(first, node_two)


def test_without_a_seed_nothing_repeats(cohort: Cohort) -> None:
    run = config(SITES, PEOPLE, seed=None)
    program = Program(run, sites_panel(SITES), dosages(60, SITES, seed=0))  # type: ignore[arg-type]
    one, two = (node_update(program, run, cohort, node=1, round_number=1).values for _ in range(2))
    assert not np.array_equal(one, two)


def test_the_risk_model_learns() -> None:
    """With little noise the causal sites come out on top."""
    phase = Phase(name="risk", rounds=10, sample_rate=1.0, clip_norm=1.0, noise_multiplier=0.5, learning_rate=0.003)
    run = config(SITES, 300, phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18)
    people = cohorts(SITES, 300)
    model = train_in_process(run, sites_panel(SITES), dosages(200, SITES, seed=0), people)  # type: ignore[arg-type]
    causal = np.random.default_rng(5).choice(SITES, 3, replace=False)
    assert set(np.argsort(-model.weights)[:3]) == set(causal)
    held_out = dosages(400, SITES, seed=50)
    cases = phenotype(held_out, 50) == 1
    score = model.risk_score(held_out)
    assert np.mean(score[cases][:, None] > score[~cases][None]) > 0.75


def test_an_unbalanced_phenotype_moves_the_intercept(program: Program, cohort: Cohort) -> None:
    everybody = Cohort(cohort.dosage, np.ones(len(cohort), np.int8))
    total = program.clipped_sum(RISK, everybody, np.arange(len(cohort)), source(1))
    assert total[-1] < 0.0  # the step goes against the gradient: the intercept rises


def test_game_rounds_wait_for_the_public_part(cohort: Cohort) -> None:
    fresh = Program(config(SITES, PEOPLE), sites_panel(SITES), dosages(60, SITES, seed=0))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="public part"):
        fresh.private_update(GAME, cohort, source(1), 1.0)


def test_bad_input_is_one_line(program: Program, cohort: Cohort) -> None:
    with pytest.raises(ConfigError, match="sites"):
        Program(config(SITES + 1, PEOPLE), sites_panel(SITES), dosages(60, SITES, seed=0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="phenotype"):
        Cohort(cohort.dosage, cohort.phenotype[1:])
    with pytest.raises(IntegrityError, match="parameters"):
        program.apply(RISK, np.zeros(3), PEOPLE)
    with pytest.raises(IntegrityError):
        program.load_public(b"not an archive")
    with pytest.raises(IntegrityError):
        program.load_public(program.state()[:-10])
    with pytest.raises(IntegrityError):
        program.load_state(b"")


def test_a_cohort_never_prints_its_people(cohort: Cohort) -> None:
    assert repr(replace(cohort)) == f"Cohort({PEOPLE} people)"
