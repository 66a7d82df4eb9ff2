"""Keys of a hybrid run over mutual TLS: nodes, mailboxes and the aggregator's own service; and those who cheat."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afml.consortium import messages
from afml.consortium.lease import draw_lease
from afml.consortium.stage import Stage
from afml.core.errors import AfmlError, IntegrityError, ProtocolError
from afml.wire import federation_pb2 as wire
from crypto.public.signing import sign
from crypto.public.suites import CIPHERTEXT_BYTES, HYBRID, KeyAgreement, split
from crypto.secret.backend import Backend, backend
from crypto.secret.pads import PadKeys
from node.client import Client
from node.journal import Journal
from node.keys import CONFIRMATION, RunKeys, agree, confirm, pad_keys, verified_peers
from node.mailbox import Mailbox
from tests.federation.served import NODES, Served


@dataclass
class Party:
    """What the agreement needs of a node (`node.keys.KeyParty`), and nothing else of it."""

    kit: Any
    run: Any
    client: Client
    journal: Journal
    mailbox: Mailbox
    backend: Backend
    news: Any = None
    tell: Callable[[object], None] = lambda _: None

    def require_going(self) -> None:
        """It does."""

    def enrol(self) -> bytes:
        lease = draw_lease()
        self.client.enrol(pad_keys(self.journal, self.run.key_agreement).public, lease)
        self.news = self.client.watch()
        return lease

    def agree(self) -> RunKeys:
        next(state for state in self.news if Stage.of(state.stage) is Stage.GATHERING)
        return agree(self)

    def confirmed(self, keys: RunKeys) -> None:
        confirm(self, keys, [node for node in NODES if node != self.kit.node])


class Scene(Served):
    """A run of four nodes that are about to agree on its keys."""

    def __init__(self, root: Path, agreement: KeyAgreement = HYBRID) -> None:
        super().__init__(root, key_agreement=agreement)
        self.parties = {
            node: Party(kit, self.config, self.clients[node], Journal(root / f"node-{node}"), self.boxes[node],
                        backend("ckks"))
            for node, kit in self.kits.items()
        }  # fmt: skip

    def each(self, do: Callable[[int], object]) -> dict[int, object]:
        """Do something for all nodes at once; what came of it, an error of ours included."""

        def tried(node: int) -> object:
            try:
                return do(node)
            except AfmlError as error:
                return error

        with ThreadPoolExecutor(len(NODES)) as pool:
            return dict(zip(NODES, pool.map(tried, NODES), strict=True))

    def agreed(self) -> dict[int, Any]:
        for party in self.parties.values():
            party.enrol()
        return self.each(lambda node: self.parties[node].agree())

    def confirmed(self, keys: dict[int, Any]) -> dict[int, object]:
        return self.each(lambda node: self.parties[node].confirmed(keys[node]))

    def look(self, at: Callable[[], Any]) -> Any:
        """Something of the store, in the thread that holds it."""

        async def looked() -> Any:
            return at()

        return asyncio.run_coroutine_threadsafe(looked(), self.loop).result(60)

    def sent(self) -> dict[int, int]:
        """Letters of each node at the aggregator."""
        return self.look(lambda: {node: self.store.letters.sent_by(node) for node in NODES})  # type: ignore[no-any-return]

    def close(self) -> None:
        super().close()
        for party in self.parties.values():
            party.journal.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def replayed(scene: Scene, node: int) -> RunKeys:
    """The agreement of a process that was started again."""
    party = scene.parties[node]
    party.mailbox = scene.boxes[node] = Mailbox(party.client, party.kit, party.run)
    return agree(party)


# -- honest parties ------------------------------------------------------------------------------------


def test_all_agree_in_one_letter_each_and_a_restart_agrees_the_same(scene: Scene) -> None:
    keys = scene.agreed()
    assert scene.confirmed(keys) == dict.fromkeys(NODES)
    for one, two in itertools.combinations(NODES, 2):
        assert keys[one].pairs.secrets[two] == keys[two].pairs.secrets[one]
    assert len({keys[node].shared for node in NODES}) == 1
    # Beside the run's key there is one letter of each node: its confirmation, which a hybrid run has anyway.
    assert scene.sent() == {1: 2, 2: 1, 3: 1, 4: 1}
    for node in NODES:
        again = replayed(scene, node)
        scene.parties[node].confirmed(again)
        assert dict(again.pairs.secrets) == dict(keys[node].pairs.secrets)


def test_by_x25519_alone_nothing_else_is_sent_than_before(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "x25519")
    try:
        keys = scene.agreed()
        assert scene.confirmed(keys) == dict.fromkeys(NODES)
        own = {one: pad_keys(scene.parties[one].journal, "x25519") for one in NODES}
        assert keys[1].pairs.secrets[2] == own[2].shared(own[1].public)
        assert all(len(entry.pad_key) == 32 for entry in scene.clients[1].enrolments())
        found = scene.boxes[2].receive_open([1], CONFIRMATION, wait_s=60)
        assert len(found[1].own) == 32
        assert not list(tmp_path.glob("node-*/pairs.key"))
    finally:
        scene.close()


def test_what_is_sealed_in_a_hybrid_run_needs_the_key_that_is_erased_with_it(scene: Scene) -> None:
    """The run's key in its letter: a stolen sealing key, as a broken X25519 would give it, does not open it."""
    keys = scene.agreed()
    box = scene.boxes[2]
    assert box.receive_sealed([1], "run-key", wait_s=60) == {1: keys[2].shared}
    (letter,) = box.receive_open([1], "run-key", wait_s=60).values()
    assert len(letter.own) == 32 + CIPHERTEXT_BYTES + 32 + 16
    thief = Mailbox(scene.clients[2], scene.kits[2], scene.config)  # kit and wire, and no key of the run
    with pytest.raises(ProtocolError, match="keys of the run, which are not agreed"):
        thief.receive_sealed([1], "run-key", wait_s=60)
    thief.hold(PadKeys.generate(HYBRID), {})
    with pytest.raises(IntegrityError, match="does not open"):
        thief.receive_sealed([1], "run-key", wait_s=60)


