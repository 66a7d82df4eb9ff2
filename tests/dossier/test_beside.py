"""What a sentence must be read beside: conditions of a bound, attacks behind a rate, whose word, what nothing tells."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from afml.dossier.build import make
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.wording import parts
from afml.dossier.page import page
from afml.dossier.statements import InFile, Statement, Statements
from tests.dossier.pack import PHASES, Built
from tests.dossier.read import answers as _answers
from tests.dossier.read import changed as _with
from tests.dossier.read import text as _text


@pytest.fixture(scope="module")
def said(good: Path) -> Statements:
    return collect(good)


def test_a_bound_that_rests_on_unknown_draws_says_so_and_what_it_would_be(said: Statements, plain: Built) -> None:
    z = sum(phase.rounds / phase.noise_multiplier**2 for phase in PHASES)
    assert said["privacy.drawn_ple"].value == pytest.approx(math.sqrt(z))
    assert float(str(said["privacy.ple"].value)) < math.sqrt(z)
    forms = {one.form.id: one for one in fill_all(said)}
    for text in (_text(said), *(_answers(one) for name, one in forms.items() if name != "data_sheet")):
        if "does what the theory assumes" in text:
            assert re.search(r"who was drawn into rounds that draw people stays? unknown", text)
            assert "numbers enrolled are published" in text.lower()
    assert sum("stays unknown" in _answers(one) for one in forms.values()) >= 5
    full = make(plain.sources, plain.root / "full", plain.signer) and collect(plain.root / "full")
    assert "privacy.drawn_ple" not in full
    assert "rounds that draw people" not in _text(full).partition("By design: the makers' word")[0]


def test_who_is_not_in_the_sums_is_told_from_the_numbers_enrolled(said: Statements) -> None:
    assert "whether the person's data were in the sums" in _text(said)
    assert "The numbers enrolled are published and not protected" in _text(said)


def test_a_row_names_the_attacks_that_were_run_there(said: Statements) -> None:
    text = _text(said)
    assert "Each row names the attacks that were run there, of the 2 above" in text
    assert "made up of pieces of those at hand, by likelihood 20,000" in text
    (told,) = (_answers(one) for one in fill_all(said) if one.form.id == "hipaa_expert")
    assert "% (10 likelihood) (of the worst" in told
    assert "other attacks might reach more" in told


def test_a_group_has_all_its_figures_and_the_worst_is_named_for_both_attackers(said: Statements) -> None:
    text = _text(said)
    assert "within 3.1 times" in text
    assert "Where it is known the worst is afr, at 3 of 100, 0.1 times everybody's" in text
    assert "3 1.8 to 4.5 0.4 0.53 0.5 to 0.56 130" in text
    assert "not measured 0.4 too few" in text
    (told,) = (_answers(one) for one in fill_all(said) if one.form.id == "hipaa_expert")
    assert "Telling who of a group is in a file, area under the curve: 0.53" in told
    older = Statements(
        one for one in said.values() if not re.search(r"among_equals|ratio_by_chance|^group.*\.auc|[.]others$", one.id)
    )
    assert "drawn among equals" not in _text(older)
    assert "who is in a file 95" not in _text(older)


def test_what_an_audit_guessed_at_and_the_strongest_of_a_ledger_stand_beside_its_bound(said: Statements) -> None:
    text = _text(said)
    assert "204 (rightly 160) or, in another way, 210 (rightly 161) of them guessed at" in text
    assert "a ledger records at least 0.1 by another attack" in text
    assert "of the one who loses most 4 of 100 more" in text


def test_a_page_says_what_it_does_not_know_and_who_made_what(said: Statements) -> None:
    text = _text(_with(said, {"report.made": "2026-11-28"}))
    assert "Whether it is released with the file nothing here says" in text
    assert "a genotyping of every candidate under their names" in text
    assert "One party put it together and says that it signed it" in text
    made_of = _with(said, {"run.public_part": True})
    assert "but those of the panel's people, of whom nothing here tells" in _text(made_of)
    assert "a public panel (40 people by the report), about whom no bound is claimed" in _text(made_of)
    assert "nobody's data are in this run." in _text(_with(said, {"run.public_part": False}))


def test_what_is_left_says_whether_it_holds_another_such_run(said: Statements) -> None:
    left = [name for name in said if name.startswith("budget.") and name.endswith(".left")]
    assert "fits into none of these budgets" not in _text(_with(said, dict.fromkeys(left, 3.0)))
    assert "fits into none of these budgets" in _text(_with(said, dict.fromkeys(left, 0.01)))


def test_what_takes_from_a_release_stands_in_plain_words(said: Statements) -> None:
    plain = _text(said).partition(" What is left of each budget enrolment")[0]
    assert "the fewest of a file who show the same in both are 1 person , and who has both" in plain
    assert "names 3.1 of 100 rightly, where by one it is 25" in plain
    assert "of 59 sites that a scan of the raw genotypes finds, the same scan of the records finds 4, and 3" in plain
    assert "By the report the phenotype is made up" in plain
    assert "By the report the phenotype is made up" not in _text(_with(said, {"phenotype.simulated": False}))
    assert "no record shows a genotype at 2 of" in plain
    assert "column 4 for 10 of 100 people" in plain
    assert "column 9" not in plain


def test_a_ratio_stands_beside_that_of_a_blind_guess_and_what_did_better_is_named(said: Statements) -> None:
    auc = {"utility.released": 0.78, "utility.raw": 0.75, "utility.ratio": 1.04, "utility.ratio_corrected": 1.12}
    baseline = Statement("baseline.binned.rr", 0.2, "share", "binned, by utility", InFile("report.json", "", ""))
    ratio = Statement("baseline.binned.ratio", 1.05, "", "released over raw", InFile("report.json", "", ""))
    text = _text(_with(Statements([*said.values(), baseline, ratio]), auc | {"utility.ratio_vs_best_raw": 0.975}))
    assert "of which a blind guess reaches 0.6667" in text
    assert "is 1.12, and 0.9333 of the best raw one" in text  # 0.28 of 0.3
    assert "did better here: binned, by utility." in text
    other = _text(_with(Statements([*said.values(), baseline, ratio]), auc | {"utility.ratio": 0.9}))
    assert "a blind guess reaches" not in other  # the ratio is of several phenotypes


def test_an_attack_that_scores_everybody_alike_has_no_interval(said: Statements) -> None:
    alike = {"group.afr.auc": 0.5, "group.afr.auc_low": 0.5, "group.afr.auc_high": 0.5}
    assert "0.5 no interval: the attack scores everybody alike 130" in _text(_with(said, alike))


def test_wide_tables_are_regions_that_a_keyboard_reaches(said: Statements) -> None:
    html = page(said).decode()
    named = re.findall(r'<div class="wide[^"]*" role="region" tabindex="0" aria-label="([^"]+)">', html)
    assert len(named) == html.count('<div class="wide') == len(set(named)) >= 8


def test_ledgers_are_named_after_their_institutions(said: Statements) -> None:
    (told,) = (_answers(one) for one in fill_all(said) if one.form.id == "gdpr_dpia")
    assert all(re.search(rf"[0-9a-f]{{12}}\.\.\. \(node-{node}\)", told) for node in (1, 2, 3))
    assert not re.search(r"\([0-9a-f]{6}\b", told)


def test_a_promise_about_releases_rests_on_a_claim_about_releases() -> None:
    for form, field in (("gdpr_dpia", "b_objection"), ("data_sheet", "revocation")):
        assert "design.withdrawal-release" in parts(form)[field][0].names


def test_when_each_round_was_published_stands_in_the_transcript(said: Statements, good: Path) -> None:
    lines = [json.loads(line) for line in (good / "transcripts" / "1.jsonl").read_bytes().splitlines()]
    assert all(line["time_ms"] > 0 for line in lines if "cohort" in line)
    assert any(one.unit == "ms since 1970" for one in said.under("transcript.1"))
