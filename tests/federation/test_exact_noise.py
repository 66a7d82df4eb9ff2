"""What a site can demand of the noise of a run."""

from __future__ import annotations

from node.loosening import looser
from node.policy import RunRules
from tests.federation.test_policy import refusals, run, trusting


def test_a_policy_can_demand_noise_that_is_proven() -> None:
    demanding = trusting(2, 3, 4, 5, run=RunRules(exact_noise=True))
    (line,) = refusals(demanding, run())
    assert "draws noise as float64 has it, this site's policy demands noise that is proven" in line
    assert "`afml configure --exact-noise`" in line
    assert refusals(demanding, run(exact_noise=True)) == refusals(trusting(2, 3, 4, 5), run(exact_noise=True)) == []
    before, now = (one.model_dump(mode="json") for one in (demanding, trusting(2, 3, 4, 5)))
    assert looser(before, now) == ["run.exact_noise: True -> False"]
    assert looser(now, before) == []
