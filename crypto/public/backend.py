"""Backends of blind sums, the half that holds no key: sizes, checks and the sum itself.

A backend turns updates into payloads, one a chunk, that an aggregator can add and not read. It has two halves: the
aggregator loads the keyless one by `public_backend`; nodes load the whole one, which also makes keys and codecs, by
`crypto.secret.backend.backend`. A new backend is one line in `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from afml.core.registry import Registry
from crypto.public.params import CodecParams


class Halves(NamedTuple):
    """Where a backend stands, each half as "module:attribute": loading the first must load nothing of the second."""

    keyless: str
    whole: str


BACKENDS = {
    "ckks": Halves("crypto.public.ckks:KEYLESS_CKKS", "crypto.ckks.backend:CKKS"),
}


class Adder(Protocol):
    """Adds the payloads of one chunk index, one at a time, in constant memory."""

    def add(self, payload: bytes) -> None:
        """Add one node's payload.

        Raises:
            ProtocolError: It is malformed, was already added, or is one more than the parameters hold.
        """
        ...

    def total(self) -> bytes:
        """The sum as nodes decode it; the same bytes whatever the order of addition.

        Raises:
            ProtocolError: Nothing was added.
        """
        ...


class PublicBackend(Protocol):
    """What anybody can do with payloads. Instances go to worker processes: they pickle, and hold no state."""

    @property
    def name(self) -> str:
        """Its name in `BACKENDS`."""
        ...

    def check(self, params: CodecParams, payload: bytes) -> None:
        """Check everything about one node's payload that a sum needs.

        Raises:
            ProtocolError: It could not be added.
        """
        ...

    def upload_size(self, params: CodecParams) -> int:
        """Bytes of one node's payload: every chunk has this size."""
        ...

    def adder(self, params: CodecParams) -> Adder:
        """An empty sum of one chunk index."""
        ...

    def bind(
        self, payloads: Iterable[bytes], own: Iterable[bytes] | None, members: int, params: CodecParams
    ) -> Iterator[bytes]:
        """Pass on the chunks of a sum that are made of one attempt's payloads.

        Args:
            payloads: Chunks of the sum, in order.
            own: This node's uploaded chunks in the same order; None where it contributed none, or lost them.
            members: Size of the cohort.
            params: Codec parameters.

        Raises:
            ProtocolError: A chunk sums another number of payloads.
            IntegrityError: A chunk does not hold this node's payload.
        """
        ...


def public_backend(name: str) -> PublicBackend:
    """The keyless half of a backend.

    Raises:
        ConfigError: There is none of this name.
    """
    halves: Registry[PublicBackend] = Registry("backend", {name: both.keyless for name, both in BACKENDS.items()})
    return halves.get(name, where="backend")
