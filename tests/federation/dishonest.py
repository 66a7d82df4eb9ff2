"""Run `afml aggregator` so that it hands some node another sum than the rest, and keeps quiet about what follows.

    python -m tests.federation.dishonest offset NODE ROUND -- aggregator arguments...
    python -m tests.federation.dishonest replay NODE ROUND -- aggregator arguments...

`offset` adds one step to every coordinate of the real words of that sum. `replay` keeps the node out of this round and
the one before, and hands it the sum of the one before for both. It compares no models itself, and nobody hears that a
node left.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from afml.cli.main import main
from afml.consortium.attempt import Attempt
from afml.core.errors import Superseded
from afml.wire import federation_pb2 as wire
from aggregator.engine import Engine
from aggregator.membership import Membership
from aggregator.moves import Moves
from aggregator.service import Service
from crypto.public.params import CodecParams
from crypto.public.payload import read_total, write_total


def moved(params: CodecParams, total: bytes) -> bytes:
    """A sum with one step more in every coordinate of its real words; no key is needed."""
    ciphertext = read_total(params, total)
    body = (ciphertext.body + np.uint64(int(params.scale) % params.prime)) % np.uint64(params.prime)
    return write_total(params, ciphertext.seeds, body)


def bend(how: str, node: int, round_number: int) -> None:
    """Replace what the aggregator hands out of a round to one node."""
    fetch, ready, awaited, gather = Service.FetchAggregate, Engine.ready, Membership.awaited, Moves.gather
    kept_out = (round_number - 1, round_number) if how == "replay" else ()
    gathering = 0

    async def bent_fetch(self: Any, request: wire.AttemptRef, context: Any) -> AsyncIterator[wire.AggregatePart]:
        bent = (request.node, request.round) == (node, round_number)
        async for part in fetch(self, request, context):
            if bent and how == "offset" and part.WhichOneof("part") == "chunk":
                part.chunk.payload = moved(self._run.scheme.params, part.chunk.payload)
            yield part
            if bent and how == "replay":  # its header was this round's
                break
        if bent and how == "replay":
            earlier = wire.AttemptRef()
            earlier.CopyFrom(request)
            earlier.round = round_number - 1
            async for part in fetch(self, earlier, context):
                if part.WhichOneof("part") == "chunk":
                    yield part

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
