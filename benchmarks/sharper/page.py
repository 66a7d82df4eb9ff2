"""The page that people read, made of the figures alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.sharper.variants import BASE, VARIANTS


def page(body: dict[str, Any]) -> str:
    """results/sharper.md."""
    trial, product = body["trial"], body["product"]
    lines = [
        "# A sharper risk score at the same PLE", "",
        f"**{body['simulation']}**: the noise of these runs comes from seeds. Made by `{body['command']}`; "
        "what was varied, and why the accounting of each variant holds, stands in `benchmarks/sharper/__init__.py`. "
        "Real exomes, 1,024 sites, five nodes, distributed noise, simulated traits; AUC of the unmasked risk score on "
        "held-out people over that of raw genotypes. Differences are to the product's risk rounds, on the same traits "
        "and seeds of the noise.",
        "", "## What theory says", "", *_theory(body["theory"]),
        "## Reported seeds", "",
        f"Of each family the best of the tuning seeds, on seeds {_span(trial['seeds'])}.", "",
    ]  # fmt: skip
    for cell, rows in trial["cells"].items():
        lines += [f"### {cell}", "", *_table(rows), ""]
    lines += [
        "## In the product", "",
        f"The product's own rounds (`afml configure --focus {product['focus']}`) on the first {product['seeds']} of "
        "these seeds, other draws of the noise. Unmasked score:", "", *_table(product["score"]), "",
        "Released by the codebook (ten patterns, groups of 20):", "", *_table(product["release"]), "",
        "## Tuning seeds", "",
        f"On which variants were chosen ({_span(body['tuning']['seeds'])}), so no result.", "",
        *_table(body["tuning"]["rows"]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _theory(theory: dict[str, Any]) -> Iterator[str]:
    yield (
        f"At PLE 0.5 the mechanism's noise has {theory['mechanism_over_sampling_variance']} times the variance that "
        f"drawing people has: {theory['people']} people tell as much as {theory['people_worth']} would without it. A "
        f"causal site's signal is {theory['signal_over_noise']} standard deviations of both. Correlation of the best "
        "possible score (sites without LD, the prior known) with the genetic part of the trait:"
    )
    for title, key in (
        ("the mechanism's noise times", "by_noise"),
        ("measured in so many sites, all causal ones among them", "by_sites"),
        ("sites chosen by the noisy associations so far", "by_selection"),
    ):
        yield from ("", f"| {title} | {' | '.join(theory[key])} |", "|---|" + "---|" * len(theory[key]))
        yield f"| correlation | {' | '.join(f'{value:.3f}' for value in theory[key].values())} |"
    yield from (
        "",
        "Correlated noise: noise of the final mean in units of one release at the same PLE, which no strategy can go "
        "below (only the last sum counts here, no iterate before it):",
        "",
        f"| {' | '.join(theory['strategies'])} |",
        "|---" * len(theory["strategies"]) + "|",
        f"| {' | '.join(f'{value:.2f}' for value in theory['strategies'].values())} |",
        "",
    )


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


def _table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "| variant | family | what differs | mean ratio | median | difference [95 %] |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows.items():
        variant, (low, high) = VARIANTS[name], row["interval"]
        apart = "" if name == BASE else f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
        yield f"| {name} | {variant.family} | {variant.says} | {row['ratio']:.3f} | {row['median']:.3f} | {apart} |"
