"""What forms say is what the page says: the same figures with the same conditions, of any dossier and not of one."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from afml.dossier.design import MARK
from afml.dossier.facts import collect
from afml.dossier.figures import in_words
from afml.dossier.forms.fields import ORDER, form, read_toml
from afml.dossier.forms.fill import INSTITUTION, NOT_RECORDED, Answer, fill, fill_all, passages
from afml.dossier.forms.output import section
from afml.dossier.forms.wording import Part, parts, titles
from afml.dossier.statements import Derived, InFile, Statement, Statements, Value
from tests.dossier.forms.said import LEDGER, statements
from tests.dossier.read import changed, text

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def said(good: Path) -> Statements:
    return collect(good)


def _answer(said: Statements, name: str, field: str) -> Answer:
    (found,) = (one for one in fill(form(name), said).answers if one.field.id == field)
    return found


def test_what_several_answers_say_stands_once_on_the_page_and_is_cited_by_them() -> None:
    filled = fill_all(statements())
    html = str(section(filled, {name: number for number, name in enumerate(statements(), 1)}))
    text = " ".join(unescape(re.sub(r"<[^>]+>", "", html)).replace(f"{MARK} ", "").split())
    shared = passages(filled)
    assert {"conditions", "linked", "coordinator", "times"} <= shared.keys()
    assert [one.letter for one in shared.values()] == sorted({one.letter for one in shared.values()})
    said = [piece.phrase for one in filled for answer in one.answers for piece in answer.pieces]
    for name, one in shared.items():
        cites = said.count(name)
        assert cites > 1
        assert text.count(one.piece.text) == 1, name
        assert text.count(f"Passage {one.letter} ({one.title}).") == html.count(f'href="#passage-{name}"') == cites
        assert html.count(f'id="passage-{name}"') == 1
    for answer in (answer for one in filled for answer in one.answers if answer.filled):
        assert answer.text == " ".join(piece.text for piece in answer.pieces)


def test_every_phrase_has_a_title_and_no_other_has() -> None:
    phrases = read_toml("answers", "phrases")
    assert titles().keys() == phrases.keys() - {"titles", "made_up"}, "made_up stands inside others alone"
    assert len(set(titles().values())) == len(titles())


def test_a_ratio_of_areas_stands_beside_that_of_what_is_above_a_blind_guess(said: Statements) -> None:
    told = changed(said, {"utility.ratio": 1.04, "utility.ratio_corrected": 1.12})
    for name, field in (("nist_sp_800_226", "utility"), ("data_sheet", "used_already"), ("w3c_dp_guidance", "utility")):
        answer = _answer(told, name, field)
        assert "a ratio of 1.04. " in answer.text
        assert re.search(r"above a blind guess .* over the same of raw genotypes, is 1\.12\.", answer.text)
        assert "utility.ratio_corrected" in [one.id for one in answer.stands_on]


def test_usefulness_that_is_no_area_is_not_called_one_and_a_ratio_to_nothing_says_so() -> None:
    where = InFile("report.json", "00" * 32, "")
    more: dict[str, Value] = {"utility.measure": "r2", "utility.phenotype": "height", "utility.comparable": False}
    added = [Statement(name, value, "", "said", where) for name, value in more.items()]
    useful = _answer(Statements([*statements().values(), *added]), "nist_sp_800_226", "utility").text
    assert "with an R squared of 0.8086 from" in useful
    assert "area under" not in useful
    assert "blind guess" not in useful
    assert "this is height, the one that is served worst" in useful
    assert "these ratios mean nothing" in useful
    made_again = [Statement("utility.measure", "reconstruction", "", "said", where)]
    told = _answer(Statements([*statements().values(), *made_again]), "nist_sp_800_226", "utility").text
    assert "Of the variance of all genotypes (1 is all) 0.8086 is made again" in told


def test_a_release_is_not_for_finding_associations_as_the_page_has_it(said: Statements) -> None:
    words = "of 59 sites that a scan of the raw genotypes finds the same scan of the records finds 4 sites, and 3 sites"
    for name, field in (("data_sheet", "not_for"), ("nist_sp_800_226", "hazard_synthetic_quality")):
        assert words in _answer(said, name, field).text
    assert "of 59 sites that a scan of the raw genotypes finds, the same scan of the records finds 4, and 3" in text(
        said
    )


def test_which_sites_are_shown_is_told_where_a_mean_over_cells_is(said: Statements) -> None:
    fields = ("data_sheet", "instance_data"), ("hipaa_expert", "replicability"), ("gdpr_dpia", "b_minimisation")
    for name, field in fields:
        answer = _answer(said, name, field).text
        assert "no record shows a genotype at 2 sites of 10 features" in answer
        assert "whose records show a genotype there: 10 % (4)." in answer
    assert in_words(Statement("genotype.shown.4", 0.99991, "share", "", InFile("f", "", ""))) == "100 %", "never down"


def test_a_made_up_phenotype_is_said_wherever_figures_are_of_it(said: Statements) -> None:
    made_up = "By the report the phenotype is made up: these figures are of it"
    for name, field in (("nist_sp_800_226", "utility"), ("data_sheet", "sensitive"), ("data_sheet", "not_for")):
        assert made_up in _answer(said, name, field).text
        assert made_up not in _answer(changed(said, {"phenotype.simulated": False}), name, field).text
    trait = _answer(said, "data_sheet", "sensitive").text
    assert "with an R squared of 0.1 from their records, 0.2 from their raw genotypes" in trait


def test_noise_is_said_to_be_drawn_afresh_only_of_a_run_without_a_seed() -> None:
    fields = ("nist_sp_800_226", "mechanism"), ("w3c_dp_guidance", "randomness"), ("gdpr_dpia", "a_functional")
    for name, field in fields:
        answer = _answer(statements(), name, field)
        assert "its noise is then drawn afresh in every attempt" in answer.text
        assert "Nothing in this dossier shows it" in answer.text
        assert {"design.fresh", "run.seed"} <= {one.id for one in answer.stands_on}
        assert "afresh in every attempt" not in _answer(statements(run__seed=7), name, field).text
        assert "afresh in every attempt" not in _answer(statements(without=["run.seed"]), name, field).text


def test_of_earlier_files_is_said_what_is_true_with_some_and_with_none(said: Statements) -> None:
    counts = [name for name in said if re.fullmatch(r"ledger\.[^.]+\.releases", name)]
    assert [said[name].value for name in counts] == [1, 1, 1]
    for name in counts:
        pointer = said[name].pointer
        assert isinstance(pointer, Derived)
        ledger = name.removesuffix(".releases")
        assert list(pointer.of) == [one for one in said if re.fullmatch(rf"{ledger}\.release\.\d+\.file_digest", one)]
    told = _answer(said, "data_sheet", "older_versions").text
    assert "ledger holds an entry: 1 file. Those before the last are the earlier ones; with one file there is" in told
    two = _answer(changed(said, {counts[0]: 2}), "data_sheet", "older_versions").text
    assert "holds an entry: 2 files (node-" in two
    assert "entry of each earlier file" not in told + two


def test_what_rests_on_the_coordinator_is_named_with_the_rosters_key(said: Statements, good: Path) -> None:
    authority = json.loads((good / "roster.json").read_bytes())["authority"]
    assert said["consortium.authority"].value == authority
    fields = (
        ("nist_sp_800_226", "hazard_trust_assumptions"), ("nist_sp_800_226", "deployment_model"),
        ("w3c_dp_guidance", "trusted_kind"), ("dp_registry", "deployment.deployment_model.actors"),
        ("gdpr_dpia", "c_change_sources"), ("gdpr_dpia", "d_residual"),
    )  # fmt: skip
    for name, field in fields:
        answer = _answer(said, name, field).text
        assert "Who the institutions are is the coordinator's word" in answer, field
        assert f'under the key "authority" ({authority[:12]}..., a digest)' in answer, field
    assert "any that the coordinator made up among them" in text(said)
    assert "who certifies their connections ( authority of roster.json" in text(said)
    local = _answer(statements(run__noise="local"), "w3c_dp_guidance", "trusted_kind").text
    assert "Who the institutions are is the coordinator's word" in local
    assert "counts on the noise of those alone" not in local


def test_times_are_told_alike_wherever_they_are_asked_about(said: Statements) -> None:
    one = _answer(said, "nist_sp_800_226", "timing").text
    assert one.startswith("By design times of computation, of drawing noise and of messages are not hidden")
    for name, field in (("nist_sp_800_226", "hazard_side_channels"), ("gdpr_dpia", "d_residual")):
        assert one in _answer(said, name, field).text
    assert re.search(
        r"Times of computation and of messages are, . by design , not hidden .* no figure here covers", text(said)
    )


def test_without_a_report_forms_name_the_records_that_ledgers_know_of_and_claim_no_figure_of_them() -> None:
    of_a_report = re.compile(r"data\.|release\.|attack\.|utility\.|grouping\.|disclosure\.|membership\.|group|again\.")
    bare = statements(without=[name for name in statements() if of_a_report.match(name)])
    records = (
        ("gdpr_dpia", "a_nature"), ("gdpr_dpia", "a_recipients"), ("gdpr_dpia", "c_access_extent"),
        ("gdpr_dpia", "d_residual"), ("nist_sp_800_226", "hazard_other_releases"), ("model_card", "ethics_risks"),
        ("dp_registry", "deployment.dp_variant.unprotected_quantities"),
    )  # fmt: skip
    for name, field in records:
        assert "files of masked records were written: 1 file. They" in _answer(bare, name, field).text, field
        assert "No attack on them is in this dossier" not in _answer(statements(), name, field).text
    told = " ".join(answer.text for one in fill_all(bare) for answer in one.system)
    for claim in ("What records tell follows", "measured only as usefulness", "under the results", "where it is;"):
        assert claim not in told
        assert claim in " ".join(answer.text for one in fill_all(statements()) for answer in one.system)
    assert all("No report was given" in one.lacks for one in fill_all(bare))


def test_a_single_rate_of_an_attack_or_a_group_says_whose_it_is() -> None:
    assert (Part("{again.by.*}").said(statements()) or "")[0] == "3 % (likelihood)"
    assert (Part("{group.*.rr_known}").said(statements()) or "")[0] == "3 % (cluster 1)"
    assert (Part("{mechanism.*.rounds}").said(statements(without=["mechanism.game.rounds"])) or "")[0] == "20 rounds"


def test_a_value_that_says_nothing_is_not_quoted_and_takes_no_answer_along() -> None:
    bare = statements(release__method="")
    for name, field in (("gdpr_dpia", "a_nature"), ("hipaa_expert", "principles"), ("data_sheet", "preprocessing")):
        answer = _answer(bare, name, field).text
        assert "method of release is called" not in answer
        assert "Their method is called" not in answer
        assert answer not in (INSTITUTION, NOT_RECORDED)
    assert "to be released: by design these are people's own records" in _answer(bare, "gdpr_dpia", "a_nature").text
    unknown = statements(utility__ratio_vs_best_raw=None)
    assert "best raw one" not in _answer(unknown, "nist_sp_800_226", "utility").text
    assert (Part("{" + f"ledger.{LEDGER}.audit.29.audited_ple" + "}").said(statements()) or "")[0] == "0.7862 sigma"


def test_the_readers_answers_hold_of_any_dossier() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*)$", (ROOT / "docs/audit/questions.md").read_text(), re.M)
    told = dict(rows)
    assert "Where groups are clusters of genotypes, and the page says so" in told["7"]
    assert "up to the entry that the table names" in told["9"]
    assert not re.search(r"entry \d", told["9"])


def test_what_forms_say_of_attacks_lists_and_bounds_has_the_limits_of_the_page() -> None:
    folder = ROOT / "afml" / "dossier" / "forms" / "answers"
    said = {one.stem: " ".join(one.read_text("utf-8").split()) for one in folder.glob("*.toml")}
    assert "second training by the plan of this run, not on the run itself" in said["phrases"]
    assert "Only on the list of {run.sites}" in said["data_sheet"]
    assert "allows, times of messages and of computation apart" in said["w3c_dp_guidance"]
    assert "epsilon is {" not in said["phrases"] + said["model_card"]
    assert "asks for no exact noise" in said["nist_sp_800_226"]


def test_what_a_run_does_not_ask_for_is_said_by_its_signed_file_and_not_as_a_safeguard() -> None:
    bare = statements(without=["run.verified_sums", "run.exact_noise"])
    for name, field, words in (
        ("gdpr_dpia", "c_change_sources", "asks for no check values of sums"),
        ("nist_sp_800_226", "floating_point", "asks for no exact noise"),
    ):
        answer = _answer(bare, name, field)
        assert words in answer.text
        assert "run.digest" in [one.id for one in answer.stands_on]
        assert words not in _answer(statements(), name, field).text
    false = statements(run__verified_sums=False, run__exact_noise=False)
    assert "an offset given to all alike would not be found" in _answer(false, "gdpr_dpia", "c_change_sources").text
    assert "not claimed to be exactly Gaussian" in _answer(false, "nist_sp_800_226", "floating_point").text


def test_rates_of_each_attack_stand_once_and_answers_cite_them() -> None:
    filled = fill_all(statements())
    html = str(section(filled, {name: number for number, name in enumerate(statements(), 1)}))
    assert html.count("(masker aware)") == 1
    answers = [answer for one in filled for answer in one.answers]
    cites = [one.field.id for one in answers if any(piece.phrase == "by_attack" for piece in one.pieces)]
    assert cites == ["hazard_synthetic_without_dp", "methods", "unitary_results"]


def test_no_answer_stands_on_the_name_of_the_task_but_where_it_says_it() -> None:
    for name in ORDER:
        for field, some in parts(name).items():
            assert not any("run.task" in part.by for part in some), (name, field)


def test_an_area_without_an_interval_names_no_method_of_one() -> None:
    alike = statements(without=["membership.auc_width"], membership__auc_low=0.5, membership__auc_high=0.5)
    told = _answer(alike, "w3c_dp_guidance", "membership").text
    assert "has no interval: the attack scores everybody alike" in told
    assert "DeLong" not in told
    assert "by DeLong's method" in _answer(statements(), "w3c_dp_guidance", "membership").text
