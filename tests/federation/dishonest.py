"""Run `afml aggregator` so that it hands out other sums than there are, and keeps quiet about what follows.

    python -m tests.federation.dishonest HOW NODE ROUND -- aggregator arguments...

| HOW | |
|---|---|
| offset | the node gets that round's sum with one step more in every coordinate of its real words |
| common | every node gets the same offset |
| each | every node gets another one: as many steps as its number |
| left-out | every node gets the sum without the update of NODE, which the sum lists all the same |
| replay | the node is kept out of this round and the one before, and is handed the sum of the one before for both |

It compares no models itself, and nobody hears that a node left.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from afml.cli.main import main
from afml.consortium.attempt import Attempt
from afml.core.errors import Superseded
from afml.core.recordfile import read_records
from afml.wire import federation_pb2 as wire
from aggregator.engine import Engine
from aggregator.membership import Membership
from aggregator.moves import Moves
from aggregator.publishing import Publisher
from aggregator.service import Service
from crypto.public.params import CodecParams
from crypto.public.payload import read_total, read_upload, write_total


def moved(params: CodecParams, total: bytes, steps: int = 1) -> bytes:
    """A sum with so many steps more in every coordinate of its real words; no key is needed."""
    ciphertext = read_total(params, total)
    body = (ciphertext.body + np.uint64(steps * int(params.scale) % params.prime)) % np.uint64(params.prime)
    return write_total(params, ciphertext.seeds, body)


def without(params: CodecParams, total: bytes, upload: bytes) -> bytes:
    """A sum without an update, and with its seed."""
    ciphertext, prime = read_total(params, total), np.uint64(params.prime)
    return write_total(params, ciphertext.seeds, (ciphertext.body + prime - read_upload(params, upload).body) % prime)


class Bending:
    """What becomes of the sum of one round on its way to a node."""

    def __init__(self, how: str, node: int, round_number: int) -> None:
        self._how, self._node, self._round = how, node, round_number
        self._kept: list[bytes] = []

    async def keep(self, publisher: Any, attempt: Attempt) -> None:
        """Keep the update that is to be left out, as long as it is there."""
        if self._how == "left-out" and attempt.round == self._round:
            self._kept = list(read_records(publisher._run.folder.uploads(attempt) / str(self._node)))

    def bend(self, part: wire.AggregatePart, request: wire.AttemptRef, params: CodecParams) -> None:
        """Change a chunk in place, where it is of the sum that is bent."""
        if request.round != self._round or part.WhichOneof("part") != "chunk":
            return
        steps = {"offset": int(request.node == self._node), "common": 1, "each": request.node}.get(self._how, 0)
        if steps:
            part.chunk.payload = moved(params, part.chunk.payload, steps)
        if self._how == "left-out":
            part.chunk.payload = without(params, part.chunk.payload, self._kept[part.chunk.index])


def bend(how: str, node: int, round_number: int) -> None:
    """Replace what the aggregator hands out of a round."""
    fetch, ready, awaited, gather = Service.FetchAggregate, Engine.ready, Membership.awaited, Moves.gather
    summing, bending = Publisher._sum, Bending(how, node, round_number)
    kept_out = (round_number - 1, round_number) if how == "replay" else ()
    gathering = 0

    async def bent_fetch(self: Any, request: wire.AttemptRef, context: Any) -> AsyncIterator[wire.AggregatePart]:
        replayed = how == "replay" and (request.node, request.round) == (node, round_number)
        async for part in fetch(self, request, context):
            bending.bend(part, request, self._run.scheme.params)
            yield part
            if replayed:  # its header was this round's
                break
        if replayed:
            earlier = wire.AttemptRef()
            earlier.CopyFrom(request)
            earlier.round = round_number - 1
            async for part in fetch(self, earlier, context):
                if part.WhichOneof("part") == "chunk":
                    yield part

    async def kept_sum(self: Publisher, attempt: Attempt) -> None:
        await bending.keep(self, attempt)
        await summing(self, attempt)

    def bent_ready(self: Engine, message: wire.ReadyToken) -> None:
        if message.node == node and message.round in kept_out:
            raise Superseded("the cohort is already fixed")
        ready(self, message)

    def bent_awaited(self: Membership) -> set[int]:
        return awaited(self) - ({node} if gathering in kept_out else set())

    def noted_gather(self: Moves, attempt: Attempt, *rest: Any) -> None:
        nonlocal gathering
        gathering = attempt.round
        gather(self, attempt, *rest)

    Service.FetchAggregate = bent_fetch  # type: ignore[method-assign]
    Publisher._sum = kept_sum  # type: ignore[method-assign]
    Engine.ready = bent_ready  # type: ignore[method-assign]
    Membership.awaited = bent_awaited  # type: ignore[method-assign]
    Moves.gather = noted_gather  # type: ignore[method-assign]
    Moves.fail_if_different = lambda *_: False  # type: ignore[method-assign]
    Engine.leave = lambda *_: None  # type: ignore[method-assign]


if __name__ == "__main__":
    how, node, round_number, separator, *arguments = sys.argv[1:]
    assert separator == "--"
    bend(how, int(node), int(round_number))
    sys.argv = ["afml", *arguments]
    main()
