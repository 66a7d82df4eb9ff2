"""The node's side of the wire: mutual TLS, retries of what is safe to retry, errors in one line."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
import stamina

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.limits import MAX_LETTER, MAX_MESSAGE, PIECE
from afml.consortium.nodekit import NodeKit
from afml.consortium.reasons import Reason
from afml.consortium.run import RunConfig
from afml.consortium.tls import channel_credentials, client_context, refusal
from afml.core.errors import AfmlError, ProtocolError, Superseded, TransportError
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from crypto.public.signing import sign
from node.announcements import Announcements

Reply = TypeVar("Reply")
_POLL_S = 5.0  # a waiting node looks this often whether the run still goes on
_REFUSED = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
)


def _is_away(error: Exception) -> bool:
    return isinstance(error, grpc.RpcError) and error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # the aggregator stops and cancels its calls
    )


def preflight(address: str, kit: NodeKit, wait_s: float) -> None:
    """Reach the aggregator and shake hands once with plain TLS, whose errors say what is wrong.

    Args:
        address: host:port.
        kit: This node's certificate and key.
        wait_s: Seconds to wait for somebody to listen there.

    Raises:
        TransportError: Nobody listens, or a certificate is refused by either side.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise TransportError("is not host:port", where=address, cure="for example localhost:7443")
    context = client_context(kit.tls)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with (
                socket.create_connection((host.strip("[]"), int(port)), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=host.strip("[]")) as secure,
            ):
                # In TLS 1.3 the server judges our certificate after its own handshake is done: its first
                # bytes are HTTP/2 settings, or an alert.
                secure.recv(1)
                return
        except ssl.SSLCertVerificationError as error:
            raise TransportError(
                f"the aggregator's certificate is refused ({error.verify_message})",
                where=address,
                cure="check that the address is in its certificate and that both kits come from one provisioning",
            ) from None
        except ssl.SSLError as error:
            raise refusal(error, address) from None
        except OSError as error:
            if time.monotonic() >= deadline:
                raise TransportError(
                    f"no aggregator answers ({error.strerror or error})",
                    where=address,
                    cure="start `afml aggregator` there first, or correct --aggregator",
                ) from None
            time.sleep(0.3)


