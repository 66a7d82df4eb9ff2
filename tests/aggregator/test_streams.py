"""Streams over a real socket: whom they end for, what a node is told, and that nobody can pile them up."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog

from afml.consortium.connection import AGGREGATOR
from afml.consortium.limits import SUMS_AT_ONCE
from afml.core.recordfile import write_records
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub, add_FederationServicer_to_server
from aggregator import service as serving
from aggregator import timekeeping
from aggregator.calls import Calls
from aggregator.service import Service
from aggregator.store.base import Lost, Published
from aggregator.watchers import Watchers
from benchmarks.crowd import receipt
from node.statuses import AWAY
from tests.aggregator.machine import PARAMETERS
from tests.aggregator.test_publishing import Scene


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of the run."""
    return {}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> Iterator[Scene]:
    """A run whose calls all come from node 1, whatever their certificate."""
    monkeypatch.setattr(Calls, "speaker", lambda self, context: 1)
    scene = Scene(tmp_path, **settings)
    scene.machine.enrol()
    yield scene
    scene.machine.store.close()


def paid(scene: Scene) -> str:
    """Node 1's receipt."""
    return receipt(scene.machine.keys[1], scene.machine.roster.member(1).origin)


@asynccontextmanager
async def port(scene: Scene) -> AsyncIterator[int]:
    server = grpc.aio.server(options=list(AGGREGATOR))
    service = Service(scene.run, scene.machine.engine, scene.publisher, Watchers())
    add_FederationServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield number
    finally:
        await server.stop(0)


def over_a_socket(scene: Scene, speak: Callable[[Any], Any]) -> Any:
    """What a client does that is given a stub."""

    async def run() -> Any:
        async with port(scene) as number:
            with grpc.insecure_channel(f"127.0.0.1:{number}") as channel:
                return await asyncio.to_thread(speak, FederationStub(channel))  # type: ignore[no-untyped-call]

    return asyncio.run(run())


def open_files(folder: str) -> int:
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += folder in os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
    return found


def test_who_asks_for_a_sum_again_and_again_and_reads_none_holds_few_of_them(scene: Scene) -> None:
    machine = scene.machine
    machine.ready()
    machine.upload()
    out = scene.run.folder.sum(machine.attempt)
    out.parent.mkdir(parents=True)
    write_records(out, (bytes(30_000) for _ in range(300)))  # more than a connection takes in unread
    machine.engine.summed(Published(machine.attempt, 300, PARAMETERS))

    def stall(stub: Any) -> None:
        ref = wire.AttemptRef(run="r", config_digest=machine.config.digest(), round=1, node=1)
        calls = []
        for _ in range(8):
            calls.append(stub.FetchAggregate(ref))
            next(calls[-1])
        while open_files(str(out)) > SUMS_AT_ONCE:
            time.sleep(0.05)
        assert sum(1 for _ in calls[-1]) == 300, "the newest goes on"
        for call in calls:
            call.cancel()

    over_a_socket(scene, stall)


def test_an_update_that_does_not_stand_where_its_sender_believes_is_a_refusal_as_others(scene: Scene) -> None:
    """Not a failing disk: a node could fill the log with those."""
    scene.machine.ready()
    head = scene.machine.header(1, receipt=paid(scene), first=7)

    def send(stub: Any) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as refused:
            stub.SubmitUpdate(iter([wire.UpdatePart(header=head)]))
        return refused.value

    with structlog.testing.capture_logs() as said:
        refused = over_a_socket(scene, send)
    assert refused.code() in AWAY
    assert [(one["event"], one["log_level"], one["node"]) for one in said] == [("rejected", "warning", 1)]


@pytest.mark.parametrize("settings", [{"deadline_s": 0.2}])
def test_who_sends_too_slowly_is_told_to_go_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SENDING_S", 0.0)
    scene.machine.ready()
    head = scene.machine.header(1, receipt=paid(scene))

    def send(stub: Any) -> grpc.RpcError:
        over: list[bool] = []

        def parts() -> Iterator[wire.UpdatePart]:
            yield wire.UpdatePart(header=head)
            while not over:
                time.sleep(0.05)

        with pytest.raises(grpc.RpcError) as refused:
            stub.SubmitUpdate(parts())
        over.append(True)
        return refused.value

    assert over_a_socket(scene, send).code() in AWAY


def test_a_store_that_is_lost_under_a_stream_is_no_fault_of_its_reader(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise Lost("the store is lost")

    def read(stub: Any) -> grpc.RpcError:
        ref = wire.LettersRef(
            run="r", config_digest=scene.machine.config.digest(), node=1, subject="x", senders=[2], wait_ms=9000
        )  # fmt: skip
        monkeypatch.setattr("aggregator.letters.Letters.there", lost)
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.GetLetters(ref))
        return refused.value

    assert over_a_socket(scene, read).code() in AWAY


def test_a_subject_is_a_line_of_text(scene: Scene) -> None:
    def read(stub: Any) -> grpc.RpcError:
        ref = wire.LettersRef(
            run="r", config_digest=scene.machine.config.digest(), node=1, subject="a\0b", senders=[2], wait_ms=9000
        )  # fmt: skip
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.GetLetters(ref))
        return refused.value

    assert over_a_socket(scene, read).code() is grpc.StatusCode.FAILED_PRECONDITION


def test_updates_of_an_attempt_that_was_given_up_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeping, "TICK_S", 0.0)
    machine, looks = scene.machine, iter(range(9))
    machine.ready()
    attempt = machine.attempt
    folder = scene.run.folder.uploads(attempt)

    class Seen(Exception):
        """What was to be seen was."""

    def look() -> None:
        turn = next(looks)
        if turn == 0:
            folder.mkdir(parents=True)
            (folder / "1").write_bytes(b"update")
            machine.decline(4, *attempt)
        elif turn == 2:
            assert machine.attempt != attempt
            assert not folder.exists()
            raise Seen

    monkeypatch.setattr(scene.publisher, "raise_failures", look)
    orders: Any = SimpleNamespace(follow=lambda: None)
    with pytest.raises(Seen):
        asyncio.run(timekeeping.keep_time(scene.run, machine.engine, scene.publisher, Watchers(), orders))
