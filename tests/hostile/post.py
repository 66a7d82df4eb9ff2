"""Letters through a hostile aggregator: it relays, withholds, or delivers something else under the sender's name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.wire import federation_pb2 as wire
from node.mailbox import Mailbox
from tests.post import letter_for

Way = tuple[int, int]
"""Sender and recipient."""


class HostilePost:
    """The letters of one run; the first one under a subject stands, as it does at the real aggregator.

    Args:
        run: The run.

    Attributes:
        withheld: Ways on which nothing arrives.
        forged: Ways on which another text arrives than was signed.
    """

    def __init__(self, run: RunConfig) -> None:
        self._run, self._news = run, threading.Condition()
        self._letters: dict[tuple[int, str], tuple[wire.LetterHeader, bytes]] = {}
        self._here: set[int] = set()
        self.withheld: set[Way] = set()
        self.forged: set[Way] = set()

    def open(self, nodes: Collection[int]) -> None:
        """These nodes begin to exchange letters: whoever waits for somebody else waits in vain."""
        self._here = set(nodes)

    def close(self, node: int) -> None:
        """This one sends nothing more."""
        with self._news:
            self._here.discard(node)
            self._news.notify_all()

    def mailbox(self, kit: NodeKit) -> Mailbox:
        """A node's mailbox, which trusts none of this."""
        client: Any = SimpleNamespace(node=kit.node, put_letter=self._put, get_letters=self._getter(kit.node))
        return Mailbox(client, kit, self._run)

    def _put(self, header: wire.LetterHeader, common: bytes) -> None:
        with self._news:
            self._letters.setdefault((header.sender, header.subject), (header, common))
            self._news.notify_all()

    def _getter(self, node: int) -> Callable[..., dict[int, tuple[wire.Letter, bytes]]]:
        def get_letters(
            senders: Collection[int], subject: str, *, wait_s: float, waiting: Callable[[], None]
        ) -> dict[int, tuple[wire.Letter, bytes]]:
            found = {}
            for sender in senders:
                way, place = (sender, node), (sender, subject)
                with self._news:
                    self._news.wait_for(
                        lambda way=way, place=place: (  # type: ignore[misc]
                            way in self.withheld or place in self._letters or way[0] not in self._here
                        )
                    )
                    if way in self.withheld or place not in self._letters:
                        continue
                    header, common = self._letters[place]
                letter = letter_for(header, common, node)
                if letter is None:
                    continue
                if way in self.forged:
                    forged = letter.own or b"?"
                    letter.own = forged[:-1] + bytes([forged[-1] ^ 1])
                found[sender] = letter, common
            return found

        return get_letters
