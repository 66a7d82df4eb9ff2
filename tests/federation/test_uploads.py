"""Uploads that are not what an honest node sends: refused with the reason, and the round goes on undisturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc
import numpy as np
import pytest

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import Phase
from afml.consortium.scheme import run_params
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from benchmarks.crowd import receipt
from crypto.ckks.run_key import RunKey
from tests.aggregator.machine import small_run
from tests.federation.byhand import ByHand
from tests.federation.parties import Consortium
from tests.processes import listening

PARAMETERS, CHUNKS = 20_000, 3


class Scene:
    """A run of three hand-made nodes, its first attempt open."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        phase = Phase(name="risk", rounds=1, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                      learning_rate=1.0, parameters=PARAMETERS)  # fmt: skip
        config = small_run(3, run="by-hand", phases=(phase,), deadline_s=1200.0)
        consortium.sign(config)
        port = free_port()
        self.server = consortium.start_aggregator(port, "by-hand")
        listening(port)
        params = run_params(config)
        assert params.chunks(PARAMETERS) == CHUNKS
        key = RunKey.generate(params)
        self.nodes = {n: ByHand(f"127.0.0.1:{port}", load_node_kit(consortium.kit(n)), config, key) for n in (1, 2, 3)}
        for node in self.nodes.values():
            node.enrol()
        for node in self.nodes.values():
            node.ready(1, 1)
        leases = tuple(node.lease for node in self.nodes.values())
        self.attempt = Binding(config.run, config.digest(), Attempt(1, 1), (1, 2, 3), leases)
        rng = np.random.default_rng(1)
        shape = (3, CHUNKS, 2, params.slots)
        self.words = rng.integers(-(2 ** (params.total_bits - 3)), 2 ** (params.total_bits - 3), shape)
        self.payloads = {n: node.payloads(self.words[n - 1]) for n, node in self.nodes.items()}
        self.key, self.config = key, config

    def header(self, node: int = 1, **changes: object) -> wire.UpdatePart:
        return self.nodes[node].header(self.attempt, CHUNKS, PARAMETERS, **changes)

    def chunks(self, node: int = 1, attempt: Binding | None = None) -> list[wire.UpdatePart]:
        return self.nodes[node].chunks(attempt or self.attempt, self.payloads[node])

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        self.server.kill()


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium(tmp_path_factory.mktemp("uploads"), 3)
    make_kits(made.root / "kits", "test", 3)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scene(consortium: Consortium) -> Iterator[Scene]:
    made = Scene(consortium)
    yield made
    made.close()


def _flipped(scene: Scene) -> list[wire.UpdatePart]:
    parts = scene.chunks()
    payload = bytearray(parts[1].chunk.payload)
    payload[1000] ^= 1
    parts[1].chunk.payload = bytes(payload)
    return [scene.header(), *parts]


def _replayed(scene: Scene) -> list[wire.UpdatePart]:
    first, second, third = scene.chunks()
    return [scene.header(), first, second, second, third]


def _reordered(scene: Scene) -> list[wire.UpdatePart]:
    first, second, third = scene.chunks()
    return [scene.header(), first, third, second]


def _renumbered(scene: Scene) -> list[wire.UpdatePart]:
    first, second, third = scene.chunks()
    second.chunk.index, third.chunk.index = 2, 1
    return [scene.header(), first, third, second]


def _truncated(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(), *scene.chunks()[:2]]


def _surplus(scene: Scene) -> list[wire.UpdatePart]:
    parts = scene.chunks()
    more = wire.UpdatePart()
    more.CopyFrom(parts[2])
    more.chunk.index = 3
    return [scene.header(), *parts, more]


def _short(scene: Scene) -> list[wire.UpdatePart]:
    parts = scene.chunks()
    parts[0].chunk.payload = parts[0].chunk.payload[:-1]
    return [scene.header(), *parts]


def _oversized(scene: Scene) -> list[wire.UpdatePart]:
    parts = scene.chunks()
    parts[0].chunk.payload += bytes(100_000)
    return [scene.header(), *parts]


def _enormous(scene: Scene) -> list[wire.UpdatePart]:
    parts = scene.chunks()
    parts[0].chunk.payload += bytes(3 << 20)
    return [scene.header(), *parts]


def _of_another_node(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(), *scene.chunks(node=2)]


def _of_another_attempt(scene: Scene) -> list[wire.UpdatePart]:
    other = replace(scene.attempt, attempt=Attempt(1, 2))
    return [scene.header(), *scene.chunks(attempt=other)]


def _of_another_cohort(scene: Scene) -> list[wire.UpdatePart]:
    other = replace(scene.attempt, cohort=(1, 2), leases=scene.attempt.leases[:2])
    return [scene.header(), *scene.chunks(attempt=other)]


def _headless(scene: Scene) -> list[wire.UpdatePart]:
    return scene.chunks()


