"""That all nodes hold the same model: what each of them signs of its own, and what it makes of what the others signed.

The aggregator hands every node a sum, and CKKS lets it add what it likes. So each Ready carries a keyed digest of the
model that its node is ready from, and of every sum in it. Nodes compare before they train: whoever was given another
sum, or an old one, is seen before anybody spends on what follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Binding
from afml.consortium.reasons import different
from afml.core.errors import ModelsDiffer
from afml.wire import federation_pb2 as wire
from node.mailbox import Mailbox

SUBJECT = "final-model"
NO_SUMS = bytes(32)
"""The digest of no sum at all."""
_WAIT_S = 30.0


def with_sum(sums: bytes, binding: Binding, total: NDArray[np.int64]) -> bytes:
    """The digest of all sums up to this one, 32 bytes.

    A sum is told apart even where it moves no parameter by a bit: rounding may hide it this round and not the next.

    Args:
        sums: The digest of those before it.
        binding: Whose sum it is.
        total: The sum in grid steps, int64 [P].
    """
    digest = hashlib.sha256(b"afml sums v1\n" + sums + binding.cohort_digest + binding.config_digest)
    digest.update(f"{binding.attempt}\n".encode())
    digest.update(np.ascontiguousarray(total, dtype="<i8").data)
    return digest.digest()


def require_same_model(round_number: int, node: int, model: bytes, tokens: Sequence[wire.ReadyToken]) -> None:
    """Refuse to go on where verified Ready tokens are from another model than this node's.

    Args:
        round_number: The round that the tokens are of.
        node: This node.
        model: Keyed digest of its model before that round.
        tokens: Of the members of a cohort; their signatures hold.

    Raises:
        ModelsDiffer: Names the round after which models differ, and the nodes on each side.
    """
    _require_one(round_number - 1, {token.node: token.model for token in tokens} | {node: model})


def compare_final(
    mailbox: Mailbox, round_number: int, node: int, model: bytes, peers: Sequence[int], *, wait_s: float = _WAIT_S
) -> list[int]:
    """Exchange the digests of the last round's model, which no Ready follows.

    Args:
        mailbox: This node's letters.
        round_number: The last round.
        node: This node.
        model: Keyed digest of its model.
        peers: The other nodes that were there at the end.
        wait_s: Seconds to wait for all of them together: letters of those who were there lie ready.

    Returns:
        The peers that did not tell theirs in time.

    Raises:
        ModelsDiffer: Names the nodes on each side.
        IntegrityError: A letter is not from whom it says.
    """
    # Keyed, as in every Ready, where anybody reads it: whoever opens one later learns nothing.
    mailbox.send_sealed(peers, SUBJECT, model, lasting=False)
    told = mailbox.receive_sealed(peers, SUBJECT, wait_s=wait_s, lasting=False)
    _require_one(round_number, {node: model} | told)
    return sorted(set(peers) - set(told))


def _require_one(round_number: int, models: Mapping[int, bytes]) -> None:
    sides: dict[bytes, list[int]] = {}
    for node, model in sorted(models.items()):
        sides.setdefault(model, []).append(node)
    if len(sides) > 1:
        raise ModelsDiffer(
            different(round_number, sides.values()),
            where="agreement of nodes",
            cure="the aggregator gave them different sums, or a node signs what it does not hold: find out which "
            "before you configure another run (`afml configure`)",
        )
