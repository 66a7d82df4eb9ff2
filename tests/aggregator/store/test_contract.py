"""What every registered store does. A new one is in it by its line in `STORES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.makers import Maker
from afml.consortium.stage import Stage
from afml.core.errors import ConfigError
from aggregator.store import STORES, open_store
from aggregator.store.base import Letter, Member, Position, Published, Store, Upload
from tests.postgres import Server

DIGEST = bytes(range(32))
FIRST, SECOND = Attempt(1, 1), Attempt(1, 2)
UPLOAD = Upload(2, 3, 20_000, 12_345, '{"index":0}')
LETTER = Letter(1, "run-key", b"header", Path("letters/1-ab"))


@pytest.fixture(params=STORES.names())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a run can be kept that nobody has begun: a file, or a database of a server that the tests start."""
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        return server.database()
    return f"{request.param}:{tmp_path}/a run/run.{request.param}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, DIGEST)
    yield opened
    opened.close()


def test_a_fresh_store_stands_before_the_first_round(store: Store) -> None:
    assert store.position() == Position(Stage.ENROLLING, Attempt(0, 0), "")
    assert store.members.all() == {}
    assert store.attempts.tokens(FIRST) == store.attempts.cohort(FIRST) == store.attempts.uploads(FIRST) == {}
    assert store.attempts.all_uploads() == []
    assert store.rounds.last_published() == 0
    assert store.rounds.published(1) is None
    assert store.rounds.digests(1) == {}
    assert store.letters.find(1, "run-key") is None
    assert store.letters.sent_by(1) == 0
    assert store.orders.all() == store.makers.all() == {}


def test_the_state_machine_is_put_where_it_is_told(store: Store) -> None:
    to = Position(Stage.FAILED, Attempt(7, 3), "node 2 left: ünwell")
    store.move(to)
    assert store.position() == to
    assert store.position().is_at(Stage.FAILED, Attempt(7, 3))
    assert not store.position().is_at(Stage.FAILED, Attempt(7, 2))
    store.move(Position(Stage.PAUSED, Attempt(7, 4), "", 1_700_000_000_123))
    assert store.position().since_ms == 1_700_000_000_123


def test_a_maker_is_replaced_by_the_next(store: Store) -> None:
    store.makers.put("run-key", Maker(1))
    store.makers.put("public-model", Maker(2))
    store.makers.put("run-key", Maker(3, done=True))
    assert store.makers.all() == {"public-model": Maker(2), "run-key": Maker(3, done=True)}


def test_orders_are_kept_in_order_and_the_first_under_a_number_stands(store: Store) -> None:
    for number, said in ((1_700_000_000_124, b"resume"), (7, b"pause"), (7, b"abort")):
        store.orders.add(number, said)
    assert list(store.orders.all().items()) == [(7, b"pause"), (1_700_000_000_124, b"resume")]


def test_members_come_in_order_once_each_with_the_first_reason_they_left_for(store: Store) -> None:
    store.members.add(3, b"three")
    store.members.add(1, b"one")
    store.members.add(1, b"again")
    store.members.mark_left(3, "tired")
    store.members.mark_left(3, "more tired")
    store.members.mark_left(9, "was never here")
    assert list(store.members.all().items()) == [(1, Member(b"one")), (3, Member(b"three", "tired"))]


def test_a_cohort_is_those_who_were_ready_when_it_was_fixed(store: Store) -> None:
    for node in (4, 2):
        store.attempts.add_token(FIRST, node, bytes([node]))
    store.attempts.add_token(FIRST, 2, b"again")
    store.attempts.add_token(SECOND, 3, b"another attempt")
    assert store.attempts.cohort(FIRST) == {}
    store.attempts.fix_cohort(FIRST)
    store.attempts.add_token(FIRST, 3, b"late")
    assert list(store.attempts.cohort(FIRST).items()) == [(2, b"\2"), (4, b"\4")]
    assert list(store.attempts.tokens(FIRST)) == [2, 3, 4]
    assert store.attempts.cohort(SECOND) == {}


