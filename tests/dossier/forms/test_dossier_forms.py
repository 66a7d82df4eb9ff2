"""The forms of a real small dossier: every pointer resolves, and an edited form is named by its field."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from afml.dossier.facts import collect
from afml.dossier.forms.fields import ORDER, form
from afml.dossier.forms.wording import parts
from afml.dossier.standalone import Check
from afml.dossier.verified import verified
from tests.dossier.pack import Hands

ROOT = Path(__file__).parents[3]
#: What forms ask of a dossier and this one does not say: nobody withdrew, nothing was attacked again, no settings.
ELSEWHERE = (
    "ledger.*.withdrawn", "ledger.*.reassessment.", "run.verified_sums", "run.key_agreement", "release.fill",
    "software.", "attack.genotype_error", "run.exact_noise", "overlap.", "ledger.*.policy.",
    "design.exact", "design.check-value", "design.overlap", "design.left-out",
    "utility.measure", "utility.phenotype", "utility.comparable", "release.method",
)  # fmt: skip


def _at(document: Any, pointer: str) -> Any:
    """A JSON pointer, followed the plain way."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def _resolved(dossier: Path, said: dict[str, Any], pointer: dict[str, Any]) -> Any:
    """What stands where a pointer points; for what follows from others, that these are there."""
    if pointer["kind"] == "file":
        data = (dossier / pointer["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == pointer["sha256"]
        return _at(json.loads(data), pointer["at"]) if pointer["at"] else pointer["sha256"]
    if pointer["kind"] == "ledger":
        raw = (dossier / "ledgers" / pointer["ledger"] / "entries.jsonl").read_bytes().splitlines()[pointer["index"]]
        assert hashlib.sha256(b"\0" + raw).hexdigest() == pointer["leaf"]
        return _at(json.loads(raw), pointer["at"])
    if pointer["kind"] == "transcript":
        raw = (dossier / pointer["file"]).read_bytes().splitlines()[pointer["line"] - 1]
        assert hashlib.sha256(raw).hexdigest() == pointer["sha256"]
        return _at(json.loads(raw), pointer["at"])
    assert pointer["kind"] == "derived"
    assert all(name in said for name in pointer["of"])
    return None


@pytest.mark.parametrize("name", ORDER)
def test_every_pointer_of_every_field_leads_to_the_value(good: Path, name: str) -> None:
    table = json.loads((good / "forms" / f"{name}.json").read_bytes())
    said = {one["id"]: one for one in json.loads((good / "statements.json").read_bytes())}
    assert [line["id"] for line in table["fields"]] == [field.id for field in form(name).fields]
    filled = [line for line in table["fields"] if line["filled"]]
    assert filled
    for line in filled:
        for stood in line["stands_on"]:
            assert {"words": said[stood["id"]]["words"], **stood} == said[stood["id"]]
            found = _resolved(good, said, stood["pointer"])
            assert found is None or found == stood["value"] or stood["pointer"]["at"] == ""


def test_no_answer_asks_for_a_statement_that_no_dossier_makes(good: Path) -> None:
    said = collect(good)
    asked = {name for one in ORDER for some in parts(one).values() for part in some for name in part.names}
    missing = [
        name
        for name in sorted(asked)
        if not name.startswith(ELSEWHERE)
        and not any(re.fullmatch(re.escape(name).replace(r"\*", "[^.]+"), one) for one in said)
    ]
    assert not missing


def test_an_edited_form_is_named_by_its_field(good: Path, tmp_path: Path) -> None:
    assert verified(good).findings == []
    path = good / "forms" / "hipaa_expert.json"
    table = json.loads(whole := path.read_bytes())
    (field,) = (line for line in table["fields"] if line["id"] == "determination")
    field["answer"] = "yes"
    try:
        path.write_bytes(json.dumps(table).encode())
        found = [(one.code, one.where) for one in verified(good).findings]
    finally:
        path.write_bytes(whole)
    assert ("other-form", "forms/hipaa_expert.json determination") in found


def test_the_readers_questions_are_ten_and_point_into_the_page(good: Path) -> None:
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs/audit/questions.md").read_text().splitlines()
        if re.match(r"\| \d", line)
    ]
    assert [row[0] for row in rows] == [f"| {number}" for number in range(1, 11)]
    source = (ROOT / "afml/dossier/templates/dossier.html.j2").read_text()
    source += (ROOT / "afml/dossier/forms/templates/forms.html.j2").read_text()
    headings = set(re.findall(r"<h[123][^>]*>([^<{]+)", source))
    for *_, places in rows:
        for place in places.removesuffix(" |").split("; "):
            assert place in headings, place


def test_a_number_of_the_entry_for_the_registry_is_held_against_its_form(hands: Hands) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["deployment"]["privacy_loss"]["privacy_parameters"]["epsilon"] = 0.1

    hands.edit("forms/registry_entry.json", change)
    hands.sealed()
    (found,) = Check(hands.folder).run().findings
    assert (found.code, found.where) == ("other-form", "forms/registry_entry.json")
    assert "privacy_parameters.epsilon" in found.problem
