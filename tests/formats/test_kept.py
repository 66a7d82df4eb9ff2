"""What earlier versions left on a disk is opened: a format that changes without a new number fails here."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.makers import RUN_KEY, Maker
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.errors import ConfigError
from afml.core.recordfile import read_records
from afml.ledger import transcript
from afml.ledger.backup import back_up
from afml.ledger.verify import Evidence, verify
from aggregator.store import open_queue, open_store
from aggregator.store.base import Member, Position, Published
from aggregator.store.queue import Submitted
from aggregator.store.sql import SCHEMA
from crypto.public.signing import public_bytes
from node.journal import Journal, progress
from node.outbox import Outbox
from tests.formats import state
from tests.ledger.helpers import Clock, config, open_ledger, reserve, sigma, spend


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this version makes."""
    folder = tmp_path_factory.mktemp("formats") / "made"
    state.make(folder)
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A copy of it, as its owner would have it."""
    folder = Path(shutil.copytree(state.KEPT, tmp_path / "kept"))
    secret = folder / "ledger" / "person.key"
    (folder / "ledger" / "person.fixture").rename(secret)
    for path in (secret, *(folder / "node").glob("*.bin")):
        path.chmod(0o600)
    return folder


def test_a_ledger_that_was_kept_is_believed_and_goes_on(kept: Path) -> None:
    """Its people have spent what they had spent, and the run that was under way in it is spent from."""
    second = RunConfig.load(kept / "second.json")
    with open_ledger(kept / "ledger", key=state.KEY, clock=Clock(1_700_100_000.0)) as ledger:
        kinds = [entry.kind for entry in ledger.entries()]
        assert kinds == [
            "records", "reservation", "spend", "spend", "closing", "audit", "withdrawal", "reservation", "closing",
            "release", "reservation", "spend",
        ]  # fmt: skip
        assert ledger.enrollable(state.PEOPLE) == state.PEOPLE[:5]
        assert ledger.recognise([("renamed", [b"anna" * 4])]).renamed == 1
        assert sigma(ledger, state.PEOPLE[5:]) == pytest.approx(0.1768, abs=1e-4), "two spends with noise of 8"
        # those, and of a run that was lost its whole plan, and one of the run that is under way
        before = sigma(ledger, state.PEOPLE[:1])
        assert before > sigma(ledger, state.PEOPLE[5:])
        receipt = ledger.receipt("first", Attempt(2, 1))
        assert receipt is not None
        assert (receipt.index, ledger.receipt("first", Attempt(3, 1))) == (3, None)
        spend(ledger, second, 2, people=state.PEOPLE[:5])
        assert sigma(ledger, state.PEOPLE[:1]) > before
    back_up(kept / "ledger", kept / "backup")


def _number(ledger: Path) -> str:
    with closing(sqlite3.connect(ledger / "ledger.db")) as database:
        return str(database.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0])


def test_a_ledger_in_which_a_run_was_lost_is_refused_by_what_would_charge_it_less(kept: Path, tmp_path: Path) -> None:
    """An AFML of before such closings reads number 2 alone; the kept ledger was written before there was a 3."""
    assert _number(kept / "ledger") == "2"
    open_ledger(kept / "ledger", key=state.KEY, clock=Clock(1_700_100_000.0)).close()
    assert _number(kept / "ledger") == "3"
    assert verify(kept / "ledger", key=public_bytes(state.KEY), node=1).findings == []
    with open_ledger(tmp_path / "new") as ledger:
        reserve(ledger, config("run"), state.PEOPLE)
        assert _number(tmp_path / "new") == "2", "others still share it with an older AFML"
        ledger.plans.close_lost()
        assert _number(tmp_path / "new") == "3"


def test_the_verifier_finds_nothing_in_it(kept: Path) -> None:
    rounds = transcript.read(kept / "transcript.jsonl", public_bytes(state.AGGREGATOR))
    assert [(one.run, one.round, one.attempt) for one in rounds] == [("first", 1, 1), ("first", 2, 1)]
    evidence = Evidence(transcript=rounds)
    found = verify(kept / "ledger", key=public_bytes(state.KEY), node=1, evidence=evidence)
    assert (found.findings, found.entries, found.origin) == ([], 12, state.ORIGIN)


def test_a_run_that_was_kept_stands_where_it_stood(kept: Path) -> None:
    with closing(open_store(kept / "run.sqlite", state.DIGEST)) as store:
        assert store.position() == Position(Stage.GATHERING, state.OPEN)
        assert store.position().since_ms == 1_700_000_000_123
        assert store.members.all() == {1: Member(b"\1"), 2: Member(b"\2"), 3: Member(b"\3", "by-hand")}
        assert store.attempts.cohort(state.AT) == {node: bytes([node, 1]) for node in (1, 2, 3)}
        assert (store.attempts.tokens(state.OPEN), store.attempts.cohort(state.OPEN)) == ({1: b"late"}, {})
        assert store.attempts.all_uploads() == [(state.AT, state.UPLOAD)]
        assert store.rounds.published(1) == Published(state.AT, 3, 49)
        assert store.rounds.digests(1) == {2: b"model"}
        assert store.letters.find(1, RUN_KEY) == state.LETTER
        assert (store.orders.all(), store.makers.all()) == ({7: b"pause"}, {RUN_KEY: Maker(1, done=True)})
        store.rounds.publish(Published(state.OPEN, 3, 49))
        store.move(Position(Stage.FINISHED, state.OPEN))
    with closing(open_queue(kept / "queue.sqlite")) as queue:
        first, second = (hashlib.sha256(run.encode()).digest() for run in ("first", "second"))
        assert queue.all() == [Submitted(1, "first", first, True), Submitted(2, "second", second, False)]
        assert queue.papers(2) == state.SUBMITTED


def test_a_run_folder_that_was_kept_goes_on(kept: Path) -> None:
    """What was encrypted is sent as it is, and an attempt that was passed has nothing more to send."""
    assert progress(kept / "node") == (1, "")
    with closing(Journal(kept / "node")) as journal:
        assert journal.state() == (1, bytes(range(32)), b"the model")
        assert journal.public_model() == b"the panel part"
        assert journal.letters.letter("confirmation") == b"what was said"
        stored = Outbox(journal.outbox, state.CHUNK).find(state.binding(state.OPEN))
        assert stored is not None
        assert [payload for _, payload in stored.chunks()] == state.UPDATE
        assert Outbox(journal.outbox, state.CHUNK).find(state.binding(Attempt(3, 1))) is None
    assert list(read_records(kept / "records")) == state.UPDATE


@pytest.mark.parametrize("name", ["run.sqlite", "queue.sqlite"])
def test_a_store_of_another_number_is_refused_with_what_to_do(kept: Path, name: str) -> None:
    with closing(sqlite3.connect(kept / name)) as database:
        database.execute(f"PRAGMA user_version={SCHEMA + 1}")
    with pytest.raises(ConfigError, match=rf"is of schema {SCHEMA + 1}, this version of AFML keeps schema {SCHEMA}; "):
        open_queue(kept / name) if name.startswith("queue") else open_store(kept / name, state.DIGEST)


def test_a_model_state_of_another_kind_is_refused_with_what_to_do(kept: Path) -> None:
    path = kept / "node" / "state.bin"
    path.write_bytes(b"afml st3" + path.read_bytes()[8:])
    cure = r"is of another version of AFML; finish this run with the version that began it"
    with closing(Journal(kept / "node")) as journal, pytest.raises(ConfigError, match=cure):
        journal.state()


@pytest.mark.parametrize("folder", ["", "ledger", "node", "node/outbox"])
def test_this_version_writes_the_same_files(made: Path, folder: str) -> None:
    """A file that is new, or gone, is a change of a format."""
    new, there = (sorted(path.name for path in (root / folder).iterdir()) for root in (made, state.KEPT))
    assert new == there


@pytest.mark.parametrize("name", ["ledger/ledger.db", "run.sqlite", "queue.sqlite"])
def test_this_version_makes_the_same_tables(made: Path, name: str) -> None:
    """Another table, column or index under the same number would read what is kept otherwise than it was meant."""
    tables = []
    for path in (made / name, state.KEPT / name):
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            rows = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
            tables.append([(kind, title, " ".join((sql or "").split())) for kind, title, sql in rows])
    assert tables[0] == tables[1]
