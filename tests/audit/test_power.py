"""What an audit would have found: against real audits of less noise, and where it could not have failed."""

from __future__ import annotations

from dataclasses import replace

from afml.audit.bounds import planned_guesses
from afml.audit.interval import accounted_mu
from afml.audit.power import power
from afml.audit.run import AuditResult, attacked_phases
from afml.audit.simulated import Size, simulate
from afml.consortium.run import RunConfig

CONFIG: RunConfig = simulate(3, Size(nodes=3, people=20, sites=256, panel_people=60), rounds=3, ple_sigma=0.9).config


def _result(canaries: int) -> AuditResult:
    mu = accounted_mu(CONFIG, attacked_phases(CONFIG))
    plans = tuple(planned_guesses(canaries, strength, 0.975) for strength in (mu, 2 * mu))
    return AuditResult(
        mu_lower=0.4, mu_attacked=mu, mu_accounted=mu, mu_ceiling=1.4, confidence=0.95, epsilon_lower=1.0, delta=1e-5,
        canaries=canaries, guesses=plans, correct=(1, 1), rounds=3,
    )  # fmt: skip


def test_less_noise_is_found_more_often_and_a_right_mechanism_next_to_never() -> None:
    found = power(CONFIG, _result(1024))
    assert [one.noise for one in found] == [1.0, 0.85, 0.7, 0.5, 0.25]
    assert [one.found for one in found] == sorted(one.found for one in found)
    assert found[0].found <= 0.05  # the confidence of the bound
    assert found[3].found > 0.8  # half of the noise: 7 of 8 real audits (docs/AUDIT.md)
    assert found[2].found < 0.3  # 30 % short: 0 of 4


def test_few_canaries_find_nothing() -> None:
    assert {one.found for one in power(CONFIG, _result(8))} == {0.0}


def test_it_is_the_same_every_time_and_follows_the_plan() -> None:
    result = _result(1024)
    assert power(CONFIG, result) == power(CONFIG, result)
    shy = replace(result, guesses=(2, 2))
    assert power(CONFIG, shy, (0.25,))[0].found < power(CONFIG, result, (0.25,))[0].found
