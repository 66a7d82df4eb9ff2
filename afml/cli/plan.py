"""`afml plan`: the utility to expect, and the lost attempts one can afford, before anything is spent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
from click.core import ParameterSource

from afml.cli.quorum import require_quorum
from afml.core.errors import InputError
from afml.core.progress import console, step
from afml.masking.plan import Wish
from afml.privacy.search import Price, Search, priced
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
@click.option(
    "--search",
    "trials",
    type=click.IntRange(1, 10_000),
    default=None,
    help="Instead of simulating: share --ple among so many trials of --rounds each, whatever they train.",
)
@click.option(
    "--sample-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="With --search: of each trial's Poisson batches.",
)
@click.option(
    "--reserve-attempts",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="With --search: attempts of each trial that may be lost.",
)
@click.option("--max-enrolments", type=click.IntRange(1), default=1, show_default=True, help="With --search.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def plan(
    ctx: click.Context, people: int, nodes: int, quorum: int | None, max_colluding: int, ple: float, delta: float,
    noise: str, rounds: int, game_rounds: int, game_share: float, sites: int, causal: int, heritability: float,
    min_group_size: int, tolerance: float, draws: int, seed: int, trials: int | None, sample_rate: float,
    reserve_attempts: int, max_enrolments: int, as_json: bool,
) -> None:  # fmt: skip
    """Simulate the whole plan on invented people: no institution's data, no budget spent.

    With --search N: the price of N trials as one plan, and what each is configured with.
    """
    _require_together(ctx, trials is not None)
    if trials is not None:
        search = Search(trials, rounds, sample_rate, ple, delta, reserve_attempts, max_enrolments)
        found_price = priced(search)
        as_values = asdict(search) | asdict(found_price)
        click.echo(json.dumps(as_values, indent=2) if as_json else _search(search, found_price))
        return
    require_quorum(nodes, quorum, max_colluding, noise)
    scenario = Scenario(
        people=people, nodes=nodes, quorum=nodes if quorum is None else quorum, max_colluding=max_colluding,
        wish=Wish(ple, delta, rounds, game_rounds, game_share, reserve=0), noise=noise, sites=sites, causal=causal,
        heritability=heritability, min_group_size=min_group_size, draws=draws, seed=seed,
    )  # fmt: skip
    scenario.check()
    if not 0 <= tolerance < 1:
        raise InputError(f"{tolerance:g} is not between 0 and 1", where="--tolerance", cure="give another number")
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


def _require_together(ctx: click.Context, search: bool) -> None:
    """Refuse options that the other way of planning takes.

    Raises:
        InputError: One was given.
    """
    known = {"ple", "delta", "rounds", "as_json", "trials"}
    of_search = {"sample_rate", "reserve_attempts", "max_enrolments"}
    for name in ctx.params:
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in known and search != (name in of_search):
            problem = "does not go with --search" if search else "goes with --search"
            raise InputError(problem, where=f"--{name.replace('_', '-')}", cure="leave it out")


def _search(search: Search, price: Price) -> str:
    """The price of a search, in words."""
    more = "" if search.enrolments == 1 else f" --max-enrolments {search.enrolments}"
    return (
        f"{search.trials} trials of {search.rounds} rounds at sample rate {search.sample_rate:g}, {search.reserve} "
        f"lost attempts each: PLE {price.together:.4g} of {search.ple_sigma:g} at delta {search.delta:g} for all "
        "together\n"
        f"each trial: afml configure ... --rounds {search.rounds} --sample-rate {search.sample_rate:g} "
        f"--reserve-attempts {search.reserve}{more} --ple {price.share:g} --budget {search.ple_sigma:g} --delta "
        f"{search.delta:g}  (noise multiplier {price.noise_multiplier:g}; one run with all of it has {price.alone:g})\n"
        f"each trial scored on held-out people: --task evaluation --reserve-attempts 0 --ple "
        f"{price.evaluation_share:g} --budget {search.ple_sigma:g}\n"
        "priced for trials of these rounds and this rate; whatever is tried, a node refuses the trial that passes the "
        "budget\n"
        "known to all institutions: every trial's settings and model and every evaluation, all noised and paid for; "
        "choose by them. A site's exact scores of its own people are neither: a choice made by them is not paid for"
    )


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
