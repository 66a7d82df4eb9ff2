"""Other releases of the same people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.alternatives import NETWORK_MASKS, Basis, by_each_method, by_method, network_masks
from afml.release.method import METHODS
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES, without_network

FILES = (dosages(40, SITES, seed=11), dosages(50, SITES, seed=12))
BASIS = Basis(PANEL, FILES, ReleaseSettings(min_group_size=5, patterns=6), 40)


def test_an_alternative_is_the_plan_of_its_method_applied_to_every_file(model: TrainedModel) -> None:
    found = by_method("greedily", model, BASIS, "greedy")
    plan = plan_release(model, PANEL, BASIS.settings.model_copy(update={"method": "greedy"}), people_per_file=40)
    assert found.name == "greedily"
    assert found.released is not None
    for released, file in zip(found.released, FILES, strict=True):
        assert np.array_equal(released[:], apply_plan(plan, file).dosage)
        assert np.array_equal(found.mask(file), mask_alone(plan, file))


def test_a_target_of_the_release_refuses_no_alternative(model: TrainedModel) -> None:
    strict = replace(BASIS, settings=BASIS.settings.model_copy(update={"target_rr": 1e-6}))
    assert np.array_equal(
        by_method("greedily", model, strict, "greedy").mask(FILES[0]),
        by_method("greedily", model, BASIS, "greedy").mask(FILES[0]),
    )


def test_there_is_one_for_each_method_that_the_model_allows(model: TrainedModel) -> None:
    titles = [one.name for one in by_each_method(model, BASIS, METHODS.names())]
    assert titles == [METHODS.get(name).title for name in METHODS.names() if not METHODS.get(name).tabled]
    assert {"codebook", "greedy codebook", "network codebook"} <= set(titles)
    bare = [one.name for one in by_each_method(without_network(model), BASIS, METHODS.names())]
    assert bare == [title for title in titles if title != "network codebook"]
    assert by_each_method(model, BASIS, ()) == ()


def test_network_masks_are_released_of_everybody_alone(model: TrainedModel) -> None:
    for masked in (0, -1):
        (found,) = network_masks(model, masked)
        shown = model.network_release(FILES[0])
        assert (found.name, found.released) == (NETWORK_MASKS, None)
        assert np.array_equal(found.mask(FILES[0]), np.where(shown > 0, shown, masked))
    assert network_masks(without_network(model), 0) == ()
