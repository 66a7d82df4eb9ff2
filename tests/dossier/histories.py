"""What befalls ledgers: more runs, runs that end badly, backups put back, other keys, other names, members who go."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import RunConfig
from afml.consortium.runfile import write_run
from afml.core.errors import AfmlError
from afml.dossier.build import make
from afml.dossier.evidence import Sources
from afml.ledger import transcript
from afml.ledger.backup import back_up, restore
from afml.ledger.entries import spend_for
from afml.ledger.reservation import Limits, Reason, reservation_for
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from tests.dossier.pack import LIFETIME, Built
from tests.ledger.helpers import config

SECOND = "second"


def again(built: Built, root: Path) -> Built:
    """A copy of a consortium in another folder, to go on from."""
    shutil.copytree(built.root, root)
    one = copy.copy(built)
    one.root, one.clock = root, copy.copy(built.clock)

    def there(path: Path) -> Path:
        return root / path.relative_to(built.root)

    given = built.sources
    one.sources = replace(
        given, works=tuple(map(there, given.works)), kit=there(given.kit), run=root / "run.json",
        transcripts=tuple(map(there, given.transcripts)), report=root / "report.json",
    )  # fmt: skip
    return one


def people(node: int, count: int = 10) -> list[str]:
    """Fewer than were in the first run: another enrolment of the same people."""
    return [f"person-{node}-{i}" for i in range(count)]


def signed(built: Built, **fields: Any) -> RunConfig:
    """A later run, signed by the coordinator, in second.json."""
    enrolled = {node: len(people(node)) for node in built.nodes}
    given = {"consortium": "walk", "phases": built.phases, "reserve_attempts": 0, "enrolled": enrolled, **fields}
    run = config(SECOND, **given)
    write_run(built.root / "second.json", run, load_coordinator_key(built.root / "kits" / "coordinator"))
    return run


def begin(built: Built, run: RunConfig) -> None:
    """Every institution of a run sets its plan aside."""
    for node in run.enrolled:
        with built.ledger(node) as ledger:
            ledger.plans.reserve(reservation_for(run, Limits(run.budget, LIFETIME), days=30.0), people(node))


def play(built: Built, run: RunConfig, rounds: Sequence[int]) -> None:
    """Every institution spends in some rounds, and the aggregator publishes them in second.jsonl."""
    key = load_aggregator_kit(built.root / "kits" / "aggregator").signing_key
    appender = transcript.Appender(built.root / "second.jsonl", key)
    ledgers = {node: built.ledger(node) for node in run.enrolled}
    for number in rounds:
        spend = spend_for(run, Attempt(number, 1), list(ledgers))
        receipts = {
            node: ledger.append(spend, people(node), Limits(run.budget, LIFETIME)).to_json()
            for node, ledger in ledgers.items()
        }
        now = int(built.clock() * 1000)
        appender.append(transcript.record_for(run, spend.attempt, list(ledgers), time_ms=now, receipts=receipts))
    for ledger in ledgers.values():
        ledger.close()


def close(built: Built, run: RunConfig, reason: Reason) -> None:
    for node in run.enrolled:
        with built.ledger(node) as ledger:
            ledger.plans.close(run.run, run.digest().hex(), reason)


def played(built: Built, rounds: Sequence[int], reason: Reason | None, **fields: Any) -> Sources:
    """A later run in the same ledgers, so far and ended so; what a dossier of it is made of."""
    run = signed(built, **fields)
    begin(built, run)
    play(built, run, rounds)
    if reason is not None:
        close(built, run, reason)
    return of_second(built)


def of_second(built: Built) -> Sources:
    """What a dossier of the later run is made of, without a report."""
    later = built.root / "second.jsonl"
    transcripts = (*built.sources.transcripts, *([later] if later.is_file() else []))
    return replace(built.sources, run=built.root / "second.json", report=None, transcripts=transcripts)


def heads_of(built: Built, node: int) -> list[str]:
    """What the other institutions keep of a ledger."""
    found = []
    for other in set(built.nodes) - {node}:
        with built.ledger(other) as ledger:
            known = Witness(ledger).known(built.kits[node].origin)
            assert known is not None
            found.append(known.note)
    return found


def lost(built: Built, saved: int, more: Sequence[int]) -> Sources:
    """Institution 1 loses its disk in a later run, and puts a copy back of after `saved` rounds."""
    run, work = signed(built), built.root / "work-1"
    begin(built, run)
    play(built, run, range(1, saved + 1))
    back_up(work / "ledger", built.root / "saved")
    play(built, run, more)
    shutil.rmtree(work / "ledger")
    kit = built.kits[1]
    assert restore(built.root / "saved", work / "ledger", kit.signing_key, kit.origin, heads_of(built, 1)).lost
    return of_second(built)


def opened(work: Path, kit: Path, built: Built) -> Ledger:
    """A ledger by the keys of a kit."""
    loaded = load_node_kit(kit)
    return Ledger.open(work / "ledger", loaded.signing_key, origin=loaded.origin, clock=built.clock)


def refused(built: Built, sources: Sources, said: str) -> None:
    """In one line, with nothing left behind."""
    with pytest.raises(AfmlError, match=said) as error:
        make(sources, built.root / "odd", built.signer)
    assert "\n" not in str(error.value)
    assert not (built.root / "odd").exists()
