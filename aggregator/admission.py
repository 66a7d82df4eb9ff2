"""Admission of one node's chunks: in order, each once, signed by the roster's key, of the exact size."""

from __future__ import annotations

from afml.consortium.attempt import Binding
from afml.consortium.roster import Roster
from afml.core.errors import ProtocolError
from aggregator.scheme import Scheme
from crypto.public.signing import verify


class ChunkAdmission:
    """Checks the stream of chunks of one node in one attempt.

    Args:
        scheme: How the run's updates are hidden and added.
        roster: The consortium.
        binding: The open attempt.
        node: Who is sending, by its TLS certificate.
        parameters: Coordinates of an update.
        received: Chunks already stored, where a transfer is resumed.

    Raises:
        ProtocolError: The node is not on the roster or not in the cohort.
    """

    def __init__(
        self,
        scheme: Scheme,
        roster: Roster,
        binding: Binding,
        node: int,
        parameters: int,
        *,
        received: int = 0,
    ) -> None:
        if node not in binding.cohort:
            raise ProtocolError(f"node {node} is not in the cohort", where=binding)
        try:
            self._key = bytes.fromhex(roster.member(node).signing_key)
        except KeyError:
            raise ProtocolError(f"node {node} is not on the roster", where=binding) from None
        self._scheme, self._binding, self._node = scheme, binding, node
        self.count = scheme.chunks(parameters)
        self.received = received

    def admit(self, index: int, count: int, payload: bytes, signature: bytes) -> None:
        """Check the next chunk; cheap checks first, the signature on right-sized bytes only.

        Raises:
            ProtocolError: Duplicate, out of order, surplus, wrong size or wrong parameters.
            IntegrityError: The signature is not this node's over these bytes at this place.
        """
        where = f"node {self._node}, {self._binding}, chunk {index}"
        if count != self.count:
            raise ProtocolError(f"announces {count} chunks, not {self.count}", where=where)
        if index < self.received:
            raise ProtocolError("chunk was already received", where=where)
        if index != self.received or index >= self.count:
            raise ProtocolError(f"chunk out of order; {self.received} of {self.count} received", where=where)
        self._scheme.check(payload)
        verify(self._key, self._binding.chunk_message(self._node, index, count, payload), signature, where=where)
        self.received += 1

    def finish(self) -> None:
        """Check that the update is whole.

        Raises:
            ProtocolError: Chunks are missing.
        """
        if self.received != self.count:
            raise ProtocolError(
                f"stream ended after {self.received} of {self.count} chunks",
                where=f"node {self._node}, {self._binding}",
            )
