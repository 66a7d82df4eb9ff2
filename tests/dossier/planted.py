"""Tamperings, as functions of the hands that do them: what is changed, and made to fit as far as they can."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from afml.consortium.provision import load_coordinator_key
from afml.consortium.runfile import write_run
from afml.core.config import canonical_json
from afml.dossier.build import seal
from afml.dossier.standalone import RULES, SIGNATURE, STATEMENTS
from afml.release.package.manifest import PUBLICATION_FILE
from afml.release.package.publication import Publication
from crypto.public.signing import generate_signing_key
from tests.dossier.pack import Hands, enrolment


def entry(number: int, **changes: object) -> Callable[[Hands], None]:
    return lambda hands: hands.line(hands.ledger / "entries.jsonl", number, lambda body: {**body, **changes})


def planned(**changes: object) -> Callable[[Hands], None]:
    """The coordinator signs another plan of the same name than the one that all ledgers are of."""

    def plant(hands: Hands) -> None:
        run = hands.built.run.model_copy(update=changes)
        write_run(hands.folder / "run.json", run, load_coordinator_key(hands.built.root / "kits" / "coordinator"))

    return plant


def shorter(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "plan": body["plan"][1:]}


def elsewhere(name: str) -> Callable[[Hands], None]:
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


def line(number: int, **changes: object) -> Callable[[Hands], None]:
    return lambda hands: hands.line(hands.folder / "transcripts" / "1.jsonl", number, lambda r: {**r, **changes})


def spent(hands: Hands) -> str:
    return f"budget.{enrolment(hands.built, hands.built.kits[1])}.spent_ple"


def reckoned(field: str, value: float | str) -> Callable[[Hands], None]:
    """Another value of an enrolment in accounting.json, with every statement on that file made to fit it."""

    def plant(hands: Hands) -> None:
        name = spent(hands).split(".")[1]
        kinds = {"epsilon": f"{field}_epsilon", "ple_sigma": f"{field}_ple"} if field != "committed" else {}

        def change(books: dict[str, list[dict[str, Any]]]) -> None:
            for one in (one for lines in books.values() for one in lines if one["enrolment"].startswith(name)):
                one[field] = {**one[field], **dict.fromkeys(kinds, value)} if kinds else value

        hands.edit("accounting.json", change)
        hands.repoint("accounting.json")
        for said in kinds.values() or (field,):
            hands.say(f"budget.{name}.{said}", value)

    return plant


def opinion(value: float) -> Callable[[Hands], None]:
    """Another PLE by the accountant PRV, with every statement on accounting.json, and on this one, made to fit it."""

    def plant(hands: Hands) -> None:
        name = spent(hands).split(".")[1]

        def change(books: dict[str, list[dict[str, Any]]]) -> None:
            for one in (one for lines in books.values() for one in lines if one["enrolment"].startswith(name)):
                one["accountants"]["prv"]["ple_sigma"] = value

        hands.edit("accounting.json", change)
        hands.repoint("accounting.json")
        hands.say(f"budget.{name}.prv_ple", value)

    return plant


def form(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Hands], None]:
    """Another answer of a form: of its first field that stands on something."""

    def plant(hands: Hands) -> None:
        hands.edit(f"forms/{name}.json", lambda form: change(next(one for one in form["fields"] if one["stands_on"])))

    return plant


def publication(hands: Hands, change: Callable[[dict[str, Any]], Any]) -> Path:
    (path,) = (hands.folder / "publications").glob(f"{hands.ledger.name}-*.json")
    hands.edit(path, change)
    return path


def missed_said_to_be_met(hands: Hands) -> None:
    publication(hands, lambda word: word["verdicts"][2].update(met=True))


def of_another_package(hands: Hands) -> None:
    """Signed by the institution itself, and not what its ledger holds."""
    path = publication(hands, lambda word: word.update(manifest="56" * 32))
    Publication.load(path).signed(hands.built.kits[1].signing_key).save(path.parent)
    (path.parent / PUBLICATION_FILE).replace(path)


def other_head(hands: Hands) -> None:
    other = next(one for one in (hands.folder / "ledgers").iterdir() if one != hands.ledger)
    (hands.ledger / "head.txt").write_bytes((other / "head.txt").read_bytes())


def forged_vouching(hands: Hands) -> None:
    path = hands.ledger / "head.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[-1] = lines[-1][:-8] + ("AAAAAAA=" if lines[-1].endswith("=") else "AAAAAAAA")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def append(file: str) -> Callable[[Hands], None]:
    return lambda hands: (hands.folder / file).write_bytes((hands.folder / file).read_bytes() + b"\n# ")


def proof(hands: Hands) -> None:
    def change(proofs: dict[str, dict[str, dict[str, list[str]]]]) -> None:
        paths = proofs[hands.ledger.name]["inclusion"]
        paths[next(iter(paths))][0] = "00" * 32

    hands.edit("proofs.json", change)


def strangers_seal(hands: Hands) -> None:
    hands.say("run.name", "other")
    hands.sealed(generate_signing_key())


def no_seal(hands: Hands) -> None:
    """A figure is another, all that repeats it and every digest fits, and nobody signed: what needs no key."""
    hands.edit("report.json", lambda report: report["release"].update(rr=0.003))
    hands.repoint("report.json")
    hands.say("attack.worst.rr", 0.003)
    hands.forms()
    (hands.folder / SIGNATURE).unlink()
    seal(hands.folder, None)


def other_signer(hands: Hands) -> None:
    hands.edit("software.json", lambda software: software.update(signer=2))
    hands.repoint("software.json")
    hands.say("dossier.signer", 2)
    hands.sealed()


def linked(hands: Hands) -> None:
    """A folder of elsewhere looks like one of the dossier, to whoever opens it."""
    (hands.folder / "appendix").symlink_to(hands.built.root, target_is_directory=True)


def _also_said(hands: Hands, *said: dict[str, Any]) -> None:
    hands.edit(STATEMENTS, lambda statements: [*statements, *({"unit": "", "words": "", **one} for one in said)])


def of_elsewhere(hands: Hands) -> None:
    """What a statement stands on lies beside the dossier, which nobody signed."""
    path = hands.folder.parent / "elsewhere.json"
    path.write_bytes(b'{"rr":0.0}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pointer = {"kind": "file", "file": f"../{path.name}", "at": "/rr", "sha256": digest}
    _also_said(hands, {"id": "attack.best.rr", "value": 0.0, "pointer": pointer})


def ratio_of_nothing(hands: Hands) -> None:
    """A rule that has no result ends no verification."""
    none = {"id": "made.none", "value": 0, "pointer": {"kind": "derived", "rule": "count", "of": []}}
    ratio = {"kind": "derived", "rule": "ratio", "of": [none["id"], none["id"]]}
    _also_said(hands, none | {"unit": 0}, {"id": "made.ratio", "value": 0.0, "pointer": ratio})


def said_twice_over(hands: Hands) -> None:
    """A key stands twice: the last one counts for Python, the first one for others."""
    path = hands.folder / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"rr":', b'"rr":0.0,"rr":', 1))
    hands.repoint("report.json")
    hands.forms()
    hands.sealed()


def summary(hands: Hands) -> None:
    """A page of the institution's own, signed with all else."""
    (hands.folder / "SUMMARY.html").write_text("<h1>Nothing was spent.</h1>")
    hands.sealed()
