"""How the updates of a run are hidden and added: a backend's keyless half and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from crypto.public.backend import Adder, PublicBackend
from crypto.public.params import CodecParams


@dataclass(frozen=True)
class Scheme:
    """A backend bound to one run's parameters; worker processes get it by pickling."""

    backend: PublicBackend
    params: CodecParams

    def chunks(self, parameters: int) -> int:
        """Payloads that an update of `parameters` coordinates takes."""
        return self.params.chunks(parameters)

    def check(self, payload: bytes) -> None:
        """Check one node's payload.

        Raises:
            ProtocolError: It could not be added.
        """
        self.backend.check(self.params, payload)

    def adder(self) -> Adder:
        """An empty sum of one chunk index."""
        return self.backend.adder(self.params)
