"""What every backend promises, asked of each: the product's and the benchmarks' plain one."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import ConfigError, IntegrityError, ProtocolError
from benchmarks.plain import PLAIN
from crypto.public.backend import BACKENDS, PublicBackend, public_backend
from crypto.public.params import choose
from crypto.secret.backend import Backend, Codec, backend
from crypto.secret.pads import Pads
from tests.crypto.parties import CONFIG, attempt, secrets

COHORT = (1, 2, 3)
PARAMS = choose(len(COHORT), 16, 10**6)
PARAMETERS = PARAMS.parameters_per_chunk + 5  # two chunks
PRODUCT = {name: backend(name) for name in BACKENDS}
WHOLE = PRODUCT | {"plain": PLAIN}
KEYLESS: dict[str, PublicBackend] = WHOLE | {f"{name} without keys": public_backend(name) for name in BACKENDS}


def codecs(of: Backend) -> dict[int, Codec]:
    key = of.make_key(PARAMS)
    return {node: of.codec(PARAMS, key, Pads(node, CONFIG, secrets(3)[node])) for node in COHORT}


def updates(seed: int = 1) -> dict[int, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return {node: rng.integers(-4000, 4000, PARAMETERS) for node in COHORT}


def uploads(of: Backend, made: dict[int, Codec], number: int = 1) -> dict[int, list[bytes]]:
    binding = attempt(COHORT, number=number)
    return {node: list(made[node].encode(fields, binding=binding)) for node, fields in updates().items()}


def added(of: PublicBackend, payloads: dict[int, list[bytes]]) -> list[bytes]:
    totals = []
    for column in zip(*payloads.values(), strict=True):
        adder = of.adder(PARAMS)
        for payload in column:
            adder.add(payload)
        totals.append(adder.total())
    return totals


@pytest.fixture(scope="module", params=WHOLE, ids=str)
def whole(request: pytest.FixtureRequest) -> Backend:
    return WHOLE[request.param]


@pytest.fixture(scope="module", params=KEYLESS, ids=str)
def keyless(request: pytest.FixtureRequest) -> PublicBackend:
    return KEYLESS[request.param]


@pytest.fixture(scope="module")
def sent() -> dict[str, dict[int, list[bytes]]]:
    """Name -> node -> its payloads."""
    return {name: uploads(of, codecs(of)) for name, of in WHOLE.items()}


def test_the_decoded_sum_is_the_sum_in_grid_steps(whole: Backend) -> None:
    made = codecs(whole)
    payloads = uploads(whole, made)
    bound = whole.bind(added(whole, payloads), payloads[2], len(COHORT), PARAMS)
    got = made[2].decode(bound, PARAMETERS)
    want = sum(updates().values())
    assert got.dtype == np.int64
    assert np.array_equal(got, want)


def test_a_sum_of_too_few_chunks_is_refused(whole: Backend) -> None:
    made = codecs(whole)
    totals = added(whole, uploads(whole, made))
    with pytest.raises(ProtocolError, match="1 of 2 chunks"):
        made[1].decode(totals[:1], PARAMETERS)


def test_every_payload_has_the_size_that_is_said(
    keyless: PublicBackend, sent: dict[str, dict[int, list[bytes]]]
) -> None:
    for payload in sent[keyless.name][1]:
        assert len(payload) == keyless.upload_size(PARAMS)
        keyless.check(PARAMS, payload)


def test_payloads_of_another_size_are_refused(keyless: PublicBackend, sent: dict[str, dict[int, list[bytes]]]) -> None:
    good = sent[keyless.name][1][0]
    for bad in (good[:-1], good + b"\0", b""):
        with pytest.raises(ProtocolError):
            keyless.check(PARAMS, bad)
        with pytest.raises(ProtocolError):
            keyless.adder(PARAMS).add(bad)


def test_no_more_are_added_than_the_parameters_hold(
    keyless: PublicBackend, sent: dict[str, dict[int, list[bytes]]]
) -> None:
    adder = keyless.adder(PARAMS)
    with pytest.raises(ProtocolError, match="nothing was added"):
        adder.total()
    first, second, third = (payloads[0] for payloads in sent[keyless.name].values())
    for payload in (first, second, third):
        adder.add(payload)
    with pytest.raises(ProtocolError, match="at most 3"):
        adder.add(sent[keyless.name][1][1])


def test_it_goes_to_worker_processes(keyless: PublicBackend) -> None:
    again = pickle.loads(pickle.dumps(keyless))
    assert (type(again), again.name) == (type(keyless), keyless.name)


@pytest.mark.parametrize("name", PRODUCT)
def test_a_sum_is_bound_to_its_attempt(name: str) -> None:
    of, keyless = PRODUCT[name], public_backend(name)
    made = codecs(of)
    first, other = uploads(of, made), uploads(of, made, number=2)
    total, foreign = added(of, first), added(of, other)
    assert list(keyless.bind(total, first[1], 3, PARAMS)) == total
    assert list(keyless.bind(total, None, 3, PARAMS)) == total
    for sums in (foreign, [total[0], foreign[1]], total[::-1]):
        with pytest.raises(IntegrityError, match="does not hold this node's"):
            list(keyless.bind(sums, first[1], 3, PARAMS))
    with pytest.raises(IntegrityError, match="chunk 1"):
        list(keyless.bind(total, first[1][:1], 3, PARAMS))
    with pytest.raises(ProtocolError, match="sums 3 updates, not 2"):
        list(keyless.bind(total, None, 2, PARAMS))


@pytest.mark.parametrize("name", PRODUCT)
def test_the_order_of_addition_leaves_no_trace(name: str) -> None:
    of = PRODUCT[name]
    payloads = uploads(of, codecs(of))
    assert added(of, payloads) == added(of, dict(reversed(payloads.items())))


@pytest.mark.parametrize("name", PRODUCT)
def test_both_halves_go_by_the_same_name(name: str) -> None:
    assert backend(name).name == public_backend(name).name == name


def test_an_unknown_backend_is_refused_and_the_plain_one_is_unknown() -> None:
    for load in (public_backend, backend):
        with pytest.raises(ConfigError, match="no backend called 'plain'; use one of ckks"):
            load("plain")
