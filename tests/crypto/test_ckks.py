"""Encryption: noise as documented, residual check, key handling, and the adder against SEAL's own."""

from __future__ import annotations

import math
import os
import pickle

import numpy as np
import pytest
import tenseal.sealapi as seal

from afml.core.errors import IntegrityError, ProtocolError
from crypto.ckks.run_key import RunKey, make_context
from crypto.ckks.sealbytes import SealBytes
from crypto.public.blind import BlindAdder
from crypto.public.params import POLY_MODULUS, CodecParams, choose
from crypto.public.payload import read_total, read_upload, write_total
from tests.crypto.parties import run_key

PARAMS = choose(5, 16, 10**6)


def as_total(params: CodecParams, upload: bytes) -> bytes:
    one = read_upload(params, upload)
    return write_total(params, one.seeds, one.body)


def random_words(params: CodecParams, seed: int) -> np.ndarray:
    half = 2 ** (params.total_bits - 1)
    return np.random.default_rng(seed).integers(-half, half, (2, params.slots))


def test_one_ciphertext_round_trips() -> None:
    words = random_words(PARAMS, 0)
    key = run_key(PARAMS)
    got, residual = key.decrypt(as_total(PARAMS, key.encrypt(words)))
    assert np.array_equal(got, words)
    assert residual < 0.2


@pytest.mark.parametrize("nodes", [2, 5, 16, 64])
def test_blind_adder_equals_seal_evaluator_bit_for_bit(nodes: int) -> None:
    params = choose(nodes, 16, 10**6)
    key, context = run_key(params), make_context(params)
    files = SealBytes(params, context)
    evaluator = seal.Evaluator(context)
    uploads = [key.encrypt(random_words(params, seed)) for seed in range(nodes)]
    adder = BlindAdder(params)
    expected: seal.Ciphertext | None = None
    for upload in uploads:
        adder.add(upload)
        one = read_upload(params, upload)
        loaded = files.load_seeded(one.seeds[0], one.body)
        if expected is None:
            expected = loaded
        else:
            evaluator.add_inplace(expected, loaded)
    total = read_total(params, adder.total())
    ours = files.load_seeded(total.seeds[0], total.body)
    for seed in total.seeds[1:]:
        evaluator.add_inplace(ours, files.load_seeded(seed, None))
    assert files._save(ours) == files._save(expected)


def test_total_does_not_depend_on_the_order() -> None:
    key = run_key(PARAMS)
    uploads = [key.encrypt(random_words(PARAMS, seed)) for seed in range(4)]
    totals = set()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        adder = BlindAdder(PARAMS)
        for index in order:
            adder.add(uploads[index])
        totals.add(adder.total())
    assert len(totals) == 1


def test_slot_noise_is_what_the_scale_is_chosen_for() -> None:
    key = run_key(PARAMS)
    zero = np.zeros((2, PARAMS.slots), dtype=np.int64)
    residuals = []
    for _ in range(20):
        payload = read_upload(PARAMS, key.encrypt(zero))
        ciphertext = key._bytes.load_seeded(payload.seeds[0], payload.body)
        key._decryptor.decrypt(ciphertext, key._plain)
        slots = np.array(key._encoder.decode_complex(key._plain))
        residuals += [slots.real, slots.imag]
    std = float(np.std(np.concatenate(residuals))) * PARAMS.scale
    assert std == pytest.approx(math.sqrt(10.5 * POLY_MODULUS / 2), rel=0.02)
    assert std < 3.25 * math.sqrt(POLY_MODULUS / 2) * 1.02


def test_bound_on_the_tail_covers_what_is_seen() -> None:
    key = run_key(PARAMS)
    errors = []
    for seed in range(40):
        total = read_upload(PARAMS, key.encrypt(random_words(PARAMS, seed)))
        ciphertext = key._bytes.load_seeded(total.seeds[0], total.body)
        key._decryptor.decrypt(ciphertext, key._plain)
        slots = np.array(key._encoder.decode_complex(key._plain))
        errors += [slots.real - np.rint(slots.real), slots.imag - np.rint(slots.imag)]
    sizes = np.abs(np.concatenate(errors))
    one = CodecParams(1, PARAMS.field_bits, PARAMS.fields, PARAMS.scale_bits, PARAMS.prime_bits)
    for distance in (0.03, 0.05, 0.07):
        assert float(np.mean(sizes >= distance)) <= one.tail(distance)


@pytest.mark.parametrize("position", [16 + 64 + 5, -1, 20])
def test_a_flipped_bit_is_refused_by_the_residual(position: int) -> None:
    key = run_key(PARAMS)
    payload = bytearray(key.encrypt(random_words(PARAMS, 1)))
    payload[position] ^= 4 if position != -1 else 1
    try:
        total = as_total(PARAMS, bytes(payload))
    except ProtocolError:
        return  # the coefficient went over the modulus
    with pytest.raises(IntegrityError, match="from an integer"):
        key.decrypt(total)


def test_another_key_is_refused() -> None:
    total = as_total(PARAMS, run_key(PARAMS).encrypt(random_words(PARAMS, 1)))
    with pytest.raises(IntegrityError, match="refused"):
        RunKey.generate(PARAMS).decrypt(total)


def test_key_survives_serialising_and_rejects_rubbish() -> None:
    key = run_key(PARAMS)
    total = as_total(PARAMS, key.encrypt(random_words(PARAMS, 2)))
    data = key.serialise()
    again = RunKey.load(PARAMS, data)
    assert np.array_equal(again.decrypt(total)[0], key.decrypt(total)[0])
    wrong = choose(64, 16, 10**6)
    for params, bad in ((PARAMS, data[:-1]), (PARAMS, b""), (PARAMS, os.urandom(len(data))), (wrong, data)):
        with pytest.raises(IntegrityError, match="run key"):
            RunKey.load(params, bad)


def test_key_is_never_shown_nor_pickled() -> None:
    key = run_key(PARAMS)
    assert repr(key) == str(key) == "RunKey(secret)"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(key)


def test_encryption_is_randomised() -> None:
    key = run_key(PARAMS)
    words = random_words(PARAMS, 3)
    first, second = key.encrypt(words), key.encrypt(words)
    assert first[16:80] != second[16:80]
    assert first[80:] != second[80:]
