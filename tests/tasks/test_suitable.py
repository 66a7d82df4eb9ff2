"""What cannot be trained person by person is refused in one line, by what it is or by what it does to made-up rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from afml.consortium.card import DataAgreement
from afml.core.errors import ConfigError
from afml.tasks.module import ModuleKind
from afml.tasks.specimen import ROWS, Specimen
from afml.tasks.suitable import complaints, require_suitable
from afml.tasks.tried import _alone, _other_gradient
from afml.training.planning import Rounds, Terms
from benchmarks.tenant.bench_tenant.networks import resnet18
from tests.tasks.modules import IMAGES, TABLE, Any_, Loss, bce, layers, run_of


class Forward(nn.Module):
    """A linear layer, and a way through it."""

    def __init__(self, way: Callable[[nn.Module, torch.Tensor], torch.Tensor], **parameters: nn.Parameter) -> None:
        super().__init__()
        self.layer, self.way = nn.Linear(4, 1), way
        for name, value in parameters.items():
            self.register_parameter(name, value)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.way(self.layer, rows)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.outer(self.inner(torch.tanh(self.inner(rows))))


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.counter = nn.Sequential()
        self.counter.register_buffer("seen", torch.zeros(4))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.counter.seen += rows.detach().sum(dim=0)
        return self.layer(rows)


class Elsewhere(nn.Module):
    """Uses a layer's weight outside of the layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 4, bias=False), nn.Linear(4, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.outer(self.inner(rows) + rows @ self.inner.weight)


def _tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    module[1].weight = module[0].weight
    return module


def _transposed() -> nn.Module:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    module[1].weight = nn.Parameter(module[0].weight.data.t())
    return module


def _nan() -> nn.Module:
    module = nn.Linear(4, 1)
    module.bias.data[0] = float("nan")
    return module


def _half() -> nn.Module:
    return nn.Linear(4, 1).half()


def _number(kind: torch.dtype) -> Callable[[], nn.Module]:
    value = nn.Parameter(torch.zeros(3, dtype=kind), requires_grad=False)
    return lambda: Forward(lambda layer, rows: layer(rows), odd=value)


def _draws(layer: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    import random

    return layer(rows) * random.random()


MODULES: list[tuple[Callable[[], Any], str]] = [
    (layers(lambda: nn.BatchNorm1d(6)), r"layer 1 \(BatchNorm1d\) mixes the people of a batch; use GroupNorm"),
    (layers(lambda: nn.BatchNorm1d(6, affine=False)), "BatchNorm1d.* mixes the people"),
    (layers(lambda: nn.ReLU(inplace=True)), r"layer 1 \(ReLU\) works in place; set inplace=False"),
    (lambda: nn.Sequential(nn.LSTM(4, 3)), r"layer 0 \(LSTM\) gives no gradients per person; use opacus.*DPLSTM"),
    (lambda: nn.Sequential(nn.MultiheadAttention(4, 1)), "use opacus.layers.DPMultiheadAttention"),
    (
        lambda: nn.Sequential(nn.Unflatten(1, (4, 1)), nn.InstanceNorm1d(4, track_running_stats=True), nn.Flatten(),
                              nn.Linear(4, 1)),
        "keeps statistics of people it saw; set track_running_stats=False",
    ),
    (_tied, "0.weight and 1.weight are one shared parameter; give each layer its own"),
    (_transposed, "0.weight and 1.weight are one shared parameter"),
    (lambda: nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1)), "parameter 0.weight has no size yet"),
    (_number(torch.int64), r"parameter odd is no real numbers \(int64\); make it float32"),
    (_number(torch.complex64), r"parameter odd is complex \(complex64\)"),
    (_half, "parameter weight is float16 .*; train in float32"),
    (_nan, "parameter bias begins with NaN or infinity; mend how it is initialised"),
    (lambda: Forward(lambda layer, rows: layer(rows - rows.mean(0))), "mixes rows: one person's row changes another's"),
    (lambda: Forward(lambda layer, rows: layer(rows.flip(0))), "mixes rows"),
    (lambda: Forward(lambda layer, rows: layer(rows) / len(rows)), "depends on how many rows there are"),
    (lambda: Forward(lambda layer, rows: layer(rows[:, :3])), r"fails on rows of shape \[3, 4\] \(RuntimeError"),
    (lambda: Forward(lambda layer, rows: layer(rows).mul_(2)), "works in place on what one of its trained layers"),
    (lambda: Forward(lambda layer, rows: layer(rows).mean()), r"gives predictions of shape \[\] for 3 rows"),
    (lambda: Forward(lambda layer, rows: layer(rows) * float("nan")), "predicts NaN at the start"),
    (lambda: Forward(_draws), "does not give the same for the same row twice; draw with torch's"),
    (lambda: Forward(lambda layer, rows: layer(rows), odd=nn.Parameter(torch.ones(2))), "parameter odd is not used"),
    (Counts, "buffer counter.seen changes with the rows that the module is given"),
    (Elsewhere, "gradients per row of inner.weight are not those of each row by itself"),
    (lambda: nn.Sequential(nn.ReLU()), "nothing is trained: no parameter requires a gradient"),
    (lambda: 1 / 0, r"the module cannot be made \(ZeroDivisionError: division by zero\)"),
    (dict, "`module` gives a dict, no torch module"),
]  # fmt: skip

