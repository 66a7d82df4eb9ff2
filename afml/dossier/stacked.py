"""Wide tables for narrow screens: each cell bears the head of its column, which styles show in stacked rows."""

from __future__ import annotations

import re
from html import escape, unescape

_TABLE = re.compile(r'<table class="stack">.*?</table>', re.S)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.S)
_ROW = re.compile(r"<tr>.*?</tr>", re.S)
_CELL = re.compile(r"<td\b([^>]*)>")
_SPAN = re.compile(r'colspan="(\d+)"')
_TAG = re.compile(r"<[^>]+>")


def labelled(html: str) -> str:
    """A page whose tables of class "stack" have their heads in `data-label` of every cell but the first of a row."""
    return _TABLE.sub(lambda table: _labelled(table[0]), html)


def _labelled(table: str) -> str:
    heads, body, rest = table.partition("<tbody>")
    names = [unescape(" ".join(_TAG.sub("", name).split())) for name in _HEAD.findall(heads)]
    return heads + body + _ROW.sub(lambda row: _row(row[0], names), rest)


def _row(row: str, names: list[str]) -> str:
    at = 0

    def cell(found: re.Match[str]) -> str:
        nonlocal at
        here, spans = at, _SPAN.search(found[1])
        at += int(spans[1]) if spans else 1
        return f'<td{found[1]} data-label="{escape(names[here])}">' if here else found[0]

    return _CELL.sub(cell, row)
