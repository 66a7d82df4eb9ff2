"""The CKKS backend: what `crypto.public.ckks` adds without a key, and the run's key and codecs."""

from __future__ import annotations

from crypto.ckks.codec import UpdateCodec
from crypto.ckks.run_key import RunKey
from crypto.public.ckks import KeylessCkks
from crypto.public.params import CodecParams
from crypto.secret.backend import Backend
from crypto.secret.pads import Pads


class Ckks(KeylessCkks):
    """One CKKS key per run, shared by its nodes, and every update under pads."""

    def make_key(self, params: CodecParams) -> bytes:
        """A fresh CKKS key from SEAL's generator, as bytes."""
        return RunKey.generate(params).serialise()

    def codec(self, params: CodecParams, key: bytes, pads: Pads) -> UpdateCodec:
        """One node's codec.

        Raises:
            ConfigError: The parts do not belong together.
            IntegrityError: These bytes are no key for these parameters.
        """
        return UpdateCodec(params, RunKey.load(params, key), pads)


CKKS: Backend = Ckks()
