"""`afml privacy`: noise, rounds and sampling to epsilon, PLE and attacker gain, and back."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from afml.core.errors import ConfigError
from afml.core.files import staged_file
from afml.core.progress import console
from afml.privacy.accountant import profile
from afml.privacy.calibrate import noise_multiplier_for, noise_multiplier_for_epsilon
from afml.privacy.events import gaussian_rounds
from afml.privacy.ple import FALSE_POSITIVE_RATES, attacker_tpr, gdp_epsilon, mu_from, ple_of
from afml.privacy.profile import GaussianProfile, Profile

_FROM = "one of --noise-multiplier, --ple, --epsilon"


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
    _check(noise_multiplier, ple_sigma, epsilon, sample_rate, rounds, delta)
    if convert:
        if noise_multiplier is not None:
            raise ConfigError("works on --ple or --epsilon", where="--convert")
        mu = ple_sigma if ple_sigma is not None else float(mu_from(epsilon or 0.0, delta))
        found: Profile = GaussianProfile(mu)
        settings: dict[str, Any] = {}
    else:
        if ple_sigma is not None:
            noise_multiplier = noise_multiplier_for(
                ple_sigma, rounds=rounds, sample_rate=sample_rate, delta=delta
            )
        elif epsilon is not None:
            noise_multiplier = noise_multiplier_for_epsilon(
                epsilon, rounds=rounds, sample_rate=sample_rate, delta=delta
            )
        assert noise_multiplier is not None
        settings = {"noise_multiplier": noise_multiplier, "sample_rate": sample_rate, "rounds": rounds}
        found = profile([gaussian_rounds(sample_rate, noise_multiplier, rounds)], delta)
    report = {**settings, **_report(found, delta)}
    if plot is not None:
        _plot(found, report, plot)
    if as_json:
        click.echo(json.dumps(report, indent=2, allow_nan=False))
    else:
        _tables(report)
        if plot is not None:
            console.print(f"trade-off curve in {plot}")


def _check(
    noise_multiplier: float | None, ple_sigma: float | None, epsilon: float | None, sample_rate: float,
    rounds: int, delta: float,
) -> None:  # fmt: skip
    given = {"--noise-multiplier": noise_multiplier, "--ple": ple_sigma, "--epsilon": epsilon}
    if sum(value is not None for value in given.values()) != 1:
        raise ConfigError(f"give exactly {_FROM}", where="afml privacy")
    for name, value in given.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigError(f"must be a positive number, not {value}", where=name)
    if not 0 < sample_rate <= 1:
        raise ConfigError(f"must be above 0 and at most 1, not {sample_rate}", where="--sample-rate")
    if rounds < 1:
        raise ConfigError(f"must be at least 1, not {rounds}", where="--rounds")
    if not 0 < delta < 1:
        raise ConfigError(f"must be strictly between 0 and 1, not {delta}", where="--delta")


def _report(found: Profile, delta: float) -> dict[str, Any]:
    result = ple_of(found, delta)
    if not math.isfinite(result.sigma):
        raise ConfigError(
            f"no finite epsilon at delta {delta:g}", where="afml privacy", cure="use more noise"
        )
    rates = attacker_tpr(found)
    return {
        "epsilon": result.epsilon,
        "delta": delta,
        "accountant": result.accountant,
        "ple_sigma": result.sigma,
        "ple_at_delta": result.at_delta,
        "loss_mean": result.loss_mean,
        "loss_sd": result.loss_sd,
        "tails": [dataclasses.asdict(tail) for tail in result.tails],
        "roc": [
            {"false_positive_rate": rate, "true_positive_rate": float(best)}
            for rate, best in zip(FALSE_POSITIVE_RATES, rates, strict=True)
        ],
    }


def _tables(report: dict[str, Any]) -> None:
    table = Table(title="Privacy", show_header=False)
    if "noise_multiplier" in report:
        table.add_row("noise multiplier", f"{report['noise_multiplier']:g}")
        table.add_row("rounds x sample rate", f"{report['rounds']} x {report['sample_rate']:g}")
    table.add_row("epsilon", f"{report['epsilon']:.4f}  ({report['accountant']})")
    table.add_row("delta", f"{report['delta']:g}")
    table.add_row("PLE", f"{report['ple_sigma']:.4f} sigma")
    table.add_row("PLE at delta alone", f"{report['ple_at_delta']:.4f} sigma")
    implied = gdp_epsilon(report["ple_sigma"], report["delta"])
    table.add_row("epsilon that PLE implies", f"{implied:.4f}")
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


def _plot(found: Profile, report: dict[str, Any], path: Path) -> None:
    """Trade-off curve: true against false positive rate of the best attack."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from scipy.special import ndtr, ndtri

    kind = path.suffix[1:].lower() or "png"
    if kind not in ("png", "svg", "pdf"):
        raise ConfigError(f"cannot draw a .{kind} file", where=path, cure="use .png, .svg or .pdf")
    rates = np.concatenate([np.logspace(-5, -2, 60), np.linspace(0.01, 1.0, 200)[1:-1]])
    figure, axes = pyplot.subplots(figsize=(5, 5))
    axes.plot(rates, attacker_tpr(found, rates), label="accounted")
    sigma = report["ple_sigma"]
    axes.plot(rates, ndtr(ndtri(rates) + sigma), "--", label=f"PLE {sigma:.3f} sigma")
    axes.plot([0, 1], [0, 1], ":", color="grey", label="no information")
    axes.set(xlabel="false positive rate", ylabel="true positive rate of the best attack")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"epsilon {report['epsilon']:.2f} at delta {report['delta']:g}")
    axes.legend(loc="lower right")
    figure.tight_layout()
    with staged_file(path) as staged:
        figure.savefig(staged, format=kind, dpi=150)
    pyplot.close(figure)
