"""Tamperings, one for each kind of evidence, planted in a good dossier: each is found under its own name and place."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.provision import load_coordinator_key
from afml.consortium.runfile import write_run
from afml.core.config import canonical_json
from afml.dossier.build import seal
from afml.dossier.standalone import RULES, SIGNATURE, STATEMENTS, Check
from afml.dossier.verified import verified
from afml.release.package.manifest import PUBLICATION_FILE
from afml.release.package.publication import Publication
from crypto.public.signing import generate_signing_key
from tests.dossier.pack import Built, Hands, enrolment


def _entry(number: int, **changes: object) -> Callable[[Hands], None]:
    return lambda hands: hands.line(hands.ledger / "entries.jsonl", number, lambda body: {**body, **changes})


def _planned(**changes: object) -> Callable[[Hands], None]:
    """The coordinator signs another plan of the same name than the one that all ledgers are of."""

    def plant(hands: Hands) -> None:
        run = hands.built.run.model_copy(update=changes)
        write_run(hands.folder / "run.json", run, load_coordinator_key(hands.built.root / "kits" / "coordinator"))

    return plant


def _shorter(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "plan": body["plan"][1:]}


def _elsewhere(name: str) -> Callable[[Hands], None]:
    """A statement is said to be another field of the report, a small one, and all that follows from it is said anew."""

    def plant(hands: Hands) -> None:
        report, path = "report.json", hands.folder / STATEMENTS
        at, data = "/release/chance", (hands.folder / report).read_bytes()
        said = json.loads(path.read_bytes())
        values = {one["id"]: one["value"] for one in said}
        for one in said:
            if one["id"] == name:
                one["pointer"] = {"kind": "file", "file": report, "at": at, "sha256": hashlib.sha256(data).hexdigest()}
                one["value"] = json.loads(data)["release"]["chance"]
            elif one["pointer"]["kind"] == "derived":
                one["value"] = RULES[one["pointer"]["rule"]](*(values[of] for of in one["pointer"]["of"]))
            values[one["id"]] = one["value"]
        path.write_bytes(canonical_json(said) + b"\n")
        hands.forms()

    return plant


def _line(number: int, **changes: object) -> Callable[[Hands], None]:
    return lambda hands: hands.line(hands.folder / "transcripts" / "1.jsonl", number, lambda r: {**r, **changes})


def _spent(hands: Hands) -> str:
    return f"budget.{enrolment(hands.built, hands.built.kits[1])}.spent_ple"


def _reckoned(field: str, value: float) -> Callable[[Hands], None]:
    """Another value of an enrolment in accounting.json, with every statement on that file made to fit it."""

    def plant(hands: Hands) -> None:
        name = _spent(hands).split(".")[1]
        kinds = {"epsilon": f"{field}_epsilon", "ple_sigma": f"{field}_ple"} if field != "committed" else {}

        def change(books: dict[str, list[dict[str, Any]]]) -> None:
            for one in (one for lines in books.values() for one in lines if one["enrolment"].startswith(name)):
                one[field] = {**one[field], **dict.fromkeys(kinds, value)} if kinds else value

        hands.edit("accounting.json", change)
        hands.repoint("accounting.json")
        for said in kinds.values() or (field,):
            hands.say(f"budget.{name}.{said}", value)

    return plant


def _opinion(value: float) -> Callable[[Hands], None]:
    """Another PLE by the accountant PRV, with every statement on accounting.json, and on this one, made to fit it."""

    def plant(hands: Hands) -> None:
        name = _spent(hands).split(".")[1]

        def change(books: dict[str, list[dict[str, Any]]]) -> None:
            for one in (one for lines in books.values() for one in lines if one["enrolment"].startswith(name)):
                one["accountants"]["prv"]["ple_sigma"] = value

        hands.edit("accounting.json", change)
        hands.repoint("accounting.json")
        hands.say(f"budget.{name}.prv_ple", value)

    return plant


def _form(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Hands], None]:
    """Another answer of a form: of its first field that stands on something."""

    def plant(hands: Hands) -> None:
        hands.edit(f"forms/{name}.json", lambda form: change(next(one for one in form["fields"] if one["stands_on"])))

    return plant


def _publication(hands: Hands, change: Callable[[dict[str, Any]], Any]) -> Path:
    (path,) = (hands.folder / "publications").glob(f"{hands.ledger.name}-*.json")
    hands.edit(path, change)
    return path


def _missed_said_to_be_met(hands: Hands) -> None:
    _publication(hands, lambda word: word["verdicts"][2].update(met=True))


def _of_another_package(hands: Hands) -> None:
    """Signed by the institution itself, and not what its ledger holds."""
    path = _publication(hands, lambda word: word.update(manifest="56" * 32))
    Publication.load(path).signed(hands.built.kits[1].signing_key).save(path.parent)
    (path.parent / PUBLICATION_FILE).replace(path)


def _other_head(hands: Hands) -> None:
    other = next(one for one in (hands.folder / "ledgers").iterdir() if one != hands.ledger)
    (hands.ledger / "head.txt").write_bytes((other / "head.txt").read_bytes())


def _forged_vouching(hands: Hands) -> None:
    path = hands.ledger / "head.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[-1] = lines[-1][:-8] + ("AAAAAAA=" if lines[-1].endswith("=") else "AAAAAAAA")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _append(file: str) -> Callable[[Hands], None]:
    return lambda hands: (hands.folder / file).write_bytes((hands.folder / file).read_bytes() + b"\n# ")


def _proof(hands: Hands) -> None:
    def change(proofs: dict[str, dict[str, dict[str, list[str]]]]) -> None:
        paths = proofs[hands.ledger.name]["inclusion"]
        paths[next(iter(paths))][0] = "00" * 32

    hands.edit("proofs.json", change)


def _strangers_seal(hands: Hands) -> None:
    hands.say("run.name", "other")
    hands.sealed(generate_signing_key())


def _no_seal(hands: Hands) -> None:
    """A figure is another, all that repeats it and every digest fits, and nobody signed: what needs no key."""
    hands.edit("report.json", lambda report: report["release"].update(rr=0.003))
    hands.repoint("report.json")
    hands.say("attack.worst.rr", 0.003)
    hands.forms()
    (hands.folder / SIGNATURE).unlink()
    seal(hands.folder, None)


def _other_signer(hands: Hands) -> None:
    hands.edit("software.json", lambda software: software.update(signer=2))
    hands.repoint("software.json")
    hands.say("dossier.signer", 2)
    hands.sealed()


CLASSES: dict[str, tuple[Callable[[Hands], None], str, str]] = {
    "headline that stands elsewhere": (_elsewhere("privacy.ple"), "below-bound", "privacy.ple"),
    "sureness that stands elsewhere": (_elsewhere("privacy.sure_90"), "other-ground", "privacy.sure_90"),
    "delta that stands elsewhere": (_elsewhere("privacy.delta"), "other-ground", "privacy.delta"),
    "figure of the report that stands elsewhere": (_elsewhere("attack.worst.rr_high"), "other-ground", "rr_high"),
    "value of a statement": (lambda h: h.say("run.k", 99), "changed-statement", "run.k"),
    "derived statement": (lambda h: h.say("privacy.right_at_most", 0.5), "changed-statement", "privacy.right_at_most"),
    "what a statement stands on": (lambda h: h.point("run.k", at="/nothing"), "lost-ground", "run.k"),
    "too little said to be spent": (_reckoned("spent", 0.01), "below-bound", "spent_ple"),
    "too little said of updates that are read": (_reckoned("broken", 0.01), "below-bound", "broken_ple"),
    "too much said of updates that are read": (_reckoned("broken", 9.0), "above-bound", "broken_epsilon"),
    "too little said to be taken": (_reckoned("committed", 0.01), "below-bound", "committed"),
    "too much said to be taken": (_reckoned("committed", 2.9), "above-bound", "committed"),
    "too little said if draws were known": (_reckoned("drawn", 0.01), "below-bound", "drawn_ple"),
    "too much said if draws were known": (_reckoned("drawn", 9.0), "above-bound", "drawn_epsilon"),
    "a hundredth too much said by an accountant beside": (_opinion(0.248), "above-bound", "prv_ple"),
    "value that a form repeats": (
        _form("hipaa_expert", lambda field: field["stands_on"][0].update(value=99)), "other-form",
        "forms/hipaa_expert.json, principles, ",
    ),
    "ground that a form repeats": (
        _form("gdpr_dpia", lambda field: field["stands_on"][0]["pointer"].update(file="report.json")), "other-form",
        "forms/gdpr_dpia.json, ",
    ),
    "statement that a form alone has": (
        _form("model_card", lambda field: field["stands_on"][0].update(id="run.made_up")), "other-form",
        "forms/model_card.json, ",
    ),
    "word of a publication": (_missed_said_to_be_met, "unsigned-publication", "publications/"),
    "publication that no ledger holds": (_of_another_package, "other-publication", "publications/"),
    "entry of a ledger": (_entry(3, people=999), "edited-ledger", "entries.jsonl"),
    "order of entries": (_entry(2, index=7), "moved-entry", "entry 2"),
    "entry left out": (lambda h: h.line(h.ledger / "entries.jsonl", 2, lambda _: None), "hidden-round", "round 2"),
    "noise of an entry": (
        _entry(1, published_multiplier=80.0), "changed-noise-multiplier", "round 1",
    ),
    "people of an entry": (_entry(3, people=999), "unlike-run", "entry 3, people"),
    "noise that an entry says is left if updates are read": (
        _entry(2, broken_multiplier=80.0), "unlike-run", "entry 2, broken_multiplier",
    ),
    "whose noise an entry counts": (_entry(2, noise="local"), "unlike-run", "entry 2, noise"),
    "institutions of an entry": (_entry(2, cohort=[1, 2]), "unlike-run", "entry 2, quorum"),
    "plan of an entry": (lambda h: h.line(h.ledger / "entries.jsonl", 0, _shorter), "unlike-run", "entry 0, plan"),
    "who may collude": (_planned(max_colluding=0), "unlike-run", "entry 2, broken_multiplier"),
    "configuration": (_planned(deadline_s=1.0), "unlike-run", "entry 0, config_digest"),
    "head of a ledger": (_other_head, "wrong-key", "head.txt"),
    "countersignature": (_forged_vouching, "bad-countersignature", "head.txt"),
    "clock": (_entry(2, time_ms=1), "clock-set-back", "entry 2"),
    "line of the transcript": (_line(1, quorum=1), "unsigned-line", "line 2"),
    "line left out": (
        lambda h: h.line(h.folder / "transcripts" / "1.jsonl", 1, lambda _: None), "broken-chain", "line 2",
    ),
    "inclusion proof": (_proof, "wrong-proof", "proofs.json"),
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
    "page": (_append("dossier.html"), "other-page", "dossier.html"),
    "verifier": (_append("verify.py"), "other-verifier", "verify.py"),
    "file left out": (lambda h: (h.folder / "accounting.json").unlink(), "missing-file", "accounting.json"),
    "seal": (_strangers_seal, "unsigned-dossier", "dossier.json"),
    "seal taken off": (_no_seal, "unsigned-dossier", "dossier.json"),
    "signer that it names": (_other_signer, "unsigned-dossier", "software.json"),
}  # fmt: skip


def test_there_are_as_many_as_promised() -> None:
    assert len(CLASSES) == 49


@pytest.mark.parametrize("what", CLASSES)
def test_each_is_named(what: str, hands: Hands) -> None:
    plant, code, where = CLASSES[what]
    plant(hands)
    found = verified(hands.folder).findings
    assert any(one.code == code and where in one.where for one in found), found


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
    _no_seal(hands)
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
