"""Dossiers side by side: agreements counted, each kind of disagreement named with both sides, bad input refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from afml.cli.audit import audit
from afml.core.errors import AfmlError, IntegrityError
from afml.dossier.compared import KINDS
from afml.dossier.merged import MERGED, PACKS, PAGE, merge, verified_merged
from afml.dossier.standalone import pointed
from tests.dossier import histories
from tests.dossier.histories import again
from tests.dossier.merging import another_roster, pack, planted
from tests.dossier.pack import Built, Hands


@pytest.fixture(scope="module", autouse=True)
def _without_paper() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        yield


@pytest.fixture(scope="module")
def three(plain: Built, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("three")
    return [pack(plain, node, root / name) for node, name in ((1, "a"), (2, "b"), (3, "c"))]


@pytest.fixture(scope="module")
def good(three: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "merged"
    merge([three[2], three[0], three[1]], out)
    return out


@pytest.fixture(scope="module")
def odd(plain: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Merged from three that disagree in every way."""
    root = tmp_path_factory.mktemp("odd")
    own = again(plain, root / "consortium")
    merge(planted(own, root), root / "merged")
    return root / "merged"


def read(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / MERGED).read_bytes())
    return made


def test_three_that_agree(good: Path, three: list[Path]) -> None:
    made = read(good)
    assert made["disagreements"] == made["missing"] == made["unvouched"] == []
    assert [row["name"] for row in made["institutions"]] == ["node-1", "node-2", "node-3"]
    assert made["agreements"]["rounds"] == 2 * 3, "cohort and mechanism of three rounds"
    assert made["agreements"]["ledger against transcript"] == 3 * 2 / 2, "one copy of the transcript, three ledgers"
    assert set(made["agreements"]) == set(KINDS)
    assert made["together"]["people"] == 36
    budgets = [row["budgets"][0]["spent_ple"] for row in made["institutions"]]
    assert made["together"]["greatest_ple"] == max(budgets), "and no sum"
    assert not verified_merged(good, three[0] / "roster.json").findings
    text = re.sub(r"\s+", " ", (good / PAGE).read_text())
    assert "Nobody of the run is missing." in text
    assert "src=" not in text
    assert "http" not in text


def test_it_is_a_function_of_the_dossiers(good: Path, three: list[Path], tmp_path: Path) -> None:
    merge(three, tmp_path / "again")
    assert (tmp_path / "again" / MERGED).read_bytes() == (good / MERGED).read_bytes()
    assert (tmp_path / "again" / PAGE).read_bytes() == (good / PAGE).read_bytes()


def test_who_is_missing_is_said(three: list[Path], tmp_path: Path) -> None:
    made = merge(three[:2], tmp_path / "two")
    assert [(one["node"], one["name"]) for one in made["missing"]] == [(3, "node-3")]
    assert "Missing: node-3 (institution 3) took part in the run" in (tmp_path / "two" / PAGE).read_text()


