"""What somebody who means ill can send to an aggregator, over real sockets: strangers without a key, and one member.

Strangers reach the port and hold no certificate of the consortium. A member has a kit and says whatever it likes. A
process of its own (`python -m benchmarks.probing ROOT ADDRESS SEED`) does all of it while honest nodes work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from afml.consortium.connection import NODE
from afml.consortium.kit import TlsIdentity
from afml.consortium.limits import MAX_MESSAGE
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.consortium.tls import channel_credentials, client_context
from afml.trial.kits import make_kits
from afml.wire import federation_pb2 as wire

SERVICE = "/afml.v1.Federation"
UNARY = {
    "Enrol": wire.Enrolment, "ListEnrolments": wire.RunRef, "Ready": wire.ReadyToken, "Leave": wire.LeaveNotice,
    "EnrolmentClosed": wire.RunRef, "Away": wire.RunRef, "Decline": wire.DeclineNotice,
    "ReportDigest": wire.ModelDigest,
}  # fmt: skip
STREAMED = {"SubmitUpdate": wire.UpdatePart, "PutLetter": wire.LetterPart}
ANSWERED = {"WatchRun": wire.RunRef, "FetchAggregate": wire.AttemptRef, "GetLetters": wire.LettersRef}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP1 = b"GET / HTTP/1.1\r\nHost: aggregator\r\nConnection: keep-alive\r\n\r\n"
STRANGERS = ("hung up", "junk", "http/1", "half a hello", "no certificate", "wrong authority")
TLS_ALERT = 0x15
MALFORMED = "MALFORMED"
"""In place of gRPC's status for bytes that are no message: UNKNOWN, which is also that of an error nobody foresaw."""
_WAIT_S = 10.0


class Strangers:
    """Connections of somebody who holds nothing of the consortium but the address.

    Args:
        address: (host, port).
        other: The TLS identity of a node of another consortium with the same names.
        seed: Of what is sent.
    """

    def __init__(self, address: tuple[str, int], other: TlsIdentity, seed: int) -> None:
        self._address, self._random = address, random.Random(seed)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        bare.set_alpn_protocols(["h2"])
        false = client_context(other)
        false.check_hostname, false.verify_mode = False, ssl.CERT_NONE
        self._contexts = {"no certificate": bare, "wrong authority": false}

    def knock(self, kind: str) -> bool:
        """One connection; whether it was answered by anything but a refusal."""
        with contextlib.suppress(ssl.SSLError, OSError), socket.create_connection(self._address, _WAIT_S) as opened:
            if kind == "hung up":
                return False
            if kind == "half a hello":
                opened.sendall(bytes.fromhex("16030105dc010005d8"))
                return False
            if kind in self._contexts:
                with self._contexts[kind].wrap_socket(opened, server_hostname="aggregator") as secure:
                    secure.sendall(PREFACE)
                    return bool(secure.recv(64))
            opened.sendall(HTTP1 if kind == "http/1" else self._random.randbytes(self._random.randrange(1, 4000)))
            opened.shutdown(socket.SHUT_WR)
            said = opened.recv(64)
            return bool(said) and said[0] != TLS_ALERT
        return False

    def storm(self, count: int) -> Counter[str]:
        """So many connections of every kind in turn; how often each was answered."""
        answered: Counter[str] = Counter()
        for number in range(count):
            kind = STRANGERS[number % len(STRANGERS)]
            answered[kind] += self.knock(kind)
        return answered


