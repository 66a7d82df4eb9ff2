"""Check values of sums: exact field arithmetic, one-time coefficients and pads, and no other sum that passes."""

from __future__ import annotations

import functools
import pickle
import random
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.core.errors import ConfigError, ProtocolError, SumNotVerified
from crypto.public import checkvalue
from crypto.public.checkvalue import BLOCK, PIECES, PRIME, check_coordinates, combined, digit_bits, digits_of
from crypto.public.params import choose
from crypto.secret.pads import Pads
from crypto.secret.sumcheck import KEY_BYTES, LinearCheck, Unverified
from tests.crypto.parties import CONFIG, attempt, blind_sum, codec, secrets

NODES, PARAMETERS = 4, 300
COHORT = (1, 2, 3, 4)
PARAMS = choose(NODES, 10, 10**6)
ROOM = PARAMS.nodes, PARAMS.field_bits
KEY = bytes(range(KEY_BYTES))
INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3), st.sampled_from([-(2**20) - 1, -(2**20), 2**20 - 1, 2**20])
)


# -- slow and obvious ----------------------------------------------------------------------------------


def is_prime(number: int) -> bool:
    """Miller and Rabin, forty bases: wrong with probability 2^-80 at most."""
    odd, twos, rng = number - 1, 0, random.Random(1)
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(40):
        power = pow(rng.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def derived(secret: bytes, label: bytes, rest: bytes) -> bytes:
    info = label + struct.pack("<I", len(CONFIG)) + CONFIG + rest
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def reference(node: int, values: Sequence[int], binding: Binding) -> int:
    """A node's padded check value in Python integers, from the keys themselves."""
    place = struct.pack("<2Q", binding.round, binding.number) + binding.cohort_digest
    key = derived(KEY, b"afml sum check v1", place)
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * len(values)))
    total = 0
    for first in range(0, len(values), BLOCK):
        block, bits = values[first : first + BLOCK], stream[8 * first : 8 * (first + BLOCK)]
        for k, value in enumerate(block):  # 16 bits of all coefficients of a block, then the next 16 of all of them
            places = [2 * (piece * len(block) + k) for piece in range(4)]
            total += value * int.from_bytes(b"".join(bits[place : place + 2] for place in places), "little")
    for peer in binding.cohort:
        if peer != node:
            pair = struct.pack("<2Q", min(node, peer), max(node, peer))
            secret = secrets(NODES)[node][peer]
            pad = int.from_bytes(derived(secret, b"afml field pad v1", place + pair), "little")
            total += pad if node < peer else -pad
    return total % PRIME


def slow_digits(element: int) -> list[int]:
    digits, base = [], 2 ** digit_bits(*ROOM)
    for _ in range(check_coordinates(*ROOM)):
        element, digit = divmod(element, base)
        digits.append(digit - base // 2)
    assert element == 0
    return digits


@functools.cache
def check(node: int, key: bytes = KEY) -> LinearCheck:
    return LinearCheck(key, Pads(node, CONFIG, secrets(NODES)[node]), PARAMS)


def updates(seed: int, cohort: Sequence[int] = COHORT, size: int = PARAMETERS) -> dict[int, NDArray[np.int64]]:
    """Of any size at one node, small as a sum."""
    rng = np.random.default_rng(seed)
    made = {node: rng.integers(-(2**40), 2**40, size) for node in cohort[:-1]}
    made[cohort[-1]] = rng.integers(-(2**8), 2**8, size) - sum(made.values())
    return made


def summed(seed: int, binding: Binding, size: int = PARAMETERS) -> NDArray[np.int64]:
    """The sum of what a cohort attaches, in numbers alone."""
    given_to = updates(seed, binding.cohort, size)
    return np.sum([check(node).attach(given_to[node], binding) for node in binding.cohort], axis=0)


# -- the field -----------------------------------------------------------------------------------------


def test_the_field_is_one_and_larger_than_any_difference_of_sums() -> None:
    assert is_prime(PRIME)
    assert PRIME > 2**64, "every coefficient is another element"
    assert PRIME > 1024 * 2**52 + 2**37, "no difference of two sums is 0 by reduction"


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), INT64), max_size=200))
def test_combinations_are_those_of_python_integers(pairs: list[tuple[int, int]]) -> None:
    pieces = [[one >> (16 * at) & 0xFFFF for one, _ in pairs] for at in range(PIECES)]
    values = np.array([one for _, one in pairs], np.int64)
    assert combined(np.array(pieces, np.uint16), values) == sum(one * other for one, other in pairs)


