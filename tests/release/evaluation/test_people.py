"""What an institution finds of its held-out people, through the files in its work folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.run import RunConfig
from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError
from afml.core.files import write_secret
from afml.data.attribute import Attribute
from afml.data.columns import Trait
from afml.data.people import PeopleTable, PersonColumns
from afml.data.prepared import Prepared
from afml.genomics.build import fill_store
from afml.genomics.files import GenotypeFiles
from afml.genomics.release import write_release
from afml.masking.model import TrainedModel
from afml.masking.settings import RISK, ReleaseSettings, RiskSettings
from afml.release.evaluation.people import evaluated
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.release.grouping import Blocks
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.released import chosen, gathered
from afml.release.stored import PLAN_FILE, StoredRelease
from tests.masking.simulated import config, dosages, phenotype, sites_panel
from tests.release.simulated import PANEL, SITES, without_network

DOSAGE = dosages(60, SITES, seed=4)
ILL = phenotype(DOSAGE, seed=4)
EVERYBODY = tuple(range(60))
HELD_OUT = EVERYBODY[2::4]
SITE_PANEL = sites_panel(SITES)
RUN: RunConfig = config(SITES, 45, site_panel=SITE_PANEL.digest())


@dataclass(frozen=True)
class Institution:
    """A work folder with a model and the release of it."""

    root: Path
    model: TrainedModel

    def prepare(self, people: Sequence[int]) -> Prepared:
        """The folder of these people; what was prepared before is gone."""
        files, names = GenotypeFiles(self.root / "data"), [f"S{person}" for person in people]
        fill_store(files.cohort_store, SITE_PANEL, names, lambda sites: DOSAGE[list(people), sites])
        columns = PersonColumns(("phenotype",), ILL[list(people), None].astype(float))
        trained = np.array([person not in HELD_OUT for person in people])
        PeopleTable(tuple(names), columns, trained).save(self.root / "people.tsv")
        return Prepared(
            files.folder, self.root / "people.tsv", RUN.data, models=(self.root / "models",),
            releases=self.root / "releases", columns=self.root / "columns",
        ).held_out  # fmt: skip

    def release(self, left_out: Sequence[int] = ()) -> None:
        """Everybody's file, but for these, whom it may not tell apart."""
        plan: ReleasePlan = plan_release(
            self.model, PANEL, ReleaseSettings(method="codebook", min_group_size=5, patterns=8), people_per_file=60
        )
        blocks = Blocks(np.where(np.isin(EVERYBODY, list(left_out)), -1, 0), [5])
        released, folder = gathered(plan, [chosen(plan, DOSAGE)], blocks), self.root / "releases" / "test"
        folder.mkdir(parents=True, exist_ok=True)
        order = write_release(folder, SITE_PANEL, released.shown, header=["##afml_use=test"], shows=released.patterns)
        (folder / PLAN_FILE).write_bytes(canonical_json(plan.to_dict()))
        columns = [f"S{row}" for row in released.rows[order]]
        write_secret(self.root / "columns" / "test.json", canonical_json(columns))

    def found(self, people: Sequence[int], *traits: Trait) -> Iterator[tuple[int, dict[str, list[float]]]]:
        """Each held-out person of these, with what is found of the person."""
        settings = ReleaseEvaluationSettings(
            model=self.model.digest(), traits=traits, attacks=("likelihood", "inversion"), candidates=60
        )
        values = evaluated(RUN, settings, self.prepare(people)).values
        for index, person in enumerate(person for person in people if person in HELD_OUT):
            yield person, {name: block[index].ravel().tolist() for name, block in values.items()}


def institution(root: Path, model: TrainedModel) -> Institution:
    SITE_PANEL.save(GenotypeFiles(root / "data").site_panel)
    names = [f"P{person}" for person in range(len(PANEL))]
    fill_store(GenotypeFiles(root / "data").panel_store, SITE_PANEL, names, lambda sites: PANEL[:, sites])
    model.save(root / "models" / "test")
    (root / "columns").mkdir()
    return Institution(root, model)


@pytest.fixture
def own(tmp_path: Path, model: TrainedModel) -> Institution:
    return institution(tmp_path, model)


@pytest.mark.parametrize("gone", [0, HELD_OUT[0]])
def test_who_leaves_the_prepared_folder_changes_nobody_elses_values(own: Institution, gone: int) -> None:
    """The bound of the sum is for one person's vector: nothing of the others may move with the person."""
    own.release()
    trait = Trait(name="phenotype")
    before = dict(own.found(EVERYBODY, trait))
    after = dict(own.found([person for person in EVERYBODY if person != gone], trait))
    assert set(after) == set(HELD_OUT) - {gone}
    for person, values in after.items():
        assert values == before[person]


def test_who_came_since_the_release_and_whom_it_leaves_out_shut_nobody_out(own: Institution) -> None:
    """As a nested release does; the file is attacked as it is."""
    strangers = [0, 1, 3]
    own.release(left_out=strangers)
    alone = dict(own.found([person for person in EVERYBODY if person not in strangers]))
    together = dict(own.found(EVERYBODY))
    assert together == alone
    assert set(together) == set(HELD_OUT)


def test_a_held_out_person_without_a_record_is_refused_with_a_way_on(own: Institution) -> None:
    own.release(left_out=HELD_OUT[:2])
    with pytest.raises(
        InputError, match=r"no record of 2 of the 15 held-out people; leave who is not in .*test\.json"
    ) as told:
        dict(own.found(EVERYBODY))
    assert "`afml prepare --without`" in told.value.cure
    assert len(dict(own.found([person for person in EVERYBODY if person not in HELD_OUT[:2]]))) == 13


def test_records_are_numbered_by_the_file(own: Institution) -> None:
    own.release(left_out=[7])
    prepared = own.prepare([5, 7, 9, 11])
    records = StoredRelease.of(prepared, "test").records()
    numbers = records.numbers(np.arange(4))
    assert numbers[1] == -1
    assert [records.people[number] for number in numbers[[0, 2, 3]]] == ["S5", "S9", "S11"]
    assert records.numbers(np.array([3, 0])).tolist() == numbers[[3, 0]].tolist()


def test_a_class_of_an_attribute_is_no_trait_to_be_read(tmp_path: Path, model: TrainedModel) -> None:
    """It is learned as one and has no column of its own; the message names what there is."""
    risk = RiskSettings(attributes=(Attribute(name="sex", classes=("female", "male")),))
    card = model.card | {RISK: risk.model_dump(mode="json")}
    weights = np.stack([model.weights, model.weights[::-1]])
    own = institution(tmp_path, replace(without_network(model), card=card, weights=weights, evidence=np.zeros(0)))
    own.release()
    with pytest.raises(ConfigError, match="'sex male' is no trait of the model as it was trained; it has phenotype;"):
        dict(own.found(EVERYBODY, Trait(name="sex male")))
