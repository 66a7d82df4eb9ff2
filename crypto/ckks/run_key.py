"""The run's CKKS key: symmetric, seeded encryption and decryption of word arrays through TenSEAL's SEAL.

One secret key per run, shared by its nodes (a key holder could open any other node's ciphertext; what it
would find there is padded, see `crypto.secret.pads`). Plaintexts use all N/2 complex slots.
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
import tenseal.sealapi as seal
from numpy.typing import NDArray

from afml.core.errors import ConfigError, IntegrityError
from crypto.ckks.sealbytes import SealBytes
from crypto.public.packing import centre
from crypto.public.params import RESIDUAL_LIMIT, CodecParams
from crypto.public.payload import read_total, write_upload


def make_context(params: CodecParams) -> seal.SEALContext:
    """SEAL's context for `params`, checked against SEAL's own table for 128-bit security.

    Raises:
        ConfigError: SEAL refuses the parameters at 128 bits, or makes another prime than ours.
    """
    encryption = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    encryption.set_poly_modulus_degree(params.poly_modulus)
    primes = seal.CoeffModulus.Create(params.poly_modulus, [params.prime_bits])
    encryption.set_coeff_modulus(primes)
    context = seal.SEALContext(encryption, True, seal.SEC_LEVEL_TYPE.TC128)
    limit = seal.CoeffModulus.MaxBitCount(params.poly_modulus, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set() or params.prime_bits > limit or primes[0].value() != params.prime:
        raise ConfigError("SEAL refuses these parameters at 128-bit security", where="codec")
    return context


class RunKey:
    """The secret key of one run. Never printed, never pickled; gone with the object.

    Its methods hold the interpreter lock while SEAL works: use processes for parallelism.
    """

    def __init__(self, params: CodecParams, context: seal.SEALContext, secret: seal.SecretKey) -> None:
        self.params = params
        self._bytes = SealBytes(params, context)
        self._secret = secret
        self._encoder = seal.CKKSEncoder(context)
        self._encryptor = seal.Encryptor(context, secret)
        self._decryptor = seal.Decryptor(context, secret)
        self._evaluator = seal.Evaluator(context)
        self._plain = seal.Plaintext()

    @classmethod
    def generate(cls, params: CodecParams) -> RunKey:
        """A fresh key from SEAL's generator, seeded by the operating system."""
        context = make_context(params)
        return cls(params, context, seal.KeyGenerator(context).secret_key())

    @classmethod
    def load(cls, params: CodecParams, data: bytes) -> RunKey:
        """The key that `serialise` wrote.

        Raises:
            IntegrityError: These bytes are no key for these parameters.
        """
        context = make_context(params)
        return cls(params, context, SealBytes(params, context).read_key(data))

    def serialise(self) -> bytes:
        """The key as bytes. Seal them (`crypto.secret.sealing`) or write them with `write_secret`."""
        return self._bytes.write_key(self._secret)

    def encrypt(self, words: NDArray[np.int64]) -> bytes:
        """Encrypt one chunk with fresh randomness.

        Args:
            words: Centred words mod 2^T, int64 [2, slots] (real, imaginary).

        Returns:
            One upload payload.
        """
        values = words.astype(np.float64)
        slots = np.empty(self.params.slots, dtype=np.complex128)
        slots.real, slots.imag = values[0], values[1]
        self._encoder.encode(slots.tolist(), self.params.scale, self._plain)
        seed, body = self._bytes.read_seeded(self._encryptor.encrypt_symmetric(self._plain))
        return write_upload(self.params, seed, body)

    def decrypt(self, payload: bytes) -> tuple[NDArray[np.int64], float]:
        """Decrypt the sum of one chunk.

        Returns:
            Words mod 2^T, centred, int64 [2, slots]; and the worst distance from an integer, in word steps.

        Raises:
            ProtocolError: The payload is malformed.
            IntegrityError: The distance is above `RESIDUAL_LIMIT`: damaged bytes or another key.
        """
        total = read_total(self.params, payload)
        # Decryption is linear: the first ciphertext carries the summed c0, the others only their c1.
        ciphertext = self._bytes.load_seeded(total.seeds[0], total.body)
        for seed in total.seeds[1:]:
            self._evaluator.add_inplace(ciphertext, self._bytes.load_seeded(seed, None))
        self._decryptor.decrypt(ciphertext, self._plain)
        slots = np.array(self._encoder.decode_complex(self._plain), dtype=np.complex128)
        values = np.stack((slots.real, slots.imag))
        rounded = np.rint(values)
        residual = float(np.abs(values - rounded).max())
        if not (math.isfinite(residual) and residual <= RESIDUAL_LIMIT):
            raise IntegrityError(
                f"a decrypted slot is {residual:.2f} from an integer, above {RESIDUAL_LIMIT}; sum refused",
                where="decryption",
                cure="check that every node holds this run's key and no ciphertext was altered",
            )
        return centre(rounded.astype(np.int64), self.params.total_bits), residual

    def __repr__(self) -> str:
        return "RunKey(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run key is never pickled")
