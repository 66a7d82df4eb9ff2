"""Ledgers of a run vouch for each other; a rolled-back one is found out before anything is spent."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.roster import Member, Roster
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, IntegrityError
from afml.ledger.checkpoint import countersigners, origin_of
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from afml.wire import federation_pb2 as wire
from crypto.public.signing import public_bytes
from node.mailbox import Mailbox, Opened
from node.witnessing import Head, Witnessing
from tests.ledger import helpers
from tests.ledger.helpers import config
from tests.post import letter_for

KEYS = {node: Ed25519PrivateKey.generate() for node in (1, 2, 3)}
ORIGINS = {node: origin_of(public_bytes(key)) for node, key in KEYS.items()}
ROSTER = Roster(
    consortium="test", coordinator_key="00", aggregator_key="00",
    members=tuple(
        Member(node=n, name=str(n), signing_key=public_bytes(key).hex(), sealing_key="00") for n, key in KEYS.items()
    ),
)  # fmt: skip
RUN = config("one")


class PostOffice:
    """Relays letters in memory, as the aggregator does: the first one of a sender under a subject stands."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.letters: dict[tuple[int, str], tuple[wire.LetterHeader, bytes]] = {}

    def client(self, node: int) -> Any:
        def get_letters(
            senders: Sequence[int], subject: str, *, wait_s: float, waiting: Callable[[], None]
        ) -> dict[int, tuple[wire.Letter, bytes]]:
            found = {}
            with self.news:
                self.news.wait_for(lambda: all((sender, subject) in self.letters for sender in senders), wait_s)
                for sender in senders:
                    header, common = self.letters.get((sender, subject), (wire.LetterHeader(), b""))
                    if (letter := letter_for(header, common, node)) is not None:
                        found[sender] = letter, common
            return found

        return SimpleNamespace(node=node, put_letter=self.put_letter, get_letters=get_letters)

    def put_letter(self, header: wire.LetterHeader, common: bytes) -> None:
        with self.news:
            self.letters.setdefault((header.sender, header.subject), (header, common))
            self.news.notify_all()

    def mailbox(self, node: int) -> Mailbox:
        kit = SimpleNamespace(node=node, roster=ROSTER, signing_key=KEYS[node])
        return Mailbox(self.client(node), kit, RUN)  # type: ignore[arg-type]


class Kept(dict[str, bytes]):
    """What a node has sent, as its journal keeps it."""

    letter, keep_letter = dict.get, dict.__setitem__


def ledger(folder: Path, node: int) -> Ledger:
    return Ledger.open(folder / str(node), KEYS[node], origin=ORIGINS[node])


def spend(folder: Path, node: int, run: str) -> None:
    with ledger(folder, node) as one:
        helpers.spend(one, config(run), 1, people=["p", "q"])


