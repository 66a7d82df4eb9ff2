"""A node that comes after enrolment has closed: what it takes for certain, and what it keeps of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import messages
from afml.consortium.lease import draw_lease
from afml.consortium.orders import Order, What
from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.signing import sign, verify
from node.client import Client
from node.journal import Journal
from node.keys import pad_keys
from node.late import CLOSED, require_place
from tests.federation.served import Served

LATE = 4


@dataclass
class Late:
    """What is looked at of a node (`node.party.Party`)."""

    kit: Any
    run: Any
    client: Client
    journal: Journal
    applied: int = 0
    ended: bool = False
    guard: Any = field(default_factory=lambda: SimpleNamespace(begun=False))

    def enrol(self) -> None:
        self.client.enrol(pad_keys(self.journal, self.run.key_agreement).public, draw_lease())


class Scene(Served):
    """A run of four that three nodes have enrolled in."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.nodes = {
            node: Late(kit, self.config, self.clients[node], Journal(root / f"node-{node}"))
            for node, kit in self.kits.items()
        }
        for node in (1, 2, 3):
            self.nodes[node].enrol()

    def close_enrolment(self) -> None:
        order = Order.signed_by(
            Ed25519PrivateKey.generate(), "coordinator", self.config, What.CLOSE_ENROLMENT, number=1
        )  # fmt: skip

        async def follow() -> None:
            self.engine.follow(order)

        asyncio.run_coroutine_threadsafe(follow(), self.loop).result(60)

    def untouched(self, node: int) -> bool:
        """Whether nothing has become of a node's part."""
        one = self.nodes[node]
        require_place(one)  # type: ignore[arg-type]
        return not one.ended and one.journal.letters.letter(CLOSED) is None

    def close(self) -> None:
        super().close()
        for one in self.nodes.values():
            one.journal.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_nothing_is_said_for_good_while_others_may_come(scene: Scene) -> None:
    with pytest.raises(ProtocolError, match="enrolment is still open"):
        scene.clients[LATE].closed_enrolment()
    assert scene.untouched(LATE)
    scene.nodes[LATE].enrol()


def test_who_came_too_late_is_told_so_by_a_signature_and_keeps_it(scene: Scene) -> None:
    scene.close_enrolment()
    late = scene.nodes[LATE]
    with pytest.raises(ProtocolError, match="enrolment of run r is closed"):
        late.enrol()
    with pytest.raises(ProtocolError, match=r"nodes 1, 2, 3 are in it, and this one is not; what was set .* free"):
        require_place(late)  # type: ignore[arg-type]
    assert late.ended
    kept = json.loads(late.journal.letters.letter(CLOSED) or b"")
    assert kept["nodes"] == [1, 2, 3]
    signed = messages.closed_enrolment(scene.config.run, scene.config.digest(), kept["nodes"])
    verify(bytes.fromhex(late.kit.roster.aggregator_key), signed, bytes.fromhex(kept["signature"]))


def test_who_is_in_the_run_or_has_spent_on_it_is_not_put_out(scene: Scene) -> None:
    scene.close_enrolment()
    assert scene.untouched(3)
    scene.nodes[LATE].guard.begun = True
    assert scene.untouched(LATE)
    scene.nodes[LATE].guard.begun, scene.nodes[LATE].applied = False, 1
    assert scene.untouched(LATE)


def test_nobody_elses_word_and_no_other_list_will_do(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.close_enrolment()
    config, whole = scene.config, scene.publisher.closed_enrolment
    signed = messages.closed_enrolment(config.run, config.digest(), [1, 2, 3])
    others = sign(Ed25519PrivateKey.generate(), signed)
    for lie in (lambda _: others, lambda _: whole([1, 2]), lambda _: b""):
        monkeypatch.setattr(scene.publisher, "closed_enrolment", lie)
        with pytest.raises(IntegrityError, match="closed enrolment"):
            scene.clients[LATE].closed_enrolment()
        assert scene.untouched(LATE)
