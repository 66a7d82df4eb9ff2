"""Quantise, pack, pad, encrypt, add blind, decrypt, unpack: against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, IntegrityError, ProtocolError
from crypto.ckks.codec import UpdateCodec
from crypto.public.grid import Grid
from crypto.public.packing import pack, unpack
from crypto.public.params import choose
from crypto.public.random import SeededRandom
from tests.crypto.parties import attempt, blind_sum, codec, encode, reference, rounded, run_key, whole_path

EXTREMES = ("random", "all-max", "all-min", "alternating", "overflowing", "zero", "one node only")


def make_updates(kind: str, nodes: int, bits: int, parameters: int, seed: int) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    half = 2 ** (bits - 1)
    top, bottom = float((half - 1) // nodes), -float(half // nodes)  # the sum fits, and only just
    updates = {}
    for node in range(1, nodes + 1):
        plain = rng.uniform(bottom, top, parameters)
        updates[node] = {
            "random": plain,
            "all-max": np.full(parameters, top),
            "all-min": np.full(parameters, bottom),
            "alternating": np.where(np.arange(parameters) % 2, top, bottom),
            "overflowing": plain * 1000.0,
            "zero": np.zeros(parameters),
            "one node only": plain if node == 1 else np.zeros(parameters),
        }[kind]
    return updates


@given(
    st.sampled_from(EXTREMES),
    st.integers(2, 7),
    st.integers(4, 20),
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.booleans(),
)
@example("all-max", 2, 24, 1, 0, True)
@example("all-min", 7, 20, 40, 0, False)
def test_agrees_with_python_integers(kind: str, nodes: int, bits: int, parameters: int, seed: int, pads: bool) -> None:
    updates = make_updates(kind, nodes, bits, parameters, seed)
    params = choose(nodes, bits, parameters, pads=pads)
    got = whole_path(updates, bits, 1.0, pads=pads).tolist()
    assert got == reference(updates, params, 1.0)
    if kind != "overflowing":
        assert got == rounded(updates, 1.0)


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize(("nodes", "bits"), [(5, 16), (5, 8), (16, 12)])
def test_several_chunks(kind: str, nodes: int, bits: int) -> None:
    params = choose(nodes, bits, 10**6)
    parameters = params.parameters_per_chunk + 77
    updates = make_updates(kind, nodes, bits, parameters, 1)
    grid = Grid(1.0)
    cohort = sorted(updates)
    uploads = [encode(params, grid, node, updates[node], cohort) for node in cohort]
    got = codec(params, 1).decode(blind_sum(params, uploads), parameters)
    want = sum(grid.quantise(updates[node], SeededRandom(9, node)) for node in cohort)
    if kind == "overflowing":
        want = unpack(pack(want, params), params, parameters)
    assert np.array_equal(got, want)


@pytest.mark.parametrize("kind", ["all-max", "all-min", "random"])
def test_the_largest_sum_is_exact(kind: str) -> None:
    nodes = 1024
    params = choose(nodes, 21, 10**6, pads=False)
    fields = make_updates(kind, nodes, 21, params.parameters_per_chunk, 2)[1].astype(np.int64)
    part = codec(params, 1)
    uploads = [list(part.encode(fields, binding=attempt([1]))) for _ in range(nodes)]
    assert np.array_equal(part.decode(blind_sum(params, uploads), fields.size), fields * nodes)


def test_a_cohort_smaller_than_the_parameters_were_made_for() -> None:
    updates = make_updates("random", 7, 16, 10, 3)
    survivors = {node: updates[node] for node in (2, 5, 7)}
    assert whole_path(survivors, 16, 1.0, nodes=7).tolist() == rounded(survivors, 1.0)


@given(st.integers(2, 7), st.integers(2, 12), st.integers(0, 2**32))
def test_a_node_may_send_more_than_its_bits_hold_as_long_as_the_sum_fits(nodes: int, bits: int, seed: int) -> None:
    """What one node sends is of no size that counts: two that cancel may be of any."""
    rng, half = np.random.default_rng(seed), 2 ** (bits - 1)
    params = choose(nodes, bits, 40)
    fields = {node: rng.integers(-(2**50), 2**50, 40) for node in range(2, nodes + 1)}
    want = rng.integers(-half, half, 40)
    fields[1] = want - sum(fields.values())
    cohort = sorted(fields)
    uploads = [list(codec(params, node).encode(fields[node], binding=attempt(cohort))) for node in cohort]
    assert np.array_equal(codec(params, 1).decode(blind_sum(params, uploads), 40), want)


def test_too_many_nodes_are_refused() -> None:
    part = codec(choose(5, 16, 3), 1)
    with pytest.raises(ProtocolError, match="6 nodes"):
        part.encode(np.zeros(3, np.int64), binding=attempt(range(1, 7)))


def test_missing_and_surplus_chunks_are_refused() -> None:
    params, grid = choose(2, 16, 10**6), Grid(1.0)
    parameters = params.parameters_per_chunk + 1
    totals = blind_sum(params, [encode(params, grid, node, np.ones(parameters), [1, 2]) for node in (1, 2)])
    part = codec(params, 1)
    assert part.decode(totals, parameters).tolist() == [2] * parameters
    with pytest.raises(ProtocolError, match="1 of 2 chunks"):
        part.decode(totals[:1], parameters)
    with pytest.raises(ProtocolError, match="more than 2"):
        part.decode([*totals, totals[0]], parameters)


def test_swapped_chunks_do_not_decode_silently_to_the_same_sum() -> None:
    params, grid = choose(2, 16, 10**6), Grid(1.0)
    uploads = [encode(params, grid, node, np.arange(20_000.0) % 99, [1, 2]) for node in (1, 2)]
    uploads[0] = [uploads[0][1], uploads[0][0], *uploads[0][2:]]
    got = codec(params, 1).decode(blind_sum(params, uploads), 20_000)
    assert not np.array_equal(got, 2 * (np.arange(20_000) % 99))  # pads of other chunks do not cancel


def test_parts_that_do_not_belong_together_are_refused() -> None:
    params = choose(5, 16, 10)
    with pytest.raises(ConfigError, match="differ"):
        UpdateCodec(choose(5, 12, 10), run_key(params), None)
    with pytest.raises(ConfigError, match="pads"):
        UpdateCodec(params, run_key(params), None)


def test_the_sum_of_another_run_is_refused() -> None:
    params, grid = choose(2, 16, 10), Grid(1.0)
    totals = blind_sum(params, [encode(params, grid, node, np.ones(10), [1, 2]) for node in (1, 2)])
    stranger = UpdateCodec(params, type(run_key(params)).generate(params), codec(params, 1)._pads)
    with pytest.raises(IntegrityError, match="from an integer"):
        stranger.decode(totals, 10)
