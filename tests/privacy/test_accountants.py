"""One contract over every accountant, and which one is asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.privacy import accountant
from afml.privacy.accountant import ACCOUNTANTS, PREFERENCE, Accountant, composed_profile, epsilon, profile
from afml.privacy.events import Composition, Event, Gaussian, SubsampledGaussian, compose
from afml.privacy.ple import ple_of
from afml.privacy.profile import GaussianProfile
from afml.privacy.prv import _half_width

DELTA = 1e-5
CASES: dict[str, list[Event]] = {
    "full batches": [Gaussian(4.0)] * 9,
    "subsampled": [SubsampledGaussian(0.2, 2.0, 50)],
    "both": [SubsampledGaussian(0.2, 2.0, 50), Gaussian(4.0)],
}


@pytest.mark.parametrize("name", ACCOUNTANTS.names())
@pytest.mark.parametrize("events", CASES.values(), ids=CASES.keys())
def test_an_accountant_bounds_the_truth_and_names_itself(name: str, events: list[Event]) -> None:
    assert ACCOUNTANTS.get(name).name == name
    if ACCOUNTANTS.get(name).profile(compose(events), DELTA) is None:
        assert events is not CASES["full batches"], "every accountant holds these"
        with pytest.raises(ConfigError, match=f"accountant {name}: cannot hold these events"):
            profile(events, DELTA, name)
        return
    found = profile(events, DELTA, name)
    assert found.accountant == name
    second = profile(events, DELTA, "PLD")
    grid = np.linspace(0.0, second.epsilon(DELTA), 9)
    assert (found.delta(grid) >= second.delta(grid) * 0.99 - 1e-9).all(), "below the second opinion"
    assert (np.diff(found.delta(grid)) <= 1e-12).all()
    assert float(found.delta(found.epsilon(DELTA))) == pytest.approx(DELTA, rel=0.05)
    assert found.epsilon(DELTA / 10) > found.epsilon(DELTA)
    assert 0.0 <= found.tail(3.0) <= found.tail(1.0) <= 1.0
    assert ple_of(found, DELTA).accountant == name


@pytest.mark.parametrize("name", ACCOUNTANTS.names())
def test_tails_are_bounds(name: str) -> None:
    exact = GaussianProfile(0.75)
    for loss in (0.5, 1.0, 2.0):
        assert profile(CASES["full batches"], DELTA, name).tail(loss) >= exact.tail(loss) * (1 - 1e-6)


def test_only_the_closed_form_leaves_events_to_others() -> None:
    held = {
        name: [ACCOUNTANTS.get(name).profile(compose(events), DELTA) for events in CASES.values()]
        for name in PREFERENCE
    }
    assert [found is not None for found in held["closed form"]] == [True, False, False]
    assert None not in held["PRV"] + held["RDP"]


def test_the_tightest_that_holds_the_events_is_asked() -> None:
    asked = {case: epsilon(events, DELTA).accountant for case, events in CASES.items()}
    assert asked == {"full batches": "closed form", "subsampled": "PRV", "both": "PRV"}
    assert epsilon([SubsampledGaussian(0.5, 0.05, 1000)], DELTA).accountant == PREFERENCE[-1] == "RDP"


def test_an_unknown_accountant_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no accountant called 'moments'; use one of closed form, PRV, RDP, PLD"):
        profile([Gaussian(1.0)], DELTA, "moments")


@dataclass(frozen=True)
class Pessimist:
    """A new accountant: this, and its line in the table."""

    name: str = "pessimist"

    def profile(self, composition: Composition, delta: float) -> GaussianProfile:
        return GaussianProfile(composition.gaussian_mu + composition.steps, "pessimist")


PESSIMIST = Pessimist()


def test_a_new_accountant_is_one_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table: Registry[Accountant] = Registry("accountant", {"pessimist": f"{__name__}:PESSIMIST"})
    monkeypatch.setattr(accountant, "ACCOUNTANTS", table)
    composed_profile.cache_clear()
    assert epsilon([SubsampledGaussian(0.5, 1.0, 2)], DELTA, "pessimist").value == GaussianProfile(2.0).epsilon(DELTA)
    composed_profile.cache_clear()


def test_only_those_that_need_opacus_load_it() -> None:
    code = (
        "import sys\n"
        "from afml.privacy.accountant import profile\n"
        "from afml.privacy.events import Gaussian, SubsampledGaussian\n"
        "profile([Gaussian(2.0)], 1e-5), profile([SubsampledGaussian(0.5, 2.0)], 1e-5, 'PLD')\n"
        "assert not {'opacus', 'torch'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_width_of_the_grid_is_what_opacus_computes() -> None:
    from opacus.accountants.analysis import prv

    for mechanisms in ([(2.0, 0.2, 50)], [(2.0, 0.2, 50), (4.0, 1.0, 1)], [(0.8, 0.01, 300), (1.1, 0.3, 7)]):
        variables = [prv.PoissonSubsampledGaussianPRV(q, z) for z, q, _ in mechanisms]
        theirs = prv.compute_safe_domain_size(variables, [n for _, _, n in mechanisms], 0.01, DELTA / 1000)
        assert _half_width(mechanisms, DELTA / 1000) == theirs


def test_many_epsilons_are_looked_up_as_one_is() -> None:
    found = profile(CASES["both"], DELTA, "PLD")
    epsilons = np.linspace(0.0, found.epsilon(DELTA), 400)[::-1]
    one_by_one = [float(found.delta(float(value))) for value in epsilons]
    np.testing.assert_allclose(found.delta(epsilons), one_by_one, rtol=1e-9, atol=1e-14)
