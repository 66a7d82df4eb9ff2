"""A module and its loss tried on a few made-up rows: what no look at its layers can tell.

Each row must be by itself: what one row is, or how many there are, changes no prediction and no loss of another.
Gradients per row, as training takes them, must be those that autograd finds for one row alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from afml.consortium.card import DataAgreement
from afml.core.errors import AfmlError
from afml.tasks.specimen import ROWS, Specimen

if TYPE_CHECKING:
    from afml.tasks.module import ModuleKind

#: Float32 kernels may add in another order where they are given another number of rows.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_OWN_ROW = "let each row's prediction depend on that row alone"


@dataclass(frozen=True)
class Complaint:
    """Something that is wrong with a module or its loss.

    Attributes:
        problem: In plain words.
        cure: What its author can do.
    """

    problem: str
    cure: str


class Stop(Exception):
    """Nothing more can be tried."""


def tried(kind: ModuleKind, settings: Any, data: DataAgreement) -> Iterator[Complaint]:
    """What is found wrong, one thing after the other, until one makes the next meaningless."""
    try:
        trial = Specimen(kind, settings, data)
        for part in (_of_predictions, _of_losses, _of_gradients, *((_of_ghosts,) if settings.ghost else ())):
            yield from part(trial)
    except Stop:
        return
    except AfmlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's module or loss raises
        yield Complaint(f"the module or its loss fails on made-up rows ({raised(error)})", "mend `module` and `loss`")


def _of_predictions(trial: Specimen) -> Iterator[Complaint]:
    before, features = trial.buffers(), trial.features
    shape = tuple(features.shape)
    try:
        first = trial.forward(features)
    except AfmlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's module raises
        yield Complaint(f"the module fails on rows of shape {list(shape)} ({raised(error)})", "mend `module`")
        raise Stop from None
    if not isinstance(first, torch.Tensor) or not first.dim() or len(first) != ROWS:
        what = f"shape {list(first.shape)}" if isinstance(first, torch.Tensor) else type(first).__name__
        yield Complaint(f"the module gives predictions of {what} for {ROWS} rows", "give one prediction for each row")
        raise Stop
    changed = [name for name, value in trial.buffers().items() if not _same(value, before[name])]
    if changed:
        yield Complaint(f"buffer {changed[0]} changes with the rows that the module is given", "keep no statistics")
    if bool(torch.isnan(first).any()):
        yield Complaint("the module predicts NaN at the start", "mend how it is initialised")
        raise Stop
    if not _same(first, trial.forward(features)):
        yield Complaint("the module does not give the same for the same row twice", "draw with torch's random numbers")
        raise Stop
    for row in range(ROWS):
        other = features.clone()
        other[row] = 1 - other[row]
        if not _same(_without(first, row), _without(trial.forward(other), row)):
            yield Complaint("the module mixes rows: one person's row changes another's prediction", _OWN_ROW)
            raise Stop
    if not trial.draws() and not _near(first[:1], trial.forward(features[:1])):
        yield Complaint("a prediction depends on how many rows there are", _OWN_ROW)
        raise Stop


def _of_losses(trial: Specimen) -> Iterator[Complaint]:
    predicted, targets = trial.forward(trial.features), trial.targets
    try:
        losses = trial.losses(predicted, targets)
    except AfmlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's loss raises
        shapes = f"predictions of shape {list(predicted.shape)} and targets of shape {list(targets.shape)}"
        yield Complaint(f"the loss fails on {shapes} ({raised(error)})", "mend `loss`")
        raise Stop from None
    if not isinstance(losses, torch.Tensor) or tuple(losses.shape) != (ROWS,):
        what = f"of shape {list(losses.shape)}" if isinstance(losses, torch.Tensor) else type(losses).__name__
        yield Complaint(f"the loss is {what} for {ROWS} rows, not one value for each", "give it reduction='none'")
        raise Stop
    if not bool(torch.isfinite(losses).all()):
        yield Complaint("the loss is NaN or infinite at the start", "mend `loss`, or how the module is initialised")
        raise Stop
    if any(_mixes(trial, predicted.detach(), targets, row) for row in range(ROWS)):
        yield Complaint("the loss mixes people: one row changes another's loss", "compute each row's loss by itself")
        raise Stop
    if not _near(losses[:1], trial.losses(predicted[:1], targets[:1])):
        problem = "the loss of a row depends on how many rows there are"
        yield Complaint(problem, "do not divide by the number of rows")
        raise Stop
    if not losses.requires_grad:
        yield Complaint("the loss does not depend on a trained parameter", "train others (trainable), or mend `loss`")
        raise Stop


def _mixes(trial: Specimen, predicted: torch.Tensor, targets: torch.Tensor, row: int) -> bool:
    """Whether one row's target changes another row's loss, or another row's prediction its own."""
    others = targets.clone()
    others[row] = 1 - others[row]
    predicted = predicted.clone().requires_grad_()
    losses = trial.losses(predicted, targets)
    if not _same(_without(losses, row), _without(trial.losses(predicted, others), row)):
        return True
    (moved,) = torch.autograd.grad(losses[row], predicted, allow_unused=True) if losses.requires_grad else (None,)
    return moved is not None and bool(_without(moved, row).any())