LOSSES: list[tuple[Any, str]] = [
    (lambda p, t: mse_loss(p, t), r"the loss is of shape \[\] for 3 rows, not one value for each; .*reduction='none'"),
    (lambda p, t: mse_loss(p, t, reduction="none"), r"the loss is of shape \[3, 1\] for 3 rows"),
    (lambda p, t: (p[:, 0] - t[:, 0]) ** 2 * t.mean(), "the loss mixes people: one row changes another's loss"),
    (lambda p, t: (p[:, 0] - p[:, 0].mean()) ** 2, "the loss mixes people"),
    (lambda p, t: (p[:, 0] - t[:, 0]) ** 2 / len(p), "the loss of a row depends on how many rows there are"),
    (lambda p, t: torch.log(p[:, 0] * 0 - 1), "the loss is NaN or infinite at the start"),
    (lambda p, t: t[:, 0], "the loss does not depend on a trained parameter"),
    (lambda p, t: cross_entropy(p, t, reduction="none") + p[:, 5], r"the loss fails on predictions of shape \[3, 1\]"),
]


def _refusal(kind: ModuleKind, data: DataAgreement = TABLE, **given: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        require_suitable(kind, given, data, where="run r")
    text = str(refused.value)
    assert text.startswith("run r: ")
    assert "; " in text, "says how to mend it"
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize(("make", "line"), MODULES, ids=[line[:40] for _, line in MODULES])
def test_a_module_that_cannot_be_trained_is_one_line(make: Callable[[], Any], line: str) -> None:
    import re

    assert re.search(line, _refusal(Any_(make)))


@pytest.mark.parametrize(("loss", "line"), LOSSES, ids=[line[:40] for _, line in LOSSES])
def test_a_loss_that_is_not_of_each_row_is_one_line(loss: Loss, line: str) -> None:
    import re

    assert re.search(line, _refusal(Any_(layers(nn.ReLU), loss)))


def _image_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return cross_entropy(predicted, target[:, 0].long(), reduction="none")


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )  # fmt: skip


def test_rounding_that_a_deep_network_makes_much_of_is_no_complaint() -> None:
    """In float32, a row by itself and among others, some units of a ResNet-18 stand on either side of 0."""
    image = DataAgreement(kind="array", fingerprint="00", features=3 * 32 * 32, shape=(3, 32, 32), targets=1)
    kind = Any_(resnet18, _image_loss)
    trial = Specimen(kind, kind.settings({}), image)
    assert _other_gradient(trial, _alone(trial, ROWS))
    assert complaints(kind, {}, image) == ()


@pytest.mark.parametrize("ghost", [False, True])
@pytest.mark.parametrize(
    ("make", "loss", "data"),
    [
        (layers(nn.Tanh), bce, TABLE),
        (layers(lambda: nn.Dropout(0.5)), bce, TABLE),
        (layers(lambda: nn.LayerNorm(6)), bce, TABLE),
        (_cnn, _image_loss, IMAGES),
        (lambda: nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Linear(1, 8), nn.Flatten(), nn.Linear(32, 1)), bce, TABLE),
    ],
)
def test_what_can_be_trained_is_not_complained_of(make: Any, loss: Loss, data: DataAgreement, ghost: bool) -> None:
    assert complaints(Any_(make, loss), {"ghost": ghost}, data) == ()


def test_a_layer_used_twice_is_trained_but_not_by_ghosts() -> None:
    assert complaints(Any_(Twice), {}, TABLE) == ()
    assert "ghost clipping does not take this module" in _refusal(Any_(Twice), ghost=True)


def test_a_frozen_part_may_hold_what_a_trained_one_may_not() -> None:
    """It does what it does in prediction: nobody's row changes it, and it changes nobody's."""

    def make() -> nn.Module:
        frozen = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(0.5))
        return nn.Sequential(frozen, nn.Linear(6, 1))

    assert "mixes the people" in _refusal(Any_(make))
    assert complaints(Any_(make), {"trainable": ["1.*"]}, TABLE) == ()


@pytest.mark.parametrize(
    ("patterns", "line"),
    [
        (["nothing*"], r"nothing is trained: no parameter is called nothing\*; set trainable to some of 0.weight"),
        (["0.*", "nothing*"], r"trainable names nothing\*, which no parameter is called"),
    ],
)
def test_patterns_that_name_nothing_are_refused(patterns: list[str], line: str) -> None:
    import re

    assert re.search(line, _refusal(Any_(layers(nn.ReLU)), trainable=patterns))


def test_several_complaints_are_counted() -> None:
    text = _refusal(Any_(layers(lambda: nn.BatchNorm1d(6), lambda: nn.ReLU(inplace=True))))
    assert "(and 1 more: `afml task check`)" in text


def test_a_coordinator_and_every_node_ask() -> None:
    wrong = Any_(layers(lambda: nn.BatchNorm1d(6)))
    with pytest.raises(ConfigError, match="mixes the people"):
        wrong.plan({}, TABLE, Rounds(), Terms())
    with pytest.raises(ConfigError, match=r"run r: .* mixes the people"):
        wrong.check(run_of())
    good = Any_(layers(nn.Tanh))
    good.check(run_of())
    for run, line in (
        (run_of(warmup=3), "a warm-up of 3 rounds in a run of 3; shorten warmup"),
        (
            run_of(TABLE.model_copy(update={"kind": "genotypes"})),
            "trains on table or array or images, not on genotypes",
        ),
        (_declaring(7), "declares another number of parameters than the 37"),
    ):
        with pytest.raises(ConfigError, match=line):
            good.check(run)


def _declaring(parameters: int) -> Any:
    run = run_of()
    phase = run.phases[0].model_copy(update={"parameters": parameters})
    return run.model_copy(update={"phases": (phase,)})
