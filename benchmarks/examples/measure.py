"""All arms of one seed of one example."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from afml.core.config import canonical_json
from afml.core.files import write_bytes
from afml.tasks.module import ModuleKind
from afml.training.registry import code_digest
from benchmarks.examples import pooled
from benchmarks.examples.accounting import noise_by_hand, ple_by_hand
from benchmarks.examples.compare import ARMS
from benchmarks.examples.federated import Consortium

_APART = 1000
"""Between the seeds of an example's draws."""


class Measured:
    """The arms of one example; what was measured before is read again.

    Args:
        consortium: Its data.
        out: Folder for a file an arm and seed.
        commit: That measures now.
    """

    def __init__(self, consortium: Consortium, out: Path, commit: str) -> None:
        self._consortium, self._example, self._out, self._commit = consortium, consortium.example, out, commit
        out.mkdir(parents=True, exist_ok=True)

    def scores(self, seed: int, arms: tuple[str, ...]) -> dict[str, float]:
        """Arm -> score of one seed, measured now or before."""
        return {arm: float(self._scored(arm, seed)["score"]) for arm in arms}

    def commits(self, seeds: Iterable[int]) -> list[str]:
        """Commits that the scores were measured at."""
        return sorted({str(self._scored(arm, seed)["commit"]) for arm in ARMS for seed in seeds})

    def _scored(self, arm: str, seed: int) -> dict[str, Any]:
        path = self._out / f"{self._example.name}-{arm}-{self._key(arm)}-{seed}.json"
        if not path.exists():
            found = {"score": self._score(arm, seed), "commit": self._commit}
            write_bytes(path, json.dumps(found).encode())
        return dict(json.loads(path.read_text()))

    @cached_property
    def central_noise(self) -> float:
        """Noise multiplier with which a pooled run of as many steps comes to the same PLE, by dp-accounting alone."""
        run = self._consortium.template
        (phase,) = run.phases
        target = self._example.terms().ple_sigma
        path = self._out / f"{self._example.name}-noise-{target}-{phase.sample_rate}-{phase.rounds}.json"
        if not path.exists():
            found = noise_by_hand(target, phase.sample_rate, phase.rounds, run.budget.delta)
            write_bytes(path, json.dumps(found).encode())
        return float(json.loads(path.read_text()))

    def facts(self) -> dict[str, Any]:
        """What the table says beside the scores."""
        run = self._consortium.template
        (phase,) = run.phases
        everything = sum(value.numel() for value in self._consortium.fresh().state_dict().values())
        planned = phase.rounds + run.reserve_attempts
        return {
            "name": self._example.name,
            "ple_sigma": self._example.terms().ple_sigma,
            "ple_by_hand": ple_by_hand(phase.sample_rate, phase.noise_multiplier, planned, run.budget.delta),
            "people": sum(run.enrolled.values()),
            "institutions": len(run.enrolled),
            "parameters": phase.parameters,
            "frozen_parameters": everything - phase.parameters,
            "draws": self._example.draws,
            "rounds": phase.rounds,
            "sample_rate": phase.sample_rate,
            "clip_norm": phase.clip_norm,
            "learning_rate": phase.learning_rate,
            "settings": run.task.settings,
            "noise_multiplier": phase.noise_multiplier,
            "central_noise_multiplier": self.central_noise,
            "max_colluding": run.max_colluding,
            "delta": run.budget.delta,
        }

    def _score(self, arm: str, seed: int) -> float:
        """Mean over the example's draws."""
        return statistics.fmean(self._once(arm, seed, seed + _APART * draw) for draw in range(self._example.draws))

    def _once(self, arm: str, seed: int, drawn: int) -> float:
        """One training with the people of `seed`; batches and noise are drawn from `drawn`."""
        split, fresh = self._consortium.split(seed), self._consortium.fresh
        pool = (torch.cat([own[0] for own in split.train]), torch.cat([own[1] for own in split.train]))
        if arm == "non_private":
            module = pooled.freely(fresh(), self._loss, pool, self._example.freely, drawn)
        elif arm == "central_dp":
            module = pooled.central(fresh(), self._loss, pool, self._steps, drawn)
        elif arm == "local_noise":
            module = pooled.averaged(fresh, self._loss, split.train, self._steps, drawn)
        else:
            run = self._consortium.run(seed).model_copy(update={"seed": drawn})
            module = self._consortium.module(self._consortium.federated(seed, run).arrays)
        return self._example.score(pooled.predicted(module, split.test[0]), split.test[1][:, 0].numpy())

    @property
    def _loss(self) -> pooled.Loss:
        kind: ModuleKind = self._consortium.kind
        settings = kind.settings(self._example.settings())
        return lambda predicted, target: kind.loss(settings, predicted, target)

    @property
    def _steps(self) -> pooled.Steps:
        run = self._consortium.template
        phase = run.phases[0]
        return pooled.Steps(phase, self.central_noise, _optimiser(run.task.settings, phase.learning_rate))

    def _key(self, arm: str) -> str:
        """Changes with whatever a score depends on, but for versions of libraries; our own arm's with our code."""
        run = self._consortium.template
        told = [
            Path(pooled.__file__).read_bytes(),
            canonical_json(asdict(self._example.freely)),
            run.task.code.encode(),
        ]
        if self._example.draws > 1:
            told.append(str(self._example.draws).encode())
        if arm == "federated":
            told += [run.canonical(), code_digest("afml.tasks.module", own=True).encode()]
        else:
            phase = run.phases[0].model_dump(exclude={"parameters", "noise_multiplier"})
            told.append(canonical_json([phase, self.central_noise, run.data.fingerprint, self._example.settings()]))
        return hashlib.sha256(b"\0".join(told)).hexdigest()[:12]


def _optimiser(settings: Mapping[str, Any], rate: float) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    """The optimiser that train.toml names, as torch has it."""
    name = settings.get("optimiser", "sgd")
    if name == "adam":
        betas = (settings.get("beta1", 0.9), settings.get("beta2", 0.999))
        return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=betas)
    momentum = settings.get("momentum", 0.0)
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=momentum)
