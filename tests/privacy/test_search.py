"""A search is one plan: its trials together are within the budget; each is what `afml configure` makes of its share."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

from afml.cli.plan import plan
from afml.core.errors import ConfigError, InputError
from afml.privacy.events import gaussian_rounds
from afml.privacy.ple import ple
from afml.privacy.search import Search, priced
from afml.training.planning import Rounds, Terms, one_phase


@pytest.mark.parametrize(
    ("trials", "rounds", "rate", "enrolments"), [(1, 20, 0.1, 1), (8, 40, 0.1, 1), (5, 1, 1.0, 1), (3, 10, 0.2, 2)]
)
def test_all_trials_together_are_within_the_budget(trials: int, rounds: int, rate: float, enrolments: int) -> None:
    search = Search(trials, rounds, rate, 0.5, reserve=1, enrolments=enrolments)
    price = priced(search)
    terms = Terms(ple_sigma=price.share, reserve_attempts=1, max_enrolments=enrolments)
    (phase,) = one_phase(Rounds(rounds=rounds, sample_rate=rate), terms, 10).phases
    assert phase.noise_multiplier == price.noise_multiplier
    one_by_one = [
        gaussian_rounds(rate, phase.noise_multiplier * math.sqrt(enrolments), (rounds + 1) * enrolments)
        for _ in range(trials)
    ]
    assert ple(one_by_one, 1e-5).sigma == pytest.approx(price.together, rel=1e-3)
    assert 0.49 < price.together <= 0.5
    assert price.alone <= price.noise_multiplier


def test_full_batches_share_the_square() -> None:
    price = priced(Search(4, 1, 1.0, 0.8, reserve=0))
    assert price.share == pytest.approx(0.4, rel=1e-3)
    assert price.evaluation_share == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"trials": 0}, "--search: 0 is not at least 1"), ({"rounds": 0}, "--rounds: 0 is not at least 1"),
        ({"sample_rate": math.nan}, "--sample-rate: nan is not above 0"), ({"sample_rate": 1.1}, "--sample-rate"),
        ({"ple_sigma": 0.0}, "--ple"), ({"ple_sigma": math.inf}, "--ple"), ({"delta": 1.0}, "--delta"),
        ({"reserve": -1}, "--reserve-attempts"), ({"enrolments": 0}, "--max-enrolments"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_one_line(wrong: dict[str, float], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        priced(replace(Search(3, 1, 1.0, 0.8), **wrong))


def test_a_budget_that_hides_nothing_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"a PLE target must be positive and at most 1e\+06"):
        priced(Search(3, 20, 0.1, 1e9))
    with pytest.raises(ConfigError, match=r"--ple: a PLE of 1e\+06 hides nothing; ask for less"):
        priced(Search(3, 20, 0.1, 1e6))


def test_the_command_says_what_each_trial_is_configured_with() -> None:
    asked = ["--search", "4", "--rounds", "5", "--sample-rate", "0.2", "--ple", "0.8"]
    done = CliRunner().invoke(plan, [*asked, "--json"])
    told = json.loads(done.output)
    assert told["together"] <= 0.8
    words = CliRunner().invoke(plan, asked).output
    assert f"--ple {told['share']:g} --budget 0.8" in words
    assert "choose by them" in words


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--search", "4", "--people", "9"], "--people: does not go with"),
        (["--sample-rate", "0.2"], "goes with --search"),
    ],
)
def test_options_of_the_other_way_are_one_line(options: list[str], line: str) -> None:
    found = CliRunner().invoke(plan, options)
    assert isinstance(found.exception, InputError)
    assert line in str(found.exception)
