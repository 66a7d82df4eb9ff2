"""The run audit: sound on the mechanism, loud on a broken one, and its attacker knows what it says it knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from afml.audit import run as auditing
from afml.audit.people import most_spread, spread
from afml.audit.rounds import Channel, plain_total, play
from afml.audit.run import AuditResult, audit_run
from afml.audit.simulated import Size, simulate
from afml.audit.subject import Subject
from afml.consortium.run import Phase
from afml.core.children import in_children
from afml.core.errors import ConfigError, IntegrityError
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import masking_task
from afml.masking.settings import RISK
from afml.masking.task import MaskingTask
from afml.training.step import Trainer
from crypto.public.random import source
from tests.audit import breaks


@pytest.fixture(scope="module")
def small() -> Subject:
    made = simulate(3, Size(nodes=3, people=20, sites=256, panel_people=60), rounds=3, ple_sigma=0.9)
    return with_config(made, seed=11)


def with_config(subject: Subject, **changes: Any) -> Subject:
    return replace(subject, config=subject.config.model_copy(update=changes))


def audit(subject: Subject, **changes: Any) -> AuditResult:
    return audit_run(with_config(subject, **changes), 4)


def task_of(subject: Subject) -> MaskingTask:
    return masking_task(subject.config, subject.panel, subject.panel_dosage)


@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_the_interval_holds(small: Subject, noise: str) -> None:
    result = audit(small, noise=noise)
    assert 0.05 < result.mu_lower < result.mu_attacked == pytest.approx(0.9)
    assert result.interval == (result.mu_lower, result.mu_accounted)
    assert result.mu_accounted > result.mu_attacked  # the game's round, which is not attacked, counts there
    assert result.mu_ceiling > result.mu_attacked  # it could have failed
    assert (result.canaries, result.rounds) == (256, 3)
    result.require_sound()


def test_noise_off_is_found(small: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.0)
    result = audit(small)
    assert result.mu_lower == result.mu_ceiling > 0.9
    with pytest.raises(IntegrityError, match=r"establishes 1\.\d+ sigma, 0\.900 are accounted"):
        result.require_sound()


def test_a_seeded_run_gives_the_same_result_and_other_canaries_another(small: Subject) -> None:
    one = with_config(small, phases=(small.config.phases[0].model_copy(update={"rounds": 1}),))
    results = [audit_run(one, seed, canaries=64) for seed in (4, 4, 5)]
    assert results[0] == results[1]
    assert results[0].correct != results[2].correct


def test_nodes_played_side_by_side_are_the_same(small: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    here = audit_run(small, 4)
    children = []

    def counted(work: Any, at_once: int) -> Any:
        children.append(len(work))
        return in_children(work, at_once)

    monkeypatch.setattr(auditing, "in_children", counted)
    assert audit_run(small, 4) == here
    assert not children
    monkeypatch.setattr(auditing, "_APART_FROM", 0)
    assert audit_run(small, 4) == here
    assert len(children) == here.rounds


def test_sampled_rounds_and_absent_institutions(small: Subject) -> None:
    phase = small.config.phases[0].model_copy(update={"sample_rate": 0.3, "noise_multiplier": 1.0})
    one = replace(with_config(small, phases=(phase,)), enrolled={2: small.enrolled[2]})
    result = audit_run(one, 4)
    assert 0 <= result.mu_lower < result.mu_attacked


def test_the_guess_is_least_squares_over_all_rounds_whatever_each_measured(small: Subject) -> None:
    rng = np.random.default_rng(0)
    task = task_of(small)
    people = spread(small.config.data.features, 20, rng)
    score, rows, seen = auditing._Score(task, people), [], []
    for rate, std in ((1.0, 2.0), (0.5, 1.5), (0.5, 1.0)):
        phase = Phase(name=RISK, rounds=1, sample_rate=rate, clip_norm=2, noise_multiplier=1, learning_rate=1)
        measured = np.where(rng.random(len(task.measured())) < rate, 1.4, 0.0)
        released = rng.normal(size=len(measured))
        score.begin(measured)
        score.observe(released, phase, std)
        rows.append(2 * rate * score._gradients.T / std)  # [parameters, canaries]
        seen.append(released / std)
    design = np.concatenate(rows)
    centred = np.concatenate(seen) - design @ np.full(20, 0.5)
    expected = np.linalg.lstsq(np.vstack([design, 2 * np.eye(20)]), np.append(centred, np.zeros(20)), rcond=None)[0]
    np.testing.assert_allclose(score.scores(), expected, atol=1e-9)


@pytest.mark.parametrize("focus", [0, 9])
def test_the_attacker_knows_the_canaries_gradients_in_every_round(small: Subject, focus: int) -> None:
    settings = masking_settings(small.config)
    risk = settings.risk.model_copy(update={"focus": focus})
    config = with_settings(small.config, settings.model_copy(update={RISK: risk}))
    subject = replace(small, config=config)
    people = spread(config.data.features, 5, np.random.default_rng(1))
    task, looked = task_of(subject), []
    score = auditing._Score(task, people)
    for _ in range(config.phases[0].rounds):
        score.begin(task.measured())
        looked.append(int(np.count_nonzero(task.measured())))
        for person in range(5):
            real = Trainer(config, task, people).clipped_sum(0, np.array([person]), source(1))
            np.testing.assert_allclose(real, score._gradients[person] * config.phases[0].clip_norm, atol=1e-4)
        task.apply(0, np.zeros(task.length(0)), 1)  # nothing is learned: the weights stay zero
    assert looked == ([257, 257, 257] if not focus else [257, 257, 49])


def test_made_up_people_are_real_format_and_far_apart() -> None:
    for sites in (33, 64, 300):
        people = spread(sites, most_spread(sites), np.random.default_rng(2))
        assert set(np.unique(people.dosage)) <= {0, 2}
        assert set(np.unique(people.phenotype)) <= {0, 1}
        signs = people.dosage.astype(int) - 1
        overlap = signs @ signs.T / sites
        assert np.abs(overlap[~np.eye(len(people), dtype=bool)]).max() <= 0.75
    assert most_spread(1024) == 1024
    assert most_spread(10**6) == 2048


def test_ciphertexts_carry_the_same_integers(small: Subject) -> None:
    channel = Channel(small.config)
    fields = play(task_of(small), small.config, small.enrolled, 1)
    for _ in range(2):  # fresh pads each time
        np.testing.assert_array_equal(channel.total(fields, 1), plain_total(fields))


def test_runs_without_a_risk_phase_or_canaries_are_refused(small: Subject) -> None:
    with pytest.raises(ConfigError, match="risk phase"):
        audit(small, phases=small.config.phases[1:])
    with pytest.raises(ConfigError, match="two canaries"):
        audit_run(small, 1, canaries=1)


def test_real_people_of_any_kind_may_be_beside_them(small: Subject) -> None:
    """Missing calls and people of a single phenotype do not disturb the attack."""
    odd = {
        node: Enrolled(np.where(one.dosage == 1, -1, one.dosage).astype(np.int8), np.ones(len(one), np.int8))
        for node, one in small.enrolled.items()
    }
    assert audit_run(replace(small, enrolled=odd), 4).mu_lower > 0.05
