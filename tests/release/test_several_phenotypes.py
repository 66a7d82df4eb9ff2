"""Several phenotypes in one run: one release serves them all."""

from __future__ import annotations

import numpy as np

from afml.consortium.run import Phase
from afml.masking.enrolled import Enrolled
from afml.masking.kind import train_masking
from afml.masking.settings import RISK, GameSettings, ReleaseSettings, RiskSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from tests.masking.simulated import config, dosages, sites_panel

SITES = 24
CAUSAL = ((2, 9), (15, 20))


def _phenotypes(dosage: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = []
    for sites in CAUSAL:
        liability = np.maximum(dosage[:, sites], 0).sum(axis=1) + 0.5 * rng.normal(size=len(dosage))
        columns.append((liability > np.median(liability)).astype(np.int8))
    return np.stack(columns, axis=1)


def _enrolled(people: int) -> dict[int, Enrolled]:
    made = {}
    for node in (1, 2, 3):
        dosage = dosages(people, SITES, seed=node)
        made[node] = Enrolled(dosage, _phenotypes(dosage, node))
    return made


def test_both_are_learned_and_one_release_serves_both() -> None:
    phase = Phase(name=RISK, rounds=10, sample_rate=1.0, clip_norm=2**0.5, noise_multiplier=0.5, learning_rate=0.003)
    run = config(
        SITES, 300, risk=RiskSettings(phenotypes=2), phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18
    )  # fmt: skip
    panel = dosages(200, SITES, seed=0)
    model = train_masking(run, sites_panel(SITES), panel, _enrolled(300))
    assert model.weights.shape == (2, SITES)
    for weights, causal in zip(model.weights, CAUSAL, strict=True):
        assert set(np.argsort(-weights)[:2]) == set(causal)
    held_out = dosages(400, SITES, seed=50)
    cases = _phenotypes(held_out, 50)
    score = model.risk_score(held_out)
    assert score.shape == (400, 2)
    np.testing.assert_allclose(model.risk_score(panel).std(axis=0), 1.0)
    plan = plan_release(model, panel, ReleaseSettings(method="codebook", patterns=10, min_group_size=20))
    released = apply_plan(plan, held_out)
    assert released.min_group_size >= 20
    shown = plan.codebook.centroids[released.patterns]
    for told, case in zip(shown.T, cases.T, strict=True):
        assert np.mean(told[case == 1]) > np.mean(told[case == 0]) + 0.5
