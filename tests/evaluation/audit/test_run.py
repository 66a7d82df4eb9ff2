"""The run audit: sound on the mechanism, loud on a broken one, and its attacker knows what it says it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from afml.core.errors import ConfigError, IntegrityError
from afml.core.run import Phase, RunConfig
from afml.evaluation.audit import run as auditing
from afml.evaluation.audit.people import most_spread, spread
from afml.evaluation.audit.rounds import Channel, plain_total, play
from afml.evaluation.audit.run import AuditResult, audit_run
from afml.evaluation.audit.simulated import Simulated, simulate
from afml.training.program import Cohort, Program
from crypto.public.random import source
from tests.evaluation.audit import breaks


@pytest.fixture(scope="module")
def small() -> Simulated:
    made = simulate(3, nodes=3, people=20, sites=256, panel_people=60, rounds=3, ple_sigma=0.9)
    return made._replace(config=made.config.model_copy(update={"seed": 11}))


def audit(inputs: Simulated, **changes: Any) -> AuditResult:
    config, panel, panel_dosage, cohorts = inputs
    return audit_run(config.model_copy(update=changes), panel, panel_dosage, cohorts, 4)


@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_the_interval_holds(small: Simulated, noise: str) -> None:
    result = audit(small, noise=noise)
    assert 0.05 < result.mu_lower < result.mu_attacked == pytest.approx(0.9)
    assert result.interval == (result.mu_lower, result.mu_accounted)
    assert result.mu_accounted > result.mu_attacked  # the game's round, which is not attacked, counts there
    assert result.mu_ceiling > result.mu_attacked  # it could have failed
    assert (result.canaries, result.rounds) == (256, 3)
    result.require_sound()


def test_noise_off_is_found(small: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.0)
    result = audit(small)
    assert result.mu_lower == result.mu_ceiling > 0.9
    with pytest.raises(IntegrityError, match=r"establishes 1\.\d+ sigma, 0\.900 are accounted"):
        result.require_sound()


def test_a_seeded_run_gives_the_same_result_and_other_canaries_another(small: Simulated) -> None:
    config, panel, panel_dosage, cohorts = small
    one = config.model_copy(update={"phases": (config.phases[0].model_copy(update={"rounds": 1}),)})
    results = [audit_run(one, panel, panel_dosage, cohorts, seed, canaries=64) for seed in (4, 4, 5)]
    assert results[0] == results[1]
    assert results[0].correct != results[2].correct


def test_sampled_rounds_and_absent_institutions(small: Simulated) -> None:
    config, panel, panel_dosage, cohorts = small
    phase = config.phases[0].model_copy(update={"sample_rate": 0.3, "noise_multiplier": 1.0})
    one = config.model_copy(update={"phases": (phase,)})
    result = audit_run(one, panel, panel_dosage, {2: cohorts[2]}, 4)
    assert 0 <= result.mu_lower < result.mu_attacked


def test_fewer_canaries_than_sites_are_scored_alike(small: Simulated) -> None:
    """Both forms of the least squares are one."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(20, 20)) / 5
    phase = Phase(name="risk", rounds=1, sample_rate=1, clip_norm=1, noise_multiplier=1, learning_rate=1)
    seen = rng.normal(size=20)
    wide, square = auditing._Score(np.pad(gradients, ((0, 0), (0, 1)))), auditing._Score(gradients)
    wide.observe(np.append(seen, 0.0), phase, 2.0)
    square.observe(seen, phase, 2.0)
    np.testing.assert_allclose(wide.scores(), square.scores(), rtol=1e-9)


def test_the_attacker_knows_the_canaries_gradients(small: Simulated) -> None:
    config, panel, panel_dosage, _ = small
    program = Program(config, panel, panel_dosage)
    people = spread(config.sites, 5, np.random.default_rng(1))
    expected = auditing._gradients(program, people) * config.phases[0].clip_norm
    for person in range(5):
        real = program.clipped_sum(0, people, np.array([person]), source(1))
        np.testing.assert_allclose(real, expected[person], atol=1e-4)


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


def test_ciphertexts_carry_the_same_integers(small: Simulated) -> None:
    config, panel, panel_dosage, cohorts = small
    program = Program(config, panel, panel_dosage)
    channel = Channel(config)
    fields = play(program, config, cohorts, 1)
    for _ in range(2):  # fresh pads each time
        np.testing.assert_array_equal(channel.total(fields, 1), plain_total(fields))


def test_runs_without_a_risk_phase_or_canaries_are_refused(small: Simulated) -> None:
    with pytest.raises(ConfigError, match="risk phase"):
        audit(small, phases=small.config.phases[1:])
    config: RunConfig = small.config
    with pytest.raises(ConfigError, match="two canaries"):
        audit_run(config, small.panel, small.panel_dosage, small.cohorts, 1, canaries=1)


def test_real_people_of_any_kind_may_be_beside_them(small: Simulated) -> None:
    """Missing calls and single-phenotype cohorts do not disturb the attack."""
    config, panel, panel_dosage, cohorts = small
    odd = {
        node: Cohort(np.where(one.dosage == 1, -1, one.dosage).astype(np.int8), np.ones(len(one), np.int8))
        for node, one in cohorts.items()
    }
    assert audit_run(config, panel, panel_dosage, odd, 4).mu_lower > 0.05
