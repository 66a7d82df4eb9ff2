"""Tamperings, one for each kind of evidence, planted in a good dossier: each is found under its own name and place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from afml.core.config import canonical_json
from afml.dossier.standalone import STATEMENTS, Check, lines
from afml.dossier.verified import verified
from tests.dossier.pack import Built, Hands
from tests.dossier.planted import (
    append,
    elsewhere,
    entry,
    forged_vouching,
    form,
    line,
    linked,
    missed_said_to_be_met,
    no_seal,
    of_another_package,
    of_elsewhere,
    opinion,
    other_head,
    other_signer,
    planned,
    proof,
    ratio_of_nothing,
    reckoned,
    said_twice_over,
    shorter,
    strangers_seal,
    summary,
)

CLASSES: dict[str, tuple[Callable[[Hands], None], str, str]] = {
    "headline that stands elsewhere": (elsewhere("privacy.ple"), "below-bound", "privacy.ple"),
    "sureness that stands elsewhere": (elsewhere("privacy.sure_90"), "other-ground", "privacy.sure_90"),
    "delta that stands elsewhere": (elsewhere("privacy.delta"), "other-ground", "privacy.delta"),
    "figure of the report that stands elsewhere": (elsewhere("attack.worst.rr_high"), "other-ground", "rr_high"),
    "value of a statement": (lambda h: h.say("run.k", 99), "changed-statement", "run.k"),
    "derived statement": (lambda h: h.say("privacy.right_at_most", 0.5), "changed-statement", "privacy.right_at_most"),
    "what a statement stands on": (lambda h: h.point("run.k", at="/nothing"), "lost-ground", "run.k"),
    "too little said to be spent": (reckoned("spent", 0.01), "below-bound", "spent_ple"),
    "figure that is a text": (reckoned("spent", "0.010"), "below-bound", "spent_ple"),
    "too little said of updates that are read": (reckoned("broken", 0.01), "below-bound", "broken_ple"),
    "too much said of updates that are read": (reckoned("broken", 9.0), "above-bound", "broken_epsilon"),
    "too little said to be taken": (reckoned("committed", 0.01), "below-bound", "committed"),
    "too much said to be taken": (reckoned("committed", 2.9), "above-bound", "committed"),
    "too little said if draws were known": (reckoned("drawn", 0.01), "below-bound", "drawn_ple"),
    "too much said if draws were known": (reckoned("drawn", 9.0), "above-bound", "drawn_epsilon"),
    "a hundredth too much said by an accountant beside": (opinion(0.248), "above-bound", "prv_ple"),
    "value that a form repeats": (
        form("hipaa_expert", lambda field: field["stands_on"][0].update(value=99)), "other-form",
        "forms/hipaa_expert.json, principles, ",
    ),
    "ground that a form repeats": (
        form("gdpr_dpia", lambda field: field["stands_on"][0]["pointer"].update(file="report.json")), "other-form",
        "forms/gdpr_dpia.json, ",
    ),
    "statement that a form alone has": (
        form("model_card", lambda field: field["stands_on"][0].update(id="run.made_up")), "other-form",
        "forms/model_card.json, ",
    ),
    "word of a publication": (missed_said_to_be_met, "unsigned-publication", "publications/"),
    "publication that no ledger holds": (of_another_package, "other-publication", "publications/"),
    "entry of a ledger": (entry(3, people=999), "edited-ledger", "entries.jsonl"),
    "order of entries": (entry(2, index=7), "moved-entry", "entry 2"),
    "entry left out": (lambda h: h.line(h.ledger / "entries.jsonl", 2, lambda _: None), "hidden-round", "round 2"),
    "noise of an entry": (
        entry(1, published_multiplier=80.0), "changed-noise-multiplier", "round 1",
    ),
    "more noise than was published, as one's own": (
        entry(1, broken_multiplier=80.0, mechanism={"kind": "gaussian", "noise_multiplier": 80.0}),
        "changed-noise-multiplier", "round 1",
    ),
    "steps of an entry": (
        entry(1, mechanism={"kind": "subsampled_gaussian", "noise_multiplier": 8.0, "steps": 0}),
        "changed-spend", "round 1, node 1, steps",
    ),
    "people of an entry": (entry(3, people=999), "unlike-run", "entry 3, people"),
    "noise that an entry says is left if updates are read": (
        entry(2, broken_multiplier=80.0), "unlike-run", "entry 2, broken_multiplier",
    ),
    "whose noise an entry counts": (entry(2, noise="local"), "unlike-run", "entry 2, noise"),
    "institutions of an entry": (entry(2, cohort=[1, 2]), "unlike-run", "entry 2, quorum"),
    "plan of an entry": (lambda h: h.line(h.ledger / "entries.jsonl", 0, shorter), "unlike-run", "entry 0, plan"),
    "who may collude": (planned(max_colluding=0), "unlike-run", "entry 2, broken_multiplier"),
    "configuration": (planned(deadline_s=1.0), "unlike-run", "entry 0, config_digest"),
    "head of a ledger": (other_head, "wrong-key", "head.txt"),
    "countersignature": (forged_vouching, "bad-countersignature", "head.txt"),
    "clock": (entry(2, time_ms=1), "clock-set-back", "entry 2"),
    "line of the transcript": (line(1, quorum=1), "unsigned-line", "line 2"),
    "line left out": (
        lambda h: h.line(h.folder / "transcripts" / "1.jsonl", 1, lambda _: None), "broken-chain", "line 2",
    ),
    "inclusion proof": (proof, "wrong-proof", "proofs.json"),
    "roster": (lambda h: h.edit("roster.json", lambda r: r.update(consortium="x")), "unsigned-roster", "roster.json"),
    "run": (lambda h: h.edit("run.json", lambda r: r.update(quorum=2)), "unsigned-run", "run.json"),
    "model": (lambda h: h.edit("model.json", lambda m: m.update(digest="00")), "other-model", "entry"),
    "report": (
        lambda h: h.edit("report.json", lambda r: r["release"].update(rr=0.0)), "lost-ground", "attack.worst.rr",
    ),
    "what the makers' verification found": (
        lambda h: h.edit("verification.json", lambda v: v[h.ledger.name].update(root="00")), "other-verification", "v",
    ),
    "software": (lambda h: h.edit("software.json", lambda s: s.update(code="00")), "lost-ground", "code.afml_digest"),
    "page": (append("dossier.html"), "other-page", "dossier.html"),
    "verifier": (append("verify.py"), "other-verifier", "verify.py"),
    "file left out": (lambda h: (h.folder / "accounting.json").unlink(), "missing-file", "accounting.json"),
    "page that no dossier has": (summary, "added-file", "SUMMARY.html"),
    "folder by a link": (linked, "added-file", "appendix"),
    "file that a statement stands on": (of_elsewhere, "lost-ground", "attack.best.rr"),
    "rule without a result": (ratio_of_nothing, "lost-ground", "made.ratio"),
    "value that stands twice": (said_twice_over, "changed-file", "report.json"),
    "seal": (strangers_seal, "unsigned-dossier", "dossier.json"),
    "seal taken off": (no_seal, "unsigned-dossier", "dossier.json"),
    "signer that it names": (other_signer, "unsigned-dossier", "software.json"),
}  # fmt: skip


def test_there_are_as_many_as_promised() -> None:
    assert len(CLASSES) == 57


@pytest.mark.parametrize("what", CLASSES)
def test_each_is_named(what: str, hands: Hands) -> None:
    plant, code, where = CLASSES[what]
    plant(hands)
    checked = verified(hands.folder)
    assert any(one.code == code and where in one.where for one in checked.findings), checked.findings
    assert len(lines(checked, every=True)) > len(checked.findings), "they can be told"


@pytest.mark.parametrize(
    "what",
    [
        "headline that stands elsewhere",
        "sureness that stands elsewhere",
        "delta that stands elsewhere",
        "value of a statement",
        "too little said to be spent",
        "too little said of updates that are read",
        "too much said to be taken",
        "too little said if draws were known",
        "value that a form repeats",
        "entry of a ledger",
        "noise that an entry says is left if updates are read",
        "word of a publication",
    ],
)
def test_who_seals_it_anew_with_an_institutions_key_is_found_too(what: str, hands: Hands) -> None:
    plant, code, _ = CLASSES[what]
    plant(hands)
    hands.sealed()
    assert code in {one.code for one in verified(hands.folder).findings}


def test_an_unsigned_one_is_a_finding_unless_that_is_expected(hands: Hands) -> None:
    no_seal(hands)
    assert [one.code for one in Check(hands.folder).run().findings] == ["unsigned-dossier"]
    allowed = Check(hands.folder, unsigned=True).run()
    assert not allowed.findings
    assert "whose the manifest is: no institution signed it" in allowed.unchecked


def test_an_answer_to_another_query_than_was_asked_is_found(asked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dossier"
    shutil.copytree(asked, folder)
    assert "other-overlap" not in {one.code for one in Check(folder).run().findings}
    for path in (folder / "ledgers").glob("*/entries.jsonl"):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        changed = [{**one, "people": 13} if one["kind"] == "overlap-answer" else one for one in lines]
        path.write_bytes(b"".join(canonical_json(one) + b"\n" for one in changed))
    found = [one for one in Check(folder).run().findings if one.code == "other-overlap"]
    assert len(found) == 3


def test_another_roster_than_the_institutions_is_found(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "roster.json"
    other.write_text("{}")
    assert "other-roster" in {one.code for one in verified(good, other).findings}


def test_statements_point_to_what_is_there(good: Path, built: Built) -> None:
    said = json.loads((good / STATEMENTS).read_bytes())
    assert {one["pointer"]["kind"] for one in said} == {"ledger", "transcript", "file", "derived"}
