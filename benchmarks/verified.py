"""What verified sums cost in bytes and in a node's processor time: five nodes, a million parameters.

Both ways are measured right after each other, in turns, in one process, so that whatever else the machine does meets
both; a ratio is the median over those pairs. A node's way up is from its noised update to its ciphertexts, as the
outbox stores them; its way down from the sum's ciphertexts to the update that is applied. Training, the wire and the
aggregator's sum, which would make the ratios smaller, are left out. docs/design/verified-sums.md says what is bought.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.consortium.scheme import further_coordinates, run_params
from afml.privacy.noise import node_std, round_grid
from benchmarks.codec import BINDING, CASES, COHORT, CONFIG, MILLION, NODES, usual_run
from crypto.public.blind import add_payloads
from crypto.public.payload import total_size, upload_size
from crypto.public.random import SystemRandom
from crypto.secret.backend import Codec, backend
from crypto.secret.pads import PadKeys, Pads
from crypto.secret.sumcheck import KEY_BYTES, LinearCheck, SumCheck, Unverified

SECTION = "trust"
BARS = {"verified_sum_ratio": ("<=", 1.1)}
PAIRS = 21


@dataclass(frozen=True)
class Way:
    """One of the two ways of a run: with or without a check value."""

    run: RunConfig
    codecs: dict[int, Codec]
    checks: dict[int, SumCheck]

    @classmethod
    def of(cls, run: RunConfig) -> Way:
        """With keys of its own."""
        params, ckks, root = run_params(run), backend("ckks"), os.urandom(KEY_BYTES)
        key, made = ckks.make_key(params), {node: PadKeys.generate() for node in COHORT}
        pads = {
            node: Pads(node, CONFIG, {peer: made[node].shared(made[peer].public) for peer in COHORT if peer != node})
            for node in COHORT
        }
        checks: dict[int, SumCheck] = {
            node: LinearCheck(root, pads[node], params) if run.verified_sums else Unverified() for node in COHORT
        }
        return cls(run, {node: ckks.codec(params, key, pads[node]) for node in COHORT}, checks)

    @property
    def coordinates(self) -> int:
        """That travel."""
        return MILLION + further_coordinates(self.run)

    @property
    def wire_bytes(self) -> tuple[int, int]:
        """Ciphertext bytes of a node, up and down."""
        params = run_params(self.run)
        chunks = params.chunks(self.coordinates)
        return chunks * upload_size(params), chunks * total_size(params, NODES)

    def up(self, node: int, values: NDArray[np.float64]) -> list[bytes]:
        """A node's ciphertexts."""
        fields = round_grid(self.run, 1).quantise(values, SystemRandom())
        return list(self.codecs[node].encode(self.checks[node].attach(fields, BINDING), binding=BINDING))

    def summed(self, values: dict[int, NDArray[np.float64]]) -> list[bytes]:
        """The sum of everybody's ciphertexts."""
        uploads = [self.up(node, one) for node, one in values.items()]
        return [add_payloads(run_params(self.run), column) for column in zip(*uploads, strict=True)]

    def down(self, totals: list[bytes]) -> NDArray[np.float64]:
        """The sum that a node applies."""
        decoded = self.codecs[1].decode(totals, self.coordinates)
        return round_grid(self.run, 1).dequantise(self.checks[1].verified(decoded, BINDING))

    def round(self, values: NDArray[np.float64], totals: list[bytes]) -> None:
        """What a node does in a round, both ways."""
        self.up(1, values)
        self.down(totals)


def run() -> dict[str, object]:
    """Ratios of bytes and time, checked over unchecked: the worst of both cases, and the largest of all."""
    found = [_ratios(usual_run(NODES, *case)) for case in CASES]
    worst = {name: round(max(one[name] for one in found), 4) for name in found[0]}
    return {f"verified_sum_ratio_{name}": ratio for name, ratio in worst.items()} | {
        "verified_sum_ratio": max(worst.values())
    }


def _ratios(config: RunConfig) -> dict[str, float]:
    rng = np.random.default_rng(1)
    values = {node: rng.normal(0, node_std(config, config.phases[0]), MILLION) for node in COHORT}
    plain, checked = Way.of(config), Way.of(config.model_copy(update={"verified_sums": True}))
    sums = plain.summed(values), checked.summed(values)
    return {
        "bytes_up": checked.wire_bytes[0] / plain.wire_bytes[0],
        "bytes_down": checked.wire_bytes[1] / plain.wire_bytes[1],
        "node_s": paired(lambda: plain.round(values[1], sums[0]), lambda: checked.round(values[1], sums[1])),
    }


def paired(plain: Callable[[], object], checked: Callable[[], object]) -> float:
    """Median over `PAIRS` pairs of processor seconds, checked over plain, in alternating order."""
    ratios = []
    for pair in range(PAIRS):
        order = (plain, checked) if pair % 2 == 0 else (checked, plain)
        spent = [_seconds(one) for one in order]
        ratios.append(spent[1] / spent[0] if pair % 2 == 0 else spent[0] / spent[1])
    return statistics.median(ratios)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
