"""Whether a module can be trained person by person, in plain words, before anything is spent.

What a module is (layers, parameters) is looked at here; what it does is tried on made-up rows (`afml.tasks.tried`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from opacus.validators import ModuleValidator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

from afml.consortium.card import DataAgreement
from afml.core.errors import AfmlError, ConfigError
from afml.tasks import parts
from afml.tasks.tried import Complaint, raised, tried

if TYPE_CHECKING:
    from afml.tasks.module import ModuleKind

_PER_PERSON = "use GroupNorm, LayerNorm or InstanceNorm, or freeze the part it stands in (trainable)"
#: Layers that Opacus has a twin of, and RNN, which it takes to pieces likewise.
_TWINS = {nn.LSTM: "DPLSTM", nn.GRU: "DPGRU", nn.RNN: "DPRNN", nn.MultiheadAttention: "DPMultiheadAttention"}


def require_suitable(kind: ModuleKind, given: Mapping[str, Any], data: DataAgreement, *, where: str) -> None:
    """Refuse a module or a loss that cannot be trained person by person.

    Raises:
        ConfigError: The first complaint, and how many more there are.
    """
    found = complaints(kind, given, data)
    if found:
        more = f" (and {len(found) - 1} more: `afml task check`)" if len(found) > 1 else ""
        raise ConfigError(f"{found[0].problem}{more}", where=where, cure=found[0].cure)


def complaints(kind: ModuleKind, given: Mapping[str, Any], data: DataAgreement) -> tuple[Complaint, ...]:
    """Everything that is wrong with a module and its loss; the module is only tried where its make-up is in order.

    Args:
        kind: Makes them.
        given: Its settings.
        data: What the institutions declare of theirs.

    Raises:
        ConfigError: The settings are wrong.
    """
    settings = kind.settings(given).model_dump(mode="json")
    return _complaints(kind, json.dumps(settings, sort_keys=True), data)


@lru_cache(maxsize=16)  # a run is checked more than once, and a large module takes seconds
def _complaints(kind: ModuleKind, given: str, data: DataAgreement) -> tuple[Complaint, ...]:
    settings = kind.settings(json.loads(given))
    try:
        module = kind.made(settings, data)
    except AfmlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's module raises
        return (Complaint(f"the module cannot be made ({raised(error)})", "mend `module` of the task"),)
    if not isinstance(module, nn.Module):
        return (Complaint(f"`module` gives a {type(module).__name__}, no torch module", "return a torch.nn.Module"),)
    found = (*_of_parameters(module, settings.trainable), *_of_layers(module))
    return found or tuple(tried(kind, settings, data))


def _of_parameters(module: nn.Module, patterns: tuple[str, ...]) -> Iterator[Complaint]:
    everything = dict(module.named_parameters())
    lazy = [name for name, value in everything.items() if is_lazy(value)]
    if lazy:
        yield Complaint(f"parameter {lazy[0]} has no size yet", "give every layer its sizes: no Lazy layers")
        return
    yield from _shared(module)
    for name, value in everything.items():
        if not value.is_floating_point():
            what = "complex" if value.is_complex() else "no real numbers"
            yield Complaint(f"parameter {name} is {what} ({_plain(value.dtype)})", "make it float32, or a buffer")
        elif value.requires_grad and value.dtype not in (torch.float32, torch.float64):
            yield Complaint(f"parameter {name} is {_plain(value.dtype)}", "train in float32")
        elif not bool(torch.isfinite(value).all()):
            yield Complaint(f"parameter {name} begins with NaN or infinity", "mend how it is initialised")
    if not parts.trained(module):
        named = f"no parameter is called {' or '.join(patterns)}" if patterns else "no parameter requires a gradient"
        yield Complaint(f"nothing is trained: {named}", f"set trainable to some of {', '.join([*everything][:6])}")
    for pattern in patterns:
        alone = parts.matching(everything, pattern)
        if not alone and parts.trained(module):
            yield Complaint(f"trainable names {pattern}, which no parameter is called", "correct it or leave it out")


def _shared(module: nn.Module) -> Iterator[Complaint]:
    """One parameter under two names, or two over the same memory: Opacus and the update vector would disagree."""
    seen: dict[int, tuple[str, bool]] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        place = value.data_ptr() if value.numel() else id(value)
        first, learns = seen.setdefault(place, (name, value.requires_grad))
        if first != name and (learns or value.requires_grad):
            yield Complaint(f"{first} and {name} are one shared parameter", "give each layer its own, or freeze both")


def _of_layers(module: nn.Module) -> Iterator[Complaint]:
    parts.rest(module)
    for name, layer in module.named_modules():
        if not layer.training:
            continue  # of a frozen part: it does what it does in prediction
        where = f"layer {name or 'of the module'} ({type(layer).__name__})"
        own = any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
        if isinstance(layer, _BatchNorm):
            yield Complaint(f"{where} mixes the people of a batch", _PER_PERSON)
        elif isinstance(layer, _InstanceNorm) and layer.track_running_stats:
            yield Complaint(f"{where} keeps statistics of people it saw", "set track_running_stats=False")
        elif twin := next((twin for kind, twin in _TWINS.items() if type(layer) is kind), None):
            yield Complaint(f"{where} gives no gradients per person", f"use opacus.layers.{twin} in its place")
        elif own and any(True for _ in layer.buffers()):
            yield Complaint(f"{where} has buffers beside trained parameters", "keep them in a layer of their own")
        elif own and type(layer) in ModuleValidator.VALIDATORS and (told := _opacus(layer)):
            yield Complaint(f"{where} cannot be trained per person: {told}", "use another layer")
        if getattr(layer, "inplace", False):
            yield Complaint(f"{where} works in place", "set inplace=False")


def _opacus(layer: nn.Module) -> str:
    """What Opacus has against a layer that we have no words of our own for, its first sentence."""
    found = ModuleValidator.VALIDATORS[type(layer)](layer)
    return str(found[0]).split(". ")[0] if found else ""


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
