"""What it costs that nodes compare their models before every round: processor time and bytes, beside the round's own.

Counted is everything that a node would not do without it (`node.agreement`): hashing the sum it applied into the digest
of all sums, binding that to the model's digest under the run's key, comparing what the cohort signed, and the digests
in the Ready tokens: its own up, the cohort's down, once where the attempt opens and once with the sum. The model's own
digest is not counted: nodes reported it before they compared it. Nodes of this machine share its cores, so the time of
all five is set against the round's wall clock as if none of it overlapped.
"""

from __future__ import annotations

import hashlib
import hmac
import statistics
import time
from collections.abc import Sequence

import numpy as np

from afml.consortium.attempt import Attempt, Binding
from afml.wire import federation_pb2 as wire
from node.agreement import NO_SUMS, require_same_model, with_sum

REPEATS = 21


def figures(parameters: int, nodes: int, round_s: float, round_bytes: float) -> dict[str, object]:
    """Ratios of a round with the comparison to one without.

    Args:
        parameters: Of the model.
        nodes: In the cohort.
        round_s: Wall-clock seconds of a round that compares.
        round_bytes: Bytes up and down at a node in such a round.
    """
    added_s = nodes * seconds(parameters, nodes)
    added = (2 * nodes + 1) * digest_bytes()
    return {
        "agreement_time_ratio": round(round_s / (round_s - added_s), 4),
        "agreement_bytes_ratio": round(round_bytes / (round_bytes - added), 6),
    }


def seconds(parameters: int, nodes: int) -> float:
    """Processor seconds of one node and round, median of `REPEATS`."""
    binding = Binding("bench", bytes(32), Attempt(1, 1), tuple(range(1, nodes + 1)))
    total = np.random.default_rng(1).integers(-(2**20), 2**20, parameters)
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        sums = with_sum(NO_SUMS, binding, total)
        model = hmac.digest(bytes(32), bytes(32) + sums, hashlib.sha256)
        require_same_model(2, 1, model, _tokens(model, nodes))
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def digest_bytes() -> int:
    """How much longer a Ready token is for the digest in it."""
    return _tokens(bytes(32), 1)[0].ByteSize() - _tokens(b"", 1)[0].ByteSize()


def _tokens(model: bytes, nodes: int) -> Sequence[wire.ReadyToken]:
    return [wire.ReadyToken(run="bench", round=2, attempt=1, node=node, model=model) for node in range(1, nodes + 1)]