class Insider:
    """A member whose process says what it likes.

    Args:
        address: host:port.
        kit: Its kit.
        run: The run.
        seed: Of what it says.
    """

    def __init__(self, address: str, kit: NodeKit, run: RunConfig, seed: int) -> None:
        self._channel = grpc.secure_channel(address, channel_credentials(kit.tls), [*NODE, ("grpc.enable_retries", 0)])
        self._node, self._random = kit.node, random.Random(seed)
        self._run = {"run": run.run, "config_digest": run.digest()}

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def fuzz(self, count: int) -> Counter[tuple[str, str]]:
        """So many messages that are wrong somewhere; how often which status came back from which call."""
        return Counter(self._one() for _ in range(count))

    def replay(self, method: str, message: bytes) -> str:
        """A message that somebody else signed and sent, under this member's certificate; the status."""
        return self._said(method, [message])

    @contextlib.contextmanager
    def dawdling(self, streams: int) -> Iterator[list[Any]]:
        """Uploads and letters that begin and never go on."""
        stop = threading.Event()

        def never(first: bytes) -> Iterator[bytes]:
            yield first
            stop.wait(600)

        begun = []
        for number in range(streams):
            name = list(STREAMED)[number % 2]
            call = self._channel.stream_unary(f"{SERVICE}/{name}")
            begun.append(call.future(never(self._message(name).SerializeToString()), timeout=600))
        try:
            yield begun
        finally:
            stop.set()
            for call in begun:
                call.cancel()

    def _one(self) -> tuple[str, str]:
        draw = self._random
        kind = draw.choice(["bent", "bent", "made up", "made up", "noise", "oversized"])
        name = draw.choice([*UNARY, *STREAMED, *ANSWERED])
        message = self._message(name)
        parts = [message.SerializeToString() for _ in range(draw.randrange(1, 4) if name in STREAMED else 1)]
        if kind == "bent":
            parts = [self._bent(part) for part in parts]
        elif kind == "noise":
            parts = [draw.randbytes(draw.randrange(200)) for _ in parts]
        elif kind == "oversized":
            parts[-1] += bytes(MAX_MESSAGE if draw.random() < 0.3 else draw.randrange(1, 20_000))
        return name, self._said(name, parts)

    def _said(self, name: str, parts: list[bytes]) -> str:
        channel, path = self._channel, f"{SERVICE}/{name}"
        try:
            if name in STREAMED:
                channel.stream_unary(path)(iter(parts), timeout=_WAIT_S)
            elif name in ANSWERED:
                next(channel.unary_stream(path)(parts[0], timeout=0.2), None)
            else:
                channel.unary_unary(path)(parts[0], timeout=_WAIT_S)
        except grpc.RpcError as error:
            return MALFORMED if "DecodeError" in (error.details() or "") else str(error.code().name)
        return "OK"

    def _message(self, name: str) -> Any:
        """A message of the right kind, its fields at random and some of them right."""
        kind, draw = (UNARY | STREAMED | ANSWERED)[name], self._random
        if name in STREAMED:
            inner = draw.choice(
                [field for field in kind.DESCRIPTOR.fields if field.message_type or name == "PutLetter"]
            )
            if inner.message_type is None:
                return kind(**{inner.name: draw.randbytes(100)})
            whole = kind()
            getattr(whole, inner.name).SetInParent()
            self._fill(getattr(whole, inner.name))
            return whole
        message = kind()
        self._fill(message)
        return message

    def _fill(self, message: Any) -> None:
        draw = self._random
        for field in message.DESCRIPTOR.fields:
            if field.name in self._run and draw.random() < 0.9:
                setattr(message, field.name, self._run[field.name])
            elif field.name in ("node", "sender") and draw.random() < 0.9:
                setattr(message, field.name, self._node)
            elif field.message_type is None and not field.is_repeated:
                setattr(message, field.name, self._value(field))

    def _value(self, field: Any) -> Any:
        draw = self._random
        if field.type == field.TYPE_BYTES:
            return draw.randbytes(draw.choice([0, 1, 32, 64, 5000]))
        if field.type == field.TYPE_STRING:
            return draw.choice(["", "x", "../../etc", "\u0000", "é" * 50, '{"index":0}', "ckks", "[" * 3000])
        if field.type == field.TYPE_BOOL:
            return draw.random() < 0.5
        return draw.choice([0, 1, 2, 3, 7, 2**31 - 1])

    def _bent(self, message: bytes) -> bytes:
        bent = bytearray(message or b"\x08")
        for _ in range(self._random.randrange(1, 6)):
            bent[self._random.randrange(len(bent))] = self._random.randrange(256)
        return bytes(bent)


def foreign(folder: Path, nodes: int, consortium: str) -> TlsIdentity:
    """The identity of node 1 of another consortium of the same name."""
    make_kits(folder / "foreign", consortium, nodes)
    return load_node_kit(folder / "foreign" / "node-1").tls


SLICE = 60
"""Connections between two lines of the log."""


def main() -> None:
    """Strangers, and a member of the roster that is in no run, until somebody stops this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("address")
    parser.add_argument("seed", type=int)
    given = parser.parse_args()
    host, _, port = given.address.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        kits = sorted((given.root / "kits").glob("node-*"))
        kit = load_node_kit(kits[-1])
        run = load_run(given.root / "run.json", kit.history)
        other = foreign(Path(folder), len(kits), run.consortium)
        strangers = Strangers((host, int(port)), other, given.seed)
        insider = Insider(given.address, kit, run, given.seed)
        attempts, answered, said = 0, 0, Counter[str]()
        with insider.dawdling(16):
            while True:
                answered += sum(strangers.storm(SLICE).values())
                said += Counter(status for _, status in insider.fuzz(SLICE * 2 // 5).elements())
                attempts += SLICE
                print(json.dumps({"attempts": attempts, "answered": answered, "said": said}), flush=True)


if __name__ == "__main__":
    main()