@pytest.mark.parametrize("value", [-(2**63), -(2**20) - 1, -(2**20), -1, 1, 2**20 - 1, 2**20, 2**63 - 1])
def test_the_largest_block_of_the_largest_coefficients_is_exact(value: int) -> None:
    coefficients = np.full((PIECES, BLOCK), 2**16 - 1, np.uint16)
    assert combined(coefficients, np.full(BLOCK, value, np.int64)) == BLOCK * (2**64 - 1) * value


@given(st.integers(2, 1024), st.integers(0, 20), st.data())
def test_digits_of_a_cohort_add_up_to_the_sum_in_the_field(nodes: int, further: int, data: st.DataObject) -> None:
    bits = (nodes - 1).bit_length() + 1 + further
    extremes = st.sampled_from([0, 1, PRIME - 1, 2**88, 2**88 - 1])
    elements = data.draw(st.lists(st.one_of(st.integers(0, PRIME - 1), extremes), min_size=1, max_size=min(nodes, 40)))
    sums = np.sum([digits_of(one, nodes, bits) for one in elements], axis=0)
    assert sums.shape == (check_coordinates(nodes, bits),)
    assert checkvalue.element_of(sums.tolist(), len(elements), nodes, bits) == sum(elements) % PRIME


@pytest.mark.parametrize(("nodes", "bits"), [(2, 2), (5, 4), (5, 8), (64, 7), (64, 12), (1024, 11)])
def test_no_digit_of_a_full_cohort_leaves_its_coordinate(nodes: int, bits: int) -> None:
    """Whatever the elements: all their digits at either end of the range."""
    width = digit_bits(nodes, bits)
    lowest, highest = nodes * -(2 ** (width - 1)), nodes * (2 ** (width - 1) - 1)
    assert -(2 ** (bits - 1)) <= lowest
    assert highest < 2 ** (bits - 1)
    assert digits_of(0, nodes, bits).tolist() == [-(2 ** (width - 1))] * check_coordinates(nodes, bits)


def test_bits_without_room_for_a_digit_are_refused() -> None:
    with pytest.raises(ConfigError, match="sums of 64 nodes in 6 bits have no room for a check value"):
        check_coordinates(64, 6)
    assert check_coordinates(64, 7) == 89


# -- the check -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, PARAMETERS, BLOCK, BLOCK + 1, 2 * BLOCK + 77])
def test_what_is_attached_is_what_the_slow_reference_says(size: int) -> None:
    binding, given_to = attempt(COHORT, 3, 2), updates(5, size=size)
    for node in COHORT:
        attached = check(node).attach(given_to[node], binding)
        assert attached[:size].tolist() == given_to[node].tolist()
        assert attached[size:].tolist() == slow_digits(reference(node, given_to[node].tolist(), binding))


@given(st.integers(0, 2**32), st.integers(1, 500), st.sampled_from([(1, 2), (2, 4), (1, 3, 4), COHORT]))
def test_an_honest_sum_is_verified_whatever_its_terms(seed: int, size: int, cohort: tuple[int, ...]) -> None:
    binding = attempt(cohort, 1 + seed % 7, 1 + seed % 3)
    wanted = np.sum(list(updates(seed, cohort, size).values()), axis=0)
    for node in COHORT:  # who was not in the cohort has the run's key too
        assert check(node).verified(summed(seed, binding, size), binding).tolist() == wanted.tolist()


def test_it_travels_as_an_update_does() -> None:
    """Packed, padded, encrypted, added without a key, decrypted: the exact integers come out, and are verified."""
    binding, size = attempt(COHORT), 9_000
    given_to = updates(6, size=size)
    uploads = [
        list(codec(PARAMS, node).encode(check(node).attach(given_to[node], binding), binding=binding))
        for node in COHORT
    ]
    decoded = codec(PARAMS, 2).decode(blind_sum(PARAMS, uploads), size + check_coordinates(*ROOM))
    assert check(2).verified(decoded, binding).tolist() == sum(given_to.values()).tolist()