def exchange(
    folder: Path, nodes: Sequence[int], *, wait_s: float = 20.0, moment: str = "end", office: PostOffice | None = None,
    kept: dict[int, Kept] | None = None,
) -> dict[int, list[int] | AfmlError]:  # fmt: skip
    """Run the exchange of some nodes at once; whom each met or is vouched for by, or the error that ended it."""
    carrier, found = office or PostOffice(), dict[int, list[int] | AfmlError]()

    def take_part(node: int) -> Callable[[], None]:
        def work() -> None:
            letters = Kept() if kept is None else kept.setdefault(node, Kept())
            with ledger(folder, node) as own:
                one = Witnessing(carrier.mailbox(node), own, ROSTER, letters)
                peers = [n for n in KEYS if n != node]
                try:
                    if moment == "end":
                        found[node] = one.part(peers, wait_s=wait_s)
                    else:
                        one.meet(peers, wait_s=wait_s)
                        found[node] = sorted(one.met)
                except AfmlError as error:
                    found[node] = error

        return work

    threads = [threading.Thread(target=take_part(node)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_everybody_vouches_for_everybody(tmp_path: Path) -> None:
    for node in KEYS:
        spend(tmp_path, node, "one")
    assert exchange(tmp_path, [1, 2, 3], moment="start") == {1: [2, 3], 2: [1, 3], 3: [1, 2]}
    for node in KEYS:
        spend(tmp_path, node, "two")
    assert exchange(tmp_path, [1, 2, 3]) == {1: [2, 3], 2: [1, 3], 3: [1, 2]}
    with ledger(tmp_path, 1) as own:
        witnesses = {ORIGINS[n]: public_bytes(KEYS[n]) for n in (2, 3)}
        assert set(countersigners(own.checkpoint(), witnesses)) == set(witnesses)
        known = {one.head.origin: one.head.size for one in Witness(own).all_known()}
    for node in (2, 3):
        with ledger(tmp_path, node) as other:
            assert known[ORIGINS[node]] == len(other)


def test_an_absent_peer_holds_nobody_up_and_is_not_met(tmp_path: Path) -> None:
    spend(tmp_path, 1, "one")
    assert exchange(tmp_path, [1, 2], wait_s=1.0) == {1: [2], 2: []}
    assert exchange(tmp_path, [1, 2], wait_s=1.0, moment="start") == {1: [2], 2: [1]}


def test_whoever_died_in_between_goes_on_where_it_stood(tmp_path: Path) -> None:
    """The first letter under a subject stands: a restarted node must not be taken for a forger, nor take others so."""
    office, kept = PostOffice(), dict[int, Kept]()
    for node in KEYS:
        spend(tmp_path, node, "one")
    assert exchange(tmp_path, [1], wait_s=0.2, moment="start", office=office, kept=kept) == {1: []}
    spend(tmp_path, 1, "meanwhile")  # in another run: its letters of this one name the head of before
    for _ in range(2):  # and once more after everybody has countersigned everybody
        found = exchange(tmp_path, [1, 2, 3], moment="start", office=office, kept=kept)
        assert found == {1: [2, 3], 2: [1, 3], 3: [1, 2]}
    assert exchange(tmp_path, [1, 2, 3], office=office, kept=kept) == {1: [2, 3], 2: [1, 3], 3: [1, 2]}


def rolled_back(folder: Path, how: str) -> None:
    """Everybody knows two runs of node 3; then its ledger is ..."""
    for node in KEYS:
        spend(folder, node, "one")
    shutil.copytree(folder / "3", folder / "before")
    spend(folder, 3, "two")
    assert exchange(folder, [1, 2, 3])[3] == [1, 2]
    shutil.rmtree(folder / "3")
    if how != "deleted":
        (folder / "before").rename(folder / "3")
    spend(folder, 3, "another")  # what a new run enters first
    if how == "forked":
        spend(folder, 3, "and-another")


@pytest.mark.parametrize("how", ["deleted", "restored", "forked"])
def test_a_rolled_back_ledger_finds_itself_out_before_anything_is_spent(tmp_path: Path, how: str) -> None:
    rolled_back(tmp_path, how)
    found = exchange(tmp_path, [1, 2, 3], wait_s=1.0, moment="start")
    offender = found[3]
    assert isinstance(offender, IntegrityError)
    assert "by what node 1 holds" in offender.where
    assert "afml ledger restore" in offender.cure
    # It says nothing more, so it is not met and nobody spends with it; nobody is accused.
    assert (found[1], found[2]) == ([2], [1])


@pytest.mark.parametrize("how", ["deleted", "restored", "forked"])
def test_a_rolled_back_ledger_that_goes_on_is_found_out_by_every_peer(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled_back(tmp_path, how)
    honest = Witness.require_past

    def blind(self: Witness, note: str) -> Any:
        return None if self._ledger.origin == ORIGINS[3] else honest(self, note)

    proof = Witness.proof

    def made_up(self: Witness, old: int, size: int | None = None) -> list[bytes]:
        return [bytes(32)] * 2 if self._ledger.origin == ORIGINS[3] else proof(self, old, size)

    monkeypatch.setattr(Witness, "require_past", blind)
    monkeypatch.setattr(Witness, "proof", made_up)
    found = exchange(tmp_path, [1, 2, 3], wait_s=1.0, moment="start")
    for peer in (1, 2):
        error = found[peer]
        assert isinstance(error, IntegrityError)
        assert "node 3" in error.where


def test_a_peer_that_sends_another_institutions_head_accuses_itself_alone(tmp_path: Path) -> None:
    """Node 2 relays node 3's old head as its own: node 1 refuses node 2 and keeps what it knows of node 3."""
    rolled_back(tmp_path, "restored")
    with ledger(tmp_path, 3) as third, ledger(tmp_path, 2) as second, ledger(tmp_path, 1) as own:
        head, size = third.checkpoint(), len(second)
        before = Witness(own).known(ORIGINS[3])
    office, kept = PostOffice(), dict[int, Kept]()
    claimed = Head(note=head, proofs={0: (), size: ()})
    office.mailbox(2).send_open({1: b""}, "start-hello", claimed.canonical())
    found = exchange(tmp_path, [1], wait_s=0.5, moment="start", office=office, kept=kept)[1]
    assert isinstance(found, IntegrityError)
    assert "node 2" in found.where
    with ledger(tmp_path, 1) as own:
        assert Witness(own).known(ORIGINS[3]) == before


def test_a_letter_that_its_sender_did_not_sign_is_not_read(tmp_path: Path) -> None:
    """An aggregator without a key writes letters, and changes others: nobody reads one."""
    office = PostOffice()
    office.mailbox(2).send_open({1: b"for one", 3: b"for three"}, "start-hello", b"for all")
    header, common = office.letters[2, "start-hello"]

    def read(letter: wire.Letter, common: bytes, run: RunConfig = RUN, subject: str = "start-hello") -> Opened:
        client: Any = SimpleNamespace(get_letters=lambda *_, **__: {2: (letter, common)})
        kit: Any = SimpleNamespace(node=1, roster=ROSTER)
        return Mailbox(client, kit, run).receive_open([2], subject, wait_s=0)[2]

    def changed(**fields: object) -> wire.Letter:
        letter = letter_for(header, common, 1)
        assert letter is not None
        for name, value in fields.items():
            setattr(letter, name, value)
        return letter

    assert read(changed(), common) == Opened(b"for all", b"for one")
    third = letter_for(header, common, 3)
    assert third is not None
    forgeries: list[Callable[[], Opened]] = [
        lambda: read(changed(), b"for nobody"),
        lambda: read(changed(own=b"for two"), common),
        lambda: read(changed(own=b"for three"), common),
        lambda: read(third, common),
        lambda: read(changed(index=1), common),
        lambda: read(changed(count=3), common),
        lambda: read(changed(root=bytes(32)), common),
        lambda: read(changed(signature=bytes(64)), common),
        lambda: read(changed(), common, subject="end-hello"),
        lambda: read(changed(), common, config("other")),
    ]
    for forged in forgeries:
        with pytest.raises(IntegrityError, match=r"letter (start|end)-hello of node 2 for node 1"):
            forged()
