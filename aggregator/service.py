"""The gRPC service: checks who speaks and what the bytes are, spools uploads, asks the engine."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from afml.core.config import canonical_json
from afml.core.errors import AfmlError, IntegrityError, ProtocolError
from afml.core.files import sync_folder, write_bytes
from afml.core.logging import get_logger
from afml.core.recordfile import append_record, end_records, read_records
from afml.core.run import Roster, RunConfig
from afml.ledger.transcript import ReceiptRecord
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationServicer
from aggregator.engine import Engine, Superseded
from aggregator.store import Store, Upload
from aggregator.summing import BadCiphertext, Summer
from aggregator.transcript import Transcript
from crypto.public import messages
from crypto.public.admission import ChunkAdmission
from crypto.public.attempt import Attempt
from crypto.public.kit import node_of_peer
from crypto.public.scheme import run_params
from crypto.public.signing import verify

MAX_LETTER = 64 << 20  # bytes; a sealed model or key
MAX_SUBJECT = 40  # characters
LETTERS_PER_PEER = 8  # of one sender; a run needs three
PIECE = 1 << 20

Context: TypeAlias = Any  # grpc.aio.ServicerContext; grpcio ships no types


class Service(FederationServicer):
    """One run, served to its nodes."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        config: RunConfig,
        roster: Roster,
        data: Path,
        summer: Summer,
        transcript: Transcript,
    ) -> None:
        self._engine, self._store, self._config, self._roster = engine, store, config, roster
        self._data, self._summer, self._transcript = data, summer, transcript
        self._scheme = run_params(config)
        self._changed = asyncio.Condition()
        self._closing = False
        self._sums: set[asyncio.Task[None]] = set()
        self._uploading: dict[int, object] = {}  # node -> its newest stream; older ones are given up
        self._log = get_logger().bind(run=config.run)

    # -- unary calls ---------------------------------------------------------------------------------

    async def Enrol(self, request: wire.Enrolment, context: Context) -> wire.EnrolReply:
        """Join the run."""
        await self._do(context, request.node, lambda: self._engine.enrol(request))
        return wire.EnrolReply(nodes_expected=len(self._config.nodes))

    async def ListEnrolments(self, request: wire.RunRef, context: Context) -> wire.Enrolments:
        """All enrolments."""
        found: list[wire.Enrolment] = []
        await self._do(context, request.node, lambda: found.extend(self._engine.enrolments()))
        return wire.Enrolments(enrolments=found)

    async def Ready(self, request: wire.ReadyToken, context: Context) -> wire.Accepted:
        """Join an attempt."""
        await self._do(context, request.node, lambda: self._engine.ready(request))
        return wire.Accepted()

    async def Leave(self, request: wire.LeaveNotice, context: Context) -> wire.Accepted:
        """Leave the run."""
        await self._do(context, request.node, lambda: self._engine.leave(request))
        return wire.Accepted()

    async def Decline(self, request: wire.AttemptRef, context: Context) -> wire.Accepted:
        """Give up an attempt."""
        await self._do(context, request.node, lambda: self._engine.decline(request))
        return wire.Accepted()

    async def ReportDigest(self, request: wire.ModelDigest, context: Context) -> wire.Accepted:
        """Report the keyed model digest."""
        await self._do(context, request.node, lambda: self._engine.report_digest(request))
        return wire.Accepted()

    # -- streams -------------------------------------------------------------------------------------

    async def WatchRun(self, request: wire.RunRef, context: Context) -> AsyncIterator[wire.RunState]:
        """Every state, from the present one on."""
        await self._do(context, request.node, lambda: self._check_run(request.run, request.config_digest))
        seen = -1
        while True:
            async with self._changed:
                while self._engine.version == seen and not self._closing:
                    await self._changed.wait()
                if self._closing:
                    return
                seen = self._engine.version
                state = self._engine.state()
            yield state
            if state.stage == wire.STAGE_FAILED:
                return

    async def SubmitUpdate(self, parts: AsyncIterator[wire.UpdatePart], context: Context) -> wire.Accepted:
        """Receive one update, chunk by chunk, onto disk."""
        stream = parts.__aiter__()

        async def work() -> None:
            first = await anext(stream, None)
            if first is None or first.WhichOneof("part") != "header":
                raise ProtocolError("an update begins with its header")
            header = first.header
            self._authenticate(context, header.node)
            if self._engine.expects_upload(header):  # else it is complete already: a retry is confirmed
                await self._in_time(header.node, self._receive(header, stream))

        await self._guard(context, work)
        return wire.Accepted()

    async def FetchAggregate(
        self, request: wire.AttemptRef, context: Context
    ) -> AsyncIterator[wire.AggregatePart]:
        """Send a published encrypted sum."""
        await self._do(context, request.node, lambda: self._check_run(request.run, request.config_digest))
        found = self._store.published(request.round)
        if found is None:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f"round {request.round} is not published"
            )
            return
        attempt, chunks, parameters = found
        cohort = self._engine.cohort(request.round, attempt)
        header = wire.AggregateHeader(
            round=request.round, attempt=attempt, chunks=chunks, parameters=parameters, cohort=cohort
        )
        yield wire.AggregatePart(header=header)
        for index, payload in enumerate(read_records(self._sum_path(request.round))):
            yield wire.AggregatePart(chunk=wire.AggregateChunk(index=index, payload=payload))

    async def PutLetter(self, parts: AsyncIterator[wire.LetterPart], context: Context) -> wire.Accepted:
        """Take a sealed letter for another node."""
        stream = parts.__aiter__()

        async def work() -> None:
            first = await anext(stream, None)
            if first is None or first.WhichOneof("part") != "header":
                raise ProtocolError("a letter begins with its header")
            header = first.header
            self._authenticate(context, header.sender)
            self._check_run(header.run, header.config_digest)
            if self._wants_letter(header):
                await self._in_time(header.sender, self._receive_letter(header, stream))

        await self._guard(context, work)
        await self._notify()
        return wire.Accepted()

    async def GetLetter(self, request: wire.LetterRef, context: Context) -> AsyncIterator[wire.LetterPart]:
        """Deliver a letter, waiting for it as long as the caller's deadline allows."""
        await self._do(context, request.node, lambda: self._check_run(request.run, request.config_digest))
        async with self._changed:
            while (found := self._store.letter(request.node, request.sender, request.subject)) is None:
                await self._changed.wait()
        header, path = found
        yield wire.LetterPart(header=wire.LetterHeader.FromString(header))
        body = path.read_bytes()
        for start in range(0, len(body), PIECE):
            yield wire.LetterPart(piece=body[start : start + PIECE])

    async def close(self) -> None:
        """End every announcement stream in order; nodes that still need this run look for it again."""
        self._closing = True
        await self._notify()

    # -- time ----------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Let deadlines pass, until the run is settled.

        Raises:
            Exception: Whatever ended a sum, a full disk for one: a restart resumes it.
        """
        self._clear_uploads()
        self._resume_sum()
        while not self._engine.settled():
            await asyncio.sleep(0.2)
            for task in [task for task in self._sums if task.done()]:
                self._sums.discard(task)
                task.result()
            before = self._engine.version
            self._engine.tick()
            if self._engine.version != before:
                await self._notify()

    # -- inside --------------------------------------------------------------------------------------

    async def _receive(self, header: wire.UpdateHeader, stream: AsyncIterator[wire.UpdatePart]) -> None:
        """Spool one update under a name of its own; it counts only once it is whole and verified."""
        cohort = tuple(token.node for token in self._engine.cohort(header.round, header.attempt))
        attempt = Attempt(header.run, header.config_digest, header.round, header.attempt, cohort)
        admission = ChunkAdmission(self._scheme, self._roster, attempt, header.node, header.parameters)
        folder = self._data / "uploads" / f"round-{header.round}-{header.attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        spool = folder / f".{header.node}.{secrets.token_hex(4)}"
        size = header.ByteSize()
        receipt = _receipt(header)
        self._uploading[header.node] = spool
        try:
            with spool.open("wb") as out:
                async for part in stream:
                    if self._uploading.get(header.node) is not spool:
                        raise Superseded(f"node {header.node} began this upload again")
                    if part.WhichOneof("part") != "chunk":
                        raise ProtocolError("a chunk was expected", where=f"node {header.node}, {attempt}")
                    chunk = part.chunk
                    admission.admit(chunk.index, header.chunks, chunk.payload, chunk.signature)
                    append_record(out, chunk.payload)
                    size += part.ByteSize()
                admission.finish()
                await asyncio.to_thread(end_records, out, admission.count)  # syncs: others go on meanwhile
            if not self._engine.expects_upload(header):
                return
            os.replace(spool, folder / str(header.node))
            sync_folder(folder)
        finally:
            spool.unlink(missing_ok=True)
        upload = Upload(header.node, header.chunks, header.parameters, size, receipt)
        if self._engine.uploaded(header.round, header.attempt, upload):
            self._start_sum(header.round, header.attempt)
        await self._notify()

    def _resume_sum(self) -> None:
        at = self._store.position()
        if at.stage == "summing":
            self._start_sum(at.round, at.attempt)

    def _start_sum(self, round_number: int, attempt: int) -> None:
        self._sums.add(asyncio.create_task(self._sum(round_number, attempt)))

    async def _sum(self, round_number: int, attempt: int) -> None:
        uploads = self._store.uploads(round_number, attempt)
        one = next(iter(uploads.values()))
        folder = self._data / "uploads" / f"round-{round_number}-{attempt}"
        paths = {node: folder / str(node) for node in uploads}
        out = self._sum_path(round_number)
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            await asyncio.to_thread(self._summer.sum, paths, self._scheme, one.chunks, out)
        except BadCiphertext as error:
            if self._engine.is_summing(round_number, attempt):
                self._engine.sum_failed(error.node, error.detail)
        else:
            if not self._engine.is_summing(round_number, attempt):
                return  # the run failed meanwhile
            receipts = {node: json.loads(upload.receipt) for node, upload in uploads.items()}
            self._transcript.add(self._config, round_number, attempt, receipts)
            self._engine.summed(round_number, attempt, one.chunks, one.parameters)
        self._clear_uploads()
        await self._notify()

    def _clear_uploads(self) -> None:
        """Ciphertexts are kept no longer than their sum needs them."""
        at = self._store.position()
        current = f"round-{at.round}-{at.attempt}" if at.stage in ("open", "summing") else ""
        for folder in (self._data / "uploads").glob("round-*"):
            if folder.name != current:
                shutil.rmtree(folder, ignore_errors=True)

    def _sum_path(self, round_number: int) -> Path:
        return self._data / "sums" / f"round-{round_number}"

    def _wants_letter(self, header: wire.LetterHeader) -> bool:
        """Whether this letter is new; the first one of a sender, recipient and subject stands.

        Raises:
            ProtocolError: To nobody of this run, too long, or one of too many.
        """
        if header.recipient not in self._config.enrolled or header.recipient == header.sender:
            raise ProtocolError(f"node {header.recipient} gets no letters in run {header.run}")
        if header.size > MAX_LETTER or len(header.subject) > MAX_SUBJECT:
            raise ProtocolError(f"a letter may hold {MAX_LETTER} bytes, not {header.size}")
        if self._store.letter(header.recipient, header.sender, header.subject):
            return False
        if self._store.letters_from(header.sender) >= LETTERS_PER_PEER * len(self._config.nodes):
            raise ProtocolError(f"node {header.sender} has sent too many letters")
        return True

    async def _receive_letter(self, header: wire.LetterHeader, stream: AsyncIterator[wire.LetterPart]) -> None:
        body = bytearray()
        async for part in stream:
            body += part.piece
            if len(body) > header.size:
                break
        if len(body) != header.size:
            raise ProtocolError("a letter's size is not what its header says")
        signed = messages.letter(
            header.run, header.config_digest, header.sender, header.recipient, header.subject, bytes(body)
        )
        verify(bytes.fromhex(self._roster.member(header.sender).signing_key), signed, header.signature)
        path = self._data / "letters" / f"{header.recipient}-{secrets.token_hex(8)}"
        write_bytes(path, bytes(body))
        raw = header.SerializeToString(deterministic=True)
        self._store.add_letter(header.sender, header.recipient, header.subject, raw, path)

    async def _in_time(self, node: int, work: Awaitable[None]) -> None:
        """A stream that stalls is given up, so that nobody can pile up half uploads."""
        try:
            async with asyncio.timeout(max(60.0, self._config.deadline_s)):
                await work
        except TimeoutError:
            raise ProtocolError(f"node {node} did not finish sending in time") from None

    def _check_run(self, run: str, config_digest: bytes) -> None:
        if run != self._config.run or config_digest != self._config.digest():
            raise ProtocolError(f"this aggregator serves run {self._config.run} only")

    def _authenticate(self, context: Context, node: int) -> None:
        names = context.auth_context().get("x509_subject_alternative_name", ())
        speaker = node_of_peer(names, self._roster)
        if speaker != node:
            raise ProtocolError(f"the certificate belongs to node {speaker}, the message claims node {node}")

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _do(self, context: Context, node: int, work: Callable[[], None]) -> None:
        before = self._engine.version

        async def run() -> None:
            self._authenticate(context, node)
            work()

        await self._guard(context, run)
        if self._engine.version != before:
            await self._notify()

    async def _guard(self, context: Context, work: Callable[[], Awaitable[Any]]) -> None:
        """Turn our errors into gRPC statuses; their messages hold no secrets by construction."""
        try:
            await work()
        except Superseded as error:
            await context.abort(grpc.StatusCode.ABORTED, str(error))
        except IntegrityError as error:
            self._log.warning("rejected", problem=str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except AfmlError as error:
            self._log.warning("rejected", problem=str(error))
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


def _receipt(header: wire.UpdateHeader) -> str:
    """The receipt as canonical text.

    Raises:
        ProtocolError: It is not the JSON object of a ledger receipt.
    """
    try:
        return canonical_json(
            ReceiptRecord.model_validate_json(header.receipt).model_dump(mode="json")
        ).decode()
    except ValueError:
        raise ProtocolError(f"node {header.node} sent no ledger receipt with its update") from None
