"""The masking task: a risk model, a Masking Network and an Identification Network.

Private rounds read the masters (float32 on the device), and change them only through `apply`, from integers that every
node received: the same additions in the same order, so all nodes hold the same bits. Whatever is computed in floating
point from the panel (the final risk weights, the public game) is computed once, at the elected node, and travels as the
blob of `train_public`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.draws import draws_of
from afml.core.errors import IntegrityError
from afml.core.threads import one_thread
from afml.masking.enrolled import Enrolled
from afml.masking.game import Game, Lengths, to_device
from afml.masking.lineup import LineupShape, private_lineup
from afml.masking.masters import Masters, present
from afml.masking.model import TrainedModel
from afml.masking.networks.risk import RiskModel
from afml.masking.private_game import PrivateGame
from afml.masking.private_game import micro_batch as lineups_at_once
from afml.masking.public import PublicSide
from afml.masking.public_game import PublicPeople, train_on_panel
from afml.masking.risk import Kind, micro_batch, risk_gradients, risk_inputs
from afml.masking.settings import RISK, MaskingSettings
from afml.masking.steps import RiskSteps
from afml.masking.weights import component_weights, evidence, fit_weights
from afml.training.blob import dump, load
from afml.training.clipping import unflatten
from afml.training.device import device
from afml.training.task import PredictsNothing, Progress, Rows
from crypto.public.random import RandomSource

_MOSAICS = 4000


class MaskingTask(PredictsNothing):
    """All that a masking run trains; see `afml.training.task.Task` for the methods without a docstring of their own.

    Args:
        run: The signed run configuration.
        settings: Its masking settings.
        public: The panel.
        bf16: Play the public game under bf16 autocast; private rounds are float32 in any case.
    """

    def __init__(self, run: RunConfig, settings: MaskingSettings, public: PublicSide, *, bf16: bool = False) -> None:
        self.run, self.settings, self.public, self._bf16 = run, settings, public, bf16
        self.phenotypes = settings.risk.scores
        self.covariates = len(settings.risk.covariates)
        inputs = len(public) + 1 + self.covariates
        self._masters = Masters(len(settings.risk.declared) * inputs, len(public) if settings.risk.focus else 0)
        self._hooked: dict[int, RiskModel | PrivateGame] = {}  # networks at the present parameters, by phase

    # -- private rounds ---------------------------------------------------------------------------------

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        return len(self._masters.risk) if self._is_risk(phase) else self._lengths.update

    def blocks(self, phase: int) -> tuple[float, ...]:
        """One block of risk parameters; in the game one for each network that private rounds train."""
        blocks = 1 if self._is_risk(phase) else len(self.settings.game.private)
        return (1.0 / math.sqrt(blocks),) * blocks

    def people_at_once(self, phase: int) -> int:
        """See `Task.people_at_once`."""
        if self._is_risk(phase):
            return micro_batch(len(self.public) + 1 + self.covariates)
        return lineups_at_once(len(self.public), self._lineup)

    def trained(self, phase: int) -> NDArray[np.float64]:
        """The parameters that the rounds of a phase move, [length(phase)].

        Raises:
            ConfigError: The phase plays the game and there is no public part yet.
        """
        if self._is_risk(phase):
            return self._steps.parameters
        return self._masters.require_game()[self._lengths.private]

    def gradients(self, phase: int, enrolled: Enrolled, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        """See `Task.gradients`.

        Raises:
            InputError: The people have another number of phenotypes or covariates than the run.
        """
        enrolled.require_columns(len(self.settings.risk.declared), self.covariates)
        part = enrolled.rows(people)
        if self._is_risk(phase):
            return [self._risk_rows(phase, part)]
        return self._game_rows(phase, part, [stream.child(int(person)) for person in people])

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """Step along the sum of the cohort's updates: `parameters -= rate * total / expected people`.

        The divisor is the cohort's declared enrolment times the sampling rate, never a realised count. The
        learning rate of the risk phase is in Newton steps of an uncorrelated model: `1 / (curvature * variance)`,
        from the loss at zero (1/4 for logistic, 1 for squared loss) and the panel's feature variance. That variance
        comes from linear algebra whose last bits differ between machines, so the master holds the steps without
        it, equal at all nodes, and it comes in where the parameters are used.
        """
        settings = self.run.phases[phase]
        if total.shape != (self.length(phase),):
            raise IntegrityError(f"the sum has {len(total)} parameters, phase {phase} has {self.length(phase)}")
        scale = settings.learning_rate / (settings.sample_rate * people)
        if self._is_risk(phase):
            self._steps.move(scale * total)
        else:
            moved = self._masters.require_game().copy()
            moved[self._lengths.private] -= scale * total
            self._masters.game = moved
        self._hooked.clear()

    def _risk_rows(self, phase: int, people: Enrolled) -> Rows:
        if phase not in self._hooked:
            model = RiskModel(len(self.public), len(self.settings.risk.declared), self.covariates)
            unflatten(model, self._steps.parameters)
            self._hooked[phase] = model.to(device())
        hooked = self._hooked[phase]
        assert isinstance(hooked, RiskModel)
        inputs = risk_inputs(self.public.statistics, people).to(device())
        return Rows([self._steps.measured(risk_gradients(hooked, inputs, people.phenotype, self._kinds))])

    def _game_rows(self, phase: int, people: Enrolled, streams: list[RandomSource]) -> list[Rows]:
        if phase not in self._hooked:
            game = self._new_game()
            game.load(self._masters.require_game(), self._masters.buffers)
            self._hooked[phase] = PrivateGame(game, self._lineup)
        private = self._hooked[phase]
        assert isinstance(private, PrivateGame)
        center, scale = self._score_moments
        score = np.asarray((self.public.score(self.risk_weights(), people.dosage) - center) / scale)
        shape = LineupShape(self._lineup, self.settings.game.genotype_error)
        batch = private_lineup(people.dosage, streams, self.public.decoys, self.public.sites, score, shape)
        return private.rows(to_device(batch, private.game.device))

    def measured(self) -> NDArray[np.float64]:
        """What the next risk round multiplies its inputs by, [sites + 1 + covariates]: a function of the sums."""
        return self._steps.factors

    # -- the public part --------------------------------------------------------------------------------

    @property
    def has_public_part(self) -> bool:
        """Whether the panel part of the game has been played or loaded."""
        return self._masters.game is not None

    def train_public(self, progress: Progress | None = None) -> bytes:
        """Fix the risk weights and play the game on the panel; deterministic on one kind of machine."""
        weights = self.risk_weights()
        with one_thread():
            game = self._new_game()
            center, scale = self.public.moments(weights)
            game.start(weights, self.public.statistics, scale)
            if self.settings.game.steps and self.settings.game.public:
                rng = self.public.draw("game")
                pool = self.public.pool(rng, _MOSAICS)
                score = (self.public.score(weights, pool.people) - center) / scale
                people = PublicPeople(pool, self.public.sites, score)
                train_on_panel(game, people, rng, progress, bf16=self._bf16)
        return dump({"weights": weights, "game": game.vector()} | present(game.buffers()))

    def load_public(self, blob: bytes) -> None:
        """See `Task.load_public`."""
        arrays = load(blob, "public part of the model", self._public_sizes())
        weights, game, buffers = arrays.get("weights"), arrays.get("game"), arrays.get("buffers", np.zeros(0))
        if (
            weights is None
            or game is None
            or weights.shape != self._weights_shape
            or game.shape != (self._lengths.parameters,)
            or buffers.shape != (self._lengths.buffers,)
        ):
            raise IntegrityError("the public part of the model has the wrong shape", cure="fetch it again")
        self._masters.weights, self._masters.game, self._masters.buffers = weights, game, buffers
        self._changed()

    def risk_weights(self) -> NDArray[np.float64]:
        """Sparse risk weights on standardised dosages; the public part's where there is one.

        [sites], or [scores, sites] where there are several. Scores have variance 1 on the panel. Those of components
        come last: the loadings of the panel's principal components, public from the start.
        """
        if self._masters.weights is not None:
            return self._masters.weights
        statistics, dosage, risk = self.public.statistics, self.public.dosage, self.settings.risk
        found = fit_weights(self.run, risk, statistics, dosage, self._steps.accumulated, self.public.places)
        if risk.kept_components:
            found = np.concatenate([found, component_weights(statistics, dosage, risk.kept_components)])
        return found.reshape(self._weights_shape)

    # -- state ------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """All master parameters, for `load_state`."""
        return self._masters.dump()

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        self._masters.load(blob, self._public_sizes())
        self._changed()

    def digest(self) -> bytes:
        """SHA-256 of the master parameters: equal at all nodes after every round."""
        return self._masters.digest()

    def model(self) -> TrainedModel:
        """The model as it stands."""
        card: dict[str, Any] = {
            "run": self.run.run,
            "config_digest": self.run.digest().hex(),
            "task": self.run.task.model_dump(mode="json", exclude={"settings"}),
            "draws": draws_of(self.run.run, self.run.seed),
            "site_panel": self.run.data.fingerprint,
            "game": self.settings.game.model_dump(mode="json"),
            "risk": self.settings.risk.model_dump(mode="json"),
            "program_digest": self.digest().hex(),
        }
        if self.public.note:
            card["panel"] = self.public.note
        statistics = self.public.statistics
        measured = evidence(self.run, self.settings.risk, statistics, self._steps.accumulated)
        return TrainedModel(
            mean=statistics.mean,
            scale=statistics.scale,
            annotations=self.public.sites.annotations,
            weights=self.risk_weights(),
            game=self._masters.require_game() if self._plays else np.zeros(0),
            card=card | measured.facts,
            buffers=self._masters.buffers if self._plays else np.zeros(0),
            evidence=measured.associations,
            noise=measured.of_sites,
        )

    # -- helpers ----------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Forget what was made of the parameters as they were."""
        self._hooked.clear()
        self.__dict__.pop("_score_moments", None)

    def _is_risk(self, phase: int) -> bool:
        return self.run.phases[phase].name == RISK

    @property
    def _plays(self) -> bool:
        """Whether the networks have been trained: as they are drawn they are no use to anybody."""
        settings, private = self.settings.game, any(phase.name != RISK for phase in self.run.phases)
        return self._masters.game is not None and (private or bool(settings.steps and settings.public))

    @property
    def _lineup(self) -> int:
        """Candidates of a private line-up: as many as there are people to take them from."""
        return min(self.settings.game.private_lineup, len(self.public.dosage))

    @property
    def _kinds(self) -> tuple[Kind, ...]:
        return tuple(trait.kind for trait in self.settings.risk.declared)

    @cached_property
    def _steps(self) -> RiskSteps:
        rounds = sum(phase.rounds for phase in self.run.phases if phase.name == RISK)
        return RiskSteps(self._masters, self.settings.risk, self.public.statistics, rounds)

    @property
    def _weights_shape(self) -> tuple[int, ...]:
        sites = len(self.public)
        return (sites,) if self.phenotypes == 1 else (self.phenotypes, sites)

    def _public_sizes(self) -> dict[str, int]:
        """Numbers in each array of the public part."""
        lengths = self._lengths
        return {"weights": math.prod(self._weights_shape), "game": lengths.parameters, "buffers": lengths.buffers}

    def _new_game(self) -> Game:
        annotations = self.public.sites.annotations.shape[1]
        return Game(len(self.public), annotations, self.settings.game, device(), phenotypes=self.phenotypes)

    @cached_property
    def _lengths(self) -> Lengths:
        return self._new_game().lengths

    @cached_property
    def _score_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.public.moments(self.risk_weights())