def _two_headed(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(), scene.header(), *scene.chunks()]


def _unpaid(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(receipt="{}"), *scene.chunks()]


def _of_no_head(scene: Scene) -> list[wire.UpdatePart]:
    bent = json.loads(scene.nodes[1].receipt()) | {"checkpoint": "head"}
    return [scene.header(receipt=json.dumps(bent)), *scene.chunks()]


def _of_a_bent_head(scene: Scene) -> list[wire.UpdatePart]:
    bent = json.loads(scene.nodes[1].receipt())
    bent["checkpoint"] = bent["checkpoint"].replace("\n1\n", "\n2\n", 1)
    return [scene.header(receipt=json.dumps(bent)), *scene.chunks()]


def _paid_by_another(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(receipt=scene.nodes[2].receipt()), *scene.chunks()]


def _of_another_ledger(scene: Scene) -> list[wire.UpdatePart]:
    kit = scene.nodes[1].kit
    return [scene.header(receipt=receipt(kit.signing_key, kit.roster.member(2).origin)), *scene.chunks()]


def _of_no_entry(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(receipt=scene.nodes[1].receipt(index=1)), *scene.chunks()]


def _miscounted(scene: Scene) -> list[wire.UpdatePart]:
    header = scene.header()
    header.header.chunks = 4
    return [header, *scene.chunks()]


def _under_a_false_name(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(node=2), *scene.chunks()]


def _of_a_future_round(scene: Scene) -> list[wire.UpdatePart]:
    return [scene.header(round=2), *scene.chunks()]


def _empty(scene: Scene) -> list[wire.UpdatePart]:
    return []


BAD = [
    (_flipped, "chunk 1: signature does not match"),
    (_replayed, "chunk 1: chunk was already received"),
    (_reordered, "chunk 2: chunk out of order"),
    (_renumbered, "chunk 1: signature does not match"),
    (_truncated, "stream ended after 2 of 3 chunks"),
    (_surplus, "chunk 3: chunk out of order"),
    (_short, "bytes, not"),
    (_oversized, "bytes, not"),
    (_enormous, "larger than max"),
    (_of_another_node, "chunk 0: signature does not match"),
    (_of_another_attempt, "chunk 0: signature does not match"),
    (_of_another_cohort, "chunk 0: signature does not match"),
    (_headless, "begins with its header"),
    (_two_headed, "a chunk was expected"),
    (_unpaid, "sent no ledger receipt"),
    (_of_no_head, "the receipt of node 1 is not signed by it"),
    (_of_a_bent_head, "the receipt of node 1 is not signed by it"),
    (_paid_by_another, "the receipt of node 1 is not signed by it"),
    (_of_another_ledger, "the receipt of node 1 is not of its ledger"),
    (_of_no_entry, "does not cover entry 1"),
    (_miscounted, "announces 4 chunks, not 3"),
    (_under_a_false_name, "the certificate belongs to node 1, the message claims node 2"),
    (_of_a_future_round, "round 2, attempt 1 is not open"),
    (_empty, "begins with its header"),
]


@pytest.mark.parametrize(("parts", "why"), BAD, ids=[parts.__name__.strip("_") for parts, _ in BAD])
def test_a_bad_upload_is_refused(scene: Scene, parts: Callable[[Scene], list[wire.UpdatePart]], why: str) -> None:
    code, message = scene.nodes[1].refusal(parts(scene))
    assert why in message
    assert code in (
        grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )  # fmt: skip
    state = scene.nodes[2].state()
    assert (state.stage, state.round, state.attempt) == (wire.STAGE_OPEN, 1, 1)


def test_after_all_that_the_round_is_summed_as_if_nothing_had_been(scene: Scene, consortium: Consortium) -> None:
    """Runs after the refusals above: the same attempt, the exact sum, nothing left of the bad uploads."""
    uploads = consortium.data("by-hand") / "uploads"
    assert [path.name for path in uploads.rglob("*") if path.is_file()] == []
    for number, node in scene.nodes.items():
        node.submit([scene.header(number), *scene.chunks(number)])
        node.submit([scene.header(number), *scene.chunks(number)])  # a lost answer: sent again, counted once
    deadline = time.monotonic() + 30
    while scene.nodes[1].state().stage != wire.STAGE_FINISHED:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    stub, run = scene.nodes[1].stub, scene.nodes[1].run
    header, *chunks = stub.FetchAggregate(wire.AttemptRef(**run, round=1, node=1), timeout=20)
    assert [token.node for token in header.header.cohort] == [1, 2, 3]
    for index, part in enumerate(chunks):
        words, _ = scene.key.decrypt(part.chunk.payload)
        np.testing.assert_array_equal(words, scene.words[:, index].sum(axis=0))
    assert len(chunks) == CHUNKS
