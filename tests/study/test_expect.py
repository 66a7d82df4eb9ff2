from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from afml.cli.plan import plan
from afml.core.errors import AfmlError, ConfigError
from afml.masking.plan import Wish
from afml.study.expect import RESERVES, Expectation, Scenario, affordable, expect
from tests.study.conftest import phases

SCENARIO = Scenario(
    people=300, nodes=3, quorum=3, max_colluding=1, wish=Wish(0.9, 1e-5, 2, 1, 0.1, reserve=0), noise="distributed",
    sites=40, causal=4, heritability=0.6, min_group_size=10, draws=1, seed=1001,
)  # fmt: skip


def test_a_plan_is_simulated() -> None:
    found = expect(SCENARIO, phases(0.9, 40, 0.1, 1), nodes=3, reserve=1)
    assert found.noise_multiplier == pytest.approx(10 / 0.9)
    assert 0.5 < found.utility_ratio < 1.5
    assert found.rr_bound <= 1 / 10
    assert found == expect(SCENARIO, phases(0.9, 40, 0.1, 1), nodes=3, reserve=1)
    fewer = expect(replace(SCENARIO, quorum=3), phases(0.9, 40, 0.1, 1), nodes=3, reserve=1)
    assert fewer.nodes == 3


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"nodes": 0}, "--nodes: 0 is not at least 1; give another number"), ({"people": 2}, "--people"),
        ({"quorum": 4}, "--quorum"), ({"max_colluding": -1}, "--max-colluding"), ({"sites": 0}, "--sites"),
        ({"causal": 41}, "--causal"), ({"heritability": math.nan}, "--heritability"), ({"draws": 0}, "--draws"),
        ({"min_group_size": 0}, "--min-group-size"), ({"seed": -1}, "--seed"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_with_its_option(wrong: dict[str, Any], option: str) -> None:
    SCENARIO.check()
    with pytest.raises(ConfigError, match=option):
        replace(SCENARIO, **wrong).check()


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"rounds": 0}, "--rounds"), ({"game_rounds": -1}, "--game-rounds"), ({"game_share": 1.0}, "--game-share"),
        ({"ple": math.inf}, "--ple"), ({"delta": 0.0}, "--delta"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_had_is_refused_with_its_option(wrong: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        replace(SCENARIO, wish=replace(SCENARIO.wish, **wrong)).check()


@pytest.mark.parametrize("options", [["--rounds", "0"], ["--quorum", "0"], ["--tolerance", "nan"]])
def test_the_command_refuses_before_it_simulates(options: list[str]) -> None:
    found = CliRunner().invoke(plan, options)
    assert isinstance(found.exception, AfmlError)
    assert str(found.exception).startswith(f"{options[0]}: ")


def test_affordable_attempts_stop_at_the_first_loss() -> None:
    def at(reserve: int, ratio: float) -> Expectation:
        return Expectation(5, reserve, 1.0, (ratio,), (0.7,), 0.02)

    assert affordable([at(0, 1.0), at(1, 0.99), at(5, 0.985), at(20, 0.9)], 0.02) == 5
    assert affordable([at(0, 1.0), at(1, 0.9), at(5, 1.0)], 0.02) == 0
    assert affordable([at(0, 1.0)], 0.02) == 0
    fewer_nodes = replace(at(5, 1.0), nodes=3)
    assert affordable([at(0, 1.0), at(1, 0.99), fewer_nodes], 0.02) == 1


def test_every_reserve_is_compared_and_the_smallest_quorum() -> None:
    assert SCENARIO.cases == tuple((3, reserve) for reserve in RESERVES)
    assert replace(SCENARIO, nodes=5).cases == (*((5, reserve) for reserve in RESERVES), (3, 1))
