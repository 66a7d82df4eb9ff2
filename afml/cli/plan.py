"""`afml plan`: the utility to expect, and the lost attempts one can afford, before anything is spent."""

from __future__ import annotations

import json
from typing import Any

import click

from afml.core.progress import console, step
from afml.masking.plan import Wish
from afml.study.expect import Expectation, Scenario, affordable, forecast
from afml.study.runner import one_thread_each


@click.command()
@click.option("--people", default=1500, show_default=True, help="Enrolled in training, over all nodes.")
@click.option("--nodes", default=5, show_default=True)
@click.option("--quorum", default=None, type=int, help="Fewest nodes of a round; by default all.")
@click.option("--max-colluding", default=1, show_default=True, help="Nodes that may pool what they know.")
@click.option("--ple", default=0.9, show_default=True, help="Target PLE of the whole plan, in sigma.")
@click.option("--delta", default=1e-5, show_default=True)
@click.option("--noise", type=click.Choice(["distributed", "local"]), default="distributed", show_default=True)
@click.option("--rounds", default=20, show_default=True, help="Private rounds of the risk model.")
@click.option("--game-rounds", default=4, show_default=True, help="Private rounds of masker and identifier.")
@click.option("--game-share", default=0.1, show_default=True, help="Their part of the squared budget.")
@click.option("--sites", default=1024, show_default=True)
@click.option("--causal", default=20, show_default=True, help="Causal sites of the simulated trait.")
@click.option("--heritability", default=0.5, show_default=True)
@click.option("--min-group-size", default=20, show_default=True)
@click.option("--tolerance", default=0.02, show_default=True, help="Loss of utility ratio you accept for reserves.")
@click.option("--draws", default=3, show_default=True, help="Simulated traits and noises per line.")
@click.option("--seed", default=1001, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    people: int, nodes: int, quorum: int | None, max_colluding: int, ple: float, delta: float, noise: str,
    rounds: int, game_rounds: int, game_share: float, sites: int, causal: int, heritability: float,
    min_group_size: int, tolerance: float, draws: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Simulate the whole plan on invented people: no institution's data, no budget spent."""
    scenario = Scenario(
        people=people, nodes=nodes, quorum=quorum or nodes, max_colluding=max_colluding,
        wish=Wish(ple, delta, rounds, game_rounds, game_share, reserve=0), noise=noise, sites=sites, causal=causal,
        heritability=heritability, min_group_size=min_group_size, draws=draws, seed=seed,
    )  # fmt: skip
    scenario.check()
    one_thread_each()
    if as_json:
        found = forecast(scenario)
    else:
        with step("simulating the plan", total=len(scenario.cases)) as running:
            found = forecast(scenario, running)
    reserve = affordable(found, tolerance)
    if as_json:
        told = {"expected": [_row(one) for one in found], "affordable_lost_attempts": reserve}
        click.echo(json.dumps(told, indent=2, allow_nan=False))
        return
    _print(scenario, found, reserve, tolerance)


def _row(one: Expectation) -> dict[str, Any]:
    return {
        "nodes": one.nodes, "reserve_attempts": one.reserve, "noise_multiplier": one.noise_multiplier,
        "utility_ratio": one.utility_ratio, "utility_ratios": list(one.utility_ratios), "aucs": list(one.aucs),
        "rr_bound": one.rr_bound,
    }  # fmt: skip


def _print(scenario: Scenario, found: list[Expectation], reserve: int, tolerance: float) -> None:
    lines = [
        f"simulated: {scenario.people} people enrolled at {scenario.nodes} nodes, {scenario.sites} sites, "
        f"{scenario.causal} causal, heritability {scenario.heritability:g}; PLE {scenario.wish.ple:g} for the whole "
        f"plan, noise {scenario.noise}, groups of {scenario.min_group_size}",
        "nodes  attempts in reserve  noise multiplier  utility ratio (of the draws)   released AUC  RR bound",
    ]
    for one in found:
        spread = f"{one.utility_ratio:.3f} ({min(one.utility_ratios):.3f} to {max(one.utility_ratios):.3f})"
        auc = sum(one.aucs) / len(one.aucs)
        lines.append(
            f"{one.nodes:>5}  {one.reserve:>19}  {one.noise_multiplier:>16.2f}  {spread:<29}  {auc:>12.3f}  "
            f"{100 * one.rr_bound:.2f} %"
        )
    lines.append(
        f"lost attempts you can afford: {reserve} per phase for at most {tolerance:g} of utility ratio "
        f"(reserve_attempts = {reserve}); a run that loses more stops when a budget is reached"
    )
    lines.append("RR bound: for an attacker who knows the institution; on simulated people, not a promise")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
