"""Backends of blind sums, whole: a node's keys and codecs beside what `crypto.public.backend` can do without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.registry import Registry
from crypto.public.backend import BACKENDS, PublicBackend
from crypto.public.params import CodecParams
from crypto.public.signing import AnyBinding
from crypto.secret.pads import Pads


class Codec(Protocol):
    """One node's way from integers to payloads, and from sums of payloads to integers."""

    def encode(self, fields: NDArray[np.int64], *, binding: AnyBinding) -> Iterator[bytes]:
        """Yield one payload per chunk.

        Encoding twice under the same binding would reuse a pad: store what this yields before anything leaves.

        Args:
            fields: Noised update in grid steps, int64 [P].
            binding: The attempt and the nodes whose sum will be decoded.

        Raises:
            ProtocolError: The cohort is larger than the parameters allow or lacks a pad key.
        """
        ...

    def decode(self, payloads: Iterable[bytes], parameters: int) -> NDArray[np.int64]:
        """The sum in grid steps, int64 [P], of the totals in chunk order: exact where every coordinate fits.

        Raises:
            ProtocolError: A total is malformed, or there are too few or too many.
            IntegrityError: A total is not a sum of this run's payloads.
        """
        ...


class Backend(PublicBackend, Protocol):
    """Both halves of a backend."""

    def make_key(self, params: CodecParams) -> bytes:
        """A fresh key of one run, which its nodes share; seal it or write it with `write_secret`."""
        ...

    def codec(self, params: CodecParams, key: bytes, pads: Pads) -> Codec:
        """One node's codec.

        Args:
            params: Of the run.
            key: What `make_key` made.
            pads: This node's pair secrets.

        Raises:
            ConfigError: The parts do not belong together.
            IntegrityError: These bytes are no key for these parameters.
        """
        ...


def backend(name: str) -> Backend:
    """A whole backend.

    Raises:
        ConfigError: There is none of this name.
    """
    wholes: Registry[Backend] = Registry("backend", {name: both.whole for name, both in BACKENDS.items()})
    return wholes.get(name, where="backend")
