"""What the page says, read as a reader does: units, odds of limits, whose word a figure is, and where it leads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from afml.dossier.facts import collect
from afml.dossier.figures import in_words
from afml.dossier.page import page
from afml.dossier.standalone import RULES
from afml.dossier.statements import Derived, InFile, Statement, Statements
from afml.evaluation.attacks import ATTACKS, KNOWING
from afml.evaluation.disclosure.membership import membership_suite
from afml.privacy.accountant import ACCOUNTANTS
from tests.dossier.forms.said import statements
from tests.dossier.read import changed as _with
from tests.dossier.read import text as _text


@pytest.fixture(scope="module")
def said(good: Path) -> Statements:
    return collect(good)


def test_every_link_leads_somewhere_and_every_statement_has_its_number(said: Statements) -> None:
    html = page(said).decode()
    places = re.findall(r'\bid="([^"]+)"', html)
    assert len(places) == len(set(places))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(places)
    for number, name in enumerate(said, 1):
        assert f'<p id="{name}"><b>{number}</b>' in html
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html)


def test_values_have_the_units_that_people_read(said: Statements) -> None:
    text = _text(said)
    assert "since 1970" not in text
    assert not re.search(r"\b1 (rounds|people|institutions|repeats|records|entries)\b", text)
    assert in_words(said["dossier.made"], whole=True) in text


def test_the_limit_of_a_lifetime_is_told_as_odds_and_one_that_protects_nobody_says_so(said: Statements) -> None:
    ids = [name for name in said if name.startswith("odds_at_limit.")]
    assert [said[one].value for one in ids] == [RULES["right_at_most"](3.0)] * 3
    assert "93.4" in _text(said)  # Phi(1.5), never rounded down
    assert said["privacy.sure_90"].value == RULES["sure_90"](said["privacy.ple"].value, 1e-5)
    assert "on average over all outcomes" in _text(said)
    assert "in the worst outcomes it is more" in _text(said).lower()
    assert "protects nobody: for 3 of these enrolments" not in _text(said)
    assert "protects nobody: for 3 of these enrolments" in _text(_with(said, dict.fromkeys(ids, 0.995)))


def test_words_are_those_of_their_own_value(said: Statements) -> None:
    odds = {name for name, one in said.items() if "attacker who guesses" in one.words or "guesses at who" in one.words}
    assert all("on average" in said[name].words for name in odds)
    assert odds == {name for name in said if name.startswith(("odds", "privacy.right_at_most"))} - {
        name for name in said if name.startswith("odds_if_broken")
    }  # "the same, were ..."
    assert {one.words for name, one in said.items() if ".recorded_" in name} == {
        "what its ledger recorded with its last spend"
    }


def test_a_bound_from_below_says_whom_it_is_about_or_that_it_shows_nothing(said: Statements) -> None:
    text = _text(said)
    for told in (
        "confidence 95 %",
        "1,024 made-up people",
        "20 rounds of phase risk",
        "sees the decrypted sum",
    ):
        assert told in text, told
    assert "5 97" in text  # the power, noise of 70 and 50 of 100
    assert text.count("one-run canaries (f-DP) 0.1 95") == 3  # what each ledger records
    bare = Statements(one for one in said.values() if not one.id.startswith("audit."))
    assert "against which observer, it does not say" in _text(bare)


def test_linkage_stands_beside_that_at_a_known_institution_with_interval_chance_and_what_groups_allow(
    said: Statements,
) -> None:
    text = _text(said)
    assert "25 10 to 40 2.78 8.34" in text  # of 100: rate, interval, chance, 3 records of 36 people
    assert "30 20 to 50 8.33 25" in text  # 3 records of 12 people in each of three files
    assert said["grouping.known_institution"].value == 9 / 36
    pointer = said["grouping.patterns"].pointer
    assert isinstance(pointer, Derived)
    assert len(pointer.of) == 3


def test_harder_attackers_stand_beside_the_rate_of_everybody(said: Statements) -> None:
    text = _text(said)
    assert "a relative of degree 1 (kinship 0.25) by likelihood, kinship 2,000 0.3 0.1 to 0.6 0.05" in text
    assert "10 times as many candidates" in text
    assert "20,000 0.05 0.002 to 0.3 0.005" in text
    assert "the record of a second release, side by side, by likelihood 36 3.1 2 to 4 2.78" in text
    assert "matches 2 of 100 records of the one with the same person's of the other" in text
    assert "show the same in both are 1 person" in text
    assert "the way that is called greedy codebook" in text


def test_membership_has_an_interval_with_its_method_and_groups_their_rate_at_a_known_institution(
    said: Statements,
) -> None:
    text = _text(said)
    assert "95 % interval 0.5 to 0.54 by DeLong's method" in text
    assert "afr 600 1.2 0.5 to 2 3 1.8 to 4.5" in text
    assert "eur 1,400 0.1 0 to 0.4 not measured" in text


def test_a_publication_says_what_was_met_what_was_accepted_and_what_was_asked(said: Statements) -> None:
    text = _text(said)
    assert text.count("re-identification rate at most 1 %") == 3
    assert text.count("2026-11-27 group size, joint groups re-identification rate") == 3
    assert "Of 3 releases in these ledgers 3 have such an entry." in text
    bare = Statements(one for one in said.values() if ".publication." not in one.id)
    assert "Of 3 releases in these ledgers 0 have such an entry; of the others nobody here says" in _text(bare)


def test_what_nodes_said_of_their_code_is_their_own_word_and_where_none_did_nothing_ties_it(said: Statements) -> None:
    assert _text(said).count("the same as where this dossier was made") == 3
    other = _with(said, {"run.code.node.2": "00" * 32})
    assert "Package node: 2 different ones" in _text(other)
    everywhere = _with(said, {f"run.code.crypto.{node}": "00" * 32 for node in (1, 2, 3)})
    assert "another than where this dossier was made" in _text(everywhere)
    bare = Statements(one for one in said.values() if not one.id.startswith("run.code."))
    assert "Nothing in this folder ties a digest of code to what the institutions' nodes ran" in _text(bare)


def test_names_of_attacks_and_accountants_are_among_the_words(said: Statements) -> None:
    where = InFile("details.json", "", "")
    more = [Statement(f"again.by.{one}", 0.0, "share", f"the same by attack {one}", where) for one in KNOWING.names()]
    assert "known traits" not in _text(said).rpartition(" Words accountant")[2].lower()
    words = _text(Statements([*said.values(), *more])).rpartition(" Words accountant")[2].lower()
    names = (*ATTACKS.names(), *KNOWING.names(), *(one.name for one in membership_suite()), *ACCOUNTANTS.names())
    assert not [name for name in names if name.lower() not in words]


def test_that_people_are_made_up_is_the_reports_word(said: Statements) -> None:
    assert "That they are made up is the word of who ran the evaluation, in the report" in _text(said)
    assert "By the report their data came in files" in _text(_with(said, {"data.kind": "vcf"}))


def test_odds_of_epsilon_are_those_of_randomised_response() -> None:
    epsilon = 1.0  # the truth is told with chance e / (1 + e): the best that epsilon-DP allows a guesser
    assert RULES["right_at_most_epsilon"](epsilon, 0.0) == pytest.approx(2.718281828 / 3.718281828)
    assert RULES["right_at_most_epsilon"](0.0, 0.1) == pytest.approx(0.55)  # half of delta on top of chance
    assert RULES["ratio"](9, 36) == 0.25


def test_a_moment_is_a_day_and_where_it_is_listed_has_its_minute() -> None:
    one = Statement("a", 1795797082739, "ms since 1970", "", InFile("f", "", ""))
    assert (in_words(one), in_words(one, whole=True)) == ("2026-11-27", "2026-11-27 16:31 UTC")


def test_who_signed_it_whose_word_comes_last_and_that_one_party_had_all_files_is_said(said: Statements) -> None:
    text = _text(said)
    assert "says that it signed it: node-1, one of the institutions that it is about" in text
    assert "The report is about the files of 3 institutions at once" in text
    assert "The report is about" not in _text(_with(said, {"report.institutions": 1}))
    assert "a rate of linkage was no target of any" not in text
    bare = Statements(one for one in said.values() if ".asked.re-identification-rate" not in one.id)
    assert "a rate of linkage was no target of any" in _text(bare)


def test_what_nobody_has_countersigned_is_named(said: Statements) -> None:
    sizes = [name for name in said if ".countersigned_at." in name]
    releases = [name for name in said if name.endswith(".file_digest")]
    assert f"release (entry {releases[0].split('.')[3]})" not in _text(said)
    shorter = _text(_with(said, dict.fromkeys(sizes, 5)))
    for name in releases:
        assert f"release (entry {name.split('.')[3]})" in shorter
    assert "(to entry 4)" in shorter


def test_a_query_for_people_at_two_institutions_is_told_with_what_it_tells(asked: Path, said: Statements) -> None:
    told = collect(asked)
    assert (told.value("overlap.parts"), told.value("overlap.answers")) == (3, 3)
    assert [one.value for one in told.under("ledger") if ".overlap." in one.id] == [12, 12, 12]
    text = _text(told)
    assert "A query for people at two institutions ( afml overlap ) stands in these ledgers, outside epsilon" in text
    assert "3 records were found" in text
    assert "2 of these are in their institution's data no more" in text
    assert "is not checked" not in text
    assert "Nothing here checks that word" not in text
    assert "is noticed as far as a query (3 parts) finds such people" in text
    assert "a person must approve each run: no" in text
    text = _text(said)
    assert "A query for people" not in text
    assert "the institutions' word and is not checked" in text
    assert "Nothing here checks that word" in text
    assert "A person at more than 1 institution is not noticed" in text


PARTS = (
    "attack.", "audit.", "privacy.", "run.", "release.", "grouping.", "group", "odds", "disclosure.", "code.",
    "dossier.", "accountant.", "ledger.", "budget.", "design.", "relatives.", "population.", "again.", "membership.",
    "overlap.", "utility.",
    "sure", "policy.", "institution.", "report.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PARTS)
def test_a_page_without_some_of_its_statements_is_whole_and_guesses_nothing(said: Statements, prefix: str) -> None:
    without = {name for name in said if name.startswith(prefix)}
    while more := {  # what follows from what is not there is not there either
        name
        for name, one in said.items()
        if isinstance(one.pointer, Derived) and without & set(one.pointer.of) and name not in without
    }:
        without |= more
    text = _text(Statements(one for one in said.values() if one.id not in without))
    assert "Undefined" not in text
    assert text.endswith(_text(said)[-40:])


def test_the_worst_group_stands_beside_the_average_of_what_equal_records_tell() -> None:
    text = _text(statements())
    assert "worst case is certainty" not in text
    assert "the commonest is right for at least 80 in 100" in text
    assert "the fewest of any group who have the same are 1 person" in text
    assert "all rounds as full batches)" in text
    assert "not by verify.py" not in text
    assert "it may have errors: the run's settings name 1 in 100" in text
    assert "by the attack that is worst by it" in text
    assert "scores everybody alike by DeLong" not in _text(
        statements(membership__auc_low=0.5, membership__auc_high=0.5)
    )
