"""Uploads: spooled chunk by chunk, resumed where their stream broke, counted once they are whole and verified."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.consortium.limits import MAX_RECEIPT
from afml.consortium.roster import Member
from afml.core.config import canonical_json
from afml.core.errors import AfmlError, IntegrityError, ProtocolError, Superseded, TransportError
from afml.core.files import sync_folder
from afml.core.recordfile import append_record, end_records
from afml.ledger import checkpoint
from afml.ledger.transcript import ReceiptRecord
from afml.wire import federation_pb2 as wire
from aggregator.admission import ChunkAdmission
from aggregator.announcements import bound
from aggregator.engine import Engine
from aggregator.publishing import Publisher
from aggregator.run import ServedRun
from aggregator.store.base import Upload


@dataclass
class _Half:
    """What is there of an update that is not whole: chunks that were checked, in order.

    Attributes:
        header: The update's, serialised.
        path: Their record file, without its end.
        chunks: How many.
        file_bytes, wire_bytes: Their sizes there and over the wire.
    """

    header: bytes
    path: Path
    chunks: int = 0
    file_bytes: int = 0
    wire_bytes: int = 0


class Uploads:
    """Takes in the updates of one run; the last one of a cohort begins the sum.

    Where a stream breaks, what came of it stays for the next one to go on, as long as this process lives: after a
    restart nobody could say whether it is on disk.
    """

    def __init__(self, run: ServedRun, engine: Engine, publisher: Publisher) -> None:
        self._run, self._engine, self._publisher = run, engine, publisher
        self._halves: dict[int, _Half] = {}  # node -> its newest; one each
        self._newest: dict[int, object] = {}  # node -> its newest stream; older ones are given up

    def received(self, header: wire.UpdateHeader) -> int:
        """Chunks of an update that are there.

        Raises:
            ProtocolError: It is not wanted.
        """
        if not self._engine.expects_upload(header):
            return header.chunks
        half = self._halves.get(header.node)
        return half.chunks if half is not None and _same(half, header) else 0

    async def receive(self, header: wire.UpdateHeader, parts: AsyncIterator[wire.UpdatePart]) -> None:
        """Take one update; one that is there already is confirmed unread.

        Raises:
            ProtocolError: Not wanted, or not what an honest node sends.
            IntegrityError: A chunk is not signed by its node.
            TransportError: Another part of it is there than its sender believes: it asks, and sends again.
        """
        if not self._engine.expects_upload(header):
            return
        attempt = Attempt(header.round, header.attempt)
        receipt = _receipt(header, self._run.roster.member(header.node))
        folder = self._run.folder.uploads(attempt)
        folder.mkdir(parents=True, exist_ok=True)
        half = self._begin(header, folder)
        await self._spool(header, parts, half)
        if not self._engine.expects_upload(header):
            return
        os.replace(half.path, folder / str(header.node))
        sync_folder(folder)
        self._drop(header.node)
        upload = Upload(header.node, header.chunks, header.parameters, half.wire_bytes, receipt)
        if self._engine.uploaded(attempt, upload):
            self._publisher.begin(attempt)

    def _begin(self, header: wire.UpdateHeader, folder: Path) -> _Half:
        """The half of an update that a stream adds to."""
        half = self._halves.get(header.node)
        if header.first == 0:
            self._drop(header.node)
            path = folder / f".{header.node}.{secrets.token_hex(4)}"
            half = _Half(_bare(header), path, wire_bytes=header.ByteSize())
            half.path.touch()
        elif half is None or not _same(half, header) or half.chunks != header.first:
            raise TransportError(f"the update of node {header.node} does not stand at chunk {header.first}")
        self._halves[header.node] = half
        return half

    def _drop(self, node: int) -> None:
        if (half := self._halves.pop(node, None)) is not None:
            half.path.unlink(missing_ok=True)

    async def _spool(self, header: wire.UpdateHeader, parts: AsyncIterator[wire.UpdatePart], half: _Half) -> None:
        """Add a stream of chunks to what is there, up to the end."""
        binding = bound(self._run.store, self._run.config, Attempt(header.round, header.attempt))
        admission = ChunkAdmission(
            self._run.scheme, self._run.roster, binding, header.node, header.parameters, received=half.chunks
        )
        stream = self._newest[header.node] = object()
        with half.path.open("r+b") as out:
            out.truncate(half.file_bytes)
            out.seek(half.file_bytes)
            async for part in parts:
                if self._newest[header.node] is not stream:
                    raise Superseded(f"node {header.node} began this upload again")
                try:
                    if part.WhichOneof("part") != "chunk":
                        raise ProtocolError("a chunk was expected", where=f"node {header.node}, {binding}")
                    chunk = part.chunk
                    admission.admit(chunk.index, header.chunks, chunk.payload, chunk.signature)
                except AfmlError:
                    self._drop(header.node)
                    raise
                append_record(out, chunk.payload)
                out.flush()  # only what is written counts as there
                half.chunks, half.file_bytes = admission.received, out.tell()
                half.wire_bytes += part.ByteSize()
            admission.finish()
            await asyncio.to_thread(end_records, out, admission.count)  # syncs: others go on meanwhile
        if self._newest[header.node] is not stream:
            raise Superseded(f"node {header.node} began this upload again")


def _bare(header: wire.UpdateHeader) -> bytes:
    """A header but for where its stream begins."""
    bare = wire.UpdateHeader()
    bare.CopyFrom(header)
    bare.ClearField("first")
    return bare.SerializeToString(deterministic=True)


def _same(half: _Half, header: wire.UpdateHeader) -> bool:
    return half.header == _bare(header) and half.path.exists()


def _receipt(header: wire.UpdateHeader, member: Member) -> str:
    """The receipt as canonical text: what enters the transcript stands under a head that its node signed.

    The head vouches for the ledger's name and for the number of entries. The leaf is the node's own word until somebody
    holds the ledger beside it (`afml.ledger.verify_spends`): no proof of inclusion comes with it.

    Raises:
        ProtocolError: It is too long, not the JSON object of a ledger receipt, or its head is not of this node's
            ledger, not signed by it, or does not cover the entry.
    """
    if len(header.receipt) > MAX_RECEIPT:
        raise ProtocolError(f"the receipt of node {header.node} has more than {MAX_RECEIPT} bytes")
    try:
        receipt = ReceiptRecord.model_validate_json(header.receipt)
        text = canonical_json(receipt.model_dump(mode="json")).decode()
    except ValueError:
        raise ProtocolError(f"node {header.node} sent no ledger receipt with its update") from None
    try:
        head = checkpoint.verify(receipt.checkpoint, bytes.fromhex(member.signing_key))
    except (IntegrityError, ValueError):  # ValueError: text that cannot be encoded
        raise ProtocolError(f"the head in the receipt of node {header.node} is not signed by it") from None
    if head.origin != member.origin:
        raise ProtocolError(f"the head in the receipt of node {header.node} is not of its ledger")
    if receipt.index >= head.size:
        raise ProtocolError(f"the head in the receipt of node {header.node} does not cover entry {receipt.index}")
    return text
