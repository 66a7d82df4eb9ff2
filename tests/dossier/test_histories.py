"""Dossiers of odd histories: each says what is so, verifies by both verifiers, or is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import installing, ownkeys
from afml.consortium.attempt import Attempt
from afml.consortium.kit import SIGNING_KEY, load_aggregator_kit, load_private_key
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.refusal import Refusal
from afml.consortium.request import REQUEST
from afml.consortium.run import TaskChoice
from afml.consortium.runfile import write_run
from afml.core.config import canonical_json
from afml.dossier.build import Signer, make
from afml.dossier.evidence import Sources
from afml.dossier.forms.fill import fill_all
from afml.dossier.page import PAGE
from afml.dossier.standalone import STATEMENTS, Check
from afml.dossier.statements import Statement, Statements
from afml.dossier.verified import verified
from afml.ledger.imported import Proof, import_ledger
from afml.ledger.reservation import Reason
from afml.ledger.succession import propose, succeed, vouch
from afml.ledger.transcript import Appender, RefusedSum
from crypto.public.signing import public_bytes
from tests.consortium.place import Place
from tests.dossier import histories
from tests.dossier.histories import again, heads_of, played, refused
from tests.dossier.pack import NODES, PHASES, RUN, Built
from tests.tasks.statistics.simulated import TABLE, run_of


@pytest.fixture(autouse=True)
def _without_paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def own(plain: Built, tmp_path: Path) -> Built:
    return again(plain, tmp_path / "consortium")


def told(built: Built, sources: Sources, signer: Signer | None = None) -> Statements:
    """What a dossier says that neither verifier finds anything in."""
    out = built.root / "odd"
    assert all(found.ok for found in make(sources, out, signer or built.signer))
    found = verified(out)
    assert not found.findings, found.findings
    return Statements(map(Statement.from_json, json.loads((out / STATEMENTS).read_bytes())))


def spent_by(said: Statements, institution: str) -> list[float]:
    """PLE of each enrolment of an institution."""
    named = [one for one in said.under("budget") if one.id.endswith(".institution") and one.value == institution]
    its = [one.id.split(".")[1] for one in named]
    return [float(str(said.value(f"budget.{name}.spent_ple"))) for name in its]


def page(built: Built) -> str:
    return " ".join((built.root / "odd" / PAGE).read_text().split())


@pytest.mark.parametrize("which", [None, RUN, histories.SECOND])
def test_several_runs_in_one_work_folder(own: Built, which: str | None) -> None:
    sources = played(own, (1, 2, 3), "finished")
    run = {None: None, RUN: own.root / "run.json", histories.SECOND: sources.run}[which]
    report = own.root / "report.json" if which == RUN else None
    said = told(own, replace(sources, run=run, report=report))
    assert said.value("run.name") == which
    assert len({one.id.split(".")[1] for one in said.under("budget")}) == 6  # two enrolments at each of three
    names = [f"budget.{one.id.split('.')[1]}.spent_ple" for one in said.under("budget")]
    assert said.value("privacy.ple") == max(said.value(name) for name in names)  # type: ignore[type-var]
    assert said.value("run.ended.1") == (None if which is None else "finished")


@pytest.mark.parametrize("reason", ["failed", "left", "expired", "by-hand", None])
def test_a_run_that_ended_badly_or_goes_on(own: Built, reason: Reason | None) -> None:
    said = told(own, played(own, (1,), reason))
    assert said.value("run.last_round.1") == 1
    assert said.value("run.ended.1") == reason
    assert ("not closed in its ledger" if reason is None else f"closed as {reason}") in page(own)
    assert "last spent in round 1 of 3" in page(own)
    assert "No trained model is part of this dossier" in page(own)


def test_a_run_that_nothing_was_spent_in(own: Built) -> None:
    said = told(own, played(own, (), "failed"))
    assert said.value("run.last_round.1") is None
    assert said.value("run.ended.1") == "failed"
    assert len({one.id.split(".")[1] for one in said.under("budget")}) == 3  # of the first run


@pytest.mark.parametrize("saved", [0, 1])
def test_a_lost_run_is_charged_whole_whatever_the_backup_holds(own: Built, saved: int) -> None:
    sources = histories.lost(own, saved, (saved + 1, saved + 2))
    said = told(own, sources)
    assert said.value("run.ended.1") == "lost"
    assert said.value("run.last_round.1") == (saved or None)
    mine, others = spent_by(said, "node-1"), spent_by(said, "node-2")
    assert len(mine) == 2
    assert len(set(mine)) == 1, "ten of the twelve are in both runs, and in both they have spent most"
    assert mine[0] >= max(others)
    assert saved or mine[0] > max(others), "they have not spent the whole plan yet"
    assert any("rounds of run second, charged as planned" in one for one in Check(own.root / "odd").run().unchecked)


def test_what_was_recorded_before_a_run_was_lost_is_less_than_what_it_costs(
    own: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is wrong with that: the entry is of before."""
    monkeypatch.setattr(histories, "people", lambda node: [f"newcomer-{node}-{i}" for i in range(10)])
    said = told(own, histories.lost(own, 1, (2,)))
    spent = spent_by(said, "node-1")[1]
    name = next(one.id.split(".")[1] for one in said.under("budget") if one.value == spent and "spent_ple" in one.id)
    recorded = float(str(said.value(f"budget.{name}.recorded_ple")))
    assert recorded == pytest.approx(spent / 3**0.5)  # one of three rounds


