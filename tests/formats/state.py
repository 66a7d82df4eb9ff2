"""Makes `kept/`: a ledger, an aggregator's stores and a node's run folder, as this version of AFML writes them.

    python -m tests.formats.state

Run it when one of these formats gets a new number. What was there before is either still to be read: then it stays
under another name, with tests of its own. Or it is refused by its number, and the refusal says what to do.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.makers import RUN_KEY, Maker
from afml.consortium.stage import Stage
from afml.core.files import LOCK
from afml.core.recordfile import write_records
from afml.ledger import transcript
from afml.ledger.checkpoint import origin_of
from afml.ledger.releases import ReleaseRecord
from afml.wire import federation_pb2 as wire
from aggregator.store import open_queue, open_store
from aggregator.store.base import Letter, Position, Published, Upload
from aggregator.store.queue import Papers
from crypto.public.signing import public_bytes
from node.journal import Journal
from node.outbox import Outbox
from tests.ledger.helpers import Clock, close, config, open_ledger, reserve, spend

KEPT = Path(__file__).with_name("kept")
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"signs the ledger that is kept for tests").digest())
AGGREGATOR = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"signs the transcript that is kept").digest())
ORIGIN = origin_of(public_bytes(KEY))
PEOPLE = ["anna", "bo", "cleo", "dag", "eva", "finn"]
DIGEST = bytes(range(32))
CHUNK = 24
"""Bytes of a chunk in the outbox."""
UPDATE = [bytes([at]) * CHUNK for at in (1, 2)]
AT, OPEN = Attempt(1, 2), Attempt(2, 1)
LEASES = (bytes(16), bytes([1]) * 16)
UPLOAD = Upload(2, 3, 49, 12_345, '{"index":0}')
LETTER = Letter(1, RUN_KEY, b"header", Path("letters/1-ab"))
SUBMITTED = Papers(b'{"run":"first"}', bytes(64))


def binding(attempt: Attempt) -> Binding:
    return Binding("run", DIGEST, attempt, (1, 2), LEASES)


def make_ledger(out: Path) -> None:
    """A run that ended, with its transcript, one under way and one that was lost; a release, audit and withdrawal."""
    with open_ledger(out / "ledger", key=KEY, clock=(clock := Clock())) as ledger:
        ledger.recognise([(person, [person.encode() * 4]) for person in PEOPLE])
        first = config("first", rounds=2)
        appender = transcript.Appender(out / "transcript.jsonl", AGGREGATOR)
        for number in (1, 2):
            paid = {1: spend(ledger, first, number, people=PEOPLE).to_json()}
            at, now = Attempt(number, 1), int(clock() * 1000)
            appender.append(transcript.record_for(first, at, [1, 2, 3], time_ms=now, receipts=paid))
        close(ledger, first)
        ledger.record_audit("first", 0.125, confidence=0.95, instrument="an attack")
        ledger.withdraw(["finn"])
        lost = config("lost", rounds=3)
        reserve(ledger, lost, PEOPLE[:5])
        ledger.plans.close_lost()
        record = ReleaseRecord(run="first", file_digest="aa" * 32, model_digest="bb" * 32, min_group_size=2)
        ledger.releases.record(record, dict(zip(PEOPLE[:4], "xxyy", strict=True)))
        spend(ledger, config("second"), 1, people=PEOPLE[:5])
        ledger.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.move(out / "ledger" / "person.key", out / "ledger" / "person.fixture")  # no file of the name of a secret
    for name in ("first", "second"):
        (out / f"{name}.json").write_bytes(config(name, rounds=2 if name == "first" else 4).canonical())


def make_store(out: Path) -> None:
    """A run in its second round, with something in every table; and a queue of runs."""
    with closing(open_store(out / "run.sqlite", DIGEST)) as store, store.transaction():
        for node in (1, 2, 3):
            store.members.add(node, bytes([node]))
            store.attempts.add_token(AT, node, bytes([node, 1]))
        store.attempts.fix_cohort(AT)
        store.members.mark_left(3, "by-hand")
        store.attempts.add_token(OPEN, 1, b"late")
        store.attempts.add_upload(AT, UPLOAD)
        store.rounds.publish(Published(AT, 3, 49))
        store.rounds.add_digest(1, 2, b"model")
        store.letters.add(LETTER)
        store.orders.add(7, b"pause")
        store.makers.put(RUN_KEY, Maker(1, done=True))
        store.move(Position(Stage.GATHERING, OPEN, "", 1_700_000_000_123))
    with closing(open_queue(out / "queue.sqlite")) as queue:
        for run in ("first", "second"):
            queue.add(run, hashlib.sha256(run.encode()).digest(), SUBMITTED)
        queue.end(1)


def make_journal(folder: Path) -> None:
    """A node's run folder: a model after the first round, letters, and the update of an attempt that is under way."""
    with closing(Journal(folder)) as journal:
        journal.keep_state(1, bytes(range(32)), b"the model")
        journal.keep_public_model(b"the panel part")
        journal.keep_head("a signed head")
        journal.letters.keep_letter("confirmation", b"what was said")
        box = Outbox(journal.outbox, CHUNK)
        box.submission(binding(AT), lambda: UPDATE)
        box.submission(binding(OPEN), lambda: UPDATE)
        box.passed(AT)


def make(out: Path) -> None:
    """All of it, and the wire."""
    out.mkdir()
    make_ledger(out)
    make_store(out)
    make_journal(out / "node")
    write_records(out / "records", UPDATE)
    (out / "wire.binpb").write_bytes(wire.DESCRIPTOR.serialized_pb)
    for lock in out.glob(f"*/{LOCK}"):
        lock.unlink()


if __name__ == "__main__":
    make(KEPT)
