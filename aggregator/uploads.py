"""Uploads: spooled chunk by chunk under a name of their own, counted only once they are whole and verified."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from afml.consortium.attempt import Attempt, Binding
from afml.core.config import canonical_json
from afml.core.errors import ProtocolError, Superseded
from afml.core.files import sync_folder
from afml.core.recordfile import append_record, end_records
from afml.ledger.transcript import ReceiptRecord
from afml.wire import federation_pb2 as wire
from aggregator.admission import ChunkAdmission
from aggregator.engine import Engine
from aggregator.publishing import Publisher
from aggregator.run import ServedRun
from aggregator.store.base import Upload


class Uploads:
    """Takes in the updates of one run; the last one of a cohort begins the sum."""

    def __init__(self, run: ServedRun, engine: Engine, publisher: Publisher) -> None:
        self._run, self._engine, self._publisher = run, engine, publisher
        self._newest: dict[int, Path] = {}  # node -> spool of its newest stream; older ones are given up

    async def receive(self, header: wire.UpdateHeader, parts: AsyncIterator[wire.UpdatePart]) -> None:
        """Take one update; one that is there already is confirmed unread.

        Raises:
            ProtocolError: Not wanted, or not what an honest node sends.
            IntegrityError: A chunk is not signed by its node.
        """
        if not self._engine.expects_upload(header):
            return
        attempt, receipt = Attempt(header.round, header.attempt), _receipt(header)
        folder = self._run.folder.uploads(attempt)
        folder.mkdir(parents=True, exist_ok=True)
        spool = folder / f".{header.node}.{secrets.token_hex(4)}"
        try:
            size = await self._spool(header, parts, spool)
            if not self._engine.expects_upload(header):
                return
            os.replace(spool, folder / str(header.node))
            sync_folder(folder)
        finally:
            spool.unlink(missing_ok=True)
        upload = Upload(header.node, header.chunks, header.parameters, size, receipt)
        if self._engine.uploaded(attempt, upload):
            self._publisher.begin(attempt)

    async def _spool(self, header: wire.UpdateHeader, parts: AsyncIterator[wire.UpdatePart], spool: Path) -> int:
        """Write a stream of chunks to a record file; returns the bytes that came over the wire."""
        binding = self._binding(header)
        admission = ChunkAdmission(self._run.scheme, self._run.roster, binding, header.node, header.parameters)
        size = header.ByteSize()
        self._newest[header.node] = spool
        with spool.open("wb") as out:
            async for part in parts:
                if self._newest[header.node] is not spool:
                    raise Superseded(f"node {header.node} began this upload again")
                if part.WhichOneof("part") != "chunk":
                    raise ProtocolError("a chunk was expected", where=f"node {header.node}, {binding}")
                chunk = part.chunk
                admission.admit(chunk.index, header.chunks, chunk.payload, chunk.signature)
                append_record(out, chunk.payload)
                size += part.ByteSize()
            admission.finish()
            await asyncio.to_thread(end_records, out, admission.count)  # syncs: others go on meanwhile
        return size

    def _binding(self, header: wire.UpdateHeader) -> Binding:
        attempt = Attempt(header.round, header.attempt)
        cohort = tuple(self._run.store.attempts.cohort(attempt))
        return Binding(header.run, header.config_digest, attempt, cohort)


def _receipt(header: wire.UpdateHeader) -> str:
    """The receipt as canonical text.

    Raises:
        ProtocolError: It is not the JSON object of a ledger receipt.
    """
    try:
        return canonical_json(ReceiptRecord.model_validate_json(header.receipt).model_dump(mode="json")).decode()
    except ValueError:
        raise ProtocolError(f"node {header.node} sent no ledger receipt with its update") from None
