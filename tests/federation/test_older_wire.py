"""Peers of another minor version: what they do not know they do without, or one line says who updates what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Reason
from afml.consortium.stage import Stage
from afml.consortium.tls import channel_credentials
from afml.wire import federation_pb2 as wire
from node.statuses import translated
from tests.federation.served import NODES, Served
from tests.formats.state import KEPT

MODEL = bytes(32)
SINCE = {
    "RunState": {"awaited", "makers", "since_ms"}, "UpdateHeader": {"first"}, "AttemptRef": {"first"},
    "Cause": {"count", "because"},
}  # fmt: skip
"""Fields that a minor version added: a peer that does without them has what it had before they were there."""


def of_file(file: Any) -> FileDescriptorProto:
    found = FileDescriptorProto()
    file.CopyToProto(found)
    return found


def stored() -> FileDescriptorProto:
    """The wire as it was when it was kept."""
    return FileDescriptorProto.FromString((KEPT / "wire.binpb").read_bytes())


class Peer:
    """Whoever speaks a wire of its own to an aggregator of today."""

    def __init__(self, served: Served, file: FileDescriptorProto, node: int) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        self._file = pool.FindFileByName(file.name)
        self._channel = grpc.secure_channel(served.address, channel_credentials(served.kits[node].tls))
        self.close = self._channel.close
        self.kit, self._run = served.kits[node], (served.config.run, served.config.digest())

    def make(self, name: str, **fields: Any) -> Any:
        run, digest = self._run
        return self._class(name)(**{"run": run, "config_digest": digest, "node": self.kit.node, **fields})

    def call(self, method: str, request: Any) -> Any:
        """The answer; of a stream its first part."""
        (service,) = self._file.services_by_name.values()
        found = service.methods_by_name[method]
        how = self._channel.unary_stream if found.server_streaming else self._channel.unary_unary
        reads = self._class(found.output_type.name).FromString
        done = how(f"/{service.full_name}/{method}", type(request).SerializeToString, reads)
        answer = done(request, timeout=60)
        return next(answer) if found.server_streaming else answer

    def refused(self, method: str, request: Any) -> str:
        """What a node of today would read when its call is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request)
        return str(translated(caught.value, "HOST:PORT"))

    def enrol(self, lease: bytes) -> None:
        said = messages.enrolment(*self._run, self.kit.node, bytes(32), lease)
        self.call("Enrol", self.make("Enrolment", pad_key=bytes(32), lease=lease, signature=self._sign(said)))

    def ready(self, lease: bytes) -> None:
        said = messages.ready(*self._run, Attempt(1, 1), self.kit.node, MODEL, lease)
        token = {"round": 1, "attempt": 1, "model": MODEL, "lease": lease, "signature": self._sign(said)}
        self.call("Ready", self.make("ReadyToken", **token))

    def _sign(self, said: bytes) -> bytes:
        return self.kit.signing_key.sign(said)

    def _class(self, name: str) -> Any:
        return message_factory.GetMessageClass(self._file.message_types_by_name[name])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("older"))
    yield made
    made.close()


def older() -> FileDescriptorProto:
    """The kept wire without what a minor version added."""
    file = stored()
    for message in file.message_type:
        if gone := SINCE.get(message.name):
            left = [one for one in message.field if one.name not in gone]
            assert len(left) == len(message.field) - len(gone)
            del message.field[:]
            message.field.extend(left)
    return file


