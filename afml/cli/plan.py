"""`afml plan`: the utility to expect, and the lost attempts one can afford, before anything is spent."""

from __future__ import annotations

import json
from typing import Any

import click

from afml.cli.configure import plan_phases
from afml.core.errors import ConfigError
from afml.core.progress import console, step
from afml.core.run import Phase
from afml.evaluation.study.expect import Expectation, Wish, affordable, expect
from afml.evaluation.study.grid import one_thread_each

RESERVES = (0, 1, 5, 20)


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
    wish = Wish(
        people=people, nodes=nodes, quorum=quorum or nodes, max_colluding=max_colluding, ple=ple, noise=noise,
        sites=sites, causal=causal, heritability=heritability, min_group_size=min_group_size, draws=draws, seed=seed,
    )  # fmt: skip
    _check(wish)
    one_thread_each()

    def phases(reserve: int) -> tuple[Phase, ...]:
        return plan_phases(
            ple=ple, delta=delta, rounds=rounds, game_rounds=game_rounds, game_share=game_share,
            reserve=reserve, sites=sites,
        )  # fmt: skip

    cases = [(nodes, reserve) for reserve in RESERVES]
    if wish.quorum < nodes:
        cases.append((wish.quorum, RESERVES[1]))
    found: list[Expectation] = []
    if as_json:
        found = [expect(wish, phases(reserve), nodes=present, reserve=reserve) for present, reserve in cases]
    else:
        with step("simulating the plan", total=len(cases)) as task:
            for present, reserve in cases:
                task.note(f"{present} nodes, {reserve} attempts in reserve")
                found.append(expect(wish, phases(reserve), nodes=present, reserve=reserve))
                task.advance()
    reserve = affordable(found[: len(RESERVES)], tolerance)
    if as_json:
        told = {"expected": [_row(one) for one in found], "affordable_lost_attempts": reserve}
        click.echo(json.dumps(told, indent=2, allow_nan=False))
        return
    _print(wish, found, reserve, tolerance)


def _check(wish: Wish) -> None:
    if wish.draws < 1 or wish.people < wish.nodes or wish.nodes < 1:
        raise ConfigError("give at least one draw and one person per node", where="plan")
    if not 1 <= wish.quorum <= wish.nodes:
        raise ConfigError(f"quorum {wish.quorum} is not between 1 and {wish.nodes} nodes", where="--quorum")
    if wish.noise == "distributed" and wish.quorum < wish.max_colluding + 2:
        raise ConfigError(
            f"distributed noise needs a quorum of max_colluding + 2 = {wish.max_colluding + 2}, not {wish.quorum}",
            where="--quorum", cure="raise it or use --noise local",
        )  # fmt: skip
    if not 1 <= wish.causal <= wish.sites:
        raise ConfigError(f"{wish.causal} causal of {wish.sites} sites", where="--causal", cure="use fewer")


def _row(one: Expectation) -> dict[str, Any]:
    return {
        "nodes": one.nodes, "reserve_attempts": one.reserve, "noise_multiplier": one.noise_multiplier,
        "utility_ratio": one.utility_ratio, "utility_ratios": list(one.utility_ratios), "aucs": list(one.aucs),
        "rr_bound": one.rr_bound,
    }  # fmt: skip


def _print(wish: Wish, found: list[Expectation], reserve: int, tolerance: float) -> None:
    lines = [
        f"simulated: {wish.people} people enrolled at {wish.nodes} nodes, {wish.sites} sites, {wish.causal} causal, "
        f"heritability {wish.heritability:g}; PLE {wish.ple:g} for the whole plan, noise {wish.noise}, "
        f"groups of {wish.min_group_size}",
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
