"""What can be proven of a task on a few people: by slow and obvious ways beside its own.

The guarantee does not rest on these: `afml.training.clipping` clips whatever a task gives. They find tasks that train
nonsense, or that give one person's gradient an influence of others, which no clipping can bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, IntegrityError
from afml.tasks import parts
from afml.tasks.module import ModuleKind, RowsOfPeople
from afml.training.clipping import RowGradients
from afml.training.folding import fold
from afml.training.ghost import GhostTask
from afml.training.step import Trainer
from afml.training.task import Enrolled, Rows, Task
from crypto.public.random import RandomSource, SeededRandom

TOLERANCE = 1e-4
"""Of float32 gradients, in units of the largest of them."""
SHOUTS = (1e8, float("inf"), float("nan"))
"""What a worst-case person's gradient is multiplied by."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: In a word or two.
        ok: Whether it is as it should be.
        told: What was found.
        cure: What to do about it, where it is not.
    """

    what: str
    ok: bool
    told: str
    cure: str = ""


def begins_alike(fresh: Callable[[], Task]) -> Finding:
    """Every node begins with the same parameters, whatever was drawn before."""
    first = fresh().digest()
    torch.rand(7)
    np.random.default_rng().random()
    if fresh().digest() == first:
        return Finding("start", True, "every node begins with the same parameters")
    cure = "draw first parameters from torch's generator alone, in `module`; it is seeded there"
    return Finding("start", False, "first parameters differ from one start to the next", cure)


def moves_alike(fresh: Callable[[], Task], phase: int, people: int) -> Finding:
    """The same sum moves every node to the same bits, and a saved state goes on from where it stood."""
    first, second = fresh(), fresh()
    total = np.random.default_rng(7).normal(size=first.length(phase))
    start = first.digest()
    for task in (first, second):
        task.apply(phase, total, people)
    restored = fresh()
    restored.load_state(first.state())
    if first.digest() == start:
        return Finding("step", False, "a sum moves no parameter", "have `apply` change the parameters")
    if not first.digest() == second.digest() == restored.digest():
        problem = "the same sum leads to different parameters, or a saved state to others"
        return Finding("step", False, problem, "move parameters by elementwise float64 arithmetic alone")
    for rubbish in (b"", b"rubbish"):
        try:
            fresh().load_state(rubbish)
        except IntegrityError:
            continue
        return Finding("step", False, "a damaged state is taken for a state", "raise IntegrityError in `load_state`")
    return Finding("step", True, "the same sum moves every node alike; a saved state goes on where it stood")


def nobody_touches_anybody(task: Task, run: RunConfig, phase: int, enrolled: Enrolled) -> Finding:
    """The clipped sum of several people is the sum of each one's alone."""
    people, before = np.arange(len(enrolled)), task.digest()
    together, alone = _part(task, run, phase, enrolled, people), _alone(task, run, phase, enrolled)
    worst = float(np.abs(together - np.sum(alone, axis=0)).max()) / run.phases[phase].clip_norm
    if task.digest() != before:
        return Finding("people", False, "asking for gradients changes the parameters", "change them in `apply` alone")
    if not worst <= TOLERANCE * len(people):
        return Finding(
            "people", False,
            f"somebody's gradient depends on who else is in the batch (the sum is off by {worst:.2g} clip norms)",
            "take out what mixes rows: batch statistics, a loss that is averaged or compares rows",
        )  # fmt: skip
    return Finding("people", True, f"none of {len(people)} people's gradients depends on who else is in the batch")


def is_clipped(task: Task, run: RunConfig, phase: int, enrolled: Enrolled) -> Finding:
    """Nobody, however loud, moves the sum by more than the clip norm."""
    bound, people = run.phases[phase].clip_norm, np.arange(len(enrolled))
    whole, most, loudest = _part(task, run, phase, enrolled, people), 0.0, 0.0
    for person in people:
        rest = np.delete(people, person)
        most = max(most, float(np.linalg.norm(whole - _part(task, run, phase, enrolled, rest))) / bound)
    quiet = _part(task, run, phase, enrolled, people[1:])
    ghost = isinstance(task, GhostTask) and task.ghost
    for factor in () if ghost else SHOUTS:  # with ghost clipping nobody's gradient is ever there to be made louder
        shouted = _part(_Shouting(task, factor), run, phase, enrolled, people)
        loudest = max(loudest, float(np.linalg.norm(shouted - quiet)) / bound)
    worst = max(most, loudest)
    if not worst <= 1 + TOLERANCE * len(people):
        cure = "take out what mixes rows; report it if nothing does"
        return Finding("clip", False, f"one person moves the sum by {worst:.4g} clip norms", cure)
    told = f"taking out any of {len(people)} people moves the sum by {most:.3f} clip norms at most"
    louder = "" if ghost else f", one who shouts (x 1e8, infinite, NaN) by {loudest:.3f}"
    return Finding("clip", True, told + louder)