def test_a_key_that_was_sealed_by_x25519_alone_is_not_taken(scene: Scene) -> None:
    """A member that makes the run's key cannot weaken it for the others: what it sends so does not open."""
    honest = scene.boxes[1].send_sealed
    scene.boxes[1].send_sealed = lambda *said, **_: honest(*said, lasting=False)  # type: ignore[method-assign]
    found = scene.agreed()
    assert {node for node, one in found.items() if isinstance(one, IntegrityError)} == {2, 3, 4}


def test_a_hybrid_run_seals_nothing_by_x25519_alone(scene: Scene) -> None:
    with pytest.raises(ProtocolError, match="node 2: has shown no key that the run seals by"):
        scene.boxes[1].send_sealed([2], "run-key", b"secret")
    assert scene.sent() == dict.fromkeys(NODES, 0)


def test_nobody_waits_for_a_node_that_enrolled_and_went_away(scene: Scene) -> None:
    """Node 1 would encapsulate to all others. They agree without it, and with it once it is back."""
    leases = {node: party.enrol() for node, party in scene.parties.items()}
    scene.clients[1].away(leases[1])
    keys: dict[int, Any] = scene.each(lambda node: None if node == 1 else scene.parties[node].agree())
    assert set(keys[4].pairs.secrets) == set()
    for node, peers in {2: [3, 4], 3: [2, 4], 4: [2, 3]}.items():
        confirm(scene.parties[node], keys[node], peers)
    assert set(keys[4].pairs.secrets) == {2, 3}
    keys[1] = scene.parties[1].agree()
    assert scene.confirmed(keys) == dict.fromkeys(NODES)
    assert keys[4].pairs.secrets[1] == keys[1].pairs.secrets[4]


# -- members that cheat --------------------------------------------------------------------------------


def test_a_member_that_sends_one_node_a_wrong_ciphertext_is_named_by_that_node(scene: Scene) -> None:
    """It signs what it sends, so that nothing else is wrong with the letter."""
    honest = scene.boxes[1].send_open

    def cheating(own: Any, subject: str, common: bytes = b"") -> None:
        if subject == CONFIRMATION:
            own = {**own, 3: own[4][:CIPHERTEXT_BYTES] + own[3][CIPHERTEXT_BYTES:]}
        honest(own, subject, common)

    scene.boxes[1].send_open = cheating  # type: ignore[method-assign]
    found = scene.confirmed(scene.agreed())
    assert {node: type(error) for node, error in found.items() if error} == {3: IntegrityError}
    assert "node 1 and this node 3 do not share a pad key" in str(found[3])


