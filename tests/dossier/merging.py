"""Dossiers of three institutions, alike or with planted disagreements; each verifies when it is looked at alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from afml.consortium.attempt import Attempt
from afml.consortium.history import ROSTER, ROSTER_SIGNATURE, roster_message
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.consortium.runfile import write_run
from afml.core.config import canonical_json
from afml.dossier.build import Signer, make, seal
from afml.dossier.evidence import Sources
from afml.ledger import transcript
from afml.ledger.entries import spend_for
from afml.ledger.reservation import Limits, reservation_for
from crypto.public.signing import sign
from tests.dossier import histories
from tests.dossier.pack import LIFETIME, MODEL, Built, Hands


def pack(built: Built, node: int, out: Path, **changes: Any) -> Path:
    """The dossier that an institution makes of its own ledger and signs."""
    own = replace(built.sources, works=(built.root / f"work-{node}",), kit=built.root / "kits" / f"node-{node}")
    made: Sources = replace(own, **changes)
    assert all(found.ok for found in make(made, out, Signer(node, built.kits[node].signing_key)))
    return out


def another_roster(built: Built, node: int, **changes: Any) -> Path:
    """A kit as if the coordinator had given this institution another roster than the others; its folder."""
    kit = built.root / "kits" / f"node-{node}-other"
    shutil.copytree(built.root / "kits" / f"node-{node}", kit)
    roster = Roster.load(kit / ROSTER).model_copy(update=changes)
    (kit / ROSTER).write_bytes(roster.canonical())
    key = load_coordinator_key(built.root / "kits" / "coordinator")
    (kit / ROSTER_SIGNATURE).write_bytes(sign(key, roster_message(roster)))
    return kit


def renamed(built: Built, node: int, name: str) -> tuple[Any, ...]:
    """Members of the roster, one under another name."""
    members = Roster.load(built.root / "kits" / "node-1" / ROSTER).members
    return tuple(one.model_copy(update={"name": name}) if one.node == node else one for one in members)


def planted(built: Built, out: Path) -> list[Path]:
    """Three dossiers of a run about which the parties were told different things, or say different things.

    Institution 2 has a round with a smaller cohort, lacks the next one, closed the run as failed, and brings no
    transcript.
    Institution 3 has another roster, another configuration, another model, another report, another copy of the
    transcript, and other code.
    """
    run = histories.signed(built, quorum=2, max_colluding=0)
    other = run.model_copy(update={"deadline_s": 60.0})
    write_run(built.root / "other-run.json", other, load_coordinator_key(built.root / "kits" / "coordinator"))
    runs = {1: run, 2: run, 3: other}
    for node, its in runs.items():
        with built.ledger(node) as ledger:
            ledger.plans.reserve(reservation_for(its, Limits(its.budget, LIFETIME), days=30.0), histories.people(node))
    records = [_attempt(built, runs, 1, {1: (1, 2, 3), 2: (1, 2), 3: (1, 2, 3)})]
    records.append(_attempt(built, runs, 2, {1: (1, 2, 3), 3: (1, 2, 3)}))
    records.append(_attempt(built, runs, 3, {1: (1, 3), 3: (1, 3)}))
    for name, its, later in (("a", run, 0), ("b", other, 60_000)):
        _publish(built, name, [one.model_copy(update={"config_digest": its.digest().hex()}) for one in records], later)
    for node, reason in ((1, "finished"), (2, "failed"), (3, "finished")):
        with built.ledger(node) as ledger:
            ledger.plans.close(run.run, runs[node].digest().hex(), reason)  # type: ignore[arg-type]
    for node, digest in ((1, MODEL), (3, "cd" * 32)):
        model = built.root / f"work-{node}" / "models" / run.run / "model.json"
        model.parent.mkdir(parents=True)
        card = {"task": {"code": run.task.code}, "trained_on": 30}
        model.write_bytes(canonical_json({"digest": digest, "card": card}))
    report = json.loads((built.root / "report.json").read_bytes())
    report["release"]["rr"] = 0.125
    (built.root / "other.json").write_bytes(canonical_json(report))
    common = {"run": built.root / "second.json", "report": built.root / "report.json"}
    first = pack(built, 1, out / "first", transcripts=(built.root / "a.jsonl",), **common)
    second = pack(built, 2, out / "second", transcripts=(), **{**common, "report": None})
    kit = another_roster(built, 3, members=renamed(built, 1, "node-one"))
    third = pack(
        built, 3, out / "third", kit=kit, transcripts=(built.root / "b.jsonl",),
        **{"run": built.root / "other-run.json", "report": built.root / "other.json"},
    )  # fmt: skip
    _other_code(built, third)
    return [first, second, third]


def _attempt(built: Built, runs: Mapping[int, RunConfig], number: int, cohorts: Mapping[int, tuple[int, ...]]) -> Any:
    """Each institution spends with the cohort that it was told; the line is that of institution 1."""
    receipts = {}
    for node, cohort in cohorts.items():
        spend = spend_for(runs[node], Attempt(number, 1), cohort)
        with built.ledger(node) as ledger:
            paid = ledger.append(spend, histories.people(node), Limits(runs[node].budget, LIFETIME)).to_json()
        if cohort == cohorts[1]:
            receipts[node] = paid
    now = int(built.clock() * 1000)
    return transcript.record_for(runs[1], Attempt(number, 1), list(cohorts[1]), time_ms=now, receipts=receipts)


def _publish(built: Built, name: str, records: list[Any], later: int) -> None:
    key = load_aggregator_kit(built.root / "kits" / "aggregator").signing_key
    appender = transcript.Appender(built.root / f"{name}.jsonl", key)
    for number, record in enumerate(records):
        appender.append(record.model_copy(update={"time_ms": record.time_ms + later * (number == 1)}))


def _other_code(built: Built, folder: Path) -> None:
    """Institution 3 runs another AFML."""
    hands = Hands(folder, built)
    hands.edit("software.json", lambda software: software.update(code="ef" * 32))
    hands.repoint("software.json")
    hands.say("code.afml_digest", "ef" * 32)
    hands.forms()
    seal(folder, Signer(3, built.kits[3].signing_key))
