"""A form filled from statements: each field has a value and what it stands on, or says who is to fill it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from afml.dossier.forms.fields import Field, Form, forms
from afml.dossier.forms.wording import parts, titles
from afml.dossier.statements import Statement, Statements

INSTITUTION = "institution to fill"
NOT_RECORDED = "not recorded"
NO_REPORT = (
    "No report was given to this dossier, so what attacks reached, and what records are of use for, is not recorded: "
    "`afml evaluate` makes one, and `afml audit dossier --report` takes it in. A report of `afml evaluate --own` is "
    "exact about one institution's people, and stays there with the dossier that it is in."
)
"""What the head of a form says that could have been filled further."""


@dataclass(frozen=True)
class Piece:
    """A run of sentences of an answer, of one phrase or of none.

    Attributes:
        phrase: Name of the phrase that says it; "" of what this field says alone.
        text: The sentences, with their values.
        stands_on: Statements that they rest on.
    """

    phrase: str
    text: str
    stands_on: tuple[Statement, ...]


@dataclass(frozen=True)
class Passage:
    """A phrase that several answers hold: a page says it once, and they cite it.

    Attributes:
        letter: By which it is cited.
        title: What it is about.
        piece: It.
    """

    letter: str
    title: str
    piece: Piece


@dataclass(frozen=True)
class Answer:
    """A field and what stands in it.

    Attributes:
        field: What was asked.
        text: The answer; `INSTITUTION` or `NOT_RECORDED` where there is none.
        stands_on: Statements that the answer rests on; none where there is no answer.
        pieces: The same text, divided by the phrases that say it.
    """

    field: Field
    text: str
    stands_on: tuple[Statement, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def filled(self) -> bool:
        """Statements answer it."""
        return bool(self.stands_on)

    def to_json(self) -> dict[str, Any]:
        """One entry of the form's JSON."""
        return {
            "id": self.field.id, "section": self.field.section, "asks": self.field.asks,
            "concerns": self.field.concerns, "filled": self.filled, "answer": self.text,
            "stands_on": [
                {name: value for name, value in one.to_json().items() if name != "words"} for one in self.stands_on
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Filled:
    """A form with its answers.

    Attributes:
        form: Its list of fields.
        answers: One for each field, in the list's order.
        simulation: What is spoken of was a simulation, which protects nobody.
        reported: A report of an evaluation is among what the statements stand on.
    """

    form: Form
    answers: tuple[Answer, ...]
    simulation: bool = False
    reported: bool = True

    @property
    def system(self) -> tuple[Answer, ...]:
        """Those of the fields that concern the system."""
        return tuple(one for one in self.answers if one.field.concerns == "system")

    @property
    def share(self) -> float:
        """Of the fields that concern the system, which share the evidence fills."""
        return sum(one.filled for one in self.system) / len(self.system)

    @property
    def lacks(self) -> str:
        """Why figures of attacks and usefulness are not here, and what would bring them; "" where a report is."""
        return "" if self.reported else NO_REPORT

    def to_json(self) -> dict[str, Any]:
        """What `forms/ID.json` holds."""
        form = self.form
        return {
            "form": form.id, "title": form.title, "source": form.cite, "url": form.url, "read": form.read,
            "simulation": self.simulation, "what_was_read": form.what, "source_read_whole": form.complete,
            "system_fields": len(self.system), "system_fields_filled": sum(one.filled for one in self.system),
            "institution_fields": len(self.answers) - len(self.system), "lacks": self.lacks,
            "fields": [one.to_json() for one in self.answers],
        }  # fmt: skip


def fill(form: Form, statements: Statements) -> Filled:
    """Answer every field of a form.

    Args:
        form: Which.
        statements: All that the dossier says.
    """
    simulation = statements.value("run.seed") is not None
    reported = "data.people" in statements  # which every report has
    return Filled(form, tuple(_answer(form, field, statements) for field in form.fields), simulation, reported)


def fill_all(statements: Statements) -> tuple[Filled, ...]:
    """All forms filled, in order."""
    return tuple(fill(form, statements) for form in forms())


def passages(filled: Sequence[Filled]) -> dict[str, Passage]:
    """What more than one answer says, by the name of its phrase, in the order in which it is said first.

    Args:
        filled: All forms that are shown together.
    """
    found: dict[str, list[Piece]] = {}
    for piece in (piece for one in filled for answer in one.answers for piece in answer.pieces if piece.phrase):
        found.setdefault(piece.phrase, []).append(piece)
    several = [pieces[0] for pieces in found.values() if len(pieces) > 1]
    return {one.phrase: Passage(chr(ord("A") + at), titles()[one.phrase], one) for at, one in enumerate(several)}


def fields_filled(filled: Sequence[Filled]) -> float:
    """The smallest share of any form (`audit.fields_filled` of bench.json)."""
    return min(one.share for one in filled)


def _answer(form: Form, field: Field, statements: Statements) -> Answer:
    if field.concerns == "institution":
        return Answer(field, INSTITUTION)
    said = [(part, found) for part in parts(form.id).get(field.id, ()) if (found := part.said(statements)) is not None]
    if all(part.adds for part, _ in said):
        return Answer(field, NOT_RECORDED)
    pieces = [
        Piece(phrase, " ".join(text for _, (text, _) in some), _each_once(ones for _, (_, ones) in some))
        for phrase, some in ((phrase, list(some)) for phrase, some in groupby(said, lambda one: one[0].phrase))
    ]
    text = " ".join(one.text for one in pieces)
    return Answer(field, text, _each_once(one.stands_on for one in pieces), tuple(pieces))


def _each_once(some: Iterable[Iterable[Statement]]) -> tuple[Statement, ...]:
    return tuple({one.id: one for ones in some for one in ones}.values())
