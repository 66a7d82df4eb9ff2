"""The trade-off curve as a figure: true against false positive rate of the best membership attack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr, ndtri

from afml.core.bounded import at_most
from afml.core.errors import ConfigError
from afml.core.files import staged_file
from afml.privacy.cost import Cost
from afml.privacy.ple import attacker_tpr

_KINDS = ("png", "svg", "pdf")


def draw(cost: Cost, path: Path) -> None:
    """Draw the curve into a .png, .svg or .pdf file.

    Raises:
        ConfigError: Another kind of file.
    """
    kind = path.suffix[1:].lower() or "png"
    if kind not in _KINDS:
        raise ConfigError(f"cannot draw a .{kind} file", where=path, cure="use .png, .svg or .pdf")
    rates = np.concatenate([np.logspace(-5, -2, 60), np.linspace(0.01, 1.0, 200)[1:-1]])
    sigma = cost.report["ple_sigma"]
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    axes.plot(rates, attacker_tpr(cost.profile, rates), label="accounted")
    axes.plot(rates, ndtr(ndtri(rates) + sigma), "--", label=f"PLE {at_most(sigma)} sigma")
    axes.plot([0, 1], [0, 1], ":", color="grey", label="no information")
    axes.set(xlabel="false positive rate", ylabel="true positive rate of the best attack")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"epsilon {at_most(cost.report['epsilon'], 2)} at delta {cost.report['delta']:g}")
    axes.legend(loc="lower right")
    figure.tight_layout()
    with staged_file(path) as staged:
        figure.savefig(staged, format=kind, dpi=150)
