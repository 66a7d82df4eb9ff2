"""Other releases of the same people, to set beside the one that was chosen."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.children import in_children, usable_processors
from afml.masking.settings import ReleaseSettings
from afml.release.method import MANY_PATTERNS, METHODS, ReleaseMethod
from afml.release.model import ScoredModel
from afml.release.plan import ReleasePlan
from afml.release.planning import untried_plan
from afml.release.released import Released, apply_plan, mask_alone

NETWORK_MASKS = "network masks, ungrouped"


@dataclass(frozen=True, eq=False)
class Alternative:
    """Another release of the same people.

    Attributes:
        name: In tables.
        mask: Its public release function.
        released: Every file, where groups make them differ from `mask(file)`.
    """

    name: str
    mask: Callable[[NDArray[np.int8]], NDArray[np.int8]]
    released: tuple[Released, ...] | None = None


@dataclass(frozen=True, eq=False)
class Basis:
    """What alternatives are made from, beside a model.

    Attributes:
        panel: Panel dosages, [people, sites].
        files: Dosages of every file to be released, [people, sites] each.
        settings: How records are released, but for the method.
        people_per_file: People of the smallest file; groups are planned for it.
    """

    panel: NDArray[np.int8]
    files: tuple[NDArray[np.int8], ...]
    settings: ReleaseSettings
    people_per_file: int


def by_method(name: str, model: ScoredModel, basis: Basis, method: str) -> Alternative:
    """The files released by one method, called `name`, as many patterns as the settings name: nothing is refused.

    A method that is not made for many patterns has `MANY_PATTERNS` at most.
    """
    return _released(name, _plan(model, basis, method), basis)


def by_each_method(model: ScoredModel, basis: Basis, methods: Iterable[str]) -> tuple[Alternative, ...]:
    """The files released by each of some methods, called by its title.

    Left out are those that the model lacks or the fill does not go with, and those whose patterns are not read by
    dosages, but for those made for many patterns where many are asked for.
    """
    found = (METHODS.get(name) for name in methods)
    usable = [one for one in found if one.lacking(model) is None and _goes(one, basis.settings)]
    work = [functools.partial(_plan, model, basis, one.name) for one in usable]
    # Many patterns take a minute or two each. Networks have threads, which do not outlive a fork.
    apart = basis.settings.patterns > MANY_PATTERNS and not len(model.game)
    plans = in_children(work, usable_processors()) if apart else [one() for one in work]
    return tuple(_released(one.title, plan, basis) for one, plan in zip(usable, plans, strict=True))


def _plan(model: ScoredModel, basis: Basis, method: str) -> ReleasePlan:
    most = basis.settings.patterns if METHODS.get(method).many else min(basis.settings.patterns, MANY_PATTERNS)
    settings = basis.settings.model_copy(update={"method": method, "patterns": most})
    return untried_plan(model, basis.panel, settings, basis.people_per_file)


def _released(name: str, plan: ReleasePlan, basis: Basis) -> Alternative:
    files = tuple(apply_plan(plan, file) for file in basis.files)
    return Alternative(name, functools.partial(mask_alone, plan), files)


def _goes(method: ReleaseMethod, settings: ReleaseSettings) -> bool:
    by_dosages = not method.tabled or (method.many and settings.patterns > MANY_PATTERNS)
    return settings.fill in method.fills and by_dosages


def network_masks(model: ScoredModel, masked: int) -> tuple[Alternative, ...]:
    """What the Masking Network keeps of each record, without groups; none where there is no network.

    Args:
        model: The trained model.
        masked: What a masked genotype looks like: 0 or -1.
    """
    if not len(model.game):
        return ()
    return (Alternative(NETWORK_MASKS, functools.partial(_kept, model, masked)),)


def _kept(model: ScoredModel, masked: int, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
    shown = model.network_release(dosage)
    return shown if masked == 0 else np.where(shown == 0, np.int8(masked), shown)