def test_every_coordinate_and_every_digit_counts() -> None:
    binding = attempt(COHORT)
    total = summed(7, binding)
    for place in range(total.size):
        for steps in (-1, 1, 2**9):
            bent = total.copy()
            bent[place] += steps
            with pytest.raises(SumNotVerified, match="sum of round 1, attempt 1: is not the sum of what its nodes"):
                check(1).verified(bent, binding)


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, PARAMETERS + 5), st.integers(1, 2**37))))
def test_no_bent_sum_is_verified(seed: int, offsets: list[tuple[int, int]]) -> None:
    binding = attempt(COHORT)
    total = summed(seed % 50, binding)
    bent = total.copy()
    for place, steps in offsets:
        bent[place] += steps if seed % 2 else -steps
    if (bent == total).all():
        assert check(3).verified(bent, binding).size == PARAMETERS
    else:
        with pytest.raises(SumNotVerified):
            check(3).verified(bent, binding)


def test_a_wrapped_coordinate_is_not_verified() -> None:
    """Sums are known mod 2^B alone, and combined as integers: what comes back at the other end is another sum."""
    binding = attempt(COHORT)
    given_to = updates(8)
    given_to[1][10] += 2 ** (PARAMS.field_bits + 1)  # beyond what a coordinate of the sum holds
    uploads = [
        list(codec(PARAMS, node).encode(check(node).attach(given_to[node], binding), binding=binding))
        for node in COHORT
    ]
    decoded = codec(PARAMS, 1).decode(blind_sum(PARAMS, uploads), PARAMETERS + check_coordinates(*ROOM))
    with pytest.raises(SumNotVerified):
        check(1).verified(decoded, binding)


@pytest.mark.parametrize("left_out", COHORT)
def test_a_sum_without_one_of_the_cohort_is_not_verified(left_out: int) -> None:
    binding, given_to = attempt(COHORT), updates(9)
    rest = [node for node in COHORT if node != left_out]
    total = np.sum([check(node).attach(given_to[node], binding) for node in rest], axis=0)
    claimed = replace(binding, cohort=tuple(rest))
    for told in (binding, claimed):  # whoever it is passed off as the sum of
        with pytest.raises(SumNotVerified):
            check(rest[0]).verified(total, told)


def test_coefficients_and_pads_are_those_of_one_attempt_of_one_cohort() -> None:
    first = attempt(COHORT)
    total = summed(10, first)
    others = [
        attempt(COHORT, 2),
        attempt(COHORT, 1, 2),
        attempt((1, 2, 3)),
        replace(first, leases=tuple(bytes([node]) * 16 for node in COHORT)),
        replace(first, config_digest=bytes(32)),
    ]
    for other in others:
        with pytest.raises(SumNotVerified):
            check(1).verified(total, other)
    with pytest.raises(SumNotVerified):
        check(1, bytes(KEY_BYTES)).verified(total, first)


def test_check_values_of_an_attempt_tell_nothing_that_the_sum_does_not() -> None:
    """One node's is another uniform element in every attempt, though its update is the same; pads cancel in the sum."""
    fields = np.ones(PARAMETERS, np.int64)
    seen = []
    for number in range(1, 401):
        binding = attempt(COHORT, 1, number)
        pads = [Pads(node, CONFIG, secrets(NODES)[node]).element(binding, PRIME) for node in COHORT]
        assert sum(pads) % PRIME == 0
        assert sum(pads[:-1]) % PRIME != 0
        digits = check(1).attach(fields, binding)[PARAMETERS:]
        seen.append(checkvalue.element_of(digits.tolist(), 1, *ROOM))
    assert len(set(seen)) == len(seen)
    counts = np.bincount([one >> 86 for one in seen], minlength=8)  # the upper three bits
    assert float(((counts - 50.0) ** 2 / 50.0).sum()) < 30.0  # chi-square of 7 degrees: 1e-4 beyond


def test_nothing_is_attached_where_pads_may_not_be_made() -> None:
    fields = np.zeros(3, np.int64)
    with pytest.raises(ProtocolError, match="does not list node 4 once"):
        check(4).attach(fields, attempt((1, 2, 3)))
    with pytest.raises(ProtocolError, match="another process has joined"):
        check(1).attach(fields, Binding("run", CONFIG, Attempt(1, 1), (1, 2), (b"1" * 16, b"2" * 16)))
    with pytest.raises(ProtocolError, match="no pad key of node 9"):
        check(1).attach(fields, attempt((1, 9)))


def test_keys_of_a_check_are_never_shown_or_pickled() -> None:
    assert repr(check(1)) == "LinearCheck(secret)"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(check(1))


def test_sums_that_are_believed_pass_as_they_are() -> None:
    fields = np.arange(5)
    assert Unverified().attach(fields, attempt(COHORT)) is fields
    assert Unverified().verified(fields, attempt(COHORT)) is fields
