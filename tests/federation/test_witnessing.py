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

from afml.consortium import messages
from afml.consortium.roster import Member, Roster
from afml.core.errors import AfmlError, IntegrityError, TransportError
from afml.ledger.checkpoint import countersigners, origin_of
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from crypto.public.signing import public_bytes, sign
from node.mailbox import Mailbox
from node.witnessing import Head, Hello, Witnessing
from tests.ledger import helpers
from tests.ledger.helpers import config

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
    """Relays letters in memory, as the aggregator does: the first one under a subject stands."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.letters: dict[tuple[int, int, str], tuple[Any, bytes]] = {}

    def client(self, node: int) -> Any:
        def put_letter(recipient: int, subject: str, body: bytes) -> None:
            signed = messages.letter(RUN.run, RUN.digest(), node, recipient, subject, body)
            header = SimpleNamespace(
                run=RUN.run, config_digest=RUN.digest(), sender=node, recipient=recipient, subject=subject,
                signature=sign(KEYS[node], signed),
            )  # fmt: skip
            with self.news:
                self.letters.setdefault((node, recipient, subject), (header, body))
                self.news.notify_all()

        def get_letter(sender: int, subject: str, *, wait_s: float, waiting: Callable[[], None]) -> tuple[Any, bytes]:
            place = (sender, node, subject)
            with self.news:
                if not self.news.wait_for(lambda: place in self.letters, wait_s):
                    raise TransportError("no answer in time")
                return self.letters[place]

        return SimpleNamespace(node=node, put_letter=put_letter, get_letter=get_letter)

    def mailbox(self, node: int) -> Mailbox:
        return Mailbox(self.client(node), SimpleNamespace(node=node, roster=ROSTER), RUN)  # type: ignore[arg-type]


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
    claimed = Hello(seen="", head=Head(note=head, since=size, proof=()))
    office.client(2).put_letter(1, "start-hello", claimed.canonical())
    found = exchange(tmp_path, [1], wait_s=0.5, moment="start", office=office, kept=kept)[1]
    assert isinstance(found, IntegrityError)
    assert "node 2" in found.where
    with ledger(tmp_path, 1) as own:
        assert Witness(own).known(ORIGINS[3]) == before


def test_a_letter_that_its_sender_did_not_sign_is_not_read(tmp_path: Path) -> None:
    """An aggregator without a key writes letters: nobody reads one."""
    office = PostOffice()
    mailbox = office.mailbox(1)
    office.client(2).put_letter(1, "start-hello", b'{"note":""}')
    header, body = office.letters[2, 1, "start-hello"]
    assert mailbox.receive_open(2, "start-hello", wait_s=0.1) == body
    forgeries = [
        (header, b'{"note":"forged"}'),
        (SimpleNamespace(**vars(header) | {"subject": "end-hello"}), body),
        (SimpleNamespace(**vars(header) | {"recipient": 3}), body),
        (SimpleNamespace(**vars(header) | {"run": "other"}), body),
        (SimpleNamespace(**vars(header) | {"sender": 3}), body),
        (SimpleNamespace(**vars(header) | {"signature": bytes(64)}), body),
    ]
    for forged in forgeries:
        office.letters[2, 1, "start-hello"] = forged
        with pytest.raises(IntegrityError, match="letter start-hello"):
            mailbox.receive_open(2, "start-hello", wait_s=0.1)
