"""The sum through worker processes, whatever the backend: every node once in each chunk, and who spoils it is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afml.core.recordfile import read_records, write_records
from aggregator.scheme import Scheme
from aggregator.summing import BadCiphertext, Summer
from benchmarks.plain import PLAIN
from crypto.public.backend import public_backend
from crypto.public.blind import add_payloads
from crypto.public.grid import Grid
from crypto.public.params import choose
from tests.crypto.parties import encode

PARAMS, CHUNKS, COHORT = choose(3, 16, 10**6), 5, (1, 2, 3)
PARAMETERS = CHUNKS * PARAMS.parameters_per_chunk


def stored(folder: Path, payloads: dict[int, list[bytes]]) -> dict[int, Path]:
    paths = {node: folder / str(node) for node in payloads}
    for node, path in paths.items():
        write_records(path, payloads[node])
    return paths


SCHEME = Scheme(PLAIN, PARAMS)


@pytest.fixture(scope="module")
def plain() -> Iterator[Summer]:
    made = Summer(2)
    yield made
    made.close()


def powers_of_two(node: int) -> list[bytes]:
    """Node i sends 2^i everywhere in its first chunk, 2^i + 1 in its second, ...: a wrong sum names the culprit."""
    return [np.full(PARAMS.parameters_per_chunk, 2.0**node + i, np.float32).tobytes() for i in range(CHUNKS)]


def test_every_chunk_holds_every_node_once(plain: Summer, tmp_path: Path) -> None:
    plain.sum(SCHEME, stored(tmp_path, {node: powers_of_two(node) for node in COHORT}), CHUNKS, tmp_path / "sum")
    totals = [set(np.frombuffer(record, np.float32)) for record in read_records(tmp_path / "sum")]
    assert totals == [{2.0 + 4 + 8 + 3 * i} for i in range(CHUNKS)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3", "sum"], "parts are removed"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_payload_that_cannot_be_added_names_its_node(plain: Summer, tmp_path: Path, chunk: int) -> None:
    payloads = {node: powers_of_two(node) for node in COHORT}
    payloads[2][chunk] = payloads[2][chunk][:-4]
    with pytest.raises(BadCiphertext, match=r"node 2: .* bytes, not") as refusal:
        plain.sum(SCHEME, stored(tmp_path, payloads), CHUNKS, tmp_path / "sum")
    assert refusal.value.node == 2
    assert not (tmp_path / "sum").exists()


def test_ciphertexts_are_added_as_in_one_process(tmp_path: Path) -> None:
    grid, update = Grid(1.0), np.ones(PARAMETERS)
    payloads = {node: encode(PARAMS, grid, node, update, COHORT) for node in COHORT}
    summer, scheme = Summer(2), Scheme(public_backend("ckks"), PARAMS)
    try:
        summer.sum(scheme, stored(tmp_path, payloads), CHUNKS, tmp_path / "sum")
    finally:
        summer.close()
    expected = [add_payloads(PARAMS, chunk) for chunk in zip(*payloads.values(), strict=True)]
    assert list(read_records(tmp_path / "sum")) == expected
