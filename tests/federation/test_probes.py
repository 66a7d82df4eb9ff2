"""Strangers and an ill-meaning member at a real aggregator's port, while honest nodes work.

What a roster's member who is not in the run sends is refused; what strangers send ends with the handshake. The
aggregator lives, grows by no more than what the connections themselves take, and the round is the exact sum.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.kit import TlsIdentity
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import Phase
from afml.consortium.scheme import run_params
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from benchmarks.probing import ANSWERED, STRANGERS, Insider, Strangers, foreign
from crypto.ckks.run_key import RunKey
from crypto.public.signing import sign
from tests.aggregator.machine import small_run
from tests.federation.byhand import ByHand
from tests.federation.parties import Consortium
from tests.processes import listening, until

PARAMETERS, CHUNKS, ATTEMPTS, MESSAGES = 20_000, 3, 200, 200
OUTSIDER = 4
GROWTH_MB = 64.0
"""Room for buffers of a few hundred connections; what is larger than allowed is not kept."""


class Scene:
    """A run of three honest nodes, and a fourth on the roster that is not in it."""

    def __init__(self, consortium: Consortium) -> None:
        phase = Phase(name="risk", rounds=1, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                      learning_rate=1.0, parameters=PARAMETERS)  # fmt: skip
        self.config = small_run(3, run="probed", phases=(phase,), deadline_s=600.0)
        consortium.sign(self.config)
        self.port = free_port()
        self.server = consortium.start_aggregator(self.port, "probed")
        listening(self.port)
        self.address, self.memory = f"127.0.0.1:{self.port}", psutil.Process(self.server.pid)
        self.key = RunKey.generate(run_params(self.config))
        self.nodes = {
            number: ByHand(self.address, load_node_kit(consortium.kit(number)), self.config, self.key)
            for number in (1, 2, 3)
        }
        for node in self.nodes.values():
            node.enrol()
        self.outsider = load_node_kit(consortium.kit(OUTSIDER))
        self.rss = self.memory.memory_info().rss

    @property
    def grown_mb(self) -> float:
        return (self.memory.memory_info().rss - self.rss) / 2**20

    def insider(self, seed: int) -> Insider:
        return Insider(self.address, self.outsider, self.config, seed)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        self.server.kill()


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium(tmp_path_factory.mktemp("probes"), OUTSIDER)
    make_kits(made.root / "kits", "test", OUTSIDER)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scene(consortium: Consortium) -> Iterator[Scene]:
    made = Scene(consortium)
    yield made
    made.close()


@pytest.fixture(scope="module")
def other(consortium: Consortium) -> TlsIdentity:
    """Of a node of another consortium of the same name."""
    return foreign(consortium.root, OUTSIDER, "test")


def test_strangers_get_no_further_than_the_handshake(scene: Scene, other: TlsIdentity) -> None:
    strangers, member = (Strangers(("127.0.0.1", scene.port), tls, seed=1) for tls in (other, scene.outsider.tls))
    assert member.knock("wrong authority"), "of the right one: this is what an answer looks like"
    assert strangers.storm(ATTEMPTS) == Counter(dict.fromkeys(STRANGERS, 0))
    assert scene.nodes[1].state().stage == wire.STAGE_GATHERING


def test_messages_that_are_wrong_somewhere_are_refused(scene: Scene, consortium: Consortium) -> None:
    insider = scene.insider(seed=2)
    found = insider.fuzz(MESSAGES)
    insider.close()
    assert sum(found.values()) == MESSAGES
    statuses = {status for _, status in found}
    assert not {"UNKNOWN", "UNAVAILABLE"} & statuses, found  # no error that nobody foresaw, no lost connection
    assert "Traceback" not in consortium.log("aggregator")
    assert not [name for name, status in found if status == "OK" and name not in {*ANSWERED, "ListEnrolments"}], found
    assert scene.nodes[1].state().stage == wire.STAGE_GATHERING
    assert scene.grown_mb < GROWTH_MB


def test_what_others_signed_is_worth_nothing_in_another_mouth(scene: Scene) -> None:
    """A message of an honest node, captured and sent again: by somebody else as it was, and under another name."""
    insider, victim = scene.insider(seed=3), scene.nodes[1]
    attempt = Attempt(1, 1)
    signed = messages.ready(scene.config.run, scene.config.digest(), attempt, 1, bytes(32), victim.lease)
    captured = wire.ReadyToken(**victim.run, round=1, attempt=1, node=1, model=bytes(32), lease=victim.lease,
                               signature=sign(victim.kit.signing_key, signed))  # fmt: skip
    assert insider.replay("Ready", captured.SerializeToString()) == "FAILED_PRECONDITION"
    captured.node = OUTSIDER
    assert insider.replay("Ready", captured.SerializeToString()) == "FAILED_PRECONDITION"
    insider.close()
    assert victim.state().awaited == [1, 2, 3]


def test_honest_nodes_finish_while_all_that_goes_on(scene: Scene, other: TlsIdentity) -> None:
    strangers = Strangers(("127.0.0.1", scene.port), other, seed=4)
    over, seen = threading.Event(), []

    def attack() -> None:
        while not over.is_set():
            seen.append(strangers.storm(len(STRANGERS)))

    attacker = threading.Thread(target=attack)
    insider = scene.insider(seed=5)
    with insider.dawdling(16) as streams:
        attacker.start()
        try:
            _one_round(scene)
        finally:
            over.set()
            attacker.join()
        assert len(streams) == 16
    insider.close()
    assert sum(sum(one.values()) for one in seen) == 0
    assert scene.grown_mb < GROWTH_MB


def _one_round(scene: Scene) -> None:
    for node in scene.nodes.values():
        node.ready(1, 1)
    leases = tuple(node.lease for node in scene.nodes.values())
    attempt = Binding(scene.config.run, scene.config.digest(), Attempt(1, 1), (1, 2, 3), leases)
    params = run_params(scene.config)
    top = 2 ** (params.total_bits - 3)
    words = np.random.default_rng(1).integers(-top, top, (3, CHUNKS, 2, params.slots))
    for number, node in scene.nodes.items():
        chunks = node.chunks(attempt, node.payloads(words[number - 1]))
        node.submit([node.header(attempt, CHUNKS, PARAMETERS), *chunks])
    until(lambda: scene.nodes[1].state().stage == wire.STAGE_FINISHED)
    stub, run = scene.nodes[1].stub, scene.nodes[1].run
    header, *chunks = stub.FetchAggregate(wire.AttemptRef(**run, round=1, node=1), timeout=60)
    assert [token.node for token in header.header.cohort] == [1, 2, 3]
    for index, part in enumerate(chunks):
        found, _ = scene.key.decrypt(part.chunk.payload)
        np.testing.assert_array_equal(found, words[:, index].sum(axis=0))
