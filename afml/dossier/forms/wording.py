"""Which statements answer which field, and in which words (`answers/`).

A field has parts. A part is a sentence or more with the values of statements in it: `{id}` is the value of a statement
in plain words; `{mechanism.*.rounds}` are those of all statements of that form, each with what the star stands for. A
part is said if all its statements are there and its conditions hold; otherwise nothing of it is. `<name>` stands for
the parts of that name in `answers/phrases.toml`: what several forms say must be said alike, with all of its conditions.
A value that is empty says nothing, so that a sentence that quotes it is not said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from afml.dossier.figures import DIGEST, in_words
from afml.dossier.forms.fields import read_toml
from afml.dossier.statements import Statement, Statements, Value

_QUOTED = re.compile(r"\{([a-z0-9_.*-]+)\}")
_EACH = "ledger.", "budget.", "odds", "sure"
_NAMED = "group.", "genotype.shown.", "relatives.", "population.", "again.by.", "audit.power."
"""Of these also a single value says what it is of: a rate without its attack or its group says too much."""
_ENROLLED = "run.enrolled.*"  # by the number of the institution; people know its name
_PHRASE = re.compile(r"<([a-z_]+)>")


@dataclass(frozen=True)
class Part:
    """A piece of an answer.

    Attributes:
        words: With `{id}` where a value stands.
        by: Ids of statements that it rests on beside those that it quotes.
        when: Values that statements must have for it to be true.
        adds: It says more about a field that another part answers, and is no answer alone.
        unless: Ids of statements where it is not said if there is one.
        null: Ids of statements that must be there and hold null: a run that names no seed.
        phrase: Its name in `answers/phrases.toml`; "" of what one field says alone.
    """

    words: str
    by: tuple[str, ...] = ()
    when: Mapping[str, Value] | None = None
    adds: bool = False
    unless: tuple[str, ...] = ()
    null: tuple[str, ...] = ()
    phrase: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of all statements that it needs, each once, stars as they are."""
        quoted = _QUOTED.findall(self.words)
        of = ("institution.*.name",) if _ENROLLED in quoted else ()
        return tuple(dict.fromkeys((*quoted, *of, *self.by, *(self.when or {}), *self.null)))

    def said(self, statements: Statements) -> tuple[str, tuple[Statement, ...]] | None:
        """The part with its values, and what it stands on; None if something that it needs is missing or otherwise.

        Args:
            statements: All that the dossier says.
        """
        found = {name: _matching(name, statements) for name in self.names}
        if not all(found.values()) or any(_matching(name, statements) for name in self.unless):
            return None
        if any(statements[name].value != value for name, value in (self.when or {}).items()):
            return None
        if any(statements[name].value is not None for name in self.null):
            return None
        if any(_says_nothing(one) for name in _QUOTED.findall(self.words) for _, one in found[name]):
            return None
        text = _QUOTED.sub(lambda at: ", ".join(_each(found[at[1]])), " ".join(self.words.split()))
        return text, tuple({one.id: one for some in found.values() for _, one in some}.values())


@cache
def parts(form: str) -> Mapping[str, tuple[Part, ...]]:
    """Parts of each field of a form that has any, by the id of the field.

    Args:
        form: Id of the form.
    """
    return {
        field: tuple(part for one in table for part in _parts(one))
        for field, table in read_toml("answers", form).items()
    }


def _parts(table: str | Mapping[str, Any]) -> tuple[Part, ...]:
    if isinstance(table, str) and (named := _PHRASE.fullmatch(table)):
        inside = (part for one in read_toml("answers", "phrases")[named[1]] for part in _parts(one))
        return tuple(replace(part, phrase=named[1]) for part in inside)
    return (_part(table),)


def _part(table: str | Mapping[str, Any]) -> Part:
    if isinstance(table, str):
        return Part(table)
    by, unless, null = (tuple(table.get(name, ())) for name in ("by", "unless", "null"))
    return Part(table["words"], by, table.get("when"), table.get("adds", False), unless, null)


def _matching(name: str, statements: Statements) -> list[tuple[str, Statement]]:
    """Statements that an id means, each with what its stars stand for."""
    if "*" not in name:
        return [("", statements[name])] if name in statements else []
    pattern = re.compile(re.escape(name).replace(r"\*", r"([^.]+)"))
    found = [(one, at.groups()) for one in statements.values() if (at := pattern.fullmatch(one.id))]
    if name == _ENROLLED:
        return [
            (str(statements.value(f"institution.{node}.name") or f"institution {node}"), one) for one, (node,) in found
        ]
    return [(_label(stars, statements), one) for one, stars in found]


def _says_nothing(one: Statement) -> bool:
    """Whether a value is none that a sentence could quote: of a bound null says that there is none."""
    return one.value == "" or (one.value is None and one.unit not in ("sigma", "epsilon"))


def _label(stars: Sequence[str], statements: Statements) -> str:
    """What tells two apart; of a ledger or an enrolment whose it is, and which entry of it."""
    if not (stars and DIGEST.fullmatch(stars[0])):
        return " ".join(star.replace("-", " ").replace("_", " ") for star in stars)
    named = (statements.value(f"{kind}.{stars[0]}.institution") for kind in ("ledger", "budget"))
    return ", entry ".join([next((str(name) for name in named if name is not None), stars[0][:6]), *stars[1:]])


def _each(found: Sequence[tuple[str, Statement]]) -> list[str]:
    alone, texts = len(found) == 1, {in_words(one) for _, one in found}
    if len(texts) == 1 and all(one.id.startswith(_EACH) for _, one in found):
        return [texts.pop()]  # the same of all ledgers: which is which tells nothing
    bare = alone and not found[0][1].id.startswith(_NAMED)
    return [in_words(one) if bare or not label else f"{in_words(one)} ({label})" for label, one in found]


def titles() -> Mapping[str, str]:
    """What each phrase is about, by its name, for whoever looks it up where an answer cites it."""
    named: Mapping[str, str] = read_toml("answers", "phrases")["titles"]
    return named