def test_the_first_upload_of_a_node_stands(store: Store) -> None:
    store.attempts.add_upload(SECOND, Upload(1, 1, 1, 1, "{}"))
    store.attempts.add_upload(FIRST, UPLOAD)
    store.attempts.add_upload(FIRST, Upload(2, 9, 9, 9, "{}"))
    store.attempts.add_upload(FIRST, Upload(1, 3, 20_000, 99, "{}"))
    assert list(store.attempts.uploads(FIRST)) == [1, 2]
    assert store.attempts.uploads(FIRST)[2] == UPLOAD
    found = store.attempts.all_uploads()
    assert [(attempt, upload.node) for attempt, upload in found] == [(FIRST, 1), (FIRST, 2), (SECOND, 1)]


def test_an_upload_whose_bytes_are_lost_is_forgotten(store: Store) -> None:
    for attempt, node in ((FIRST, 1), (FIRST, 2), (SECOND, 1)):
        store.attempts.add_upload(attempt, Upload(node, 3, 20_000, 99, "{}"))
    store.attempts.forget_upload(FIRST, 1)
    store.attempts.forget_upload(FIRST, 3)
    assert [(attempt, upload.node) for attempt, upload in store.attempts.all_uploads()] == [(FIRST, 2), (SECOND, 1)]
    store.attempts.add_upload(FIRST, Upload(1, 4, 20_000, 99, "{}"))
    assert store.attempts.uploads(FIRST)[1].chunks == 4


@pytest.mark.parametrize("aside", [False, True])
def test_a_file_that_was_kept_is_there(url: str, tmp_path: Path, aside: bool) -> None:
    path = tmp_path / "transcript"
    store = open_store(url, DIGEST)
    for line in (b"first\n", b"", b"second\n"):
        with path.open("ab") as file:
            file.write(line)
        (store.files.aside if aside else store.files).keep("transcript", path)
    store.close()
    again = open_store(url, DIGEST)
    files = again.files.aside if aside else again.files
    files.bring("transcript", path)
    files.bring("nobody kept this", tmp_path / "other")
    again.close()
    assert path.read_bytes() == b"first\nsecond\n"
    assert not (tmp_path / "other").exists()


def test_a_round_is_published_once(store: Store) -> None:
    store.rounds.publish(Published(SECOND, 3, 20_000))
    with pytest.raises(Exception):  # noqa: B017  # whatever a store says to a second one
        store.rounds.publish(Published(FIRST, 3, 20_000))
    store.rounds.publish(Published(Attempt(2, 1), 1, 5))
    assert store.rounds.published(1) == Published(SECOND, 3, 20_000)
    assert store.rounds.last_published() == 2


def test_the_first_digest_of_a_node_stands(store: Store) -> None:
    store.rounds.add_digest(1, 2, b"two")
    store.rounds.add_digest(1, 2, b"another")
    store.rounds.add_digest(2, 2, b"next round")
    assert store.rounds.digests(1) == {2: b"two"}


def test_the_first_letter_of_a_subject_stands(store: Store) -> None:
    store.letters.add(LETTER)
    store.letters.add(Letter(1, "run-key", b"another", Path("letters/1-cd")))
    store.letters.add(Letter(1, "public-model", b"header"))
    store.letters.add(Letter(2, "run-key", b"header", Path("letters/2-ab")))
    assert store.letters.find(1, "run-key") == LETTER
    assert store.letters.find(1, "public-model") == Letter(1, "public-model", b"header")
    assert store.letters.find(2, "public-model") is None
    assert store.letters.senders("run-key") == {1, 2}
    assert store.letters.senders("confirmation") == set()
    assert store.letters.sent_by(1) == 2


def test_a_letter_whose_file_is_gone_is_still_on_record(store: Store) -> None:
    store.letters.add(LETTER)
    store.letters.add(Letter(2, "hello", b"header", Path("letters/2-ab")))
    assert store.letters.paths() == {Path("letters/1-ab"): "run-key", Path("letters/2-ab"): "hello"}
    store.letters.bare(Path("letters/1-ab"))
    assert store.letters.find(1, "run-key") == Letter(1, "run-key", b"header")
    assert store.letters.paths() == {Path("letters/2-ab"): "hello"}


