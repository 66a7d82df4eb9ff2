"""What a run trains. Nodes and the in-process reference drive the same object, step for step.

A `Program` holds float64 master parameters. Private rounds read them (float32 on the device), and change
them only through `apply`, from integers that every node received: the same additions in the same order, so
all nodes hold the same bits. Whatever is computed in floating point from the panel (the final risk weights,
the public game) is computed once, at the elected node, and travels as the blob of `train_public`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError, IntegrityError
from afml.core.run import GameSettings, RunConfig
from afml.models.features import PanelStatistics
from afml.models.risk import RiskModel
from afml.training import distributed
from afml.training.blob import dump, load
from afml.training.clipping import unflatten
from afml.training.cohort import Cohort
from afml.training.device import device, one_thread
from afml.training.game import Game, PrivateGame, micro_batch, to_device, train_on_panel
from afml.training.lineup import DecoyPool, private_lineup
from afml.training.model import TrainedModel, risk_score
from afml.training.risk import risk_sum
from afml.training.weights import fit_weights
from crypto.public.random import RandomSource

if TYPE_CHECKING:
    from afml.genomics.sites import SitePanel

__all__ = ["Cohort", "Program", "parameter_counts"]

Progress = Callable[[int, int], None]
_MOSAICS = 4000


class Program:
    """All that a run trains: the risk model, the Masking Network, the Identification Network.

    Args:
        config: The signed run configuration.
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel's people, [panel people, sites].

    Raises:
        ConfigError: Sites of the configuration, of the panel and of the dosages differ.
    """

    def __init__(self, config: RunConfig, panel: SitePanel, panel_dosage: NDArray[np.int8]) -> None:
        if not len(panel) == config.sites == panel_dosage.shape[1]:
            raise ConfigError(
                f"the run has {config.sites} sites, the site panel {len(panel)}, the panel's genotypes "
                f"{panel_dosage.shape[1]}",
                cure="prepare the panel genotypes with this run's site panel",
            )
        self.config = config
        self.annotations = np.ascontiguousarray(panel.annotations, dtype=np.float32)  # [sites, A]
        self.panel_dosage = panel_dosage
        self.statistics = PanelStatistics.from_panel(panel_dosage, config.risk.panel_components)
        self.sites = config.sites
        self.phenotypes = config.risk.phenotypes
        self._risk = np.zeros(self.phenotypes * (self.sites + 1))  # phenotype by phenotype
        self._weights: NDArray[np.float64] | None = None  # set by the public blob
        self._game: NDArray[np.float64] | None = None

    # -- private rounds ---------------------------------------------------------------------------------

    def parameters(self, phase: int) -> int:
        """Length of the update vector of a phase."""
        return len(self._risk) if self.config.phases[phase].name == "risk" else self._game_parameters

    def private_update(self, phase: int, cohort: Cohort, rng: RandomSource, node_std: float) -> NDArray[np.float64]:
        """One node's update: Poisson batch, clipped sum, Gaussian noise. An empty batch gives noise alone.

        Args:
            phase: Index into `config.phases`.
            cohort: The node's enrolled people.
            rng: The round's random source; its children "batch", "people" and "noise" are used.
            node_std: Standard deviation of this node's noise per coordinate (afml.privacy.noise.node_std).

        Returns:
            float64 [parameters(phase)].
        """
        rate = self.config.phases[phase].sample_rate
        drawn = distributed.from_first(rng.child("batch").uniform(len(cohort)))
        update = self.clipped_sum(phase, cohort, np.flatnonzero(drawn < rate), rng.child("people"))
        return distributed.from_first(update + node_std * rng.child("noise").normal(len(update)))

    def clipped_sum(
        self, phase: int, cohort: Cohort, batch: NDArray[np.int64], seed: RandomSource
    ) -> NDArray[np.float64]:
        """Sum over the batch's people of gradients clipped to the phase's clip norm, without noise.

        In a process group (`afml.training.distributed`) the processes share the batch among them.

        Args:
            phase: Index into `config.phases`.
            cohort: The node's enrolled people.
            batch: Rows of the cohort.
            seed: Source of each person's own stream (line-ups, relaxed masks).

        Returns:
            float64 [parameters(phase)]; zeros for an empty batch.

        Raises:
            InputError: The cohort has another number of phenotypes than the run.
        """
        if cohort.phenotypes != self.phenotypes:
            raise InputError(
                f"the cohort has {cohort.phenotypes} phenotypes, the run trains {self.phenotypes}",
                cure="use the phenotype table that the run was agreed for",
            )
        settings, own = self.config.phases[phase], distributed.own_part(batch)
        with one_thread():
            if settings.name == "risk":
                total = self._risk_sum(settings.clip_norm, cohort, own)
            else:
                total = self._game_sum(settings.clip_norm, cohort, own, seed)
        return distributed.added(total)

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """Step along the sum of the cohort's updates: `parameters -= rate * total / expected people`.

        The divisor is the cohort's declared enrolment times the sampling rate, never a realised count. The
        learning rate of the risk phase is in Newton steps of an uncorrelated model: it is multiplied by
        `4 / variance`, the inverse curvature of the logistic loss at zero with the panel's feature variance.

        Args:
            phase: Index into `config.phases`.
            total: Sum of the cohort's updates, [parameters(phase)].
            people: Declared enrolment of the cohort's nodes.
        """
        settings = self.config.phases[phase]
        if total.shape != (self.parameters(phase),):
            raise IntegrityError(f"the sum has {len(total)} parameters, phase {phase} has {self.parameters(phase)}")
        scale = settings.learning_rate / (settings.sample_rate * people)
        if settings.name == "risk":
            self._risk = self._risk - scale * (4.0 / self.statistics.variance) * total
        else:
            self._game = self._require_game() - scale * total

    def _risk_sum(self, clip_norm: float, cohort: Cohort, batch: NDArray[np.int64]) -> NDArray[np.float64]:
        model = RiskModel(self.sites, self.phenotypes)
        unflatten(model, self._risk)
        return risk_sum(model, clip_norm, self.statistics, cohort, batch)

    def _game_sum(
        self, clip_norm: float, cohort: Cohort, batch: NDArray[np.int64], seed: RandomSource
    ) -> NDArray[np.float64]:
        settings = self.config.game
        game = self._new_game()
        game.load(self._require_game())
        lineup = min(settings.private_lineup, len(self.panel_dosage))
        private = PrivateGame(game, clip_norm, lineup)
        rows = micro_batch(self.sites, lineup)
        for start in range(0, len(batch), rows):
            part = batch[start : start + rows]
            people = private_lineup(
                cohort.dosage[part],
                [seed.child(int(person)) for person in part],
                self._decoys,
                self.statistics,
                self.annotations,
                self._standard_score(cohort.dosage[part]),
                lineup=lineup,
                error=settings.genotype_error,
            )
            private.add(to_device(people, game.device))
        return private.total()

    # -- the public part --------------------------------------------------------------------------------

    @property
    def has_public_part(self) -> bool:
        """Whether the panel part of the game has been played or loaded."""
        return self._game is not None

    def train_public(self, progress: Progress | None = None) -> bytes:
        """Fix the risk weights and play the game on the panel. Changes nothing here: load the result.

        Deterministic given the configuration and this machine's arithmetic.

        Args:
            progress: Called with (step, steps).

        Returns:
            The blob that `load_public` takes, at this node and at all others.
        """
        weights = self.risk_weights()
        with one_thread():
            game = self._new_game()
            center, scale = self._panel_score(weights)
            game.start(weights, self.statistics, scale)
            if self.config.game.steps:
                rng = self._public_rng("game")
                pool = DecoyPool(self.panel_dosage, self.config.game.genotype_error, rng, wanted=_MOSAICS)
                score = (self._score(weights, pool.people) - center) / scale
                train_on_panel(game, pool, self.statistics, self.annotations, score, rng, progress)
        return dump({"weights": weights, "game": game.vector()})

    def load_public(self, blob: bytes) -> None:
        """Take over the public part.

        Raises:
            IntegrityError: Not a blob of this run's shape.
        """
        arrays = load(blob, "public part of the model")
        weights, game = arrays.get("weights"), arrays.get("game")
        if (
            weights is None
            or game is None
            or weights.shape != self._weights_shape
            or game.shape != (self._game_parameters,)
        ):
            raise IntegrityError("the public part of the model has the wrong shape", cure="fetch it again")
        self._weights, self._game = weights, game
        self.__dict__.pop("_score_moments", None)

    def risk_weights(self) -> NDArray[np.float64]:
        """Sparse risk weights on standardised dosages; the public part's where there is one.

        [sites], or [phenotypes, sites] where there are several. Scores have variance 1 on the panel.
        """
        if self._weights is not None:
            return self._weights
        accumulated = self._risk.reshape(self.phenotypes, self.sites + 1)[:, :-1]
        return fit_weights(self.config, self.statistics, self.panel_dosage, accumulated).reshape(self._weights_shape)

    @property
    def _weights_shape(self) -> tuple[int, ...]:
        return (self.sites,) if self.phenotypes == 1 else (self.phenotypes, self.sites)

    # -- state ------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """All master parameters, for `load_state`."""
        return dump(self._masters())

    def load_state(self, blob: bytes) -> None:
        """Inverse of `state`.

        Raises:
            IntegrityError: Not a state of this program.
        """
        arrays = load(blob, "saved training state")
        if arrays.get("risk", np.zeros(0)).shape != self._risk.shape:
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self._risk = arrays["risk"]
        self._weights, self._game = arrays.get("weights"), arrays.get("game")
        self.__dict__.pop("_score_moments", None)

    def digest(self) -> bytes:
        """SHA-256 of the master parameters: equal at all nodes after every round."""
        digest = hashlib.sha256()
        for name, array in sorted(self._masters().items()):
            digest.update(name.encode() + array.astype("<f8").tobytes())
        return digest.digest()

    def model(self) -> TrainedModel:
        """The model as it stands."""
        card: dict[str, Any] = {
            "run": self.config.run,
            "config_digest": self.config.digest().hex(),
            "site_panel": self.config.site_panel,
            "game": self.config.game.model_dump(mode="json"),
            "risk": self.config.risk.model_dump(mode="json"),
            "program_digest": self.digest().hex(),
        }
        return TrainedModel(
            mean=self.statistics.mean,
            scale=self.statistics.scale,
            annotations=self.annotations,
            weights=self.risk_weights(),
            game=np.zeros(0) if self._game is None else self._game,
            card=card,
        )

    def _masters(self) -> dict[str, NDArray[np.float64]]:
        masters = {"risk": self._risk}
        if self._weights is not None and self._game is not None:
            masters |= {"weights": self._weights, "game": self._game}
        return masters

    # -- helpers ----------------------------------------------------------------------------------------

    def _new_game(self) -> Game:
        annotations = self.annotations.shape[1]
        return Game(self.sites, annotations, self.config.game, device(), phenotypes=self.phenotypes)

    @cached_property
    def _game_parameters(self) -> int:
        return self._new_game().parameters

    @cached_property
    def _decoys(self) -> DecoyPool:
        return DecoyPool(self.panel_dosage, self.config.game.genotype_error, self._public_rng("decoys"), wanted=0)

    def _require_game(self) -> NDArray[np.float64]:
        if self._game is None:
            raise ConfigError(
                "a private game round needs the public part of the model first",
                cure="run train_public at one node and load_public at all",
            )
        return self._game

    def _score(self, weights: NDArray[np.float64], dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        return risk_score(weights, self.statistics.mean, self.statistics.scale, dosage)

    def _panel_score(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        score = self._score(weights, self.panel_dosage)
        spread = score.std(axis=0)
        return np.asarray(score.mean(axis=0)), np.where(spread > 0, spread, 1.0)

    @cached_property
    def _score_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._panel_score(self.risk_weights())

    def _standard_score(self, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        center, scale = self._score_moments
        return np.asarray((self._score(self.risk_weights(), dosage) - center) / scale)

    def _public_rng(self, label: str) -> np.random.Generator:
        # Only public data is drawn with it, so a predictable seed costs nothing and makes the run repeatable.
        seed = hashlib.sha256(self.config.digest() + canonical_json(label)).digest()
        return np.random.default_rng(int.from_bytes(seed[:16], "little"))


def parameter_counts(
    sites: int, annotations: int, settings: GameSettings | None = None, *, phenotypes: int = 1
) -> tuple[int, int]:
    """Lengths of the update vectors of the "risk" and "game" phases, which a run configuration declares."""
    game = Game(sites, annotations, settings or GameSettings(), torch.device("cpu"), phenotypes=phenotypes)
    return phenotypes * (sites + 1), game.parameters
