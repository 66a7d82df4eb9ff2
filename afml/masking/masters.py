"""The parameters of the masking task, float64: what all nodes hold in the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, IntegrityError
from afml.masking.focus import Looks
from afml.training.blob import dump, load

#: Stored name of the risk masters; states that held them with the Newton step called them otherwise.
_RISK = "risk_steps"
_LOOKS = "risk_looks"


class Masters:
    """Risk masters from the start; weights and game once the public part is there.

    Attributes:
        risk: The risk model in Newton steps of an uncorrelated model without their length, flat, trait by trait.
        weights: Sparse risk weights, set by the public part.
        game: Parameters of both networks, flat, set by the public part.
        buffers: Of batch normalisation, changed by the public part alone.
        looks: What the risk rounds have measured, where they do not measure all sites alike; else None.
    """

    def __init__(self, risk: int, focused: int = 0) -> None:
        """`risk`: length of the risk masters; `focused`: sites, where risk rounds come to measure fewer of them."""
        self.risk = np.zeros(risk)
        self.looks = Looks(np.zeros(focused), 0) if focused else None
        self.weights: NDArray[np.float64] | None = None
        self.game: NDArray[np.float64] | None = None
        self.buffers: NDArray[np.float64] = np.zeros(0)

    def require_game(self) -> NDArray[np.float64]:
        """The game's parameters.

        Raises:
            ConfigError: There is no public part yet.
        """
        if self.game is None:
            raise ConfigError(
                "a private game round needs the public part of the model first",
                cure="run train_public at one node and load_public at all",
            )
        return self.game

    def dump(self) -> bytes:
        """All of them, for `load`."""
        return dump(self._arrays())

    def load(self, blob: bytes, public: Mapping[str, int]) -> None:
        """Inverse of `dump`.

        Args:
            blob: What `dump` made.
            public: Numbers in each array of the public part.

        Raises:
            IntegrityError: Not of a run like this one.
        """
        own = {name: len(array) for name, array in self._arrays().items() if name in (_RISK, _LOOKS)}
        arrays = load(blob, "saved training state", own | dict(public))
        if any(arrays.get(name, np.zeros(0)).shape != (length,) for name, length in own.items()):
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self.risk = arrays[_RISK]
        if self.looks is not None:
            self.looks = Looks(arrays[_LOOKS][:-1], int(arrays[_LOOKS][-1]))
        self.weights, self.game = arrays.get("weights"), arrays.get("game")
        self.buffers = arrays.get("buffers", np.zeros(0))

    def digest(self) -> bytes:
        """SHA-256 over names and values."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + array.astype("<f8").tobytes())
        return digest.digest()

    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        arrays = {_RISK: self.risk}
        if self.looks is not None:
            arrays[_LOOKS] = np.append(self.looks.seen, self.looks.rounds)
        if self.weights is not None and self.game is not None:
            arrays |= {"weights": self.weights, "game": self.game} | present(self.buffers)
        return arrays


def present(buffers: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """A stored entry for buffers, where there are any."""
    return {"buffers": buffers} if len(buffers) else {}
