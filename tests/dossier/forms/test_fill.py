"""Filling: every field is there, an answer stands on statements, and what is not said is not answered."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from afml.dossier.design import MARK
from afml.dossier.figures import in_words
from afml.dossier.forms.fields import form, forms
from afml.dossier.forms.fill import INSTITUTION, NO_REPORT, NOT_RECORDED, Filled, fields_filled, fill, fill_all
from afml.dossier.forms.output import documents, markdown, section, told
from afml.dossier.forms.registry import entry, schema
from afml.dossier.forms.wording import Part, parts
from afml.dossier.statements import InFile, Statement, Statements, Value
from tests.dossier.forms.said import SAID, statements

NAMES = sorted(name for values in SAID.values() for name in values)
FIELDS = [(one.id, field.id) for one in forms() for field in one.fields]
#: What only whoever signs may say; no answer does.
CONCLUSIONS = (
    "comply", "complies", "complian", "lawful", "legal", "anonym", "de-identified", "deidentified", "very small",
    "permitted", "adequate", "sufficient", "meets ", "fulfil", "satisf", "safe harbor", "safe harbour", "proportionate",
    "high risk", "low risk", "acceptable", "guarantees that nobody", "gdpr", "hipaa",
)  # fmt: skip


def _shown(said: Statements) -> str:
    return str(section(fill_all(said), {name: number for number, name in enumerate(said, 1)}))


def _answered(filled: tuple[Filled, ...]) -> list[tuple[str, str]]:
    return [(one.form.id, answer.field.id) for one in filled for answer in one.answers]


def test_all_that_is_said_fills_enough_of_every_form() -> None:
    filled = fill_all(statements())
    assert fields_filled(filled) >= 0.8
    assert fields_filled(filled) == min(
        len([a for a in one.answers if a.field.concerns == "system" and a.stands_on])
        / len([a for a in one.answers if a.field.concerns == "system"])
        for one in filled
    )


def test_of_nothing_said_every_field_says_who_is_to_fill_it() -> None:
    filled = fill_all(Statements(()))
    assert _answered(filled) == FIELDS
    for one in filled:
        for answer in one.answers:
            assert answer.text == (INSTITUTION if answer.field.concerns == "institution" else NOT_RECORDED)
            assert not answer.stands_on
    assert fields_filled(filled) == 0


@settings(deadline=None)
@given(st.sets(st.sampled_from(NAMES)))
def test_whatever_is_missing_every_field_is_there_and_says_what_it_stands_on(without: set[str]) -> None:
    said = statements(without=without)
    filled = fill_all(said)
    assert _answered(filled) == FIELDS
    for one in filled:
        for answer in one.answers:
            assert answer.filled == (answer.text not in (INSTITUTION, NOT_RECORDED))
            assert answer.text.strip()
            assert "{" not in answer.text
            assert answer.stands_on == tuple(said[statement.id] for statement in answer.stands_on)


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_that_is_missing_takes_what_stood_on_it_alone_away(name: str) -> None:
    whole, cut = fill_all(statements()), fill_all(statements(without=[name]))
    used = 0
    for before, after in zip(whole, cut, strict=True):
        for old, new in zip(before.answers, after.answers, strict=True):
            if name in [one.id for one in old.stands_on]:
                used += 1
                assert name not in [one.id for one in new.stands_on]
                assert new.text != old.text
            else:
                instead = {one for part in parts(before.form.id).get(old.field.id, ()) for one in part.unless}
                assert new == old or name in instead, "where it is missing something else may be said, in its place"
    assert used or name in ("run.seed", "run.digest")  # the digest: where the run does not name what is asked about


def test_a_field_without_its_statement_is_not_recorded_and_the_institutions_stays_its_own() -> None:
    (risk,) = (
        a
        for a in fill(form("hipaa_expert"), statements(without=["attack.worst.rr"])).answers
        if a.field.id == "risk_together"
    )
    assert risk.text == NOT_RECORDED
    (determination,) = (a for a in fill(form("hipaa_expert"), statements()).answers if a.field.id == "determination")
    assert determination.text == INSTITUTION


def test_a_part_that_adds_is_no_answer_alone() -> None:
    said = statements(without=["privacy.ple", "privacy.epsilon"])
    (answer,) = (a for a in fill(form("nist_sp_800_226"), said).answers if a.field.id == "hazard_large_epsilon")
    assert answer.text == NOT_RECORDED
    assert any(part.adds and part.said(said) for part in parts("nist_sp_800_226")["hazard_large_epsilon"])


def test_what_is_said_of_noise_is_true_of_this_runs_noise() -> None:
    shared, own = fill_all(statements()), fill_all(statements(run__noise="local"))
    for one, other in zip(shared, own, strict=True):
        for answer, local in zip(one.answers, other.answers, strict=True):
            assert answer.filled == local.filled, answer.field.id
            for claim in ("add a share", "adds a share", "in league with", "pool what they"):
                assert claim not in local.text, answer.field.id


def test_no_answer_draws_a_legal_conclusion() -> None:
    ways = [(one.id, field, part.words) for one in forms() for field, some in parts(one.id).items() for part in some]
    drawn = [(where, field, word) for where, field, text in ways for word in CONCLUSIONS if word in text.lower()]
    assert not drawn
    assert "no field states whether" in " ".join(_shown(statements()).lower().split())


@pytest.mark.parametrize(
    ("value", "unit", "read"),
    [
        (0.00475, "share", "0.475 %"), (1.0, "share", "100 %"), (3.752795, "epsilon", "3.753"),
        (None, "sigma", "no bound"), (1, "institutions", "1 institution"), (2, "institutions", "2 institutions"),
        (1, "people", "1 person"), (1506, "people", "1,506 people"), (1e-05, "", "1e-05"), (True, "", "yes"),
        (None, "", "none"),
        (1795797082739, "ms since 1970", "2026-11-27"), ("ab" * 32, "", "abababababab..."), ("x25519", "", "x25519"),
    ],
)  # fmt: skip
def test_values_are_told_in_plain_words(value: Value, unit: str, read: str) -> None:
    assert in_words(Statement("a", value, unit, "", InFile("f", "", ""))) == read


@pytest.mark.parametrize(
    ("name", "value", "unit", "read"),
    [
        ("privacy.right_at_most", 0.66913, "share", "67 %"), ("privacy.ple", 0.87501, "sigma", "0.8751 sigma"),
        ("run.budget.ple", 0.9, "sigma", "0.9 sigma"),
        ("budget.a.left", 0.82199, "sigma", "0.8219 sigma"), ("attack.worst.rr_low", 0.0022299, "share", "0.222 %"),
        ("group.a.rr_known_low", 0.018, "share", "1.8 %"), ("privacy.sure_90", 0.04312, "share", "4.32 %"),
        ("accountant.pld.epsilon", 3.75234, "epsilon", "3.753"), ("utility.released", 0.80859, "", "0.8085"),
        ("disclosure.phenotype.released_auc", 0.80235, "", "0.8024"), ("group.a.auc", 0.52873, "", "0.5288"),
    ],
)  # fmt: skip
def test_the_most_is_rounded_up_and_the_least_down(name: str, value: Value, unit: str, read: str) -> None:
    assert in_words(Statement(name, value, unit, "", InFile("f", "", ""))) == read


def test_a_star_stands_for_every_statement_of_that_form() -> None:
    text, ones = Part("of {run.enrolled.*} and {institution.*.name}").said(statements()) or ("", ())
    people = "292 people (Institute <A> & Co), 314 people (Institute B), 298 people (Institute C)"
    assert text == f"of {people} and Institute <A> & Co (1), Institute B (2), Institute C (3)"
    assert len(ones) == 6
    assert (Part("{mechanism.*.clip_norm}").said(statements()) or "")[0] == "1 (risk), 1 (game)"


def test_what_all_ledgers_have_alike_is_said_once() -> None:
    def said(*values: int) -> Statements:
        names = [f"ledger.{digit * 32}.entries" for digit in "abc"[: len(values)]]
        return Statements(
            Statement(n, v, "entries", "", InFile("f", "", "")) for n, v in zip(names, values, strict=True)
        )

    part = Part("{ledger.*.entries}")
    assert (part.said(said(29, 29)) or "")[0] == "29 entries"
    assert (part.said(said(29, 30)) or "")[0] == "29 entries (aaaaaa), 30 entries (bbbbbb)"


def test_of_no_statement_of_that_form_nothing_is_said() -> None:
    assert Part("{nothing.*.here}").said(statements()) is None


@pytest.mark.parametrize(
    "said", [statements(), Statements(()), statements(run__noise="local")], ids=["all", "none", "local"]
)
def test_the_registrys_entry_is_what_its_schema_allows(said: Statements) -> None:
    filled = fill(form("dp_registry"), said)
    made = entry(filled)
    Draft202012Validator(schema()).validate(made)
    notes = made["deployment"]["administrative"]["notes"]
    for answer in filled.answers:
        if not answer.filled and not answer.field.id.endswith(".notes"):
            assert answer.field.id.removeprefix("deployment.") + ": " in notes


def test_the_registrys_entry_holds_the_numbers_themselves() -> None:
    made = entry(fill(form("dp_registry"), statements()))
    assert made["deployment"]["privacy_loss"]["privacy_parameters"] == {"epsilon": 3.752795749526758, "delta": 1e-05}
    assert made["deployment"]["basic"]["publication_date"] == "2026-11-27"


@pytest.mark.parametrize("spoil", [{"surprise": 1}, {"tier": 0}, {"status": "Fine"}])
def test_the_schema_refuses_what_the_registry_does(spoil: dict[str, object]) -> None:
    made = entry(fill(form("dp_registry"), statements()))
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(made | spoil)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids |= {value for name, value in attrs if name == "id" and value}
        self.links |= {value[1:] for name, value in attrs if name == "href" and value}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_section_shows_every_field_and_links_every_statement() -> None:
    filled, page = fill_all(statements()), _Page()
    page.feed(_shown(statements()))
    text = " ".join(page.text.replace(MARK, "").split())
    for one in filled:
        for answer in one.answers:
            assert f"form-{one.form.id}-{answer.field.id}" in page.ids
            assert answer.field.asks in text
            assert all(one in text for one in [piece.text for piece in answer.pieces] or [answer.text])
            assert {statement.id for statement in answer.stands_on} <= page.links
    assert "could not be read whole" in text


def test_documents_hold_every_field_with_its_pointer() -> None:
    filled = fill_all(statements())
    made = documents(filled)
    for one in filled:
        table = json.loads(made[f"forms/{one.form.id}.json"])
        assert [line["id"] for line in table["fields"]] == [field.id for field in one.form.fields]
        assert table["system_fields_filled"] == round(one.share * table["system_fields"])
        for line in table["fields"]:
            assert bool(line["stands_on"]) == line["filled"]
            assert all(stood["pointer"]["kind"] == "file" for stood in line["stands_on"])
    for name in ("model_card", "data_sheet"):
        page = made[f"forms/{name}.md"].decode()
        assert all(field.asks in page for field in form(name).fields)
        assert page == markdown(fill(form(name), statements()))
    assert json.loads(made["forms/registry_entry.json"]) == entry(fill(form("dp_registry"), statements()))


def test_the_share_of_each_form_is_told() -> None:
    lines = told(fill_all(statements()))
    assert len(lines) == len(forms())
    assert re.match(
        r"NIST SP 800-226.*: \d+ of 38 fields that concern the system are filled by evidence \(\d+ %\)", lines[0]
    )


def test_without_a_report_every_head_says_so_and_what_would_fill_it() -> None:
    said = statements(without=("data.people",))
    for one in fill_all(said):
        assert one.lacks == NO_REPORT, one.form.id
    (expert,) = (one for one in fill_all(said) if one.form.id == "hipaa_expert")
    assert json.loads(documents([expert])["forms/hipaa_expert.json"])["lacks"] == NO_REPORT
    shown = re.sub(r"<[^>]+>", "", _shown(said))
    head = shown.partition("HIPAA expert determination: annex of methods and results\nFields after")[2]
    head = head.partition("askedanswer")[0]
    assert re.search(
        r"(\d+) of 13 fields that concern the system have a value; no report was given, as said above", head
    )
    assert shown.count("afml audit dossier --report takes it in") == 1
    assert shown.index("afml audit dossier --report takes it in") < shown.index("Fields after")
    assert told(fill_all(said))[-1] == NO_REPORT
    assert "No report was given" not in _shown(statements()) + " ".join(told(fill_all(statements())))


def test_a_simulation_says_so_on_every_form() -> None:
    said = statements(run__seed=7)
    assert all(one.simulation and "simulation" in markdown(one).lower() for one in fill_all(said))
    assert "protects nobody" in _shown(said)
    assert "protects nobody" not in _shown(statements())
