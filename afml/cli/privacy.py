"""`afml privacy`: noise, rounds and sampling to epsilon, PLE and attacker gain, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from afml.core.bounded import at_most
from afml.core.progress import console
from afml.privacy.cost import Schedule, Target, converted, cost_of
from afml.privacy.ple import gdp_epsilon


@click.command()
@click.option("--noise-multiplier", type=float, help="Noise standard deviation over clip norm.")
@click.option("--ple", "ple_sigma", type=float, help="Inverse: the noise for this PLE, in sigma.")
@click.option("--epsilon", type=float, help="Inverse: the noise for this epsilon; or with --convert.")
@click.option("--convert", is_flag=True, help="Only convert epsilon, delta and mu of a Gaussian mechanism.")
@click.option("--sample-rate", type=float, default=1.0, show_default=True, help="Poisson rate.")
@click.option("--rounds", type=int, default=1, show_default=True, help="Rounds, with reserved attempts.")
@click.option("--delta", type=float, default=1e-5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the trade-off curve into this file.")
def privacy(
    noise_multiplier: float | None, ple_sigma: float | None, epsilon: float | None, convert: bool,
    sample_rate: float, rounds: int, delta: float, as_json: bool, plot: Path | None,
) -> None:  # fmt: skip
    """Say what a plan costs in privacy, or what noise a privacy target needs.

    \b
    afml privacy --noise-multiplier 1.5 --sample-rate 0.1 --rounds 100 --delta 1e-5
    afml privacy --ple 0.9 --rounds 100
    afml privacy --epsilon 4 --delta 1e-6 --convert
    """
    target, schedule = Target(noise_multiplier, ple_sigma, epsilon), Schedule(sample_rate, rounds, delta)
    cost = converted(target, schedule) if convert else cost_of(target, schedule)
    if plot is not None:
        from afml.privacy.curve import draw  # it loads matplotlib

        draw(cost, plot)
    if as_json:
        click.echo(json.dumps(cost.report, indent=2, allow_nan=False))
    else:
        _print(cost.report)
        if plot is not None:
            console.print(f"trade-off curve in {plot}")


def _print(report: dict[str, Any]) -> None:
    table = Table(title="Privacy", show_header=False)
    if "noise_multiplier" in report:
        table.add_row("noise multiplier", f"{report['noise_multiplier']:g}")
        table.add_row("rounds x sample rate", f"{report['rounds']} x {report['sample_rate']:g}")
    table.add_row("epsilon", f"{at_most(report['epsilon'], 4)}  ({report['accountant']})")
    table.add_row("delta", f"{report['delta']:g}")
    table.add_row("PLE", f"{at_most(report['ple_sigma'], 4)} sigma")
    table.add_row("PLE at delta alone", f"{at_most(report['ple_at_delta'], 4)} sigma")
    implied = gdp_epsilon(report["ple_sigma"], report["delta"])
    table.add_row("epsilon that PLE implies", at_most(implied, 4))
    console.print(table)
    if report["tails"]:
        tails = Table(title=f"Privacy loss: mean {report['loss_mean']:.4f}, sd {report['loss_sd']:.4f}")
        for heading in ("loss of at least", "Cantelli bound", "exact", "Gaussian of this PLE"):
            tails.add_column(heading, justify="right")
        for tail in report["tails"]:
            tails.add_row(
                f"mean + {tail['k']:g} sd = {tail['loss']:.3f}",
                f"{tail['cantelli']:.4f}", f"{tail['exact']:.2e}", f"{tail['gaussian']:.2e}",
            )  # fmt: skip
        console.print(tails)
    roc = Table(title="Best membership attack")
    roc.add_column("false positives", justify="right")
    roc.add_column("true positives, at most", justify="right")
    for point in report["roc"]:
        roc.add_row(f"{point['false_positive_rate']:.1%}", f"{point['true_positive_rate']:.1%}")
    console.print(roc)
