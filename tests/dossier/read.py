"""A dossier's page and forms as a reader sees them: text, without tags and numbers of statements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

from afml.dossier.forms.fill import Filled
from afml.dossier.page import page
from afml.dossier.statements import Statement, Statements, Value


def changed(said: Statements, values: Mapping[str, Value]) -> Statements:
    """All statements, some with another value."""
    return Statements(
        Statement(one.id, values.get(one.id, one.value), one.unit, one.words, one.pointer) for one in said.values()
    )


def text(statements: Statements) -> str:
    """The page."""
    shown = re.sub(
        r'<style>.*?</style>|<span class="refs">.*?</span>|<[^>]+>', " ", page(statements).decode(), flags=re.S
    )
    return " ".join(unescape(shown).split())


def answers(one: Filled) -> str:
    """All answers of a form."""
    return " ".join(answer.text for answer in one.answers)
