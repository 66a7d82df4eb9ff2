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

from afml import __version__
from afml.core.draws import draws_of, public_draw
from afml.core.errors import ConfigError, InputError, IntegrityError
from afml.core.run import GameSettings, RunConfig
from afml.models.features import PanelStatistics
from afml.models.risk import CURVATURE, RiskModel
from afml.training.blob import dump, load
from afml.training.clipping import unflatten
from afml.training.cohort import Cohort
from afml.training.device import device, one_thread
from afml.training.distributed import Group, Share
from afml.training.game import Game, Lengths, PrivateGame, micro_batch, to_device, train_on_panel
from afml.training.lineup import DecoyPool, private_lineup
from afml.training.model import TrainedModel, risk_score
from afml.training.risk import Kind, risk_sum
from afml.training.weights import component_weights, fit_weights
from crypto.public.random import RandomSource

if TYPE_CHECKING:
    from afml.genomics.sites import SitePanel

__all__ = ["Cohort", "Program", "parameter_counts"]

Progress = Callable[[int, int], None]
_MOSAICS = 4000
#: Stored name of the risk masters; states that held them with the Newton step called them otherwise.
_RISK = "risk_steps"


class Program:
    """All that a run trains: the risk model, the Masking Network, the Identification Network.

    Args:
        config: The signed run configuration.
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel's people, [panel people, sites].
        group: The processes that share each clipped sum, where there are several.
        bf16: Play the public game under bf16 autocast; private rounds are float32 in any case.

    Raises:
        ConfigError: Sites of the configuration, of the panel and of the dosages differ.
    """

    def __init__(
        self,
        config: RunConfig,
        panel: SitePanel,
        panel_dosage: NDArray[np.int8],
        *,
        group: Group | None = None,
        bf16: bool = False,
    ) -> None:
        if not len(panel) == config.sites == panel_dosage.shape[1]:
            raise ConfigError(
                f"the run has {config.sites} sites, the site panel {len(panel)}, the panel's genotypes "
                f"{panel_dosage.shape[1]}",
                cure="prepare the panel genotypes with this run's site panel",
            )
        self.config = config
        self._group, self._bf16 = group, bf16
        self._held: tuple[Cohort, str] | None = None
        self.annotations = np.ascontiguousarray(panel.annotations, dtype=np.float32)  # [sites, A]
        self.panel_dosage = panel_dosage
        # People drawn at independent sites have no ancestry: their principal components would be noise.
        components = 0 if panel.drawn_people else config.risk.panel_components
        self.statistics = PanelStatistics.from_panel(panel_dosage, components)
        if panel.drawn_people and config.risk.kept_components:
            raise ConfigError(
                "a panel drawn from allele frequencies has no principal components that a release could keep",
                cure="declare a trait, or use a panel of people",
            )
        self._panel_note = panel.drawn_note
        self._places = (panel.chrom, panel.pos) if panel.drawn_people else None
        self.sites = config.sites
        self.phenotypes = config.risk.scores
        self.covariates = len(config.risk.covariates)
        self._risk = np.zeros(len(config.risk.declared) * (self.sites + 1 + self.covariates))  # trait by trait
        self._weights: NDArray[np.float64] | None = None  # set by the public blob
        self._game: NDArray[np.float64] | None = None
        self._buffers = np.zeros(0)  # of batch normalisation, changed by the panel part alone

    # -- private rounds ---------------------------------------------------------------------------------

    def parameters(self, phase: int) -> int:
        """Length of the update vector of a phase."""
        return len(self._risk) if self.config.phases[phase].name == "risk" else self._lengths.update

    def trained(self, phase: int) -> NDArray[np.float64]:
        """The parameters that the rounds of a phase move, [parameters(phase)].

        Raises:
            ConfigError: The phase plays the game and there is no public part yet.
        """
        if self.config.phases[phase].name == "risk":
            return self._risk_parameters
        return self._require_game()[self._lengths.private]

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
        drawn = rng.child("batch").uniform(len(cohort))
        update = self.clipped_sum(phase, cohort, np.flatnonzero(drawn < rate), rng.child("people"))
        return update + node_std * rng.child("noise").normal(len(update))

    def clipped_sum(
        self, phase: int, cohort: Cohort, batch: NDArray[np.int64], seed: RandomSource
    ) -> NDArray[np.float64]:
        """Sum over the batch's people of gradients clipped to the phase's clip norm, without noise.

        Where the node has several processes (`afml.training.distributed`), they share the batch among them.

        Args:
            phase: Index into `config.phases`.
            cohort: The node's enrolled people.
            batch: Rows of the cohort.
            seed: Source of each person's own stream (line-ups, relaxed masks).

        Returns:
            float64 [parameters(phase)]; zeros for an empty batch.

        Raises:
            ProcessLost: Another process of this node is gone; there is no sum.
            IntegrityError: One gave what cannot be its part; there is no sum.
            InputError: The cohort has another number of phenotypes or covariates than the run.
        """
        traits = len(self.config.risk.declared)
        if cohort.phenotypes != traits:
            raise InputError(
                f"the cohort has {cohort.phenotypes} phenotypes, the run trains {traits}",
                cure="use the phenotype table that the run was agreed for",
            )
        if cohort.extras.shape[1] != self.covariates:
            raise InputError(
                f"the cohort has {cohort.extras.shape[1]} covariates, the run uses {self.covariates}",
                cure="use the phenotype table that the run was agreed for",
            )
        if self._group is None:
            return self.clipped_part(phase, cohort, batch, seed)
        with self._group.sharing():
            self._group.announce(Share(self.held(cohort), phase, batch, seed.path, self.state()))
            own = self._group.part(batch)
            part = self.clipped_part(phase, cohort, own, seed)
            return self._group.collect(part, batch, self.config.phases[phase].clip_norm)

    def clipped_part(
        self, phase: int, cohort: Cohort, batch: NDArray[np.int64], seed: RandomSource
    ) -> NDArray[np.float64]:
        """`clipped_sum` by this process alone."""
        settings = self.config.phases[phase]
        with one_thread():
            if settings.name == "risk":
                return self._risk_sum(settings.clip_norm, cohort, batch)
            return self._game_sum(settings.clip_norm, cohort, batch, seed)

    def load_others(self, cohort: Cohort) -> None:
        """Have the node's other processes, where there are any, load this run and these people.

        Before the node enrols: it takes as long as loading took here, and then peers' deadlines do not run yet.

        Raises:
            ProcessLost: One is gone, or holds something else.
            IntegrityError: Somebody else answered.
        """
        if self._group is not None:
            self._group.load(self.held(cohort))

    def held(self, cohort: Cohort) -> str:
        """Digest, hex, of all that a clipped sum depends on beside parameters, batch and streams.

        Made once for a cohort: the object and the panel are taken to stay as they are.
        """
        if self._held is None or self._held[0] is not cohort:
            digest = hashlib.sha256(__version__.encode() + self.config.digest())
            for array in (self.panel_dosage, self.annotations, cohort.dosage, cohort.phenotype, cohort.extras):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
            self._held = cohort, digest.hexdigest()
        return self._held[1]

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """Step along the sum of the cohort's updates: `parameters -= rate * total / expected people`.

        The divisor is the cohort's declared enrolment times the sampling rate, never a realised count. The
        learning rate of the risk phase is in Newton steps of an uncorrelated model: `1 / (curvature * variance)`,
        from the loss at zero (1/4 for logistic, 1 for squared loss) and the panel's feature variance. That variance
        comes from linear algebra whose last bits differ between machines, so the master holds the steps without
        it, equal at all nodes, and it comes in where the parameters are used.

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
            self._risk = self._risk - scale * total
        else:
            moved = self._require_game().copy()
            moved[self._lengths.private] -= scale * total
            self._game = moved

    def _risk_sum(self, clip_norm: float, cohort: Cohort, batch: NDArray[np.int64]) -> NDArray[np.float64]:
        model = RiskModel(self.sites, self.phenotypes, self.covariates)
        unflatten(model, self._risk_parameters)
        return risk_sum(model, clip_norm, self.statistics, cohort, batch, self._kinds)

    def _game_sum(
        self, clip_norm: float, cohort: Cohort, batch: NDArray[np.int64], seed: RandomSource
    ) -> NDArray[np.float64]:
        settings = self.config.game
        game = self._new_game()
        game.load(self._require_game(), self._buffers)
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
            if self.config.game.steps and self.config.game.public:
                rng = self._public_rng("game")
                pool = DecoyPool(self.panel_dosage, self.config.game.genotype_error, rng, wanted=_MOSAICS)
                score = (self._score(weights, pool.people) - center) / scale
                train_on_panel(game, pool, self.statistics, self.annotations, score, rng, progress, bf16=self._bf16)
        return dump({"weights": weights, "game": game.vector()} | _present(game.buffers()))

    def load_public(self, blob: bytes) -> None:
        """Take over the public part.

        Raises:
            IntegrityError: Not a blob of this run's shape.
        """
        arrays = load(blob, "public part of the model")
        weights, game, buffers = arrays.get("weights"), arrays.get("game"), arrays.get("buffers", np.zeros(0))
        if (
            weights is None
            or game is None
            or weights.shape != self._weights_shape
            or game.shape != (self._lengths.parameters,)
            or buffers.shape != (self._lengths.buffers,)
        ):
            raise IntegrityError("the public part of the model has the wrong shape", cure="fetch it again")
        self._weights, self._game, self._buffers = weights, game, buffers
        self.__dict__.pop("_score_moments", None)

    def risk_weights(self) -> NDArray[np.float64]:
        """Sparse risk weights on standardised dosages; the public part's where there is one.

        [sites], or [phenotypes, sites] where there are several. Scores have variance 1 on the panel. In a run
        without traits they are the loadings of the panel's principal components, public from the start.
        """
        if self._weights is not None:
            return self._weights
        if self.config.risk.kept_components:
            return component_weights(self.statistics, self.panel_dosage, self.phenotypes).reshape(self._weights_shape)
        accumulated = self._risk_parameters.reshape(self.phenotypes, -1)[:, : self.sites]
        fitted = fit_weights(self.config, self.statistics, self.panel_dosage, accumulated, self._places)
        return fitted.reshape(self._weights_shape)

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
        if arrays.get(_RISK, np.zeros(0)).shape != self._risk.shape:
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self._risk = arrays[_RISK]
        self._weights, self._game = arrays.get("weights"), arrays.get("game")
        self._buffers = arrays.get("buffers", np.zeros(0))
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
            "draws": draws_of(self.config.run, self.config.seed),
            "site_panel": self.config.site_panel,
            "game": self.config.game.model_dump(mode="json"),
            "risk": self.config.risk.model_dump(mode="json"),
            "program_digest": self.digest().hex(),
        }
        if self._panel_note:
            card["panel"] = self._panel_note
        return TrainedModel(
            mean=self.statistics.mean,
            scale=self.statistics.scale,
            annotations=self.annotations,
            weights=self.risk_weights(),
            game=np.zeros(0) if self._game is None else self._game,
            card=card,
            buffers=self._buffers,
        )

    def _masters(self) -> dict[str, NDArray[np.float64]]:
        masters = {_RISK: self._risk}
        if self._weights is not None and self._game is not None:
            masters |= {"weights": self._weights, "game": self._game} | _present(self._buffers)
        return masters

    # -- helpers ----------------------------------------------------------------------------------------

    @property
    def _kinds(self) -> tuple[Kind, ...]:
        return tuple(trait.kind for trait in self.config.risk.declared)

    @cached_property
    def _newton_steps(self) -> NDArray[np.float64]:
        """Length of a Newton step along each risk parameter per unit of the mean gradient."""
        curvature = np.repeat([CURVATURE[kind] for kind in self._kinds], self.sites + 1 + self.covariates)
        return np.asarray(1.0 / curvature / self.statistics.variance)

    @property
    def _risk_parameters(self) -> NDArray[np.float64]:
        """The risk model's parameters on this machine: the masters in Newton steps."""
        return self._risk * self._newton_steps

    def _new_game(self) -> Game:
        annotations = self.annotations.shape[1]
        return Game(self.sites, annotations, self.config.game, device(), phenotypes=self.phenotypes)

    @cached_property
    def _lengths(self) -> Lengths:
        return self._new_game().lengths

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
        return public_draw(draws_of(self.config.run, self.config.seed), label)


def parameter_counts(
    sites: int, annotations: int, settings: GameSettings | None = None, *, phenotypes: int = 1, covariates: int = 0
) -> tuple[int, int]:
    """Lengths of the update vectors of the "risk" and "game" phases, which a run configuration declares.

    `phenotypes` is `RiskSettings.scores`; the first length means nothing in a run without traits.
    """
    game = Game(sites, annotations, settings or GameSettings(), torch.device("cpu"), phenotypes=phenotypes)
    return phenotypes * (sites + 1 + covariates), game.lengths.update


def _present(buffers: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """A stored entry for buffers, where there are any."""
    return {"buffers": buffers} if len(buffers) else {}
