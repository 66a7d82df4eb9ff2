"""SEAL's serialised form: the one place that knows its bytes.

TenSEAL's `sealapi` reads and writes SEAL objects by path only; an anonymous in-memory file (or, where the
system has none, a temporary file of mode 0600) stands in. Layout of SEAL 4.x, checked against the installed
library each time a context is made:

    header 16: magic 5ea1, header size, major, minor, compression, two reserved, total size (8)
    seeded ciphertext: parms_id 32 | NTT flag 1 | size 8 | N 8 | primes 8 | scale 8 | correction factor 8
                       | header 16 | coefficients 8 | c0, 8 N | header 16 | generator 1 | seed 64
"""

from __future__ import annotations

import os
import tempfile
import weakref
import zlib
from typing import Protocol

import numpy as np
import tenseal.sealapi as seal
from numcodecs.zstd import decompress as zstd_decompress
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from crypto.public.params import CodecParams
from crypto.public.payload import SEED_BYTES

_HEADER = 16
_PREFIX = 97
_MIDDLE = 17


class _Savable(Protocol):
    def save(self, path: str) -> None: ...


class SealBytes:
    """Moves seeded ciphertexts and secret keys between SEAL and byte arrays."""

    def __init__(self, params: CodecParams, context: seal.SEALContext) -> None:
        self._params, self._context = params, context
        self._file = _anonymous_file()
        self._closer = weakref.finalize(self, os.close, self._file)
        self._path = f"/proc/self/fd/{self._file}"
        self._prefix, self._middle = self._learn_layout()

    def _learn_layout(self) -> tuple[bytes, bytes]:
        """The constant bytes of a seeded ciphertext, from an encryption under a throw-away key."""
        key = seal.KeyGenerator(self._context).secret_key()
        plain = seal.Plaintext()
        seal.CKKSEncoder(self._context).encode([0j], self._params.scale, plain)
        raw = self._save(seal.Encryptor(self._context, key).encrypt_symmetric(plain))
        body = 8 * self._params.poly_modulus
        if len(raw) != _PREFIX + body + _MIDDLE + SEED_BYTES:
            raise IntegrityError("the installed SEAL writes another ciphertext format", where="tenseal")
        return raw[:_PREFIX], raw[_PREFIX + body : _PREFIX + body + _MIDDLE]

    def read_seeded(self, ciphertext: _Savable) -> tuple[bytes, NDArray[np.uint64]]:
        """(seed, c0) of a seeded ciphertext; c0 is uint64 [N]."""
        raw = self._save(ciphertext)
        end = _PREFIX + 8 * self._params.poly_modulus
        if raw[:_PREFIX] != self._prefix or raw[end : end + _MIDDLE] != self._middle:
            raise IntegrityError("SEAL wrote an unexpected ciphertext", where="tenseal")
        return raw[end + _MIDDLE :], np.frombuffer(raw, "<u8", self._params.poly_modulus, _PREFIX)

    def load_seeded(self, seed: bytes, body: NDArray[np.uint64] | None) -> seal.Ciphertext:
        """The ciphertext (c0, c1 expanded from `seed`); c0 is zero where `body` is None."""
        data = bytes(8 * self._params.poly_modulus) if body is None else body.astype("<u8", copy=False).tobytes()
        raw = b"".join((self._prefix, data, self._middle, seed))
        ciphertext = seal.Ciphertext()
        self._load(ciphertext, raw)
        return ciphertext

    def write_key(self, key: seal.SecretKey) -> bytes:
        """A secret key, uncompressed."""
        return self._save(key)

    def read_key(self, data: bytes) -> seal.SecretKey:
        """The key `write_key` wrote.

        Raises:
            IntegrityError: These bytes are no key for these parameters.
        """
        key = seal.SecretKey()
        try:
            self._load(key, data)
        except (RuntimeError, ValueError):
            raise IntegrityError("these bytes are not a run key for these parameters", where="run key") from None
        return key

    def _save(self, item: _Savable) -> bytes:
        os.ftruncate(self._file, 0)
        item.save(self._path)
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.ftruncate(self._file, 0)
        body = data[_HEADER:]
        if data[5] == 0:
            return body
        return zlib.decompress(body) if data[5] == 1 else bytes(zstd_decompress(body))

    def _load(self, item: seal.Ciphertext | seal.SecretKey, raw: bytes) -> None:
        header = b"\x5e\xa1\x10\x04\x03\x00\x00\x00" + (_HEADER + len(raw)).to_bytes(8, "little")
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, header + raw, 0)
        try:
            item.load(self._context, self._path)
        finally:
            os.ftruncate(self._file, 0)


def _anonymous_file() -> int:
    """A file that no other user can open and that is gone with the process."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("afml", os.MFD_CLOEXEC)
    handle, path = tempfile.mkstemp()
    os.unlink(path)
    return handle
