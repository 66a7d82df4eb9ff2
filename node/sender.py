"""The one way an update leaves a node: spent, padded, encrypted, stored - then signed and sent.

`publish` asks for a ledger receipt, and only the ledger makes receipts: code that forgot to record the
spend does not type-check, and a receipt for another attempt is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from afml.consortium.attempt import Binding
from afml.core.config import canonical_json
from afml.ledger.receipt import Receipt
from afml.wire import federation_pb2 as wire
from crypto.secret.backend import Codec
from node.client import Client
from node.outbox import Outbox, Submission


def store(
    receipt: Receipt,
    attempt: Binding,
    update: NDArray[np.int64],
    codec: Codec,
    outbox: Outbox,
) -> Submission:
    """Encrypt one noised update and store the ciphertexts.

    Args:
        receipt: Proof that this attempt's spend is durable in the ledger.
        attempt: Round, attempt and cohort.
        update: Clipped, noised sum in steps of the round's grid, with its check value, int64 [P + E].
        codec: This node's codec.
        outbox: Keeps the ciphertexts, so that a retry sends the same bytes.

    Raises:
        IntegrityError: The receipt is for another attempt.
    """
    receipt.require(attempt.run, attempt.attempt)
    return outbox.submission(attempt, lambda: codec.encode(update, binding=attempt))


def send(
    receipt: Receipt,
    submission: Submission,
    node: int,
    parameters: int,
    key: Ed25519PrivateKey,
    client: Client,
) -> None:
    """Send a stored submission with its ledger receipt; safe to repeat, the ciphertexts are the same."""
    attempt = submission.binding
    receipt.require(attempt.run, attempt.attempt)
    header = wire.UpdateHeader(
        run=attempt.run,
        config_digest=attempt.config_digest,
        round=attempt.round,
        attempt=attempt.number,
        cohort_digest=attempt.cohort_digest,
        node=node,
        chunks=submission.count,
        parameters=parameters,
        receipt=canonical_json(receipt.to_json()).decode(),
    )

    def chunks(first: int) -> Iterator[wire.UpdateChunk]:
        for index, payload, signature in submission.signed(node, key, first):
            yield wire.UpdateChunk(index=index, payload=payload, signature=signature)

    client.submit(header, chunks)