def equals_autograd(kind: ModuleKind, task: Task, run: RunConfig, enrolled: RowsOfPeople) -> Finding:
    """The gradients of people are those that torch gives for their rows one at a time."""
    task.apply(0, np.random.default_rng(3).normal(size=task.length(0)), 10 * len(enrolled))  # away from the start
    people = np.arange(len(enrolled))
    module = _at(kind, task, run)
    random = _quieten(module)
    want = _one_at_a_time(kind, module, run, enrolled, people)
    if random:
        got = _by_rows(kind, module, run, enrolled, people)
    else:
        rows = task.gradients(0, enrolled, people, SeededRandom(1))
        got = _joined(rows, len(people))
    if got.shape != want.shape:
        problem = f"gradients have {got.shape[1]} numbers, the trained parameters {want.shape[1]}"
        return Finding("gradients", False, problem, "train every parameter, or leave out what is not used")
    scale = max(1e-12, float(np.abs(want).max()))
    worst = float(np.abs(got - want).max()) / scale
    if not worst <= TOLERANCE:
        cure = "use layers that Opacus supports, each at most once a forward, and no operation in place"
        return Finding("gradients", False, f"gradients differ from one-at-a-time autograd by {worst:.2g}", cure)
    said = ", without its random layers" if random else ""
    told = f"those of {len(people)} people equal one-at-a-time autograd{said}: off by {worst:.1g} of the largest"
    return Finding("gradients", True, told)


class _Shouting:
    """A task whose first person's gradient is out of all bounds."""

    def __init__(self, task: Task, factor: float) -> None:
        self._task, self._factor = task, factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def gradients(self, phase: int, enrolled: Any, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        found = self._task.gradients(phase, enrolled, people, stream)
        if not len(people) or people[0] != 0:
            return found
        return [Rows([self._louder(gradient, rows.owner) for gradient in rows.dense()], rows.owner) for rows in found]

    def _louder(self, gradient: torch.Tensor, owner: int | NDArray[np.int64]) -> torch.Tensor:
        first = owner if isinstance(owner, int) else int((owner == 0).sum())
        louder = gradient.detach().clone()
        louder[:first] *= self._factor
        return louder


def _part(task: Any, run: RunConfig, phase: int, enrolled: Enrolled, people: NDArray[np.int64]) -> Vector:
    """As a node computes it."""
    return Trainer(run, task, enrolled).part(phase, people, SeededRandom(5, phase))


def _alone(task: Task, run: RunConfig, phase: int, enrolled: Enrolled) -> Sequence[Vector]:
    return [_part(task, run, phase, enrolled, np.array([person])) for person in range(len(enrolled))]


def _at(kind: ModuleKind, task: Task, run: RunConfig) -> nn.Module:
    """A new module at the task's parameters, ready to train."""
    module, model = kind.fresh(run), task.model()
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in getattr(model, "arrays", {}).items()}
    module.load_state_dict(arrays)
    parts.rest(module)
    return module


def _quieten(module: nn.Module) -> bool:
    """Switch layers off that draw at random; whether there are any."""
    drops = [layer for layer in module.modules() if isinstance(layer, nn.modules.dropout._DropoutNd)]
    for layer in drops:
        layer.p = 0.0
    return bool(drops)


def _one_at_a_time(
    kind: ModuleKind, module: nn.Module, run: RunConfig, enrolled: RowsOfPeople, people: NDArray[np.int64]
) -> Vector:
    """Row by row, without Opacus, added up for each person, [people, P]."""
    settings, trained = kind.settings(run.task.settings), list(parts.trained(module).values())
    features, targets, owner = enrolled.rows(people)
    found = np.zeros((len(people), sum(p.numel() for p in trained)))
    for row, person in enumerate(owner):
        module.zero_grad(set_to_none=True)
        loss: Any = kind.loss(settings, module(features[row : row + 1]), targets[row : row + 1]).sum()
        loss.backward()
        gradients = [torch.zeros(p.shape) if p.grad is None else p.grad for p in trained]
        found[person] += np.concatenate([one.reshape(-1).to(torch.float64).numpy() for one in gradients])
    return found


def _by_rows(
    kind: ModuleKind, module: nn.Module, run: RunConfig, enrolled: RowsOfPeople, people: NDArray[np.int64]
) -> Vector:
    """By Opacus, as the task has them, through this very module."""
    gradients = RowGradients(module)
    parts.rest(module)
    features, targets, owner = enrolled.rows(people)
    loss = kind.loss(kind.settings(run.task.settings), gradients.hooked(features), targets)
    gradients.backward(loss.sum())
    return _joined([Rows(gradients.rows().gradients, owner)], len(people))


def _joined(blocks: Sequence[Rows], people: int) -> Vector:
    """Gradients of people, rows added up, blocks joined, [people, P]."""
    parts = [
        fold(gradient, rows.owner, people).reshape(people, -1).cpu() for rows in blocks for gradient in rows.dense()
    ]
    return np.asarray(torch.cat(parts, dim=1).numpy())


def refused(what: str, error: AfmlError) -> Finding:
    """A finding out of an error of ours."""
    told = ": ".join(part for part in (error.where, error.problem) if part)
    return Finding(what, False, told, error.cure)
