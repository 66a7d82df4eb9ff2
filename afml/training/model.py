"""The trained model: what a run ends with, and what a recipient of a release may see."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.errors import IntegrityError
from afml.core.files import require_file, staged_folder
from afml.core.run import GameSettings
from afml.models.features import PanelStatistics
from afml.models.masker import hard_mask
from afml.training.device import device, one_thread
from afml.training.game import Game
from afml.training.lineup import masker_channels

_ARRAYS, _CARD = "model.npz", "model.json"
_PEOPLE_AT_ONCE = 64


@dataclass(frozen=True)
class TrainedModel:
    """Arrays and a card; no code and no pickle.

    Attributes:
        mean, scale: Panel mean and standard deviation of the dosage, [sites].
        annotations: Annotation channels, [sites, A].
        weights: Sparse risk weights on standardised dosages, [sites], or [phenotypes, sites] where there are several.
        game: Parameters of masker block and identifier, flat; empty when no game was played.
        card: Settings and facts that travel with the model (JSON values only).
        buffers: Running statistics of batch normalisation, flat; empty, and not stored, without it.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    annotations: NDArray[np.float32]
    weights: NDArray[np.float64]
    game: NDArray[np.float64]
    card: dict[str, Any] = field(default_factory=dict)
    buffers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def statistics(self) -> PanelStatistics:
        """Scaling without ancestry directions: the weights already have them projected out."""
        return PanelStatistics(self.mean, self.scale, np.zeros((0, len(self.mean)), np.float32), 1.0, 1.0)

    def risk_score(self, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """Risk scores of records, [people] or [people, phenotypes]; a missing call counts as the panel mean."""
        return risk_score(self.weights, self.mean, self.scale, dosage)

    @property
    def phenotypes(self) -> int:
        """Phenotypes that the model tells the risk of."""
        return 1 if self.weights.ndim == 1 else len(self.weights)

    def keep_probability(self, dosage: NDArray[np.int8]) -> NDArray[np.float32]:
        """M(x): the Masking Network's probability of keeping each site, [people, sites]."""
        return _sigmoid(self._logits(dosage))

    def network_release(self, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """`x * m` with the Masking Network's hard masks, [people, sites]; masked and missing are 0.

        Raises:
            IntegrityError: The model was trained without a game.
        """
        keep = hard_mask(torch.from_numpy(self._logits(dosage))).numpy()
        return np.where(keep & (dosage > 0), dosage, 0).astype(np.int8)

    def _logits(self, dosage: NDArray[np.int8]) -> NDArray[np.float32]:
        if not len(self.game):
            raise IntegrityError("this model has no Masking Network", cure="train with a 'game' phase")
        where = device()
        settings = GameSettings(**self.card["game"])
        game = Game(len(self.mean), self.annotations.shape[1], settings, where, phenotypes=self.phenotypes)
        game.load(self.game, self.buffers)
        masker = game.block.masker.eval()
        out = np.empty(dosage.shape, np.float32)
        with one_thread(), torch.no_grad():
            for start in range(0, len(dosage), _PEOPLE_AT_ONCE):
                part = slice(start, start + _PEOPLE_AT_ONCE)
                channels = masker_channels(self.statistics, self.annotations, dosage[part]).to(where)
                out[part] = masker(channels).cpu().numpy()
        return out

    def digest(self) -> str:
        """SHA-256, hex, over every array and the card."""
        digest = hashlib.sha256()
        for name, array in self._arrays().items():
            digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(canonical_json(self.card))
        return digest.hexdigest()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("mean", "scale", "annotations", "weights", "game")
        return {name: getattr(self, name) for name in (*names, *(["buffers"] if len(self.buffers) else []))}

    def save(self, folder: Path) -> None:
        """Write `model.npz` (plain arrays) and `model.json` (card and digest); whole or not at all."""
        with staged_folder(folder) as staged:
            np.savez(staged / _ARRAYS, allow_pickle=False, **self._arrays())
            card = {"digest": self.digest(), "card": self.card}
            (staged / _CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model.

        Raises:
            InputError: A file is missing.
            IntegrityError: The files are damaged or do not match their digest.
        """
        for name in (_ARRAYS, _CARD):
            require_file(folder / name, "model", "train first, or check the path")
        try:
            stored = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                model = cls(**{name: arrays[name] for name in arrays.files}, card=stored["card"])
            intact = model.digest() == stored["digest"]
        except Exception as error:  # whatever a damaged archive raises
            raise IntegrityError("model cannot be read", where=folder, cure="fetch it again") from error
        if not intact:
            raise IntegrityError("model does not match its digest", where=folder, cure="fetch it again")
        return model


def risk_score(
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    dosage: NDArray[np.int8],
) -> NDArray[np.float64]:
    """Scores of records, [people] or [people, phenotypes]; a missing call counts as the panel mean.

    Args:
        weights: On standardised dosages, [sites] or [phenotypes, sites].
        mean: Panel mean of the dosage, [sites].
        scale: Panel standard deviation, [sites].
        dosage: [people, sites].
    """
    used = np.flatnonzero(np.atleast_2d(weights).any(axis=0))
    part = dosage[:, used]
    standard = np.where(part < 0, 0.0, (part - mean[used]) / scale[used])
    return np.asarray(standard @ weights[..., used].T)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(torch.sigmoid(torch.from_numpy(logits)).numpy())