def test_of_a_lost_run_no_more_rounds_are_excused_than_its_plan_has(own: Built) -> None:
    sources = histories.lost(own, 1, (2, 3))
    told(own, sources)
    folder = own.root / "odd" / "transcripts"
    lines = [json.loads(line) for line in (folder / "2.jsonl").read_bytes().splitlines()]
    lines.append({**lines[-1], "round": 9})
    (folder / "2.jsonl").write_bytes(b"".join(canonical_json(line) + b"\n" for line in lines))
    found = Check(own.root / "odd").run().findings
    assert any(one.code == "hidden-round" and "round 9" in one.where for one in found), found


def test_a_ledger_that_was_handed_over(own: Built) -> None:
    """The roster names the new key by the old one; heads of before are the old key's."""
    place, successor = Place(own.root), own.root / "kits" / "successor"
    ownkeys.make_successor(successor, place.kit(1))
    key = load_private_key((successor / SIGNING_KEY).read_bytes(), successor)
    assert isinstance(key, Ed25519PrivateKey)
    with own.ledger(1) as ledger:
        proposal = propose(ledger, public_bytes(key))
        words, members = [], {}
        for node in (2, 3):
            with own.ledger(node) as other:
                words.append(vouch(other, proposal))
                members[other.origin] = public_bytes(own.kits[node].signing_key)
        succeed(ledger, proposal, words, members, key)
    offered = place.propose(requests=[successor / REQUEST])
    answers = place.publish(offered, [1, 2])
    installing.install(answers / "node-1", successor)
    with histories.opened(own.root / "work-1", successor, own) as ledger:
        ledger.record_audit(RUN, 0.05, confidence=0.95, instrument="again, under the new key")
    said = told(own, replace(own.sources, kit=successor), Signer(1, key))
    assert said.value("institution.1.signing_key") == public_bytes(key).hex()
    unchecked = Check(own.root / "odd").run().unchecked
    assert "ledger of node-1: who vouched for its succession" in unchecked


def test_a_ledger_that_was_imported(own: Built) -> None:
    """Under a new founding key it has another name and number; what others keep of the old one counts."""
    place, kit = Place(own.root), own.root / "kits" / "anew"
    ownkeys.make(kit, ownkeys.Party("node", "anew"))
    answers = place.publish(place.propose(requests=[kit / REQUEST], leaving=[1]), [2, 3])
    installing.install(answers / "node-4", kit)
    loaded = load_node_kit(kit)
    kept = own.root / "from-2"
    kept.mkdir()
    old = own.kits[1].origin.rpartition("/")[2]
    (kept / f"{old}.txt").write_text(heads_of(own, 1)[0])
    import_ledger(
        own.root / "work-1" / "ledger", own.root / "work-4" / "ledger", loaded.signing_key,
        Proof(heads_of(own, 1)), clock=own.clock,
    )  # fmt: skip
    works = (own.root / "work-4", *own.sources.works[1:])
    said = told(own, replace(own.sources, works=works, kit=kit, heads=(kept,)), Signer(4, loaded.signing_key))
    new = loaded.origin.rpartition("/")[2]
    assert said.value(f"ledger.{new}.institution") == "anew"
    assert list((own.root / "odd" / "ledgers" / new / "kept").glob("*.txt"))
    assert "ledger of anew: who vouched for its import" in Check(own.root / "odd").run().unchecked
    # A spend that the import left out is found by the receipts of before, which bear the old name and number.
    path = own.root / "odd" / "ledgers" / new / "entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"round":2' not in line or b'"kind":"spend"' not in line))
    found = Check(own.root / "odd").run().findings
    assert any(one.code == "hidden-round" and "round 2, node 1" in one.where for one in found), found