def _of_gradients(trial: Specimen) -> Iterator[Complaint]:
    rows = 1 if trial.draws() else ROWS  # random numbers are the same for the same number of rows only
    try:
        alone = _alone(trial, rows)
        for index, name in enumerate(trial.names):
            if alone[0][index] is None:
                yield Complaint(f"parameter {name} is not used", "remove it, or leave it out of trainable")
                raise Stop
        other = _other_gradient(trial, alone)
    except AfmlError:
        raise
    except Stop:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Opacus or a layer raises
        if "inplace" in str(error):
            problem = "the module works in place on what one of its trained layers gives"
            yield Complaint(problem, "use no operations that end in _, and inplace=False")
            raise Stop from None
        yield Complaint(
            f"there are no gradients per row of this module ({raised(error)})",
            "use layers of torch.nn, each parameter in the layer that uses it",
        )
        raise Stop from None
    if other and _other_in_double(trial, rows):
        yield Complaint(
            f"gradients per row of {other} are not those of each row by itself",
            "use the parameter only in the layer that holds it, once, with the rows as first dimension",
        )
        raise Stop


def _alone(trial: Specimen, rows: int) -> list[list[torch.Tensor | None]]:
    """Gradients of each row by itself."""
    features, targets = trial.features, trial.targets
    return [trial.row_by_autograd(features[row : row + 1], targets[row : row + 1]) for row in range(rows)]


def _other_gradient(trial: Specimen, alone: list[list[torch.Tensor | None]]) -> str:
    """Name of the first parameter of which Opacus finds other gradients than these; "" where there is none."""
    rows = len(alone)
    found: list[Any] = list(trial.rows_by_opacus(trial.features[:rows], trial.targets[:rows]))
    for name, got, each in zip(trial.names, found, zip(*alone, strict=True), strict=True):
        wanted = torch.stack(each)
        if got is None or got.shape != wanted.shape or not _alike(got, wanted):
            return name
    return ""


def _other_in_double(trial: Specimen, rows: int) -> bool:
    """Whether gradients differ in float64 too: in float32 a deep network turns rounding into other signs of ReLU."""
    try:
        double = trial.doubled()
        return bool(_other_gradient(double, _alone(double, rows)))
    except Exception:  # noqa: BLE001 - a module that is of float32 alone is judged by what it gave there
        return True


def _of_ghosts(trial: Specimen) -> Iterator[Complaint]:
    """Whether a sum that is clipped without gradients per person is the one that is clipped with them."""
    cure = "set ghost = false"
    try:
        found, wanted = trial.clipped_sums()
    except AfmlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Opacus or a layer raises
        yield Complaint(f"ghost clipping does not take this module ({raised(error)})", cure)
        return
    if not _alike(found, wanted):
        yield Complaint("ghost clipping of this module gives another sum than gradients per person do", cure)


def raised(error: BaseException) -> str:
    """An error of somebody's code, in part of a line."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _without(rows: torch.Tensor, row: int) -> torch.Tensor:
    return torch.cat([rows[:row], rows[row + 1 :]])


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second)


def _alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two gradients differ by rounding alone, measured by their largest number."""
    return bool((first - second).abs().max() <= _RELATIVE * second.abs().max()) if second.numel() else True


def _near(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(
        first.double(), second.double(), rtol=_RELATIVE, atol=_ABSOLUTE
    )
