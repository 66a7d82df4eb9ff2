"""The trained model: what a run ends with, and what a recipient of a release may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from afml.masking.networks.features import PanelStatistics
from afml.masking.settings import GameSettings
from afml.training.model import load_model, model_digest, save_model

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
        evidence: Association of each site with each phenotype as the risk rounds measured it, in standard deviations of
            its noise, shaped as `weights`; empty, and not stored, in a run without risk rounds. `card["noise"]` has
            that standard deviation as a correlation, of each phenotype, and `card["trained_on"]` the people.
        noise: That standard deviation of each site, shaped as `evidence`, where rounds measured some sites better than
            others (`afml.masking.focus`); `card["noise"]` is the least of it. Else empty, and not stored.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    annotations: NDArray[np.float32]
    weights: NDArray[np.float64]
    game: NDArray[np.float64]
    card: dict[str, Any] = field(default_factory=dict)
    buffers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    evidence: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    noise: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

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
        logits = self._logits(dosage)
        import torch

        return np.asarray(torch.sigmoid(torch.from_numpy(logits)).numpy())

    def network_release(self, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """`x * m` with the Masking Network's hard masks, [people, sites]; masked and missing are 0.

        Raises:
            IntegrityError: The model was trained without a game.
        """
        logits = self._logits(dosage)
        import torch

        from afml.masking.networks.masker import hard_mask

        keep = hard_mask(torch.from_numpy(logits)).numpy()
        return np.where(keep & (dosage > 0), dosage, 0).astype(np.int8)

    def _logits(self, dosage: NDArray[np.int8]) -> NDArray[np.float32]:
        if not len(self.game):
            raise IntegrityError("this model has no Masking Network", cure="train with a game phase")
        # torch is a third of a gigabyte, which a release by risk scores alone does without.
        import torch

        from afml.core.threads import one_thread
        from afml.masking.game import Game
        from afml.masking.lineup import SiteInputs
        from afml.training.device import device

        where = device()
        settings = GameSettings(**self.card["game"])
        game = Game(len(self.mean), self.annotations.shape[1], settings, where, phenotypes=self.phenotypes)
        game.load(self.game, self.buffers)
        masker = game.block.masker.eval()
        sites = SiteInputs(self.statistics, self.annotations)
        out = np.empty(dosage.shape, np.float32)
        with one_thread(), torch.no_grad():
            for start in range(0, len(dosage), _PEOPLE_AT_ONCE):
                part = slice(start, start + _PEOPLE_AT_ONCE)
                channels = sites.channels(dosage[part]).to(where)
                out[part] = masker(channels).cpu().numpy()
        return out

    def digest(self) -> str:
        """SHA-256, hex, over every array and the card."""
        return model_digest(self._arrays(), self.card)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ["mean", "scale", "annotations", "weights", "game"]
        names += [name for name in ("buffers", "evidence", "noise") if len(getattr(self, name))]
        return {name: getattr(self, name) for name in names}

    def save(self, folder: Path) -> None:
        """Write the model; whole or not at all."""
        save_model(folder, self._arrays(), self.card)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model.

        Raises:
            InputError: A file is missing.
            IntegrityError: The files are damaged, do not match their digest, or are another task's.
        """
        arrays, card = load_model(folder)
        try:
            return cls(**arrays, card=card)
        except TypeError:
            raise IntegrityError("is not a model of the masking task", where=folder, cure="give one") from None


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
    standard = part - mean[used]  # [people, used sites]; the only array of this size that is not int8
    standard /= scale[used]
    standard[part < 0] = 0.0
    return np.asarray(standard @ weights[..., used].T)