def fill(store: Store) -> None:
    store.members.add(2, b"two")
    store.members.mark_left(2, "tired")
    store.attempts.add_token(FIRST, 2, b"token")
    store.attempts.fix_cohort(FIRST)
    store.attempts.add_upload(FIRST, UPLOAD)
    store.rounds.publish(Published(FIRST, 3, 20_000))
    store.rounds.add_digest(1, 2, b"two")
    store.letters.add(LETTER)
    store.move(Position(Stage.GATHERING, Attempt(2, 1), "why"))


def everything(store: Store) -> list[object]:
    return [
        store.position(), store.members.all(), store.attempts.tokens(FIRST), store.attempts.cohort(FIRST),
        store.attempts.all_uploads(), store.rounds.published(1), store.rounds.digests(1),
        store.letters.find(1, "run-key"),
    ]  # fmt: skip


def test_everything_is_there_after_a_restart(url: str) -> None:
    store = open_store(url, DIGEST)
    fill(store)
    before = everything(store)
    store.close()
    again = open_store(url, DIGEST)
    assert everything(again) == before
    again.close()


def test_another_run_finds_nothing_of_this_one(url: str) -> None:
    store = open_store(url, DIGEST)
    fill(store)
    store.close()
    try:
        other = open_store(url, bytes(32))
    except ConfigError:  # a file is one run's
        return
    assert other.position() == Position(Stage.ENROLLING, Attempt(0, 0), "")
    assert other.members.all() == {}
    other.close()


# -- transactions ------------------------------------------------------------------------------------


class Torn(Exception):
    """Something went wrong in the middle."""


def _leaving(store: Store) -> None:
    store.close()


def _failing(store: Store) -> None:
    raise Torn


@pytest.mark.parametrize("end", [_leaving, _failing])
def test_a_transaction_that_does_not_end_well_leaves_nothing(url: str, end: Callable[[Store], None]) -> None:
    store = open_store(url, DIGEST)
    before = everything(store)
    with pytest.raises(Exception), store.transaction():  # noqa: B017  # a closed store says what it likes
        fill(store)
        end(store)
    store.close()
    again = open_store(url, DIGEST)
    assert everything(again) == before
    fill(again)  # and the next one is not held up
    again.close()


def test_a_transaction_reads_what_it_wrote_and_keeps_it(url: str) -> None:
    store = open_store(url, DIGEST)
    with store.transaction():
        fill(store)
        written = everything(store)
        assert store.rounds.last_published() == 1
    store.close()
    again = open_store(url, DIGEST)
    assert everything(again) == written
    again.close()


def test_an_inner_transaction_is_undone_alone(store: Store) -> None:
    with store.transaction():
        store.members.add(1, b"one")
        with pytest.raises(Torn), store.transaction():
            store.members.add(2, b"two")
            with store.transaction():
                store.members.add(3, b"three")
            raise Torn
        with store.transaction():
            store.members.add(4, b"four")
    assert list(store.members.all()) == [1, 4]


def test_nothing_is_kept_before_the_outermost_transaction_ends(store: Store) -> None:
    with pytest.raises(Torn), store.transaction():
        with store.transaction():
            store.members.add(1, b"one")
        raise Torn
    assert store.members.all() == {}
    store.members.add(2, b"two")
    assert list(store.members.all()) == [2]


# -- names -------------------------------------------------------------------------------------------


def test_a_path_without_a_name_is_an_sqlite_file(tmp_path: Path) -> None:
    for place in (tmp_path / "a" / "run.sqlite", f"{tmp_path}/b:c/run.sqlite"):
        open_store(place, DIGEST).close()
        assert Path(place).read_bytes().startswith(b"SQLite format 3")


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"slate:/x: there is no store called 'slate'; use one of sqlite"):
        open_store("slate:/x", DIGEST)