class Client:
    """Calls of one node in one run."""

    def __init__(self, address: str, kit: NodeKit, config: RunConfig, *, patience_s: float = 60.0) -> None:
        """`patience_s`: seconds that a call is retried while the aggregator is away."""
        options = [("grpc.keepalive_time_ms", 30_000), ("grpc.max_receive_message_length", MAX_MESSAGE)]
        self._channel = grpc.secure_channel(address, channel_credentials(kit.tls), options)
        self._stub = FederationStub(self._channel)  # type: ignore[no-untyped-call]
        self._address, self._kit, self._patience = address, kit, patience_s
        self._of_run = config.run, config.digest()
        self._run: dict[str, Any] = dict(zip(("run", "config_digest"), self._of_run, strict=True))
        self.node = kit.node

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def enrol(self, pad_key: bytes) -> int:
        """Enrol with this run's pad key; returns how many nodes the run expects."""
        signature = self._sign(messages.enrolment(*self._of_run, self.node, pad_key))
        request = wire.Enrolment(**self._run, node=self.node, pad_key=pad_key, signature=signature)
        return int(self._call(lambda: self._stub.Enrol(request)).nodes_expected)

    def enrolments(self) -> list[wire.Enrolment]:
        """All enrolments, unverified."""
        request = wire.RunRef(**self._run, node=self.node)
        return list(self._call(lambda: self._stub.ListEnrolments(request)).enrolments)

    def watch(self) -> Announcements:
        """The run's states from now on; reconnects while the aggregator restarts."""
        request = wire.RunRef(**self._run, node=self.node)
        return Announcements(lambda: self._stub.WatchRun(request), self._patience, self._translate)

    def ready(self, attempt: Attempt, model: bytes) -> None:
        """Join an attempt from the model of this keyed digest."""
        signature = self._sign(messages.ready(*self._of_run, attempt, self.node, model))
        request = wire.ReadyToken(**self._at(attempt), model=model, signature=signature)
        self._call(lambda: self._stub.Ready(request))

    def leave(self, reason: Reason) -> None:
        """Leave the run for good."""
        signature = self._sign(messages.leave(*self._of_run, self.node, reason.wire))
        request = wire.LeaveNotice(**self._run, node=self.node, reason=reason.wire, signature=signature)
        self._call(lambda: self._stub.Leave(request))

    def decline(self, attempt: Attempt) -> None:
        """Give up an attempt this node had joined."""
        signature = self._sign(messages.decline(*self._of_run, attempt, self.node))
        request = wire.DeclineNotice(**self._at(attempt), signature=signature)
        self._call(lambda: self._stub.Decline(request))

    def submit(self, parts: Callable[[], Iterator[wire.UpdatePart]]) -> None:
        """Send stored update parts; a retry sends the same bytes again."""
        self._call(lambda: self._stub.SubmitUpdate(parts()))

    def fetch(self, round_number: int) -> tuple[wire.AggregateHeader, Iterator[bytes]]:
        """Header and ciphertexts of a published sum."""
        request = wire.AttemptRef(**self._run, round=round_number, node=self.node)

        def begin() -> tuple[wire.AggregateHeader, Iterator[wire.AggregatePart]]:
            stream = self._stub.FetchAggregate(request)
            return _first(stream, "header").header, stream

        header, stream = self._call(begin)

        def payloads() -> Iterator[bytes]:
            try:
                for index, part in enumerate(stream):
                    if part.chunk.index != index:
                        raise ProtocolError(f"chunk {index} of the sum expected, {part.chunk.index} came")
                    yield part.chunk.payload
            except grpc.RpcError as error:
                raise self._translate(error) from None

        return header, payloads()

    def put_letter(self, recipient: int, subject: str, body: bytes) -> None:
        """Send sealed bytes to another node."""
        signed = messages.letter(*self._of_run, self.node, recipient, subject, body)
        header = wire.LetterHeader(
            **self._run,
            sender=self.node,
            recipient=recipient,
            subject=subject,
            signature=self._sign(signed),
            size=len(body),
        )

        def parts() -> Iterator[wire.LetterPart]:
            yield wire.LetterPart(header=header)
            for start in range(0, len(body), PIECE):
                yield wire.LetterPart(piece=body[start : start + PIECE])

        self._call(lambda: self._stub.PutLetter(parts()))

    def get_letter(
        self, sender: int, subject: str, *, wait_s: float, waiting: Callable[[], None] = lambda: None
    ) -> tuple[wire.LetterHeader, bytes]:
        """Wait for a sealed letter; its signature is not checked here.

        Args:
            sender: Who wrote it.
            subject: What it is about.
            wait_s: Seconds until it must be there.
            waiting: Called now and then meanwhile; may raise to end the wait.

        Raises:
            TransportError: It did not come in time.
            ProtocolError: It is longer than it says, or than a letter may be.
        """
        request = wire.LetterRef(**self._run, node=self.node, subject=subject, sender=sender)
        deadline = time.monotonic() + wait_s

        def receive() -> tuple[wire.LetterHeader, bytes] | None:
            waiting()  # also while the aggregator is away: the run may be over
            left = deadline - time.monotonic()
            try:
                stream = self._stub.GetLetter(request, timeout=max(0.1, min(_POLL_S, left)))
                header = _first(stream, "header").header
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and left > _POLL_S:
                    return None
                raise
            stream = self._stub.GetLetter(request, timeout=max(60.0, left))  # it is there: take the time it needs
            header, body = _first(stream, "header").header, bytearray()
            for part in stream:
                body += part.piece
                if len(body) > min(header.size, MAX_LETTER):
                    raise ProtocolError("a letter is longer than it may be", where=f"letter {subject}")
            return header, bytes(body)

        while (found := self._call(receive)) is None:
            pass
        return found

    def report_digest(self, round_number: int, digest: bytes) -> None:
        """Report the keyed digest of the model after a round."""
        signature = self._sign(messages.model_digest(*self._of_run, round_number, self.node, digest))
        request = wire.ModelDigest(**self._run, node=self.node, round=round_number, digest=digest, signature=signature)
        self._call(lambda: self._stub.ReportDigest(request))

    def _at(self, attempt: Attempt) -> dict[str, Any]:
        return {**self._run, "round": attempt.round, "attempt": attempt.number, "node": self.node}

    def _sign(self, message: bytes) -> bytes:
        return sign(self._kit.signing_key, message)

    def _call(self, call: Callable[[], Reply]) -> Reply:
        """Every call is idempotent, so it is repeated while the aggregator is away."""
        try:
            for attempt in stamina.retry_context(
                on=_is_away, attempts=None, timeout=self._patience, wait_initial=0.1, wait_max=2.0
            ):
                with attempt:
                    return call()
        except grpc.RpcError as error:
            raise self._translate(error) from None
        raise AssertionError("unreachable: the retry loop returns or raises")

    def _translate(self, error: grpc.RpcError) -> AfmlError:
        code, detail = error.code(), (error.details() or "").splitlines()
        text = "".join(c for c in detail[0] if c.isprintable())[:300] if detail else code.name
        if code == grpc.StatusCode.ABORTED:
            return Superseded(text, where=f"aggregator {self._address}")
        if code in _REFUSED:
            return ProtocolError(text, where=f"aggregator {self._address}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return TransportError(
                "no answer in time", where=f"aggregator {self._address}", cure="check the other nodes"
            )
        return TransportError(
            f"connection lost ({text[:200]})",
            where=f"aggregator {self._address}",
            cure="start the aggregator again; nodes pick the run up where it stood",
        )


def _first(stream: Iterator[Any], kind: str) -> Any:
    """The first part of a stream.

    Raises:
        ProtocolError: There is none, or it is of another kind.
    """
    part = next(stream, None)
    if part is None or part.WhichOneof("part") != kind:
        raise ProtocolError(f"the aggregator's answer does not begin with its {kind}")
    return part
