"""Values as people read them: never rounded to the better side, never without their unit."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from afml.dossier.statements import Statement, Value

DIGEST = re.compile(r"[0-9a-f]{12,}")
#: Ids of values that are said to be the most, or the least: never rounded to the better side.
_MOST = (
    ".ple", "_ple", "epsilon", "right_at_most", "sure_90", "sure_99", "rr_high", "rr_known_high", "auc_high",
    ".committed", "grouping.all", "grouping.known_institution", "ratio_high",
    ".rr", ".rr_known", "worst_known", "worst_ratio", "worst_known_ratio", "ratio_by_chance", "membership.tpr",
    ".matched", ".most_of_one", "recovery.accuracy", "group_guess", ".homogeneous", "ple_high", "epsilon_high",
    ".released_auc", ".released_r2", ".auc", "genotype.named", "genotype.visible",
)  # fmt: skip
_LEAST = (
    ".left", "audited_ple", "rr_low", "rr_known_low", "auc_low", "ratio_low", "ratio_vs_best_raw", "ple_low",
    "epsilon_low", "utility.released", "utility.ratio", "utility.ratio_corrected",
)  # fmt: skip
_ONE = {
    "people": "person",
    "phenotypes": "phenotype",
    "made-up people": "made-up person",
    "entries": "entry",
    "guesses": "guess",
}
_TIMES = {"ms since 1970": 1000, "s since 1970": 1}
_BARE = ("epsilon", "L2")


def figures(value: float, count: int, rounding: str, places: int = 0) -> str:
    """A number times 10^places with so many figures, rounded as `decimal` says: up for the most, down for the least."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    # As it is written, 0.9 being not a little more than 0.9; what a float adds to a mean at its end is no figure.
    exact = Decimal(f"{value:.13g}").scaleb(places)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - count + 1), rounding=rounding)
    return f"{float(rounded):.{count}g}"


def in_words(statement: Statement, *, whole: bool = False) -> str:
    """The value of a statement as it is read: four figures, per cent, a day, its unit.

    Args:
        statement: It.
        whole: Digests as they are, not their first digits alone; moments to the minute.
    """
    value, unit = statement.value, statement.unit
    if value is None:
        return "no bound" if unit in ("sigma", "epsilon") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"{value[:12]}..." if DIGEST.fullmatch(value) and len(value) > 12 and not whole else value
    if unit in _TIMES:
        return moment(value / _TIMES[unit], whole=whole)
    if unit == "share":
        return f"{figures(value, 3, _rounding(statement.id), places=2)} %"
    count = 6 if unit == "clip norms" else 4  # noise as it was planned, so that others can compose it again
    text = f"{value:,}" if isinstance(value, int) else figures(value, count, _rounding(statement.id))
    return text if unit in _BARE else f"{text} {one_or_more(value, unit)}".strip()


def moment(seconds: Value, *, whole: bool = False) -> str:
    """A moment as a date, UTC; `whole` with its time."""
    if not isinstance(seconds, int | float):
        return "unknown"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC" if whole else "%Y-%m-%d")


def one_or_more(count: Value, unit: str) -> str:
    """A unit after a number: "1 round", "2 rounds"."""
    return _ONE.get(unit, unit.removesuffix("s")) if count == 1 else unit


def _rounding(name: str) -> str:
    if name.endswith(_LEAST):
        return ROUND_FLOOR
    return (
        ROUND_CEILING
        if name.endswith(_MOST) or name.startswith(("odds", "sure", "genotype.shown."))
        else ROUND_HALF_EVEN
    )
