"""How the updates of a run are hidden and added: a backend's keyless half and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from afml.consortium.run import RunConfig
from afml.consortium.scheme import further_coordinates, run_params
from crypto.public.backend import Adder, PublicBackend, public_backend
from crypto.public.params import CodecParams


@dataclass(frozen=True)
class Scheme:
    """A backend bound to one run's parameters; worker processes get it by pickling.

    Attributes:
        further: Coordinates that travel with every update beside its own.
    """

    backend: PublicBackend
    params: CodecParams
    further: int = 0

    @classmethod
    def of(cls, config: RunConfig, backend: PublicBackend | None = None) -> Scheme:
        """Of a run; `backend`: what adds its updates instead of the one that it names.

        Raises:
            ConfigError: No parameters fit, or there is no such backend.
        """
        chosen = backend or public_backend(config.backend)
        return cls(chosen, run_params(config), further_coordinates(config))

    def chunks(self, parameters: int) -> int:
        """Payloads that an update of `parameters` coordinates takes."""
        return self.params.chunks(parameters + self.further)

    def check(self, payload: bytes) -> None:
        """Check one node's payload.

        Raises:
            ProtocolError: It could not be added.
        """
        self.backend.check(self.params, payload)

    def adder(self) -> Adder:
        """An empty sum of one chunk index."""
        return self.backend.adder(self.params)
