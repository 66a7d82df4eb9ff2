"""The declared audit: sound on the mechanism, tight, loud on a broken one; its short way is the product's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm

from afml.audit.declared import DeclaredResult, DeclaredRun, audit_declared
from afml.audit.mechanism import CLIP_NORM
from afml.audit.rounds import Channel
from afml.audit.simulated import Size, simulate
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError
from afml.data.columns import Trait
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.settings import RISK
from afml.privacy.noise import honest_nodes, node_std
from afml.training import step
from afml.training.step import Trainer
from benchmarks.audit_power import trial
from crypto.public.random import RandomSource
from tests.audit import breaks

SMALL = simulate(3, Size(nodes=4, people=20, sites=64, panel_people=40), rounds=3).config


def config(**changes: Any) -> RunConfig:
    """Three risk rounds of four institutions, whose seed makes every audit repeat itself."""
    phase = {name: changes.pop(name) for name in ("sample_rate", "noise_multiplier") if name in changes}
    phases = (SMALL.phases[0].model_copy(update=phase), *SMALL.phases[1:])
    return SMALL.model_copy(update={"phases": phases, "seed": 7} | changes)


def audit(run: RunConfig, repeats: int = 256) -> DeclaredResult:
    return audit_declared(run, 4, repeats=repeats, whole=0)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"noise": "local"},
    {"enrolments_per_person": 2},
    {"enrolments_per_person": 2, "noise": "local", "sample_rate": 0.4},
    {"quorum": 3, "max_colluding": 2, "sample_rate": 0.7},
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_short_way_ends_with_the_same_integers(variant: dict[str, Any]) -> None:
    """Back-propagation, clipping, moving parameters, pads and ciphertexts, against gradients measured once."""
    run = DeclaredRun(config(**variant))
    rng, channel = np.random.default_rng(1), Channel(run.config)
    for seed in (1, 2):
        seeded, enrolled = run.config.model_copy(update={"seed": seed}), rng.random(run.canaries) < 0.5
        np.testing.assert_array_equal(run.quick(seeded, enrolled), run.whole(seeded, enrolled, channel))


def test_several_traits_and_covariates_are_audited() -> None:
    risk = masking_settings(SMALL).risk.model_copy(
        update={"traits": (Trait(name="a"), Trait(name="b", kind="quantitative")), "phenotypes": 2}
    )
    settings = masking_settings(SMALL).model_copy(update={RISK: risk})
    phase = SMALL.phases[0].model_copy(update={"parameters": 2 * 65})
    base = with_settings(config(phases=(phase,)), settings)
    run = DeclaredRun(base)
    enrolled = np.arange(64) % 3 == 0
    np.testing.assert_array_equal(run.quick(run.config, enrolled), run.whole(run.config, enrolled))
    assert 0.6 < audit(base).mu_lower <= 0.9


def test_canaries_are_orthogonal_and_clipped() -> None:
    run = DeclaredRun(config())
    assert run.canaries == 64
    np.testing.assert_allclose(np.linalg.norm(run._clipped, axis=1), CLIP_NORM, rtol=1e-5)
    np.testing.assert_allclose(run._directions @ run._directions.T, np.eye(64), atol=1e-12)
    assert run._gain.min() > 0.99  # hardly anything of a canary lies where others are


def test_most_of_what_is_accounted_is_established() -> None:
    result = audit_declared(config(), 4)
    assert 0.8 * result.mu_accounted < result.mu_lower <= result.mu_attacked == pytest.approx(0.9)
    assert result.interval == (result.mu_lower, result.mu_accounted)
    assert result.mu_accounted > result.mu_attacked  # the game's round counts there
    assert result.mu_ceiling > 4
    assert (result.canaries, result.repeats, result.whole, result.rounds) == (64, 256, 8, 3)
    result.require_sound()


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_every_mode_is_accounted_for(variant: dict[str, Any]) -> None:
    result = audit(config(**variant, noise_multiplier=1.5))
    assert 0.6 * result.mu_attacked < result.mu_lower <= result.mu_attacked


@pytest.mark.parametrize("seed", range(1, 6))
def test_noise_that_is_fifteen_percent_short_is_found(seed: int) -> None:
    """200 of each: `make audit-power`."""
    short = trial(seed, 0.85)
    assert not short.sound
    with pytest.raises(IntegrityError, match=r"attack establishes 0\.9\d+ sigma, 0\.880 are accounted"):
        short.require_sound()
    assert trial(seed, 1.0).sound
    assert step.node_std is node_std  # nothing stays broken


def test_noise_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks.scale_noise(monkeypatch, 0.0)
    result = audit(config(), repeats=20)
    assert result.right == 1.0
    assert result.mu_lower == result.mu_ceiling > 1.0


def test_one_honest_node_without_noise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three that share the noise: a third of the variance is missing."""
    assert honest_nodes(SMALL) == 3
    whole = Trainer.private_update

    def silent(self: Trainer, phase: int, stream: RandomSource, std: float) -> NDArray[np.float64]:
        assert stream.path is not None
        return whole(self, phase, stream, 0.0 if stream.path[2] == 1 else std)

    monkeypatch.setattr(Trainer, "private_update", silent)
    assert not audit(config()).sound


def test_a_bound_that_lets_long_gradients_pass_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afml.training.clipping.BELOW", 1.2)
    assert not audit(config()).sound


def test_scores_are_likelihood_ratios_of_what_is_accounted() -> None:
    """The slow way: densities of normals, draw by draw, in the units of one canary's part."""
    run = DeclaredRun(config(enrolments_per_person=2, sample_rate=0.4))
    totals = run.quick(run.config, np.arange(64) % 2 == 0)
    found = run.scores(totals)
    std = SMALL.phases[0].noise_multiplier * 2
    for canary in (0, 1, 40):
        seen = totals @ run._directions[canary] / CLIP_NORM
        part = run._gain[canary]
        inside = sum(binom.pmf(k, 2, 0.4) * norm.pdf(seen, k * part, std) for k in range(3))
        assert found[canary] == pytest.approx(np.log(inside / norm.pdf(seen, 0, std)).sum(), rel=1e-9)


def test_seeded_audits_repeat_themselves_and_no_two_repeats_share_noise() -> None:
    assert audit(config(), repeats=5) == audit(config(), repeats=5)
    assert audit(config(), repeats=5).right != audit_declared(config(), 5, repeats=5, whole=0).right
    run = DeclaredRun(config(seed=None))
    enrolled, channel = np.arange(run.canaries) % 2 == 0, Channel(run.config)
    assert (run.quick(run.config, enrolled) != run.quick(run.config, enrolled)).any()
    assert (run.whole(run.config, enrolled, channel) != run.whole(run.config, enrolled, channel)).any()


def test_nothing_to_audit_is_refused() -> None:
    with pytest.raises(ConfigError, match="risk phase"):
        audit(config(phases=SMALL.phases[1:]))
    with pytest.raises(ConfigError, match="one repeat"):
        audit(config(), repeats=0)
    data = SMALL.data.model_copy(update={"features": 1})
    with pytest.raises(ConfigError, match="two sites"):
        audit(config(data=data))


def test_too_few_repeats_cannot_fail_and_say_so() -> None:
    few = audit(config(), repeats=2)
    assert few.mu_ceiling < few.mu_attacked
    assert replace(few, mu_lower=few.mu_ceiling).sound
