"""Processor seconds of encoding an update of 1M parameters and decoding a sum, as one JSON line.

`benchmarks.paired` runs this in a checkout of its choice: five nodes, 16 bits, pads on, on one thread. Three layouts of
the codec are known: the present one, whose grid turns and rounds what a codec encodes; a codec that rounds itself; and
that of commit 59512c7, `crypto.secret.update.UpdateCodec`. Bits are a coordinate's of the sum in the first, and a
node's own in the others, which pay log2 of the nodes more.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crypto.public.blind import add_payloads
from crypto.public.grid import Grid
from crypto.public.params import CodecParams, choose
from crypto.public.random import SystemRandom

MILLION, NODES, BITS, REPEATS = 1_000_000, 5, 16, 7
COHORT = tuple(range(1, NODES + 1))
CONFIG = bytes(32)
TURNS = hasattr(Grid, "turned")
UPDATE_CODEC = Path("crypto/secret/update.py")  # in the checkout, which is the working directory
Encode = Callable[[Any], Iterator[bytes]]
Decode = Callable[[list[bytes]], Any]


def of_backend(params: CodecParams, grid: Any) -> dict[int, tuple[Encode, Decode]]:
    """Every node's two ways through the codec of the CKKS backend: between updates and integers, or turned and back."""
    from afml.consortium.attempt import Attempt, Binding
    from crypto.secret.backend import backend
    from crypto.secret.pads import PadKeys, Pads

    ckks, keys = backend("ckks"), {node: PadKeys.generate() for node in COHORT}
    binding, key = Binding("bench", CONFIG, Attempt(1, 1), COHORT), ckks.make_key(params)

    def ways(node: int) -> tuple[Encode, Decode]:
        shared = {peer: keys[node].shared(keys[peer].public) for peer in COHORT if peer != node}
        if not TURNS:
            codec: Any = ckks.codec(params, grid, key, Pads(node, CONFIG, shared))  # type: ignore[call-arg, arg-type]
            return (
                lambda values: codec.encode(values, binding=binding, rng=SystemRandom()),
                lambda totals: codec.decode(totals, MILLION),
            )
        turned, codec = grid.turned(CONFIG), ckks.codec(params, key, Pads(node, CONFIG, shared))
        return (
            lambda values: codec.encode(turned.quantise(values, SystemRandom()), binding=binding),
            lambda totals: turned.dequantise(codec.decode(totals, MILLION)),
        )

    return {node: ways(node) for node in COHORT}


def of_update_codec(params: CodecParams, grid: Any) -> dict[int, tuple[Encode, Decode]]:
    """Every node's two ways through an `UpdateCodec`."""
    update, ckks, pads = (importlib.import_module(f"crypto.secret.{name}") for name in ("update", "ckks", "pads"))
    keys, key = {node: pads.PadKeys.generate() for node in COHORT}, ckks.RunKey.generate(params).serialise()

    def ways(node: int) -> tuple[Encode, Decode]:
        shared = {peer: keys[node].shared(keys[peer].public) for peer in COHORT if peer != node}
        codec = update.UpdateCodec(params, grid, ckks.RunKey.load(params, key), update.Pads(node, CONFIG, shared))
        return (
            lambda values: codec.encode(values, round=1, attempt=1, cohort=COHORT, rng=SystemRandom()),
            lambda totals: codec.decode(totals, MILLION),
        )

    return {node: ways(node) for node in COHORT}


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """(median, last result) over REPEATS, after a first time that is not counted."""
    result, seconds = work(), []
    for _ in range(REPEATS):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), result


def codec_cpu_s() -> float:
    params = choose(NODES, BITS, MILLION)
    made = of_update_codec if UPDATE_CODEC.exists() else of_backend
    grid: Any = Grid(2.0**-6) if TURNS else Grid(2.0**-6, BITS)  # type: ignore[call-arg]
    ways = made(params, grid)
    rng = np.random.default_rng(1)
    updates = {node: rng.normal(0, 0.5, MILLION) for node in COHORT}
    encode, decode = ways[1]
    encoding, own = cpu_seconds(lambda: list(encode(updates[1])))
    payloads = [own, *(list(ways[node][0](updates[node])) for node in COHORT[1:])]
    totals = [add_payloads(params, list(column)) for column in zip(*payloads, strict=True)]
    decoding, _ = cpu_seconds(lambda: decode(totals))
    return encoding + decoding


if __name__ == "__main__":
    print(json.dumps({"codec_cpu_s": codec_cpu_s()}))
