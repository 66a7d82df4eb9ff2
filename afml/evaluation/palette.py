"""One colour, marker and line a method, the same in every chart; markers and lines tell them apart in grey."""

from __future__ import annotations

from typing import NamedTuple


class Style(NamedTuple):
    """How one method is drawn."""

    colour: str
    marker: str
    line: str = "-"


OWN = Style("#b91c1c", "*")
"""The release under test."""

_STYLES = {
    "random masking": Style("#6b7280", "o", "-"),
    "random masking, grouped": Style("#a3a9b3", "o", ":"),
    "static top sites": Style("#d97706", "s", "-"),
    "static top sites, grouped": Style("#ca8a04", "s", ":"),
    "binned risk score": Style("#0f766e", "D", "-"),
    "binned first component": Style("#0f766e", "D", "-"),
    "randomised response": Style("#7c3aed", "v", "--"),
    "greedy codebook": Style("#2563eb", "^"),
    "panel codebook": Style("#0ea5e9", "P"),
    "codebook": Style("#0ea5e9", "P"),
    "network codebook": Style("#be185d", "X"),
    "network masks, ungrouped": Style("#f472b6", "x"),
    "static codebook": Style("#92400e", "<"),
    "cells of the scores": Style("#155e75", ">"),
    "known sensitive sites masked": Style("#111827", "h"),
    "no DP (upper bound)": Style("#16a34a", "^", "--"),
    "all-private DP": Style("#4d7c0f", "p", "--"),
}
#: Of methods that others have added: told apart by the order in which they come.
_MORE = (Style("#3f6212", "d", "-."), Style("#9d174d", "H", "-."), Style("#1e40af", "8", "-."))


def style_of(name: str, others: int = 0) -> Style:
    """How a method is drawn; `others` counts unknown methods that came before it in the chart."""
    return _STYLES.get(name) or _MORE[others % len(_MORE)]


def known(name: str) -> bool:
    """Whether a method has a style of its own."""
    return name in _STYLES


def names() -> tuple[str, ...]:
    """Methods that have a style of their own, in the order of legends."""
    return tuple(_STYLES)
