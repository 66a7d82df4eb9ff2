"""The verifier's own two ends on the page, what it says of others, and tables that narrow screens stack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from afml.dossier.facts import collect
from afml.dossier.page import page
from afml.dossier.stacked import labelled
from afml.dossier.standalone import Check, Ledger, bounds
from afml.dossier.statements import Statements
from tests.dossier.forms.said import statements
from tests.dossier.pack import Built, Hands, enrolment
from tests.dossier.read import text


@pytest.fixture(scope="module")
def said(good: Path) -> Statements:
    return collect(good)


def test_the_page_prints_the_two_ends_that_the_verifier_finds(said: Statements, good: Path, built: Built) -> None:
    name = built.kits[1].origin.rpartition("/")[2]
    held = Ledger(name, {}, (good / "ledgers" / name / "entries.jsonl").read_bytes().split(b"\n")[:-1])
    low, high = bounds(held.composition(), 1e-5)[1]
    budget = f"budget.{enrolment(built, built.kits[1])}"
    assert (said.value(f"{budget}.spent_ple_low"), said.value(f"{budget}.spent_ple_high")) == (low, high)
    assert low <= float(str(said.value(f"{budget}.spent_ple"))) <= high * 1.01
    assert said.value("ends.spent_ple") == said.value("privacy.ple")
    for which in ("low", "high"):
        of = [float(str(one.value)) for one in said.under("budget") if one.id.endswith(f".spent_ple_{which}")]
        assert said.value(f"ends.spent_ple_{which}") == max(of)
    for row in ("spent, PLE in sigma", "spent, epsilon", "spent if draws were known, PLE in sigma", "taken, in sigma"):
        assert re.search(rf"{row} [0-9.]+ [0-9.]+ [0-9.]+", text(said)), row
    assert "not on this page" not in text(said)


@pytest.mark.parametrize(("end", "times", "code"), [("low", 0.9, "below-bound"), ("high", 1.1, "above-bound")])
def test_an_end_that_is_not_the_verifiers_is_a_finding(hands: Hands, end: str, times: float, code: str) -> None:
    kit = hands.built.kits[1]
    ledger = kit.origin.rpartition("/")[2]

    def change(accounts: dict[str, list[dict[str, dict[str, dict[str, list[float]]]]]]) -> None:
        accounts[ledger][0]["ends"]["spent"]["ple"][end == "high"] *= times

    hands.edit("accounting.json", change)
    hands.repoint("accounting.json")
    name = f"budget.{enrolment(hands.built, kit)}.spent_ple_{end}"
    was = float(str(Statements(collect(hands.folder).values()).value(name)))
    hands.say(name, was)
    if end == "high":
        hands.say("ends.spent_ple_high", was)
    hands.forms()
    hands.sealed()
    found = [(one.code, one.where) for one in Check(hands.folder).run().findings]
    assert (code, f"statements.json, {name}") in found


def test_what_no_sentence_says_has_no_line_among_what_is_so_by_design(said: Statements) -> None:
    html = page(said).decode()
    table = html.partition('<h2 id="design">')[2].partition('<h2 id="forms">')[0]
    assert 'href="#design.noise"' in table
    for name in ("exact", "check-value", "overlap", "left-out"):  # of a run that asks for none of it
        assert f"design.{name}" not in said
        assert f'href="#design.{name}"' not in table
    bare = statements(without=[name for name in statements() if name.startswith("attack.")])
    for of, there in ((statements(), True), (bare, False)):
        table = page(of).decode().partition('<h2 id="design">')[2].partition('<h2 id="forms">')[0]
        assert ('href="#design.attackers"' in table) == there


def test_cells_of_tables_that_are_stacked_have_the_heads_of_their_columns(said: Statements) -> None:
    html = page(said).decode()
    for name, head in (
        ("Right names by what an attacker knows", "of 100 records"), ("Harder attackers", "95 % interval"),
        ("Ledgers", "later, by its own word alone"), ("Packages that were published", "what was asked"),
    ):  # fmt: skip
        table = html.partition(f'aria-label="{name}"><table class="stack">')[2].partition("</table>")[0]
        assert table.count(f'data-label="{head}"') == table.count("<tr>") - 1, name
    spanned = (
        '<table class="stack"><thead><tr><th>a</th><th>b &amp; c</th><th>d</th><th>e</th></tr></thead><tbody>'
        '<tr><td>1</td><td class="n" colspan="2">2</td><td>3</td></tr></tbody></table>'
        "<table><tr><td>4</td></tr></table>"
    )
    assert re.findall(r'data-label="([^"]+)">', labelled(spanned)) == ["b &amp; c", "e"]
