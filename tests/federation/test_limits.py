"""What one valid kit can make an aggregator hold, over real sockets: each has a limit, and others notice nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from afml.consortium.connection import NODE
from afml.consortium.limits import FOLLOWED_AT_ONCE, MAX_LETTER, MAX_NOTE, MAX_RECEIPT, MAX_WORD, PIECE
from afml.consortium.nodekit import load_node_kit
from afml.consortium.tls import channel_credentials
from afml.core.logging import MOST
from afml.trial.kits import make_kits
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from crypto.public.signing import sign
from tests.federation.byhand import ByHand
from tests.federation.parties import Consortium
from tests.federation.test_uploads import CHUNKS, PARAMETERS, Scene
from tests.post import signed_text
from tests.processes import REPOSITORY, command, environment, until

FILES = 112
"""File handles of the aggregator here."""


class Holder:
    """Opens streams that say something and then nothing, until it is closed."""

    def __init__(self, node: ByHand) -> None:
        self.node, self.done, self.calls = node, threading.Event(), ExitStack()

    def hold(self, method: Callable[..., Any], first: list[Any]) -> Any:
        """A call that has sent these parts, and waits."""
        said = threading.Event()

        def parts() -> Iterator[Any]:
            yield from first
            said.set()
            self.done.wait(120)

        call = method.future(parts())
        assert said.wait(60)
        self.calls.callback(call.cancel)
        return call

    def close(self) -> None:
        self.done.set()
        self.calls.close()


@dataclass
class Limited(Consortium):
    """Its aggregator has other limits than the product's, and so many file handles.

    Attributes:
        limits: NAME=VALUE of `afml.consortium.limits`.
        files: 0 for as many as the tests have.
    """

    limits: Sequence[str] = ()
    files: int = 0

    def start_aggregator(self, port: int, name: str = "run", crash: str = "") -> subprocess.Popen[bytes]:
        told = command("aggregator", "--kit", self.kit("aggregator"), "--run", self.run_file(name),
                       "--data", self.data(name), "--listen", f"127.0.0.1:{port}")  # fmt: skip
        line = [sys.executable, "-m", "tests.federation.shortened", *self.limits, "--", *told[3:]]
        if self.files:
            line = ["sh", "-c", f'ulimit -n {self.files}; exec "$@"', "sh", *line]
        with (self.root / "aggregator.log").open("ab") as out:
            process = self.popen(line, stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=environment())
        self.processes.append(process)
        return process


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Three nodes by hand in an open attempt; a fourth is on the roster and not in the run."""
    made = Limited(tmp_path_factory.mktemp("limits"), 4, limits=["IDLE_S=1"], files=FILES)
    make_kits(made.root / "kits", "test", 4)
    scene = Scene(made)
    yield scene
    scene.close()
    made.stop()


@pytest.fixture
def holder(scene: Scene) -> Iterator[Holder]:
    made = Holder(scene.nodes[1])
    yield made
    made.close()


def _refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return str(refused.value.details())


def _letter(scene: Scene, subject: str, length: int, **changes: object) -> wire.LetterPart:
    settings: dict[str, Any] = {
        **scene.nodes[1].run, "sender": 1, "own": [wire.Own(recipient=2)], "subject": subject, "size": length,
    } | changes  # fmt: skip
    header = wire.LetterHeader(**settings)
    header.signature = sign(scene.nodes[1].kit.signing_key, signed_text(header, bytes(length)))
    return wire.LetterPart(header=header)


def test_who_is_on_the_roster_and_not_in_the_run_gets_nothing_of_it(scene: Scene) -> None:
    address = scene.nodes[1].address
    stranger = ByHand(address, load_node_kit(scene.consortium.kit(4)), scene.config, scene.key)
    stub, run = stranger.stub, stranger.run
    letter = _letter(scene, "run-key", 3, sender=4)
    calls: list[Callable[[], Any]] = [
        stranger.enrol,
        stranger.state,
        lambda: stub.ListEnrolments(wire.RunRef(**run, node=4), timeout=20),
        lambda: list(stub.FetchAggregate(wire.AttemptRef(**run, round=1, node=4), timeout=20)),
        lambda: stub.PutLetter(iter([letter, wire.LetterPart(piece=b"abc")]), timeout=20),
        lambda: list(stub.GetLetters(wire.LettersRef(**run, node=4, senders=[1], subject="run-key"), timeout=20)),
        lambda: stranger.submit([stranger.header(scene.attempt, CHUNKS, PARAMETERS)]),
    ]
    assert {_refusal(call) for call in calls} == {"node 4 is not in run by-hand"}
    stranger.close()


def test_unfinished_letters_are_one_and_take_no_memory(scene: Scene, holder: Holder) -> None:
    size, piece = 48 << 20, wire.LetterPart(piece=bytes(PIECE))
    before = _resident(scene.server.pid)
    held = [holder.hold(holder.node.stub.PutLetter, [_letter(scene, "public-model", size), *[piece] * 12])
            for _ in range(12)]  # fmt: skip
    assert {_refusal(call.result) for call in held[:-1]} == {"node 1 has begun another letter"}
    assert not held[-1].done()
    assert _resident(scene.server.pid) - before < 64e6, "twelve times twelve MiB were sent"
    assert list((scene.consortium.data("by-hand") / "letters").glob("*")) == []
    for subject, size in (("start-hello", MAX_NOTE + 1), ("public-model", MAX_LETTER + 1)):
        long = iter([_letter(scene, subject, 3, size=size)])
        why = _refusal(lambda long=long: holder.node.stub.PutLetter(long, timeout=20))  # type: ignore[misc]
        assert "a letter under this subject may hold" in why
    padded = _letter(scene, "start-hello", 3)
    padded.header.signature = bytes(2 * MAX_WORD)
    assert "longer than what it says" in _refusal(lambda: holder.node.stub.PutLetter(iter([padded]), timeout=20))