@pytest.mark.parametrize("half", ["ML-KEM", "X25519"])
def test_a_member_that_shows_two_keys_agrees_with_nobody_who_saw_the_other(scene: Scene, half: str) -> None:
    """Node 4 and the aggregator together: node 2 gets a second enrolment, signed by node 4 itself."""
    party = scene.parties[4]
    kem, dh = split(pad_keys(party.journal, HYBRID).public)
    other = split(PadKeys.generate(HYBRID).public)
    second = other[0] + dh if half == "ML-KEM" else kem + other[1]
    client, listed = scene.clients[2], scene.clients[2].enrolments

    def shown() -> list[wire.Enrolment]:
        return [_signed(scene, 4, second, entry) if entry.node == 4 else entry for entry in listed()]

    client.enrolments = shown  # type: ignore[method-assign]
    found = scene.confirmed(scene.agreed())
    assert isinstance(found[4], IntegrityError)
    assert "node 2 and this node 4 do not share a pad key" in str(found[4])
    if half == "X25519":
        assert "node 4 and this node 2 do not share a pad key" in str(found[2])
    assert found[1] is found[3] is None


def _signed(scene: Scene, node: int, pad_key: bytes, entry: wire.Enrolment) -> wire.Enrolment:
    signed = messages.enrolment(scene.config.run, scene.config.digest(), node, pad_key, entry.lease)
    signature = sign(scene.kits[node].signing_key, signed)
    return wire.Enrolment(run=entry.run, config_digest=entry.config_digest, node=node, pad_key=pad_key,
                          signature=signature, lease=entry.lease)  # fmt: skip


@pytest.mark.parametrize("bad", ["X25519 alone", "malformed", "longer"])
def test_a_member_that_enrols_without_a_usable_key_is_refused_and_stops_nobody(scene: Scene, bad: str) -> None:
    good = PadKeys.generate(HYBRID).public
    key = {"X25519 alone": good[-32:], "malformed": b"\xff" * 1184 + good[-32:], "longer": good + b"\0"}[bad]
    with pytest.raises(AfmlError, match="pad key of node 4"):
        scene.clients[4].enrol(key, draw_lease())
    assert scene.look(scene.store.members.all) == {}


# -- a relay that cheats -------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", ["ML-KEM", "X25519", "both", "stripped"])
def test_an_aggregator_that_swaps_or_strips_keys_is_found_before_anything_is_sealed(scene: Scene, swap: str) -> None:
    for party in scene.parties.values():
        party.enrol()
    its_own = split(PadKeys.generate(HYBRID).public)
    listed = scene.clients[1].enrolments()

    def swapped(entry: wire.Enrolment) -> wire.Enrolment:
        kem, dh = split(entry.pad_key)
        changed = {"ML-KEM": its_own[0] + dh, "X25519": kem + its_own[1], "both": b"".join(its_own), "stripped": dh}
        entry.pad_key = changed[swap]
        return entry

    shown = [swapped(entry) if entry.node == 2 else entry for entry in listed]
    with pytest.raises(IntegrityError, match="pad key of node 2: signature does not match"):
        verified_peers(shown, scene.config, scene.kits[1].roster)


def test_a_key_without_its_post_quantum_half_is_refused_though_its_node_has_signed_it(scene: Scene) -> None:
    """A member and the aggregator together cannot have one other node agree by X25519 alone."""
    for party in scene.parties.values():
        party.enrol()
    listed = scene.clients[1].enrolments()
    shown = [_signed(scene, 2, entry.pad_key[-32:], entry) if entry.node == 2 else entry for entry in listed]
    with pytest.raises(IntegrityError, match=r"pad key of node 2: 32 bytes are no public key of x25519-mlkem768"):
        verified_peers(shown, scene.config, scene.kits[1].roster)


def test_an_aggregator_that_swaps_a_ciphertext_is_found_by_the_letters_signature(scene: Scene) -> None:
    keys = scene.agreed()
    honest = scene.clients[3].get_letters

    def altered(*arguments: Any, **options: Any) -> Any:
        found = honest(*arguments, **options)
        letter, _ = found[1]
        letter.own = bytes(CIPHERTEXT_BYTES) + letter.own[CIPHERTEXT_BYTES:]
        return found

    scene.clients[3].get_letters = altered  # type: ignore[method-assign]
    with pytest.raises(IntegrityError, match=r"letter confirmation of node 1 .* as the aggregator delivered it"):
        scene.parties[3].confirmed(keys[3])
    assert 1 not in keys[3].pairs.secrets
