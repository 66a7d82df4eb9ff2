"""The node's whole path: float update -> grid -> words -> pads -> ciphertexts, and back from the sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, ProtocolError
from crypto.public.grid import Grid
from crypto.public.packing import centre, pack, unpack
from crypto.public.params import CodecParams
from crypto.public.random import RandomSource
from crypto.secret.ckks import RunKey
from crypto.secret.pads import pad_words

_BLOCK = 16
"""Chunks that are packed and padded at a time: bounds memory, amortises the key set-up."""


@dataclass(frozen=True)
class Pads:
    """This node's pair secrets of one run; not shown in a repr, never pickled."""

    node: int
    config_digest: bytes
    secrets: Mapping[int, bytes]

    def __repr__(self) -> str:
        return f"Pads(node={self.node}, peers={sorted(self.secrets)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pads are never pickled")


class UpdateCodec:
    """Encodes this node's updates and decodes their sums.

    Args:
        params: Chosen by `crypto.public.params.choose`.
        grid: Of the same bits.
        run_key: Of the same parameters.
        pads: Pair secrets; None only where `params.pads` is off.

    Raises:
        ConfigError: The parts do not belong together.
    """

    def __init__(self, params: CodecParams, grid: Grid, run_key: RunKey, pads: Pads | None) -> None:
        if grid.bits != params.bits or run_key.params != params:
            raise ConfigError("grid, key and codec parameters differ", where="codec")
        if (pads is not None) != params.pads:
            raise ConfigError(
                "codec parameters and pads disagree", where="codec", cure="give pads, or pads=False to choose"
            )
        self.params, self.grid = params, grid
        self._key, self._pads = run_key, pads

    def encode(
        self,
        values: NDArray[np.float64],
        *,
        round: int,
        attempt: int,
        cohort: Sequence[int],
        rng: RandomSource,
        name: str = "update",
    ) -> Iterator[bytes]:
        """Quantise now, then yield one payload per chunk.

        Encoding the same (round, attempt, cohort) twice would reuse a pad: store what this yields before
        anything leaves (`crypto.secret.outbox`).

        Args:
            values: Noised update, float64 [P].
            round: Round number.
            attempt: Attempt of the round.
            cohort: The nodes whose sum will be decrypted.
            rng: Rounding randomness.
            name: Names the values in an error.

        Raises:
            InputError: A value is NaN or infinite.
            ProtocolError: The cohort is larger than the parameters allow or lacks a pad key.
        """
        if len(cohort) > self.params.nodes:
            raise ProtocolError(
                f"{len(cohort)} nodes; the parameters hold {self.params.nodes}", where=f"round {round}"
            )
        fields = self.grid.quantise(values, rng, name=name)
        return self._payloads(fields, round, attempt, cohort)

    def _payloads(
        self, fields: NDArray[np.int64], round: int, attempt: int, cohort: Sequence[int]
    ) -> Iterator[bytes]:
        per_chunk = self.params.parameters_per_chunk
        for first in range(0, self.params.chunks(fields.size), _BLOCK):
            words = pack(
                fields[first * per_chunk : (first + _BLOCK) * per_chunk], self.params
            )  # [chunks, 2, slots]
            if self._pads is not None:
                words = words + pad_words(
                    self._pads.secrets,
                    self._pads.node,
                    cohort,
                    config_digest=self._pads.config_digest,
                    round=round,
                    attempt=attempt,
                    chunks=range(first, first + len(words)),
                    params=self.params,
                )
            for chunk in centre(words, self.params.total_bits):
                yield self._key.encrypt(chunk)

    def decode(self, payloads: Iterable[bytes], parameters: int) -> NDArray[np.int64]:
        """The exact integer sum, int64 [P], of the totals in chunk order.

        Raises:
            ProtocolError: A total is malformed, or there are too few or too many.
            IntegrityError: A residual is above the limit; the message names the chunk.
        """
        expected = self.params.chunks(parameters)
        words = np.empty((expected, 2, self.params.slots), dtype=np.int64)
        count = 0
        for payload in payloads:
            if count == expected:
                raise ProtocolError(f"more than {expected} chunks", where="sum")
            words[count], _ = self._key.decrypt(payload)
            count += 1
        if count != expected:
            raise ProtocolError(f"{count} of {expected} chunks", where="sum")
        return unpack(words, self.params, parameters)