def newer() -> FileDescriptorProto:
    """The kept wire with one more field in every message, which somebody sets who knows it."""
    file, kind = stored(), FieldDescriptorProto
    for message in file.message_type:
        message.field.add(name="added", number=1000, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    return file


@pytest.mark.parametrize("file", [older(), newer()], ids=["older", "newer"])
def test_a_peer_of_another_minor_version_is_served(tmp_path: Path, file: FileDescriptorProto) -> None:
    """It enrols, follows, is ready and asks for its update; what it lacks, or says beyond, costs it nothing."""
    made = Served(tmp_path)
    peers = [Peer(made, file, node) for node in NODES]
    try:
        for peer in peers:
            peer.enrol(bytes([peer.kit.node]) * 16)
        extra = {"added": "x"} if any(one.name == "added" for one in file.message_type[0].field) else {}
        assert len(peers[0].call("ListEnrolments", peers[0].make("RunRef", **extra)).enrolments) == len(NODES)
        assert peers[0].call("WatchRun", peers[0].make("RunRef", lease=b"\1" * 16, **extra)).stage == 2
        for peer in peers:
            peer.ready(bytes([peer.kit.node]) * 16)
        state = peers[1].call("WatchRun", peers[1].make("RunRef", lease=b"\2" * 16))
        assert (state.stage, [token.node for token in state.cohort]) == (3, list(NODES))
        told = peers[1].refused("FetchAggregate", peers[1].make("AttemptRef", round=1))
        assert told == "aggregator HOST:PORT: round 1 is not published"
    finally:
        for peer in peers:
            peer.close()
        made.close()


def test_a_peer_of_before_leases_is_told_to_update(served: Served) -> None:
    """Not that its signature is wrong, though that is over other bytes too."""
    peer = Peer(served, stored(), 1)
    said = messages.enrolment(served.config.run, served.config.digest(), 1, bytes(32), b"")
    told = peer.refused("Enrol", peer.make("Enrolment", pad_key=bytes(32), signature=peer.kit.signing_key.sign(said)))
    peer.close()
    assert told.startswith("aggregator HOST:PORT: node 1 does not say which process speaks for it; ")
    assert "update AFML" in told


def test_a_peer_of_another_major_version_is_told_to_update(served: Served) -> None:
    file = stored()
    file.package = "afml.v2"
    for message in file.message_type:
        for one in filter(lambda one: one.type_name, message.field):
            one.type_name = one.type_name.replace(".v1.", ".v2.")
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(".v1.", ".v2.")
        method.output_type = method.output_type.replace(".v1.", ".v2.")
    peer = Peer(served, file, 1)
    told = peer.refused("ListEnrolments", peer.make("RunRef"))
    peer.close()
    assert told.startswith("aggregator HOST:PORT: it does not know a call of this version of AFML; have both use the")


def test_a_stage_of_tomorrow_is_waited_out() -> None:
    """An announcement that this version cannot read is none that it acts on."""
    state = wire.RunState.FromString(wire.RunState(stage=2).SerializeToString().replace(b"\x02", b"\x63"))
    assert Stage.of(state.stage) is None
    assert Reason.of(99) is Reason.UNSPECIFIED  # type: ignore[arg-type]


def _fields(message: DescriptorProto) -> dict[int, tuple[Any, ...]]:
    return {one.number: (one.name, one.type, one.label, one.type_name, one.oneof_index) for one in message.field}


def test_what_is_on_the_wire_keeps_its_numbers_and_meanings() -> None:
    """A field that is kept is there, or its number is reserved; calls and numbers of enumerations stay."""
    before, now = stored(), of_file(wire.DESCRIPTOR)
    assert before.package == now.package
    messages_now = {one.name: one for one in now.message_type}
    for message in before.message_type:
        present = messages_now[message.name]
        reserved = {number for one in present.reserved_range for number in range(one.start, one.end)}
        for number, field in _fields(message).items():
            assert number in reserved or _fields(present)[number] == field, f"{message.name}, field {number}"
    for enum, present_enum in zip(before.enum_type, now.enum_type, strict=True):
        assert {(one.name, one.number) for one in enum.value} <= {(o.name, o.number) for o in present_enum.value}
    calls = {one.name: one.SerializeToString() for one in now.service[0].method}
    assert all(calls.get(one.name) == one.SerializeToString() for one in before.service[0].method)


@pytest.mark.parametrize("spoil", ["number", "type", "call"])
def test_a_wire_that_was_changed_under_its_number_is_found(monkeypatch: pytest.MonkeyPatch, spoil: str) -> None:
    file = stored()
    if spoil == "number":
        file.message_type[3].field[0].number += 50
    elif spoil == "type":
        file.message_type[3].field[0].type = FieldDescriptorProto.TYPE_DOUBLE
    else:
        file.service[0].method[0].server_streaming = True
    monkeypatch.setitem(globals(), "stored", lambda: file)
    with pytest.raises((AssertionError, KeyError)):
        test_what_is_on_the_wire_keeps_its_numbers_and_meanings()
