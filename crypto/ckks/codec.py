"""The node's path: grid steps -> words -> pads -> ciphertexts, and back from the sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, ProtocolError
from crypto.ckks.run_key import RunKey
from crypto.public.packing import centre, pack, unpack
from crypto.public.params import CodecParams
from crypto.public.signing import AnyBinding
from crypto.secret.pads import Pads

_BLOCK = 16
"""Chunks that are packed and padded at a time: bounds memory, amortises the key set-up."""


class UpdateCodec:
    """Encodes this node's updates and decodes their sums.

    Args:
        params: Chosen by `crypto.public.params.choose`.
        run_key: Of the same parameters.
        pads: Pair secrets; None only where `params.pads` is off.

    Raises:
        ConfigError: The parts do not belong together.
    """

    def __init__(self, params: CodecParams, run_key: RunKey, pads: Pads | None) -> None:
        if run_key.params != params:
            raise ConfigError("key and codec parameters differ", where="codec")
        if (pads is not None) != params.pads:
            raise ConfigError(
                "codec parameters and pads disagree", where="codec", cure="give pads, or pads=False to choose"
            )
        self.params = params
        self._key, self._pads = run_key, pads

    def encode(self, fields: NDArray[np.int64], *, binding: AnyBinding) -> Iterator[bytes]:
        """Yield one payload per chunk.

        Encoding twice under the same binding would reuse a pad: store what this yields before
        anything leaves (`node.outbox`).

        Args:
            fields: Noised update in grid steps (`crypto.public.grid`), int64 [P].
            binding: The attempt and the nodes whose sum will be decrypted.

        Raises:
            ProtocolError: The cohort is larger than the parameters allow or lacks a pad key.
        """
        if len(binding.cohort) > self.params.nodes:
            raise ProtocolError(
                f"{len(binding.cohort)} nodes; the parameters hold {self.params.nodes}", where=f"round {binding.round}"
            )
        return self._payloads(fields, binding)

    def _payloads(self, fields: NDArray[np.int64], binding: AnyBinding) -> Iterator[bytes]:
        per_chunk = self.params.parameters_per_chunk
        for first in range(0, self.params.chunks(fields.size), _BLOCK):
            words = pack(fields[first * per_chunk : (first + _BLOCK) * per_chunk], self.params)  # [chunks, 2, slots]
            if self._pads is not None:
                words = words + self._pads.words(binding, range(first, first + len(words)), self.params)
            for chunk in centre(words, self.params.total_bits):
                yield self._key.encrypt(chunk)

    def decode(self, payloads: Iterable[bytes], parameters: int) -> NDArray[np.int64]:
        """The sum in grid steps, int64 [P], of the totals in chunk order: exact where every coordinate fits.

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
