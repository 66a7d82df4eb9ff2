"""What every release method in the registry must do, and how one is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release import method as methods
from afml.release import planning
from afml.release.codebook import PanelCodebook
from afml.release.method import AUTO, MANY_PATTERNS, METHODS, ReleaseMethod, asked_for
from afml.release.planning import plan_release
from afml.release.public import learning_people
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES, without_network

every_method = pytest.mark.parametrize("method", [METHODS.get(name) for name in METHODS.names()], ids=METHODS.names())


@every_method
def test_it_is_called_what_the_registry_calls_it(method: ReleaseMethod) -> None:
    assert METHODS.get(method.name) is method
    assert method.title


@every_method
def test_its_codebook_has_the_empty_pattern_first_and_no_more_than_were_asked_for(
    method: ReleaseMethod, model: TrainedModel
) -> None:
    people = learning_people(model, PANEL)
    book = method.learn(model, people, method.contained(model, people), 5, 0.05)
    assert book.patterns[0] == ()
    assert 1 <= len(book.patterns) <= 5
    assert len(book.centroids) == len(book.patterns)
    assert method.points(model, book, people).reshape(len(people), -1).shape == (len(people), book.centroids.shape[1])
    lowest = 1 if "major" in method.fills else 0  # what is masked under "major" is no genotype to show
    assert all(lowest <= value <= 2 and 0 <= site < SITES for pattern in book.patterns for site, value in pattern)
    assert method.learn(model, people, method.contained(model, people), 5, 0.05).digest() == book.digest()
    assert method.learn(model, people, method.contained(model, people), 1, 0.05).patterns == ((),)


@every_method
def test_a_person_shows_only_what_the_own_record_holds(method: ReleaseMethod, model: TrainedModel) -> None:
    people = dosages(30, SITES, seed=8)
    taken = method.contained(model, people)
    assert taken.shape == people.shape
    assert np.all((taken <= 0) | (taken == people))


def test_auto_compares_the_methods_that_say_so(model: TrainedModel) -> None:
    assert [one.name for one in asked_for(AUTO, model)] == ["codebook", "network", "static", "levels"]
    assert [one.name for one in asked_for(AUTO, model, fill="major")] == ["codebook", "network", "static"]
    assert [one.name for one in asked_for(AUTO, without_network(model))] == ["codebook", "static", "levels"]
    assert [one.name for one in asked_for(AUTO, model, MANY_PATTERNS + 1)] == ["cells"]
    assert [one.name for one in asked_for("greedy", model)] == ["greedy"]
    known = "codebook, greedy, network, cells, static, levels"
    with pytest.raises(ConfigError, match=f"no release method called 'other'; use one of {known}"):
        asked_for("other", model)
    with pytest.raises(ConfigError, match="trained without a game; use release method 'codebook'"):
        asked_for("network", without_network(model))
    with pytest.raises(
        ConfigError, match="'cells' does not go with fill 'major'; use `afml mask --fill missing`, or --patterns"
    ):
        asked_for(AUTO, model, MANY_PATTERNS + 1, "major")


class Nothing(PanelCodebook):
    """Shows nothing of anybody."""

    name = "nothing"

    def learn(self, model, people, contained, patterns, share):  # type: ignore[no-untyped-def]
        return super().learn(model, people, contained, 1, share)


NOTHING = Nothing()


def test_a_new_method_is_one_object_and_one_line(model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {name: f"afml.release.{name}:METHOD" for name in ("codebook", "network")}
    registry: Registry[ReleaseMethod] = Registry("release method", entries | {"nothing": f"{__name__}:NOTHING"})
    for where in (methods, planning):
        monkeypatch.setattr(where, "METHODS", registry)
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5))
    assert [trial.method for trial in plan.trials[:3]] == ["codebook", "network", "nothing"]
    assert plan.method != "nothing"
