"""What every task that is a torch module can be told: its optimiser, its learning rate, what is trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from afml.core.config import FiniteSettings


class ModuleSettings(FiniteSettings):
    """Settings of a module's training; a task with settings of its own makes a subclass.

    All of them change what becomes of a noised sum, or which parameters are trained: none changes what a round costs.

    Attributes:
        optimiser: Of the noised mean gradient (`afml.tasks.optimisers`).
        momentum: Of SGD.
        beta1, beta2, adam_epsilon: Of Adam (Kingma and Ba 2015, algorithm 1).
        schedule: Course of the learning rate over the run's rounds, behind the warm-up.
        schedule_end: Share of it that `cosine` and `linear` have come down to when the run is over.
        step_rounds, step_factor: `step` multiplies it by the factor after each so many rounds.
        warmup: First rounds, over which it rises linearly.
        trainable: Patterns (as of file names) of parameters that are trained, the others are frozen; none: all those
            that the module itself says require a gradient.
        ghost: Clip without a gradient per person (`afml.training.ghost`), for modules whose gradients do not fit.
    """

    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    schedule: Literal["constant", "cosine", "linear", "step"] = "constant"
    schedule_end: float = Field(default=0.0, ge=0, le=1)
    step_rounds: int = Field(default=10, ge=1)
    step_factor: float = Field(default=0.5, gt=0, le=1)
    warmup: int = Field(default=0, ge=0)
    trainable: tuple[str, ...] = ()
    ghost: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.optimiser == "adam" and self.momentum:
            raise ValueError("momentum is for optimiser = 'sgd'; Adam has beta1")
        return self

    @property
    def learning_rate(self) -> float:
        """Where a coordinator asks for none."""
        return 1.0 if self.optimiser == "sgd" else 0.01
