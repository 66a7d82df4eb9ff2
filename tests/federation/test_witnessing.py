"""Ledgers of a run vouch for each other; a rolled-back one is found out by its peers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.consortium.roster import Member, Roster
from afml.core.errors import AfmlError, IntegrityError, TransportError
from afml.ledger.checkpoint import countersigners, origin_of
from afml.ledger.entries import spend_for
from afml.ledger.store import Ledger
from crypto.public.signing import public_bytes
from node.mailbox import Mailbox
from node.witnessing import Witnessing
from tests.ledger.helpers import config

KEYS = {node: Ed25519PrivateKey.generate() for node in (1, 2, 3)}
ROSTER = Roster(
    consortium="test", coordinator_key="00", aggregator_key="00",
    members=tuple(
        Member(node=n, name=str(n), signing_key=public_bytes(key).hex(), sealing_key="00") for n, key in KEYS.items()
    ),
)  # fmt: skip


class PostOffice:
    """Relays letters in memory, as the aggregator does: the first one under a subject stands."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._letters: dict[tuple[int, int, str], bytes] = {}

    def client(self, node: int) -> Any:
        def put_letter(recipient: int, subject: str, body: bytes) -> None:
            with self._news:
                self._letters.setdefault((node, recipient, subject), body)
                self._news.notify_all()

        def get_letter(sender: int, subject: str, *, wait_s: float) -> tuple[Any, bytes]:
            place = (sender, node, subject)
            with self._news:
                if not self._news.wait_for(lambda: place in self._letters, wait_s):
                    raise TransportError("no answer in time")
                return SimpleNamespace(sender=sender), self._letters[place]

        return SimpleNamespace(node=node, put_letter=put_letter, get_letter=get_letter)

    def mailbox(self, node: int) -> Mailbox:
        """A node's mailbox; open letters need neither kit nor run."""
        return Mailbox(self.client(node), SimpleNamespace(node=node), SimpleNamespace())  # type: ignore[arg-type]


def ledger(folder: Path, node: int) -> Ledger:
    return Ledger.open(folder / str(node), KEYS[node], origin=origin_of("test", node))


def spend(folder: Path, node: int, run: str) -> None:
    with ledger(folder, node) as one:
        one.append(spend_for(config(run), Attempt(1, 1), [1, 2, 3]), ["p", "q"])


def exchange(folder: Path, nodes: Sequence[int], *, wait_s: float = 20.0) -> dict[int, list[int] | AfmlError]:
    """Run the exchange of all nodes at once; what each got, or the error that ended it."""
    office, found = PostOffice(), dict[int, list[int] | AfmlError]()

    def take_part(node: int) -> Callable[[], None]:
        def work() -> None:
            with ledger(folder, node) as own:
                peers = [n for n in KEYS if n != node]
                try:
                    found[node] = Witnessing(office.mailbox(node), own, ROSTER, wait_s=wait_s).exchange("end", peers)
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
    assert exchange(tmp_path, [1, 2, 3]) == {1: [2, 3], 2: [1, 3], 3: [1, 2]}
    with ledger(tmp_path, 1) as own:
        witnesses = {origin_of("test", n): public_bytes(KEYS[n]) for n in (2, 3)}
        assert set(countersigners(own.checkpoint(), witnesses)) == set(witnesses)


def test_an_empty_ledger_and_an_absent_peer_hold_nobody_up(tmp_path: Path) -> None:
    spend(tmp_path, 1, "one")
    assert exchange(tmp_path, [1, 2], wait_s=1.0) == {1: [2], 2: []}


def test_a_ledger_that_was_rolled_back_is_found_out_by_its_peers(tmp_path: Path) -> None:
    for node in KEYS:
        spend(tmp_path, node, "one")
    shutil.copytree(tmp_path / "3", tmp_path / "before")
    spend(tmp_path, 3, "two")
    assert exchange(tmp_path, [1, 2, 3])[3] == [1, 2]
    shutil.rmtree(tmp_path / "3")
    (tmp_path / "before").rename(tmp_path / "3")  # as if run two had never been
    spend(tmp_path, 3, "another")
    found = exchange(tmp_path, [1, 2, 3], wait_s=2.0)
    for peer in (1, 2):
        error = found[peer]
        assert isinstance(error, IntegrityError)
        with pytest.raises(IntegrityError, match=r"node-3: head .* does not extend"):
            raise error
