"""The encrypted sum: bytes per parameter, node and aggregator time, aggregator memory, exactness, whole rounds.

Times are processor seconds of one process (median of several runs), so other processes disturb them little;
those of whole rounds are wall-clock seconds (`benchmarks.rounds`). The runs are as `afml configure` makes them: five
institutions of 400 people at PLE 0.9, and of 100,000 at PLE 0.2 (`_large`), 20 rounds of a tenth of the people.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.card import DataAgreement
from afml.consortium.roster import Member, Roster
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.scheme import run_params
from afml.privacy.noise import node_std, round_grid, with_fewest_bits
from afml.privacy.plan import PhaseShare, calibrated
from afml.wire import federation_pb2 as wire
from aggregator.admission import ChunkAdmission
from aggregator.scheme import Scheme
from benchmarks import agreement, rounds
from crypto.ckks.run_key import RunKey
from crypto.public.backend import public_backend
from crypto.public.blind import BlindAdder, add_payloads
from crypto.public.grid import Grid
from crypto.public.packing import centre
from crypto.public.params import CodecParams, choose
from crypto.public.payload import upload_size, write_upload
from crypto.public.random import SystemRandom
from crypto.public.signing import generate_signing_key, public_bytes, sign
from crypto.secret.backend import Codec, backend
from crypto.secret.pads import PadKeys, Pads

MILLION = 1_000_000
NODES = 5
COHORT = tuple(range(1, NODES + 1))
CONFIG = bytes(32)
BINDING = Binding("bench", CONFIG, Attempt(1, 1), COHORT)

CASES = ((400, 0.9), (100_000, 0.2))
"""People of an institution, PLE."""

BARS = {
    "bytes_up_per_parameter": ("<=", 2.3),
    "bytes_down_per_parameter": ("<=", 2.3),
    "node_cpu_s_per_million": ("<=", 0.12),
    "bytes_over_least": ("<=", 1.05),
    "aggregator_params_per_s_per_core": (">=", 20e6),
    "aggregator_extra_rss_mb": ("<=", 150),
    "aggregator_extra_rss_ratio": ("<=", 1.1),
    "wrong_sums": ("<=", 0),
    "round_s_1m": ("<=", 1.0),
    "round_s_4m": ("<=", 3.0),
    "round_ratio_to_plain": ("<=", 1.5),
    "aggregator_process_extra_rss_mb": ("<=", 150),
    "agreement_time_ratio": ("<=", 1.02),
    "agreement_bytes_ratio": ("<=", 1.02),
}


def run() -> dict[str, object]:
    """Every figure of the section but the ratio to NVFlare."""
    figures = _node_and_wire()
    figures.update(_memory())
    figures.update(_exactness())
    figures.update(rounds.figures())
    moved = MILLION * (figures["bytes_up_per_parameter"] + figures["bytes_down_per_parameter"])
    figures.update(agreement.figures(MILLION, NODES, figures["round_s_1m"], moved))
    print("  round_ratio_to_nvflare: not measured here, NVFlare has an environment of its own: make bench-peers")
    return figures


# -- bytes and time ----------------------------------------------------------------------------------------


def usual_run(nodes: int, people: int, ple_sigma: float, parameters: int = MILLION) -> RunConfig:
    """A run of one phase with its bits as a coordinator gets them."""
    (multiplier,) = calibrated([PhaseShare("train", 20, 0.1)], ple_sigma=ple_sigma, delta=1e-5, reserve=1)
    phase = Phase(
        name="train", rounds=20, sample_rate=0.1, clip_norm=1.0, noise_multiplier=multiplier, learning_rate=1.0,
        parameters=parameters,
    )  # fmt: skip
    return with_fewest_bits(
        RunConfig(
            run="bench", consortium="bench", task=rounds.TASK,
            data=DataAgreement(kind="table", fingerprint="00", features=1),
            enrolled=dict.fromkeys(range(1, nodes + 1), people), quorum=nodes,
            budget=Budget(delta=1e-5, ple_sigma=ple_sigma), phases=(phase,),
        )
    )  # fmt: skip


def _codecs(params: CodecParams) -> dict[int, Codec]:
    ckks = backend("ckks")
    key = ckks.make_key(params)
    pads = {node: PadKeys.generate() for node in COHORT}
    return {
        node: ckks.codec(
            params,
            key,
            Pads(node, CONFIG, {peer: pads[node].shared(pads[peer].public) for peer in COHORT if peer != node}),
        )
        for node in COHORT
    }


def on_the_wire(message: bytes) -> int:
    """A gRPC message (5-byte prefix) in HTTP/2 frames (9 bytes) and TLS 1.3 records (22) of 16 KiB."""
    framed = len(message) + 5
    return framed + -(-framed // 16_384) * (9 + 22)


def _upload(
    codec: Codec, grid: Grid, params: CodecParams, node: int, values: np.ndarray, key: Ed25519PrivateKey
) -> tuple[list[tuple[bytes, bytes]], int, float]:
    """(payload, signature) pairs, bytes on the wire, processor seconds."""
    count = params.chunks(values.size)
    pairs, size = [], 0
    start = time.process_time()
    header = wire.UpdateHeader(
        run="bench", config_digest=CONFIG, round=1, attempt=1, cohort_digest=BINDING.cohort_digest, node=node,
        chunks=count, parameters=values.size,
    )  # fmt: skip
    size += on_the_wire(wire.UpdatePart(header=header).SerializeToString())
    payloads = codec.encode(grid.quantise(values, SystemRandom()), binding=BINDING)
    for index, payload in enumerate(payloads):
        signature = sign(key, BINDING.chunk_message(node, index, count, payload))
        chunk = wire.UpdateChunk(index=index, payload=payload, signature=signature)
        size += on_the_wire(wire.UpdatePart(chunk=chunk).SerializeToString())
        pairs.append((payload, signature))
    return pairs, size, time.process_time() - start


def _node_and_wire() -> dict[str, object]:
    rng = np.random.default_rng(1)
    figures: dict[str, object] = {}
    for (people, ple_sigma), suffix in zip(CASES, ("", "_large"), strict=True):
        run = usual_run(NODES, people, ple_sigma)
        params, grid = run_params(run), round_grid(run, 1)
        figures[f"bits{suffix}"] = run.bits
        codecs = _codecs(params)
        keys = {node: generate_signing_key() for node in COHORT}
        seconds, uploads, size = [], {}, 0
        for node in COHORT:
            values = rng.normal(0, node_std(run, run.phases[0]), MILLION)
            uploads[node], size, spent = _upload(codecs[node], grid, params, node, values, keys[node])
            seconds.append(spent)
        figures[f"bytes_up_per_parameter{suffix}"] = round(size / MILLION, 4)
        figures[f"node_cpu_s_per_million{suffix}"] = round(statistics.median(seconds), 4)
        columns = [[uploads[node][index][0] for node in COHORT] for index in range(len(uploads[1]))]
        start = time.process_time()
        totals = [add_payloads(params, column) for column in columns]
        rate = NODES * MILLION / (time.process_time() - start)
        figures[f"aggregator_params_per_s_per_core{suffix}"] = round(rate)
        figures[f"aggregator_admitted_params_per_s_per_core{suffix}"] = round(_admission_rate(params, uploads, keys))
        down = sum(
            on_the_wire(wire.AggregatePart(chunk=wire.AggregateChunk(index=i, payload=t)).SerializeToString())
            for i, t in enumerate(totals)
        )
        figures[f"bytes_down_per_parameter{suffix}"] = round(down / MILLION, 4)
        start = time.process_time()
        grid.dequantise(codecs[1].decode(totals, MILLION))
        figures[f"node_decode_cpu_s_per_million{suffix}"] = round(time.process_time() - start, 4)
    figures["bytes_over_least"] = round(max(_over_least(nodes, *case) for nodes in (5, 16, 64) for case in CASES), 4)
    return figures


def _over_least(nodes: int, people: int, ple_sigma: float) -> float:
    """Bytes up of a run over the least for its bits: words of no more fields in any modulus, not of whole bits."""
    run = usual_run(nodes, people, ple_sigma)
    params = run_params(run)
    scale = 24 * params.slot_variance**0.5
    words = {fields: math.sqrt(2) * nodes * 2.0 ** (run.bits * fields) for fields in range(1, params.fields + 1)}
    least = min(math.log2(word * scale) / fields for fields, word in words.items())
    return upload_size(params) * params.chunks(MILLION) / (MILLION * least / 8)


def _admission_rate(
    params: CodecParams, uploads: dict[int, list[tuple[bytes, bytes]]], keys: dict[int, Ed25519PrivateKey]
) -> float:
    """Parameters per second of checking every size, coefficient, digest and signature."""
    members = tuple(
        Member(node=node, name=str(node), signing_key=public_bytes(key).hex(), sealing_key="00" * 32)
        for node, key in keys.items()
    )
    roster = Roster(consortium="bench", coordinator_key="00" * 32, aggregator_key="00" * 32, members=members)
    scheme = Scheme(public_backend("ckks"), params)
    start = time.process_time()
    for node, pairs in uploads.items():
        stream = ChunkAdmission(scheme, roster, BINDING, node, MILLION)
        for index, (payload, signature) in enumerate(pairs):
            stream.admit(index, len(pairs), payload, signature)
        stream.finish()
    return len(uploads) * MILLION / (time.process_time() - start)


# -- memory ------------------------------------------------------------------------------------------------


def _memory() -> dict[str, object]:
    """Peak memory of a fresh adding process above its size after the imports, 10M parameters, MB."""
    sizes = {}
    for nodes in (5, 50):
        command = [sys.executable, "-c", f"from benchmarks import codec; codec.measure_memory({nodes})"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sizes[nodes] = json.loads(done.stdout)
    peaks = {nodes: size["peak_mb"] for nodes, size in sizes.items()}
    return {
        "aggregator_extra_rss_mb": max(size["extra_mb"] for size in sizes.values()),
        "aggregator_extra_rss_mb_5_nodes": sizes[5]["extra_mb"],
        "aggregator_extra_rss_mb_50_nodes": sizes[50]["extra_mb"],
        "aggregator_adder_peak_rss_mb": max(peaks.values()),
        "aggregator_extra_rss_ratio": round(max(peaks.values()) / min(peaks.values()), 3),
    }


def measure_memory(nodes: int, parameters: int = 10 * MILLION) -> None:
    """Add `nodes` updates chunk by chunk and print peak memory; bodies are uniform below q, as real ones."""
    params = choose(nodes, 16, parameters)
    rng = np.random.default_rng(nodes)
    process = psutil.Process()
    before = process.memory_info().rss
    peak = before
    with open(os.devnull, "wb") as out:
        for index in range(params.chunks(parameters)):
            adder = BlindAdder(params)
            for node in range(nodes):
                seed = index.to_bytes(32, "little") + node.to_bytes(32, "little")
                body = rng.integers(0, params.prime, params.poly_modulus, dtype=np.uint64)
                adder.add(write_upload(params, seed, body))
            out.write(adder.total())
            if index % 64 == 0:
                peak = max(peak, process.memory_info().rss)
    print(json.dumps({"extra_mb": round((peak - before) / 2**20, 1), "peak_mb": round(peak / 2**20, 1)}))


# -- exactness ---------------------------------------------------------------------------------------------


def _exactness(coordinates: int = 10 * MILLION) -> dict[str, object]:
    """Wrong coordinates over uniform, all-max and all-min words at K = 5, 16, 64 (16 bits, room for pads)."""
    jobs = [(nodes, seed, coordinates // 8) for nodes in (5, 16, 64) for seed in range(8)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(_wrong_sums, *zip(*jobs, strict=True)))
    return {
        "wrong_sums": sum(wrong for wrong, _, _ in results),
        "wrong_sums_coordinates": sum(count for _, count, _ in results),
        "worst_residual": round(max(worst for _, _, worst in results), 4),
    }


def _wrong_sums(nodes: int, seed: int, coordinates: int) -> tuple[int, int, float]:
    """(wrong coordinates, coordinates, worst residual) of uniform words, as pads leave them, and extremes."""
    params = choose(nodes, 16, 10 * MILLION)
    key = RunKey.generate(params)
    rng = np.random.default_rng(seed)
    half = 1 << (params.total_bits - 1)
    shape = (2, params.slots)
    chunks = -(-coordinates // params.parameters_per_chunk)
    wrong, worst = 0, 0.0
    for index in range(chunks + 2):
        adder = BlindAdder(params)
        expected = np.zeros(shape, dtype=np.int64)
        for _ in range(nodes):
            if index < chunks:
                words = rng.integers(-half, half, shape)
            else:
                words = np.full(shape, half - 1 if index == chunks else -half)
            expected += words
            adder.add(key.encrypt(words))
        got, residual = key.decrypt(adder.total())
        wrong += int(np.count_nonzero(got != centre(expected, params.total_bits))) * params.fields
        worst = max(worst, residual)
    return wrong, (chunks + 2) * params.parameters_per_chunk, worst
