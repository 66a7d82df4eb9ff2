"""Admission of one node's chunks: in order, each once, signed by the roster's key, of the exact size."""

from __future__ import annotations

from afml.core.errors import ProtocolError
from afml.core.run import Roster
from crypto.public.attempt import Attempt
from crypto.public.blind import check_payload
from crypto.public.params import CodecParams
from crypto.public.signing import verify


class ChunkAdmission:
    """Checks the stream of chunks of one node in one attempt.

    Args:
        params: Codec parameters of the run.
        roster: The consortium.
        attempt: The open attempt.
        node: Who is sending, by its TLS certificate.
        parameters: Coordinates of an update.
        received: Chunks already stored, where a transfer is resumed.

    Raises:
        ProtocolError: The node is not on the roster or not in the cohort.
    """

    def __init__(
        self,
        params: CodecParams,
        roster: Roster,
        attempt: Attempt,
        node: int,
        parameters: int,
        *,
        received: int = 0,
    ) -> None:
        if node not in attempt.cohort:
            raise ProtocolError(f"node {node} is not in the cohort", where=attempt)
        try:
            self._key = bytes.fromhex(roster.member(node).signing_key)
        except KeyError:
            raise ProtocolError(f"node {node} is not on the roster", where=attempt) from None
        self._params, self._attempt, self._node = params, attempt, node
        self.count = params.chunks(parameters)
        self.received = received

    def admit(self, index: int, count: int, payload: bytes, signature: bytes) -> None:
        """Check the next chunk; cheap checks first, the signature on right-sized bytes only.

        Raises:
            ProtocolError: Duplicate, out of order, surplus, wrong size or wrong parameters.
            IntegrityError: The signature is not this node's over these bytes at this place.
        """
        where = f"node {self._node}, {self._attempt}, chunk {index}"
        if count != self.count:
            raise ProtocolError(f"announces {count} chunks, not {self.count}", where=where)
        if index < self.received:
            raise ProtocolError("chunk was already received", where=where)
        if index != self.received or index >= self.count:
            raise ProtocolError(f"chunk out of order; {self.received} of {self.count} received", where=where)
        check_payload(self._params, payload)
        verify(
            self._key, self._attempt.chunk_message(self._node, index, count, payload), signature, where=where
        )
        self.received += 1

    def finish(self) -> None:
        """Check that the update is whole.

        Raises:
            ProtocolError: Chunks are missing.
        """
        if self.received != self.count:
            raise ProtocolError(
                f"stream ended after {self.received} of {self.count} chunks",
                where=f"node {self._node}, {self._attempt}",
            )
