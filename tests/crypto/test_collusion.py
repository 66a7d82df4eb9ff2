"""A node that holds the run's secret key and everything the aggregator saw, against another node's update."""

from __future__ import annotations

import numpy as np
import pytest

from afml.consortium.attempt import Attempt
from crypto.public.grid import Grid
from crypto.public.packing import centre, unpack
from crypto.public.params import CodecParams, choose
from crypto.public.payload import read_upload, write_total
from crypto.public.random import SeededRandom
from crypto.secret.pads import Pads
from tests.crypto.parties import CONFIG, attempt, blind_sum, codec, encode, run_key, secrets

NODES, VICTIM, PARAMETERS = 5, 3, 8000
COHORT = list(range(1, NODES + 1))


def traffic(pads: bool) -> tuple[CodecParams, dict[int, list[bytes]], dict[int, np.ndarray]]:
    params, grid = choose(NODES, 16, 10**6, pads=pads), Grid(1.0)
    rng = np.random.default_rng(11)
    updates = {node: rng.normal(0, 500, PARAMETERS) for node in COHORT}
    uploads = {node: encode(params, grid, node, updates[node], COHORT) for node in COHORT}
    truth = {node: grid.quantise(updates[node], SeededRandom(9, node)) for node in COHORT}
    return params, uploads, truth


def open_alone(params: CodecParams, upload: bytes) -> np.ndarray:
    """Decrypt one node's own ciphertext with the shared key: words mod 2^T, [1, 2, slots]."""
    one = read_upload(params, upload)
    words, _ = run_key(params).decrypt(write_total(params, one.seeds, one.body))
    return words[np.newaxis]


def known_pad(params: CodecParams, colluder: int) -> np.ndarray:
    """The pad that `colluder` shares with the victim, with the colluder's sign: it cancels the victim's."""
    pads = Pads(colluder, CONFIG, secrets(NODES)[colluder])
    return pads.pair(VICTIM, attempt(COHORT), range(1), params)


def recovered(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Share of coordinates recovered exactly, and |correlation|."""
    return float(np.mean(guess == truth)), abs(float(np.corrcoef(guess, truth)[0, 1]))


def test_without_pads_the_shared_key_opens_everybody() -> None:
    params, uploads, truth = traffic(pads=False)
    guess = unpack(open_alone(params, uploads[VICTIM][0]), params, PARAMETERS)
    assert np.array_equal(guess, truth[VICTIM])


@pytest.mark.parametrize("colluders", [[1], [1, 2], [1, 2, 5]])
def test_with_pads_key_and_traffic_reveal_nothing(colluders: list[int]) -> None:
    """Up to K - 2 colluders: the victim's word stays under the pad it shares with another honest node."""
    params, uploads, truth = traffic(pads=True)
    opened = open_alone(params, uploads[VICTIM][0])
    for colluder in colluders:
        opened = opened + known_pad(params, colluder)
    guess = unpack(centre(opened, params.total_bits), params, PARAMETERS)
    exact, correlation = recovered(guess, truth[VICTIM])
    assert exact < 0.001
    assert correlation < 0.06  # 5 standard errors of a correlation of 8,000 independent pairs
    # Subtracting every other opened ciphertext, pads and all, leaves no more than their own updates' sum.
    others = sum(open_alone(params, uploads[node][0]) for node in COHORT if node != VICTIM)
    total = unpack(centre(open_alone(params, uploads[VICTIM][0]) + others, params.total_bits), params, PARAMETERS)
    assert np.array_equal(total, sum(truth.values()))


def test_all_but_the_victim_colluding_learn_the_victim_as_any_sum_must() -> None:
    params, uploads, truth = traffic(pads=True)
    part = codec(params, 1)
    total = part.decode(blind_sum(params, list(uploads.values())), PARAMETERS)
    rest = sum(truth[node] for node in COHORT if node != VICTIM)
    assert np.array_equal(total - rest, truth[VICTIM])


def test_stripping_the_last_pad_too_opens_the_update() -> None:
    """The negative control of the test above: with the fourth pad known nothing hides the victim."""
    params, uploads, truth = traffic(pads=True)
    opened = open_alone(params, uploads[VICTIM][0])
    for peer in (1, 2, 4, 5):
        opened = opened + known_pad(params, peer)
    guess = unpack(centre(opened, params.total_bits), params, PARAMETERS)
    assert np.array_equal(guess, truth[VICTIM])


def test_pads_of_an_abandoned_attempt_do_not_help() -> None:
    """Traffic of two attempts with different cohorts: differences of the victim's words stay noise."""
    params, grid = choose(NODES, 16, 10**6), Grid(1.0)
    update = np.random.default_rng(1).normal(0, 500, PARAMETERS)
    first = encode(params, grid, VICTIM, update, COHORT)
    second = encode(params, grid, VICTIM, update, [1, 2, 3, 4], Attempt(1, 2))
    gap = centre(open_alone(params, first[0]) - open_alone(params, second[0]), params.total_bits)
    unit = gap.astype(np.float64).ravel() / 2.0**params.total_bits
    assert abs(float((unit**2).mean()) - 1 / 12) < 6 * np.sqrt(1 / 180 / unit.size)
