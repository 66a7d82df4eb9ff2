"""The keyless half of the CKKS backend: it sees seeds and polynomials, and nothing to decrypt them with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.backend import PublicBackend
from crypto.public.blind import BlindAdder, check_payload
from crypto.public.params import CodecParams
from crypto.public.payload import read_total, read_upload, upload_size


class KeylessCkks:
    """Checks and adds seeded CKKS ciphertexts."""

    name = "ckks"

    def check(self, params: CodecParams, payload: bytes) -> None:
        """Check size, kind, parameters and coefficients of one node's ciphertext.

        Raises:
            ProtocolError: It could not be added.
        """
        check_payload(params, payload)

    def upload_size(self, params: CodecParams) -> int:
        """Bytes of one ciphertext with its seed."""
        return upload_size(params)

    def adder(self, params: CodecParams) -> BlindAdder:
        """A running sum mod q."""
        return BlindAdder(params)

    def bind(
        self, payloads: Iterable[bytes], own: Iterable[bytes] | None, members: int, params: CodecParams
    ) -> Iterator[bytes]:
        """Pass on the chunks of a sum that are made of this attempt's ciphertexts.

        A ciphertext's seed is fresh randomness. With another sum's c0 under this one's seeds the residual check
        refuses, so a sum that lists this node's seed at this place is a sum over this attempt.

        Args and errors as `PublicBackend.bind`.
        """
        mine = None if own is None else iter(own)
        for index, payload in enumerate(payloads):
            seeds = read_total(params, payload).seeds
            if len(seeds) != members:
                raise ProtocolError(f"chunk {index} sums {len(seeds)} updates, not {members}", where="sum")
            if mine is not None:
                uploaded = next(mine, None)
                if uploaded is None or read_upload(params, uploaded).seeds[0] not in seeds:
                    raise IntegrityError(
                        f"chunk {index} does not hold this node's ciphertext",
                        where="sum",
                        cure="the aggregator sent another sum; do not go on with it",
                    )
            yield payload


KEYLESS_CKKS: PublicBackend = KeylessCkks()
