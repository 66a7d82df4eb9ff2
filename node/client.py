"""The node's side of the wire: mutual TLS, retries of what is safe to retry, errors in one line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import grpc

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.connection import GONE_S
from afml.consortium.limits import MAX_LETTER, PIECE
from afml.consortium.nodekit import NodeKit
from afml.consortium.reasons import Reason
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ProtocolError, TransportError, Twin
from afml.wire import federation_pb2 as wire
from crypto.public.signing import sign, verify
from node.announcements import Announcements
from node.deliveries import whole_letters
from node.line import Line
from node.patience import Patience
from node.statuses import AWAY, translated

Reply = TypeVar("Reply")
LAST_WORDS_S = 60.0
"""Seconds that an aggregator which is away is told what this node can do without."""
_TWIN_S = 0.5  # between two looks whether this node's other process is gone
_POLL_S = 5.0  # a waiting node looks this often whether the run still goes on


class Client:
    """Calls of one node in one run."""

    def __init__(self, address: str, kit: NodeKit, config: RunConfig, patience: Patience | None = None) -> None:
        """`patience`: how long calls are repeated while the aggregator is away."""
        self._line = Line(address, kit)
        self._address, self._kit, self.patience = address, kit, patience or Patience(address)
        self.patience.missed = self._line.doubt
        self._of_run = config.run, config.digest()
        self._run: dict[str, Any] = dict(zip(("run", "config_digest"), self._of_run, strict=True))
        self.node = kit.node

    def close(self) -> None:
        """Close the connection."""
        self.patience.end()
        self._line.close()

    def enrol(self, pad_key: bytes, lease: bytes, *, gone_s: float = GONE_S) -> int:
        """Enrol with this run's pad key, and take this node's place in the run for this process.

        Args:
            pad_key: Public.
            lease: The nonce of this process.
            gone_s: Seconds that another process of this node may take to be gone: the aggregator may not have noticed.

        Returns:
            How many nodes the run expects.

        Raises:
            Twin: That one is still there.
        """
        signature = self._sign(messages.enrolment(*self._of_run, self.node, pad_key, lease))
        self._enrolment = wire.Enrolment(**self._run, node=self.node, pad_key=pad_key, signature=signature, lease=lease)
        deadline, told = time.monotonic() + gone_s, False
        while True:
            try:
                return int(self._call(lambda: self._stub.Enrol(self._enrolment)).nodes_expected)
            except Twin as twin:
                if time.monotonic() >= deadline:
                    raise
                if not told:
                    self.patience.remark(f"{twin.problem}; waiting {gone_s:.0f} s for it to be gone")
                told = True
            self.patience.stop.wait(_TWIN_S)
            self.patience.require_wanted()

    def enrolments(self) -> list[wire.Enrolment]:
        """All enrolments, unverified."""
        request = wire.RunRef(**self._run, node=self.node)
        return list(self._call(lambda: self._stub.ListEnrolments(request)).enrolments)

    def closed_enrolment(self) -> wire.ClosedEnrolment:
        """Who is in the run for good.

        Raises:
            ProtocolError: Enrolment is open, says the aggregator, or it is of an earlier version.
            IntegrityError: It has not signed it.
        """
        found: wire.ClosedEnrolment = self._call(
            lambda: self._stub.EnrolmentClosed(wire.RunRef(**self._run, node=self.node))
        )
        key = bytes.fromhex(self._kit.roster.aggregator_key)
        verify(key, messages.closed_enrolment(*self._of_run, found.nodes), found.signature, where="closed enrolment")
        return found

    def watch(self) -> Announcements:
        """The run's states from now on, for a process that has enrolled; reconnects while the aggregator restarts."""
        request = wire.RunRef(**self._run, node=self.node, lease=self._enrolment.lease)

        def begin() -> Iterator[wire.RunState]:
            self._stub.Enrol(self._enrolment)  # an aggregator that was started again knows no process of a node
            return self._stub.WatchRun(request)  # type: ignore[no-any-return]

        line = self._line
        return Announcements(begin, self.patience, self._translate, AWAY, line.gone, lambda: line.identity)

    def ready(self, attempt: Attempt, model: bytes, lease: bytes) -> None:
        """Join an attempt from the model of this keyed digest, by the process of this nonce."""
        signature = self._sign(messages.ready(*self._of_run, attempt, self.node, model, lease))
        request = wire.ReadyToken(**self._at(attempt), model=model, signature=signature, lease=lease)
        self._call(lambda: self._stub.Ready(request))

    def leave(self, reason: Reason, refusing: wire.LeaveNotice | None = None) -> None:
        """Leave the run for good; `refusing` says which sum it is for. Said for a minute: heard or not, it has left."""
        self.patience.at_most(LAST_WORDS_S)
        signature = self._sign(messages.leave(*self._of_run, self.node, reason.wire))
        request = wire.LeaveNotice(**self._run, node=self.node, reason=reason.wire, signature=signature)
        self._call(lambda: self._stub.Leave(refusing or request))

    def away(self, lease: bytes) -> None:
        """Say that this node goes and may come back, once; heard where its place is that of this process."""
        with contextlib.suppress(grpc.RpcError):
            self._stub.Away(wire.RunRef(**self._run, node=self.node, lease=lease), timeout=_POLL_S)

    def decline(self, attempt: Attempt) -> None:
        """Give up an attempt this node had joined."""
        signature = self._sign(messages.decline(*self._of_run, attempt, self.node))
        request = wire.DeclineNotice(**self._at(attempt), signature=signature)
        self._call(lambda: self._stub.Decline(request))

    def submit(self, header: wire.UpdateHeader, chunks: Callable[[int], Iterator[wire.UpdateChunk]]) -> None:
        """Send a stored update, from the first chunk that is not with the aggregator yet.

        Args:
            header: Of the update.
            chunks: Those from an index on; the same bytes each time.
        """

        def parts(first: int) -> Iterator[wire.UpdatePart]:
            begun = wire.UpdateHeader()
            begun.CopyFrom(header)
            begun.first = first
            yield wire.UpdatePart(header=begun)
            yield from (wire.UpdatePart(chunk=chunk) for chunk in chunks(first))

        def send() -> None:
            first = self._stub.UpdateProgress(header).chunks
            self.patience.answered()  # a connection that breaks again and again is no absence
            self._stub.SubmitUpdate(parts(first))

        self._call(send)

    def fetch(self, round_number: int) -> tuple[wire.AggregateHeader, Iterator[bytes]]:
        """Header and ciphertexts of a published sum."""
        request = wire.AttemptRef(**self._run, round=round_number, node=self.node)

        def begin() -> tuple[wire.AggregateHeader, Iterator[wire.AggregatePart]]:
            stream = self._stub.FetchAggregate(request)
            return _first(stream, "header").header, stream

        header, stream = self._call(begin)

        def payloads() -> Iterator[bytes]:
            parts, read = stream, 0
            while True:
                try:
                    for part in parts:
                        if part.chunk.index != read:
                            raise ProtocolError(f"chunk {read} of the sum expected, {part.chunk.index} came")
                        read += 1
                        yield part.chunk.payload
                    return
                except grpc.RpcError as error:
                    self._endure(error)
                request.first = read  # what came before the connection broke does not come twice
                again, parts = self._call(begin)
                if again != header:
                    raise ProtocolError(f"the sum of round {round_number} is another one than it was")

        return header, payloads()

    def put_letter(self, header: wire.LetterHeader, common: bytes) -> None:
        """Send a letter: its header, which is signed, and the part that all its recipients get."""

        def parts() -> Iterator[wire.LetterPart]:
            yield wire.LetterPart(header=header)
            for start in range(0, len(common), PIECE):
                yield wire.LetterPart(piece=common[start : start + PIECE])

        self._call(lambda: self._stub.PutLetter(parts()))

    def get_letters(
        self, senders: Collection[int], subject: str, *, wait_s: float, waiting: Callable[[], None] = lambda: None
    ) -> dict[int, tuple[wire.Letter, bytes]]:
        """Wait for letters of others under one subject; their signatures are not checked here.

        Args:
            senders: Who wrote them.
            subject: What they are about.
            wait_s: Seconds until they must be there.
            waiting: Called now and then meanwhile; may raise to end the wait.

        Returns:
            sender -> what is in its letter for this node, and the part for all; of those that wrote to it in time,
            and before the aggregator was away for too long.

        Raises:
            ProtocolError: One is longer than it says, all are longer than a letter may be, or nobody asked for one.
        """
        found: dict[int, tuple[wire.Letter, bytes] | None] = {}  # None: its letter is to others
        deadline = time.monotonic() + wait_s

        def receive() -> bool:
            waiting()  # also while the aggregator is away: the run may be over
            missing, left = sorted(set(senders) - set(found)), max(0.0, deadline - time.monotonic())
            request = wire.LettersRef(**self._run, node=self.node, subject=subject, senders=missing)
            request.wait_ms = round(min(_POLL_S, left) * 1000)
            stream = self._stub.GetLetters(request, timeout=max(60.0, left))  # what is there takes the time it needs
            for letter, common in whole_letters(stream):
                if letter.sender not in missing:
                    raise ProtocolError("the aggregator delivered a letter that nobody asked for", where=subject)
                found[letter.sender] = (letter, common) if letter.count else None
                if sum(len(one[1]) for one in found.values() if one) > MAX_LETTER:
                    raise ProtocolError("the letters are longer than they may be together", where=subject)
            return set(senders) <= set(found) or left <= _POLL_S

        with contextlib.suppress(TransportError):
            while not self._call(receive):
                pass
        return {sender: letter for sender, letter in found.items() if letter is not None}

    def report_digest(self, round_number: int, digest: bytes) -> None:
        """Report the keyed digest of the model after a round."""
        signature = self._sign(messages.model_digest(*self._of_run, round_number, self.node, digest))
        request = wire.ModelDigest(**self._run, node=self.node, round=round_number, digest=digest, signature=signature)
        self._call(lambda: self._stub.ReportDigest(request))

    @property
    def _stub(self) -> Any:
        return self._line.stub

    def _at(self, attempt: Attempt) -> dict[str, Any]:
        return {**self._run, "round": attempt.round, "attempt": attempt.number, "node": self.node}

    def _sign(self, message: bytes) -> bytes:
        return sign(self._kit.signing_key, message)

    def _call(self, call: Callable[[], Reply]) -> Reply:
        """Every call is idempotent, so it is repeated while the aggregator is away."""
        while True:
            try:
                reply = call()
            except grpc.RpcError as error:
                self._endure(error)
                continue
            self.patience.answered()
            return reply

    def _translate(self, error: grpc.RpcError) -> AfmlError:
        return translated(error, self._address)

    def _endure(self, error: grpc.RpcError) -> None:
        """Wait for the next try, where the aggregator is away.

        Raises:
            AfmlError: It has refused, or it was away for too long.
        """
        problem = self._translate(error)
        if error.code() not in AWAY:
            raise problem from None
        try:
            self.patience.endure(problem.problem)
        except AfmlError as ended:
            raise ended from None


def _first(stream: Iterator[Any], kind: str) -> Any:
    """The first part of a stream.

    Raises:
        ProtocolError: There is none, or it is of another kind.
    """
    part = next(stream, None)
    if part is None or part.WhichOneof("part") != kind:
        raise ProtocolError(f"the aggregator's answer does not begin with its {kind}")
    return part