def test_half_an_update_is_on_disk_once(scene: Scene, holder: Holder) -> None:
    folder, submit = scene.consortium.data("by-hand") / "uploads", holder.node.stub.SubmitUpdate
    held = [holder.hold(submit, [scene.header(), *scene.chunks()[:1]]) for _ in range(11)]
    held.append(holder.hold(submit, [scene.header(), *scene.chunks()[:2]]))
    assert {_refusal(call.result) for call in held[:-1]} == {"node 1 has begun another update"}
    until(lambda: holder.node.stub.UpdateProgress(scene.header().header, timeout=20).chunks == 2)
    assert len(list(folder.rglob(".1.*"))) == 1
    held[-1].cancel()
    on = scene.nodes[1].refusal([scene.header(first=2)])
    assert "stream ended after 2 of 3 chunks" in on[1], "it may go on where it broke"
    assert len(list(folder.rglob(".1.*"))) == 1


def test_receipts_and_messages_are_as_long_as_honest_ones(scene: Scene) -> None:
    node = scene.nodes[1]
    receipt = '{"index":0,"leaf":"' + "0" * 64 + '","checkpoint":"' + "x" * MAX_RECEIPT + '"}'
    for size, why in ((1, f"more than {MAX_RECEIPT} bytes"), (400, f"in one message than {MAX_WORD} bytes")):
        long = receipt.replace("x", "x" * size)
        assert why in node.refusal([scene.header(receipt=long), *scene.chunks()])[1]
    stored = wire.ReadyToken(**node.run, node=1, signature=bytes(MAX_WORD))
    assert f"in one message than {MAX_WORD} bytes" in _refusal(lambda: node.stub.Ready(stored, timeout=20))


def test_announcements_are_followed_by_few_streams_of_a_node(scene: Scene) -> None:
    streams = [scene.nodes[1].follow() for _ in range(FOLLOWED_AT_ONCE + 3)]
    for stream in streams:
        next(stream)
    for stream in streams[:3]:
        assert list(stream) == [], "it has ended"
    for stream in streams[3:]:
        stream.cancel()


def test_connections_leave_files_for_what_others_send(scene: Scene) -> None:
    """As many connections as there are file handles, with a valid kit: an honest upload is taken meanwhile."""
    node, before = scene.nodes[1], _files(scene.server.pid)
    with ExitStack() as opened:
        news = scene.nodes[2].follow()  # as every node does: its connection is not idle
        opened.callback(news.cancel)
        next(news)
        for number in range(FILES):
            unshared = [*NODE, ("grpc.use_local_subchannel_pool", 1), ("test.number", number)]
            channel = grpc.secure_channel(node.address, channel_credentials(node.kit.tls), unshared)
            opened.callback(channel.close)
            channel.subscribe(lambda _: None, try_to_connect=True)
        until(lambda: _files(scene.server.pid) > before + (FILES - before) // 4)
        scene.nodes[2].submit([scene.header(2), *scene.chunks(2)])
        assert _files(scene.server.pid) < FILES
    channel = grpc.secure_channel(node.address, channel_credentials(scene.nodes[3].kit.tls), NODE)
    stub = FederationStub(channel)  # type: ignore[no-untyped-call]
    found = stub.ListEnrolments(wire.RunRef(**scene.nodes[3].run, node=3), timeout=60, wait_for_ready=True)
    assert len(found.enrolments) == 3, "idle connections were let go"
    channel.close()


def test_what_one_node_provokes_uses_up_nobody_elses_lines_of_the_log(scene: Scene) -> None:
    long = "r" * 2000
    for _ in range(MOST + 10):
        assert "another run configuration" in _refusal(
            lambda: scene.nodes[1].stub.Decline(wire.DeclineNotice(run=long, node=1), timeout=20)
        )
    assert _refusal(lambda: scene.nodes[3].stub.Decline(wire.DeclineNotice(run=long, node=3), timeout=20))
    lines = [line for line in scene.consortium.log("aggregator").splitlines() if '"rejected"' in line]
    assert max(map(len, lines)) < 800
    of = [int(re.search(r'"node": (\d+)', line).group(1)) for line in lines]  # type: ignore[union-attr]
    assert of[-1] == 3
    assert of.count(1) <= 2 * MOST


def test_who_falls_silent_is_given_up(tmp_path: Path) -> None:
    made = Limited(tmp_path, 4, limits=["SILENCE_S=1"])
    make_kits(made.root / "kits", "test", 4)
    scene = Scene(made)
    holder = Holder(scene.nodes[1])
    silent = [
        holder.hold(holder.node.stub.SubmitUpdate, []),
        holder.hold(holder.node.stub.PutLetter, [_letter(scene, "run-key", 4), wire.LetterPart(piece=b"abc")]),
    ]
    for call in silent:
        assert _refusal(lambda call=call: call.result(60)) == "node 1 was silent for 1 s"  # type: ignore[misc]
        assert call.code() == grpc.StatusCode.UNAVAILABLE, "an honest node says it again"
    holder.close()
    scene.nodes[1].submit([scene.header(1), *scene.chunks(1)])
    scene.close()
    made.stop()


def _resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))  # type: ignore[union-attr]


def _files(pid: int) -> int:
    """Open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
