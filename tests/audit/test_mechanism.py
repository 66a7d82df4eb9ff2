"""The mechanism test passes the mechanism and finds each broken one. Fixed seeds; bounds at 99.9 %."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from afml.audit.mechanism import MechanismResult, StepAttack, mechanism_test, step_config, worst_cases
from afml.audit.rounds import honest_of, plain_total, play
from afml.audit.subject import Subject
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError
from afml.masking.kind import train_masking
from afml.masking.settings import GAME, LOSSES, GameSettings, Loss
from afml.masking.task import MaskingTask
from afml.training.step import apply_total
from tests.audit import breaks
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, dosages, enrolled, sites_panel, small_task

SITES, PEOPLE = 24, 20


def run(*phases: int, private: tuple[Loss, ...] = LOSSES, **changes: Any) -> RunConfig:
    game = GameSettings(windows=8, private_lineup=16, private=private)
    base = config(SITES, PEOPLE, game=game, **changes)
    return base.model_copy(update={"phases": tuple(base.phases[index] for index in phases)})


def attack(base: RunConfig, trials: int) -> dict[str, MechanismResult]:
    subject = Subject(base, sites_panel(SITES), dosages(60, SITES, seed=0))
    results = mechanism_test(subject, trials=trials, encrypted=1, seed=5)
    return {result.case: result for result in results}


@pytest.mark.parametrize(
    ("noise", "institutions"), [("distributed", 1), ("local", 1), ("distributed", 2), ("local", 2)]
)
def test_the_risk_step_leaks_what_is_accounted(noise: str, institutions: int) -> None:
    """Also about a person who is enrolled at several institutions, in a run that says so."""
    for result in attack(run(RISK_PHASE, noise=noise, enrolments_per_person=institutions), 250).values():
        assert result.mu_accounted == pytest.approx(1.0)
        assert 0.2 < result.mu_lower <= 1.0  # sound, and the attack is not blind
        assert result.encrypted == 2
        result.require_sound()


@pytest.mark.parametrize("losses", [("identification", "masking"), ("masking",)])
def test_the_game_step_leaks_what_is_accounted(losses: tuple[Loss, ...]) -> None:
    result = attack(run(GAME_PHASE, private=losses, noise="local"), 80)["alone"]
    assert result.sound
    assert result.absent == result.present == 20
    # At mu = 1 a step is misjudged with probability 0.31; a blind attack would misjudge one half.
    assert result.false_positives + result.false_negatives < 17


def test_noise_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.0)
    result = attack(run(RISK_PHASE), 60)["alone"]
    assert (result.false_positives, result.false_negatives) == (0, 0)
    with pytest.raises(IntegrityError, match="at least 2"):
        result.require_sound()


def test_a_person_at_more_institutions_than_the_run_says_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    base = run(RISK_PHASE)
    monkeypatch.setattr("afml.audit.mechanism.honest_of", lambda config: config.nodes[:3])
    monkeypatch.setattr(StepAttack, "_cohorts", lambda self, case, first: dict.fromkeys(self._cohort, first))
    assert attack(base, 200)["alone"].mu_lower > 1.1


@pytest.mark.parametrize("exact", [False, True])
def test_half_the_noise_is_found(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    breaks.scale_noise(monkeypatch, 0.5)
    assert all(result.mu_lower > 1.1 for result in attack(run(RISK_PHASE, exact_noise=exact), 300).values())


def test_exact_noise_is_sound_and_seen_through_as_often_as_is_accounted() -> None:
    result = attack(run(RISK_PHASE, exact_noise=True), 60)["alone"]
    assert result.sound
    assert 20 < result.false_positives + result.false_negatives < 60  # 37 at mu = 1


def test_clipping_per_window_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.clip_every_row(monkeypatch)
    result = attack(run(GAME_PHASE, noise="local"), 100)["alone"]
    assert result.mu_lower > 1.1, result
    assert not result.sound


def test_a_divisor_from_the_realised_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.divide_by_the_realised_batch(monkeypatch)
    results = attack(run(RISK_PHASE, noise="local"), 300)
    assert results["alone"].sound  # a scalar says little where nobody else is
    assert results["outnumbered"].mu_lower > 1.1


def test_a_divisor_from_the_realised_cohort_in_the_model_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacker looks at the parameters, not only at the sum."""
    base = run(RISK_PHASE, noise="local")
    one = step_config(base, base.phases[0])
    task = small_task(one)
    case = worst_cases(task, one.phases[0], np.random.default_rng(1))[0]
    attacker = StepAttack(task, one, case)
    before = attacker.released(1, 7)
    promised = MaskingTask.apply
    monkeypatch.setattr(
        MaskingTask, "apply", lambda self, phase, total, people: promised(self, phase, total, people // 2)
    )
    np.testing.assert_allclose(attacker.released(1, 7), 2 * before, rtol=1e-6)


def test_what_is_attacked_is_the_products_round() -> None:
    """`play` and `apply_total`, round by round, are the in-process run, and steps see the honest sum."""
    base, people = config(SITES, PEOPLE), enrolled(SITES, PEOPLE)
    task = small_task(base)
    for round_number in range(1, base.rounds + 1):
        if base.phase_of(round_number)[1].name == GAME:
            task.load_public(task.train_public())
        total = plain_total(play(task, base, people, round_number))
        apply_total(task, base, round_number, base.nodes, total)
    expected = train_masking(base, sites_panel(SITES), dosages(60, SITES, seed=0), people)
    assert task.model().digest() == expected.digest()


def test_the_attacker_is_everybody_but_the_honest_nodes() -> None:
    assert honest_of(run(RISK_PHASE, nodes=5)) == (1, 2, 3, 4)
    assert honest_of(run(RISK_PHASE, nodes=5, quorum=4, max_colluding=2)) == (1, 2)
    assert honest_of(run(RISK_PHASE, nodes=5, noise="local")) == (1,)


def test_nothing_to_attack_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to repeat"):
        attack(run(RISK_PHASE), 0)