def test_a_member_that_left_the_consortium(own: Built) -> None:
    place = Place(own.root)
    place.installed(place.publish(place.propose(leaving=[3]), [1, 2]), 1, 2)
    refused(own, own.sources, "is of nobody on this roster; give the roster of its consortium")
    said = told(own, replace(own.sources, works=own.sources.works[:2]))
    assert said.value("institution.3.name") is None
    assert "12 of institution 3" in page(own)


@pytest.mark.parametrize(
    "fields",
    [
        {"exact_noise": True},
        {"verified_sums": True},
        {"enrolments_per_person": 2},
        {"noise": "local"},
        {"phases": PHASES},
    ],
    ids=["exact noise", "verified sums", "overlap", "local noise", "sampled"],
)
def test_other_mechanisms(own: Built, fields: dict[str, object]) -> None:
    said = told(own, played(own, (1, 2), "finished", **fields))
    assert said.value("run.ended.2") == "finished"


STATISTICS = run_of(TABLE, dict.fromkeys(NODES, 12), 4, kind="table", seed=None)
TASKS = {
    "statistics": STATISTICS.task.model_copy(update={"code": "ef" * 32}),
    "somebody else's": TaskChoice(kind="heart", version="0.3", code="ef" * 32, settings={"layers": 2}),
}


@pytest.mark.parametrize("what", TASKS)
def test_tasks_that_release_nothing(own: Built, what: str) -> None:
    """No record is released and no report made of them; statements and forms are of what there is."""
    task = TASKS[what]
    sources = played(own, (1,), "finished", task=task, data=STATISTICS.data, phases=STATISTICS.phases)
    for work in sources.works:
        model = work / "models" / histories.SECOND / "model.json"
        model.parent.mkdir(parents=True)
        model.write_bytes(canonical_json({"digest": "ab" * 32, "card": {"task": {"code": task.code}}}))
    said = told(own, sources)
    assert said.value("run.task") == task.kind
    assert said.value("model.digest") == "ab" * 32
    assert said.value("code.task_digest") == task.code
    assert "No trained model" not in page(own)


def test_a_refused_sum_is_a_line_and_no_round(own: Built) -> None:
    sources = played(own, (1,), "failed")
    run = histories.signed(own)
    refusal = Refusal.signed_by(own.kits[2].signing_key, 2, run, Attempt(1, 1), b"\x11" * 32)
    key = load_aggregator_kit(own.root / "kits" / "aggregator").signing_key
    Appender(own.root / "second.jsonl", key).append(RefusedSum(refusal=refusal, time_ms=int(own.clock() * 1000)))
    assert told(own, sources).value("transcript.2.last_round") == 1


def test_a_simulation_beside_a_real_run_of_other_people(own: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "people", lambda node: [f"made-up-{node}-{i}" for i in range(10)])
    said = told(own, played(own, (1,), "finished", seed=3))
    assert said.value("privacy.ple") is None, "nothing bounds the worst"
    checked = Check(own.root / "odd").run()
    assert sum("by own arithmetic" in one for one in checked.checked) == 3, "the real people are bounded still"
    assert any("simulations, which nothing bounds" in one for one in checked.unchecked)


def test_without_run_report_and_transcript(own: Built) -> None:
    said = told(own, Sources(own.sources.works[:1], own.sources.kit))
    assert said.value("run.name") is None
    assert said.value("privacy.ple") is not None
    (expert,) = (one for one in fill_all(said) if one.form.id == "hipaa_expert")
    assert "`afml audit dossier --report`" in expert.lacks


def test_what_does_not_belong_together_is_refused(own: Built) -> None:
    played(own, (1,), "finished")
    histories.signed(own, budget=own.run.budget.model_copy(update={"ple_sigma": 2.5}))
    refused(own, histories.of_second(own), "its ledger has run second by configuration .*, and run.json is another one")
    stranger = own.root / "second.json"
    coordinator = load_coordinator_key(own.root / "kits" / "coordinator")
    write_run(stranger, own.run.model_copy(update={"run": "third"}), coordinator)
    refused(own, histories.of_second(own), "run third is in none of these ledgers")
    head = own.root / "other.txt"
    head.write_text("afml/" + "0" * 32 + "\n1\nAAAA\n\n")
    refused(own, replace(own.sources, heads=(head,)), "holds no head of any of these ledgers")