PLANTED: dict[str, tuple[str, Any]] = {
    "roster": ("institution.1.name", {"node-1": "node-1", "node-3": "node-one"}),
    "configuration": ("run.configuration", {"node-1", "node-2", "node-3"}),
    "model": ("model.digest", {"node-1": "ab" * 32, "node-3": "cd" * 32}),
    "attacks and usefulness": ("attack.worst.rr", {"node-1": 0.25, "node-3": 0.125}),
    "code": ("code.afml_digest", {"node-1", "node-2", "node-3"}),
    "rounds": ("run second, round 1, attempt 1", {"node-1": "1, 2, 3", "node-2": "1, 2", "node-3": "1, 2, 3"}),
    "end of the run": ("run second", {"node-1": "finished", "node-2": "failed", "node-3": "finished"}),
    "transcript": ("transcript of run second", {"node-1", "node-3"}),
    "ledger against transcript": (
        "round 2, node 2",
        {"node-2": "hidden-round: was published, and is not in the ledger"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_disagreement_is_named_with_both_sides(kind: str, odd: Path) -> None:
    about, sides = PLANTED[kind]
    found = [one for one in read(odd)["disagreements"] if one["kind"] == kind and about in one["about"]]
    assert found, read(odd)["disagreements"]
    said = {side["pack"]: side["value"] for one in found for side in one["said"]}
    assert set(said) >= set(sides)
    if isinstance(sides, dict):
        assert any(sides.items() <= {s["pack"]: s["value"] for s in one["said"]}.items() for one in found), found
    page = (odd / PAGE).read_text()
    assert all(f"<b>{name}</b>" in page for name in said)


def test_pointers_of_disagreements_lead_to_what_is_said(odd: Path) -> None:
    for one in read(odd)["disagreements"]:
        for side in one["said"]:
            folder, pointer = odd / PACKS / side["pack"], side["pointer"]
            if pointer["kind"] == "file" and pointer["at"]:
                assert pointed(json.loads((folder / pointer["file"]).read_bytes()), pointer["at"]) == side["value"]
            elif pointer["kind"] == "ledger":
                lines = (folder / "ledgers" / pointer["ledger"] / "entries.jsonl").read_bytes().splitlines()
                body = json.loads(lines[pointer["index"]])
                assert not pointer["at"] or pointed(body, pointer["at"]) == side["value"]
            elif pointer["kind"] == "transcript":
                assert len((folder / pointer["file"]).read_bytes().splitlines()) >= pointer["line"]


def test_people_of_different_runs_are_not_added(odd: Path) -> None:
    """Two configurations of one name may count people differently."""
    assert read(odd)["together"]["people"] is None
    assert read(odd)["together"]["greatest_ple"] == max(
        budget["spent_ple"] for row in read(odd)["institutions"] for budget in row["budgets"]
    )


def test_disagreements_are_no_tampering(odd: Path) -> None:
    """The merged folder says what its dossiers say; that they differ is what it is for."""
    assert not verified_merged(odd).findings


def test_spends_that_nobody_countersigned_are_said(odd: Path) -> None:
    """The first run was countersigned after its last spend, the second one never."""
    told = [one["told"] for one in read(odd)["unvouched"]]
    assert len(told) == 6
    assert any(
        one.startswith("node-2 has countersigned") and "of the ledger of node-1, and 3 of its 3" in one for one in told
    )


@pytest.fixture
def mine(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "merged"))


def _edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        made = read(folder)
        change(made)
        (folder / MERGED).write_text(json.dumps(made, sort_keys=True, separators=(",", ":")) + "\n")

    return plant


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "comparison": (_edit(lambda m: m["agreements"].update(rounds=99)), "changed-comparison", "agreements"),
    "budget": (_edit(lambda m: m["together"].update(greatest_ple=0.1)), "changed-comparison", "together"),
    "page": (lambda f: (f / PAGE).write_bytes((f / PAGE).read_bytes() + b" "), "other-page", PAGE),
    "a dossier left out": (lambda f: shutil.rmtree(f / PACKS / "node-2"), "changed-comparison", "packs"),
    "another file": (lambda f: (f / "notes.txt").write_text("x"), "added-file", "notes.txt"),
    "inside a dossier": (
        lambda f: (f / PACKS / "node-2" / "report.json").write_text("{}"), "changed-file", "packs/node-2: report.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERINGS)
def test_what_was_changed_is_named(what: str, mine: Path) -> None:
    plant, code, where = TAMPERINGS[what]
    plant(mine)
    found = verified_merged(mine).findings
    assert any(one.code == code and where in one.where for one in found), found


def refused(folders: list[Path], out: Path, said: str) -> AfmlError:
    """In one line that names the folder, with nothing written."""
    with pytest.raises(AfmlError, match=said) as error:
        merge(folders, out)
    assert "\n" not in str(error.value)
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}.*"))
    return error.value


def test_what_is_no_pack_or_does_not_verify_is_refused(three: list[Path], plain: Built, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused([three[0], tmp_path], out, "dossier.json.*name folders that `afml audit dossier` wrote")
    refused(three[:1], out, "is one dossier alone; name two or more")
    refused([three[0], three[0]], out, "names one folder twice")
    shutil.copytree(three[1], tmp_path / "edited")
    Hands(tmp_path / "edited", plain).say("run.k", 99)
    error = refused([three[0], tmp_path / "edited"], out, "edited: does not verify: changed-file at statements.json")
    assert error.exit_code == IntegrityError.exit_code


def test_out_that_is_there_is_not_written_over(three: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AfmlError, match="is there already; name a new folder with --out"):
        merge(three, tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_consortia_and_other_runs_are_refused(three: list[Path], plain: Built, tmp_path: Path) -> None:
    own, out = again(plain, tmp_path / "consortium"), tmp_path / "out"
    kit = another_roster(own, 2, consortium="elsewhere")
    other = pack(own, 2, tmp_path / "other", kit=kit, run=None, report=None, transcripts=())
    refused([three[0], other], out, "is of consortium elsewhere with coordinator key .*, and .* of walk with")
    histories.played(own, (1,), "finished")
    later = pack(own, 2, tmp_path / "later", run=own.root / "second.json", report=None, transcripts=())
    refused([three[0], later], out, "is about run second, and .* about run first; merge the dossiers of one run")


def test_a_fork_and_an_older_copy_are_named(three: list[Path], plain: Built, tmp_path: Path) -> None:
    out, packs = tmp_path / "out", []
    for name, bound in (("x", 0.01), ("y", 0.02)):
        own = again(plain, tmp_path / f"consortium-{name}")
        with own.ledger(2) as ledger:
            ledger.record_audit("first", bound, confidence=0.95, instrument="another")
        packs.append(pack(own, 2, tmp_path / name))
    size = len(
        (packs[0] / "ledgers" / plain.kits[2].origin.rpartition("/")[2] / "entries.jsonl").read_bytes().splitlines()
    )
    error = refused(packs, out, f"is a fork: node-2 signed another ledger than in .*, from entry {size - 1} on")
    assert error.exit_code == IntegrityError.exit_code
    refused(
        [three[1], packs[0]], out, f"b: has the first {size - 1} entries of the ledger of node-2, and .*/x all {size}"
    )


def test_what_stays_with_an_institution_is_not_merged(three: list[Path], plain: Built, tmp_path: Path) -> None:
    own = again(plain, tmp_path / "consortium")
    path = own.root / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "scope": "own", "federation": None}))
    other = pack(own, 2, tmp_path / "own")
    refused([three[0], other], tmp_path / "out", "own: holds .* files that stay with their institution")
    assert "It stays with that institution" in (other / "dossier.html").read_text()
    assert "It stays with that institution" not in (three[0] / "dossier.html").read_text()


def test_the_verbs(three: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "merged"
    done = CliRunner().invoke(audit, ["merge", *map(str, three), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.endswith("0 disagreements\n")
    roster = str(three[0] / "roster.json")
    seen = CliRunner().invoke(audit, ["verify", str(out), "--roster", roster])
    assert seen.exit_code == 0, seen.output
    assert "agreements and 0 disagreements of 3 dossiers, made again" in seen.output
    _edit(lambda m: m.update(missing=[]) or m.update(consortium="other"))(out)
    bad = CliRunner().invoke(audit, ["verify", str(out)])
    assert isinstance(bad.exception, IntegrityError)
    assert "changed-comparison at merged.json, consortium" in str(bad.exception)
