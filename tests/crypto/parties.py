"""A small consortium in memory, and a slow reference in Python integers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.roster import Member, Roster
from crypto.ckks.codec import UpdateCodec
from crypto.ckks.run_key import RunKey
from crypto.public.blind import add_payloads
from crypto.public.grid import Grid
from crypto.public.params import CodecParams, choose
from crypto.public.random import SeededRandom
from crypto.public.signing import generate_signing_key, public_bytes
from crypto.secret.pads import PadKeys, Pads

CONFIG = bytes(range(32))
FIRST = Attempt(1, 1)


@functools.cache
def run_key(params: CodecParams) -> RunKey:
    return RunKey.generate(params)


@functools.cache
def secrets(nodes: int) -> dict[int, dict[int, bytes]]:
    """node -> peer -> pair secret."""
    keys = {node: PadKeys.generate() for node in range(1, nodes + 1)}
    return {a: {b: keys[a].shared(keys[b].public) for b in keys if b != a} for a in keys}


def attempt(cohort: Sequence[int], round: int = 1, number: int = 1, run: str = "run") -> Binding:
    return Binding(run, CONFIG, Attempt(round, number), tuple(cohort))


def codec(params: CodecParams, node: int) -> UpdateCodec:
    pads = Pads(node, CONFIG, secrets(params.nodes)[node]) if params.pads else None
    return UpdateCodec(params, run_key(params), pads)


def encode(
    params: CodecParams,
    grid: Grid,
    node: int,
    values: NDArray[np.float64],
    cohort: Sequence[int],
    at: Attempt = FIRST,
) -> list[bytes]:
    """The payloads of one node; its rounding is `SeededRandom(9, node)`."""
    fields = grid.quantise(values, SeededRandom(9, node))
    return list(codec(params, node).encode(fields, binding=attempt(cohort, *at)))


def blind_sum(params: CodecParams, uploads: Sequence[Sequence[bytes]]) -> list[bytes]:
    return [add_payloads(params, column) for column in zip(*uploads, strict=True)]


def whole_path(
    updates: dict[int, NDArray[np.float64]],
    bits: int,
    step: float,
    *,
    pads: bool = True,
    nodes: int | None = None,
) -> NDArray[np.int64]:
    """Float updates in, decrypted integer sums out."""
    parameters = len(next(iter(updates.values())))
    params = choose(nodes or len(updates), bits, parameters, pads=pads)
    grid = Grid(step)
    cohort = sorted(updates)
    uploads = [encode(params, grid, node, updates[node], cohort) for node in cohort]
    return codec(params, cohort[0]).decode(blind_sum(params, uploads), parameters)


def rounded(updates: dict[int, NDArray[np.float64]], step: float) -> list[int]:
    """The sums of grid steps from exact fractions and Python integers, with the same rounding draws."""
    parameters = len(next(iter(updates.values())))
    totals = [0] * parameters
    for node, update in updates.items():
        draws = SeededRandom(9, node).uniform(parameters)
        for index in range(parameters):
            scaled = Fraction(float(update[index]) / step)
            whole = scaled.numerator // scaled.denominator
            totals[index] += whole + (1 if Fraction(float(draws[index])) < scaled - whole else 0)
    return totals


def reference(updates: dict[int, NDArray[np.float64]], params: CodecParams, step: float) -> list[int]:
    """What comes out of words mod 2^T: the sums themselves, as long as they fit."""
    totals = rounded(updates, step)
    got, bits = [0] * len(totals), params.field_bits
    stride, half = 2 * params.slots, 2 ** (bits - 1)
    for first in range(len(totals)):
        chunk, place = divmod(first, params.parameters_per_chunk)
        if place >= stride:
            continue
        end = min(len(totals), (chunk + 1) * params.parameters_per_chunk)
        members = range(first, end, stride)
        word = sum(totals[member] * 2 ** (bits * at) for at, member in enumerate(members))
        word = (word + sum(half * 2 ** (bits * at) for at in range(params.fields))) % 2**params.total_bits
        for at, member in enumerate(members):
            got[member] = (word >> (bits * at)) % 2**bits - half
    return got


def roster(nodes: int) -> tuple[Roster, dict[int, object]]:
    """A roster and the nodes' signing keys."""
    keys = {node: generate_signing_key() for node in range(1, nodes + 1)}
    members = tuple(
        Member(node=node, name=f"n{node}", signing_key=public_bytes(key).hex(), sealing_key="00" * 32)
        for node, key in keys.items()
    )
    return Roster(consortium="test", coordinator_key="00" * 32, aggregator_key="00" * 32, members=members), dict(keys)
