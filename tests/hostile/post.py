"""Letters through a hostile aggregator: it relays, withholds, or delivers something else under the sender's name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

from afml.consortium import messages
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import TransportError
from crypto.public.signing import sign
from node.mailbox import Mailbox

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
        self._letters: dict[tuple[int, int, str], tuple[Any, bytes]] = {}
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
        client: Any = SimpleNamespace(node=kit.node, put_letter=self._putter(kit), get_letter=self._getter(kit.node))
        return Mailbox(client, kit, self._run)

    def _putter(self, kit: NodeKit) -> Callable[[int, str, bytes], None]:
        def put_letter(recipient: int, subject: str, body: bytes) -> None:
            run, digest = self._run.run, self._run.digest()
            header = SimpleNamespace(
                run=run, config_digest=digest, sender=kit.node, recipient=recipient, subject=subject,
                signature=sign(kit.signing_key, messages.letter(run, digest, kit.node, recipient, subject, body)),
            )  # fmt: skip
            with self._news:
                self._letters.setdefault((kit.node, recipient, subject), (header, body))
                self._news.notify_all()

        return put_letter

    def _getter(self, node: int) -> Callable[..., tuple[Any, bytes]]:
        def get_letter(sender: int, subject: str, *, wait_s: float, waiting: Callable[[], None]) -> tuple[Any, bytes]:
            way, place = (sender, node), (sender, node, subject)
            with self._news:
                self._news.wait_for(lambda: way in self.withheld or place in self._letters or sender not in self._here)
                if way in self.withheld or place not in self._letters:
                    raise TransportError("no answer in time")
                header, body = self._letters[place]
            return header, (body[:-1] + bytes([body[-1] ^ 1]) if way in self.forged else body)

        return get_letter
