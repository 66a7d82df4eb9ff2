"""Orders about a run: who may give one, that it counts once, and that it is written down before it is followed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.orders import Giver, Order, What
from afml.consortium.scheme import run_params
from afml.core.errors import IntegrityError, ProtocolError
from afml.ledger import transcript
from aggregator.orders import SETTLED_S, Orders
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.store.base import now_ms
from aggregator.transcript import Transcript
from crypto.public.backend import public_backend
from crypto.public.signing import public_bytes
from tests.aggregator.machine import Machine, small_run


class Office:
    """A machine whose folder takes orders, by the key of its coordinator or its aggregator."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.aggregator = Ed25519PrivateKey.generate()
        roster = self.machine.roster.model_copy(update={"aggregator_key": public_bytes(self.aggregator).hex()})
        scheme = Scheme(public_backend("ckks"), run_params(self.machine.config))
        self.run = ServedRun(self.machine.config, roster, scheme, self.machine.store, Folder(folder))
        self.orders = Orders(self.run, self.machine.engine, Transcript(self.run.folder.transcript, self.aggregator))

    def give(self, what: What, number: int, by: Giver = "coordinator", key: Ed25519PrivateKey | None = None) -> Path:
        key = key or (self.machine.coordinator if by == "coordinator" else self.aggregator)
        path = Order.signed_by(key, by, self.machine.config, what, number=number).lay(self.run.folder.root)
        self.orders.follow()
        return path

    def written(self) -> list[What]:
        if not self.run.folder.transcript.exists():
            return []
        key = public_bytes(self.aggregator)
        return [one.order.what for one in transcript.read_orders(self.run.folder.transcript, key)]


def no_space(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_only_the_coordinator_and_the_aggregator_give_orders_and_each_once(office: Office) -> None:
    office.machine.enrol()
    thief = Ed25519PrivateKey.generate()
    assert office.give(What.PAUSE, 1, key=thief).with_suffix(".refused").exists()
    assert office.give(What.PAUSE, 2, "aggregator", key=office.machine.keys[1]).with_suffix(".refused").exists()
    assert (office.machine.at[0], office.written()) == ("gathering", [])
    assert not office.give(What.PAUSE, 10).exists()
    assert office.machine.at[0] == "paused"
    office.give(What.RESUME, 11, "aggregator")
    assert office.machine.at[0] == "gathering"
    for number in (10, 11, 5):  # said again, or older than what was followed
        assert office.give(What.PAUSE, number).with_suffix(".refused").exists()
    assert office.machine.at[0] == "gathering"
    assert office.written() == [What.PAUSE, What.RESUME]


def test_an_order_about_another_run_and_one_that_was_altered_are_refused(office: Office) -> None:
    config, key = office.machine.config, office.machine.coordinator
    other = small_run(deadline_s=11.0)
    with pytest.raises(ProtocolError, match="about run r, not about r as it was signed"):
        office.orders.require(Order.signed_by(key, "coordinator", other, What.ABORT, number=1))
    good = Order.signed_by(key, "coordinator", config, What.EXTEND, number=1, seconds=5.0)
    office.orders.require(good)
    for changes in ({"what": What.ABORT}, {"number": 2}, {"seconds": 6.0}, {"by": "aggregator"}, {"signature": ""}):
        with pytest.raises(IntegrityError):
            office.orders.require(good.model_copy(update=changes))


def test_an_order_is_written_down_once_however_often_the_power_goes(office: Office) -> None:
    office.machine.enrol()
    order = Order.signed_by(office.machine.coordinator, "coordinator", office.machine.config, What.PAUSE, number=1)
    book = Transcript(office.run.folder.transcript, office.aggregator)
    book.add_order(order)  # the process died before it followed
    order.lay(office.run.folder.root)
    Orders(office.run, office.machine.engine, book).follow()
    assert office.machine.at[0] == "paused"
    assert office.written() == [What.PAUSE]


def test_an_order_that_cannot_be_followed_is_no_line_of_the_transcript(office: Office) -> None:
    office.machine.enrol()
    assert office.give(What.CLOSE_ENROLMENT, 1).with_suffix(".refused").exists()
    assert (office.written(), office.machine.store.orders.all()) == ([], {})
    office.give(What.PAUSE, 2)
    assert office.written() == [What.PAUSE]


def test_an_order_that_cannot_be_written_down_is_not_followed(office: Office) -> None:
    office.machine.enrol()
    office.give(What.PAUSE, 1)
    with office.run.folder.transcript.open("ab") as transcript_file:
        transcript_file.write(b"{}\n")
    assert office.give(What.RESUME, 2).with_suffix(".refused").exists()
    assert office.machine.at[0] == "paused"


def test_an_extension_that_is_not_kept_moves_no_deadline(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.machine.enrol()
    config, key = office.machine.config, office.machine.coordinator
    path = Order.signed_by(key, "coordinator", config, What.EXTEND, number=1, seconds=50.0).lay(office.run.folder.root)
    with monkeypatch.context() as full, pytest.raises(OSError, match="No space left"):
        full.setattr(os, "fsync", no_space)
        office.orders.follow()
    assert path.exists()
    assert (office.machine.store.orders.all(), office.written()) == ({}, [])
    office.orders.follow()
    office.machine.wait(59)
    assert (office.machine.at, office.written()) == (("gathering", 1, 1), [What.EXTEND])
    office.machine.wait(2)
    assert office.machine.at == ("gathering", 1, 2)


@pytest.mark.parametrize("number", [2**63, 2**53])
def test_an_order_from_far_ahead_is_refused_and_does_not_outdate_others(office: Office, number: int) -> None:
    office.machine.enrol()
    assert office.give(What.PAUSE, number).with_suffix(".refused").exists()
    assert (office.machine.at[0], office.written()) == ("gathering", [])
    order = Order.signed_by(office.aggregator, "aggregator", office.machine.config, What.PAUSE, number=number)
    with pytest.raises(ProtocolError, match="order pause: is dated more than an hour ahead; correct the clock") as told:
        office.orders.require(order)
    assert "\n" not in str(told.value)
    office.give(What.PAUSE, now_ms() + 60_000)
    assert office.machine.at[0] == "paused"


def test_an_order_that_is_still_being_copied_in_is_waited_for(office: Office) -> None:
    office.machine.enrol()
    order = Order.signed_by(office.machine.coordinator, "coordinator", office.machine.config, What.PAUSE, number=1)
    whole = order.model_dump_json().encode()
    path = office.run.folder.orders / "1.json"
    path.parent.mkdir()
    for there in (0, 100, len(whole) - 1):
        path.write_bytes(whole[:there])
        office.orders.follow()
        assert path.read_bytes() == whole[:there]
    path.write_bytes(whole)
    office.orders.follow()
    assert office.machine.at[0] == "paused"
    assert list(path.parent.iterdir()) == []


@given(st.binary(max_size=200))
def test_a_file_that_is_no_order_is_put_aside(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    office = Office(tmp_path_factory.mktemp("junk"))
    path = office.run.folder.orders / "1.json"
    path.parent.mkdir()
    path.write_bytes(junk)
    long_ago = time.time() - SETTLED_S
    os.utime(path, (long_ago, long_ago))
    office.orders.follow()
    assert path.with_suffix(".refused").read_bytes() == junk
    assert office.machine.at[0] == "enrolling"
    office.machine.store.close()
