"""Drawings as inline SVG: colours come from the style sheet by class, so that they are dark on light and the reverse.

Each says in words what it shows, and the page has its numbers as text beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from afml.console.budgets import Bar
from afml.console.history import Round, stretches
from afml.console.papers import Measured
from afml.core.bounded import at_least, at_most
from afml.privacy.odds import most_found

_LEFT, _TOP, _WIDTH, _HEIGHT = 54.0, 12.0, 240.0, 180.0
"""Of the area of a chart, in its own units; text is 12 of them high."""


def bar(found: Bar) -> Markup:
    """Spent, set aside and left of a budget, as shares of its squares."""
    spent, reserved = 100 * found.spent, 100 * found.reserved
    told = f"{spent:.0f} % of the budget is spent, {reserved:.0f} % set aside, {100 - spent - reserved:.0f} % left"
    return Markup(
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="left" width="100" height="4"/><rect class="spent" width="{}" height="4"/>'
        '<rect class="reserved" x="{}" width="{}" height="4"/></svg>'
    ).format(told, f"{spent:.3f}", f"{spent:.3f}", f"{reserved:.3f}")


def interval(audited: float | None, accounted: float, limit: float) -> Markup:
    """A PLE from what an attack established to what is accounted, on a scale from 0 to the limit, in sigma."""
    end = max(limit, accounted)
    low, high = (0.0 if audited is None else audited) / end * 100, accounted / end * 100
    told = f"PLE up to {at_most(accounted)} sigma as accounted, of a limit of {limit:.3g}" + (
        "; not audited" if audited is None else f"; at least {at_least(audited)} as audited"
    )
    return Markup(
        '<svg class="interval" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="left" width="100" height="4"/><rect class="{}" x="{}" width="{}" height="4"/></svg>'
    ).format(told, "open" if audited is None else "spent", f"{low:.3f}", f"{high - low:.3f}")


def strip(rounds: Sequence[Round], node: int, of: int) -> Markup:
    """In which rounds a node took part, from the first to the last that are planned."""
    there = stretches(rounds, node)
    width = max(of, len(rounds), 1)
    told = f"took part in {sum(length for _, length in there)} of {len(rounds)} rounds"
    path = "".join(f"M{first} 0h{length}v1h-{length}z" for first, length in there)
    return Markup(
        '<svg class="strip" viewBox="0 0 {} 1" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="left" d="M0 0h{}v1h-{}z"/><path class="seen" d="M0 0h{}v1h-{}z"/>'
        '<path class="spent" d="{}"/></svg>'
    ).format(width, told, width, width, len(rounds), len(rounds), path or "M0 0")


def trade_off(mu: float, top: float) -> Markup:
    """True against false positive rate of the best membership attacker that a PLE leaves room for."""
    rates = np.concatenate([np.logspace(-4, -2, 20), np.linspace(0.01, 0.999, 120)])
    curve = "M" + "L".join(
        f"{_x(rate)} {_y(found)}" for rate, found in zip([0.0, *rates, 1.0], [0.0, *most_found(mu, top, rates), 1.0],
                                                        strict=True)
    )  # fmt: skip
    told = f"Trade-off curve at PLE {at_most(mu)}: the table beside it has its points"
    inside = Markup(
        '<path class="area" d="{}L{} {}Z"/><path class="chance" d="M{} {}L{} {}"/><path class="curve" d="{}"/>'
    ).format(curve, _x(1), _y(0), _x(0), _y(0), _x(1), _y(1), curve)
    ticks = [(share, f"{100 * share:.0f} %") for share in (0.0, 0.5, 1.0)]
    return _chart(told, inside, (ticks, "accused wrongly"), (ticks, "found"))


def frontier(found: Measured) -> Markup:
    """Re-identification rate, on a logarithmic scale, against utility: a release and other ways to release."""
    report = found.report
    assert report is not None
    own = report.release
    points = [(own.utility_ratio, own.rr, True), *((row.utility_ratio, row.rr, False) for row in found.rows)]
    floor = own.chance / 2
    low = math.floor(math.log10(max(floor, 1e-9)))
    widest = max(1.2, *(ratio for ratio, _, _ in points))

    def x(ratio: float) -> str:
        return _x(max(0.0, ratio) / widest)

    def y(rr: float) -> str:
        return _y((math.log10(max(rr, floor)) - low) / -low)

    marks = Markup("").join(
        Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
            "own" if mine else "other", x(u), y(rr), 6 if mine else 4
        )
        for u, rr, mine in reversed(points)
    )
    chance = Markup('<path class="chance" d="M{} {}L{} {}"/>').format(_x(0), y(own.chance), _x(1), y(own.chance))
    across = [(ratio / widest, f"{ratio:g}") for ratio in (0.0, 0.5, 1.0)]
    up = [(1 - power / low, _percent(10.0**power)) for power in range(low, 1)]
    told = f"Frontier: the release has RR {_percent(own.rr)} at utility ratio {own.utility_ratio:.3f}"
    return _chart(f"{told}; the table has all points", chance + marks, (across, "utility ratio"), (up, "RR"))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _x(share: float) -> str:
    return f"{_LEFT + share * _WIDTH:.1f}"


def _y(share: float) -> str:
    return f"{_TOP + (1 - share) * _HEIGHT:.1f}"


Axis = tuple[Sequence[tuple[float, str]], str]


def _chart(told: str, inside: Markup, across: Axis, up: Axis) -> Markup:
    """A frame with ticks around what is drawn; ticks are (share of the axis, text)."""
    lines = [
        Markup('<path class="grid" d="M{} {}H{}"/><text class="tick end" x="{}" y="{}">{}</text>').format(
            _x(0), _y(at), _x(1), f"{_LEFT - 6:.0f}", f"{float(_y(at)) + 4:.1f}", text
        )
        for at, text in up[0]
    ]
    lines += [
        Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(_x(at), f"{_TOP + _HEIGHT + 16:.0f}", text)
        for at, text in across[0]
    ]
    middle = f"{_LEFT + _WIDTH / 2:.0f}"
    name = Markup('<text class="name middle" x="{}" y="{}">{}</text>').format(
        middle, f"{_TOP + _HEIGHT + 32:.0f}", across[1]
    )
    side = Markup('<text class="name" x="{}" y="{}">{}</text>').format(f"{_LEFT + 6:.0f}", f"{_TOP + 12:.0f}", up[1])
    return (
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            f"{_LEFT + _WIDTH + 24:.0f}", f"{_TOP + _HEIGHT + 40:.0f}", escape(told)
        )
        + Markup("").join(lines)
        + inside
        + name
        + side
        + Markup("</svg>")
    )
