"""The arms that are not AFML: torch alone, and plain Opacus as its documentation has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from afml.consortium.run import Phase
from benchmarks.examples.example import Freely

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(predicted [people, ...], target [people, T]) -> loss of everybody, [people]."""
Data = tuple[torch.Tensor, torch.Tensor]


def freely(module: nn.Module, loss: Loss, data: Data, how: Freely, seed: int) -> nn.Module:
    """Train without privacy: Adam on shuffled batches."""
    torch.manual_seed(seed)
    module.train()
    optimiser = torch.optim.Adam(_trained(module), lr=how.rate, weight_decay=how.decay)
    for _ in range(how.passes):
        for batch in torch.randperm(len(data[0])).split(how.batch):
            optimiser.zero_grad()
            loss(module(data[0][batch]), data[1][batch]).mean().backward()
            optimiser.step()
    return module


@dataclass(frozen=True)
class Steps:
    """DP-SGD by Opacus: Poisson batches, clipping, noise, one optimiser.

    Attributes:
        phase: Says how many steps, the sample rate, the clip norm and the learning rate.
        noise_multiplier: Of the noise that Opacus adds.
        optimiser: Made from parameters.
    """

    phase: Phase
    noise_multiplier: float
    optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer]

    def begin(self, module: nn.Module, loss: Loss, data: Data) -> Iterator[None]:
        """Train in place, one step at a time.

        Raises:
            ValueError: Opacus would draw batches at another rate.
        """
        rate = self.phase.sample_rate
        loader: Any = DataLoader(TensorDataset(*data), batch_size=math.ceil(len(data[0]) * rate))
        if not math.isclose(1 / len(loader), rate):
            raise ValueError(f"Opacus would draw at {1 / len(loader)}, not {rate}")
        module.train()
        private, optimiser, loader = PrivacyEngine(accountant="rdp").make_private(
            module=module,
            optimizer=self.optimiser(_trained(module)),
            data_loader=loader,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.phase.clip_norm,
        )
        done = 0
        while True:
            for features, targets in loader:
                optimiser.zero_grad()
                loss(private(features), targets).mean().backward()
                optimiser.step()
                yield
                done += 1
                if done == self.phase.rounds:
                    return


def central(module: nn.Module, loss: Loss, data: Data, steps: Steps, seed: int) -> nn.Module:
    """Everybody's rows in one place."""
    torch.manual_seed(seed)
    for _ in steps.begin(module, loss, data):
        pass
    return module


def averaged(fresh: Callable[[], nn.Module], loss: Loss, data: list[Data], steps: Steps, seed: int) -> nn.Module:
    """Every institution takes a private step of its own, then models are averaged, weighted by people; and so on.

    The noise of each institution protects its people by itself, as where Opacus runs in a client of Flower or NVFlare.
    """
    torch.manual_seed(seed)
    modules = [fresh() for _ in data]
    running = [steps.begin(module, loss, own) for module, own in zip(modules, data, strict=True)]
    people = [len(own[0]) for own in data]
    for _ in range(steps.phase.rounds):
        for one in running:
            next(one)
        with torch.no_grad():
            for same in zip(*map(_trained, modules), strict=True):
                mean = sum(count * value for count, value in zip(people, same, strict=True)) / sum(people)
                for value in same:
                    value.copy_(mean)
    return modules[0]


def predicted(module: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Predictions of everybody, [people, outputs]."""
    module.eval()
    with torch.no_grad():
        return torch.cat([module(part) for part in features.split(512)])


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
