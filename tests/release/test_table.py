"""The codebook table, and the recipe that reads it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from afml.genomics.release import write_release
from afml.genomics.released import GENOTYPES
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.method import METHODS
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.public import learning_people
from afml.release.released import apply_plan
from afml.release.table import Decoder, codebook_table, expected
from tests.masking.simulated import dosages, sites_panel
from tests.release.simulated import PANEL, SITES

RECIPE = Path(__file__).parents[2] / "docs" / "RELEASE.md"


@pytest.fixture(scope="module", params=["cells", "codebook"])
def plan(request: pytest.FixtureRequest, model: TrainedModel) -> ReleasePlan:
    settings = ReleaseSettings(method=request.param, min_group_size=3, patterns=8)
    return plan_release(model, PANEL, settings, people_per_file=60)


def test_a_pattern_says_what_the_public_people_who_take_it_score(plan: ReleasePlan) -> None:
    mean, deviation = expected(plan, PANEL)
    people = learning_people(plan.model, PANEL, METHODS.get(plan.method).mosaics(8))
    score = plan.model.risk_score(people)
    taken = plan.codebook.assign(people, score)
    for index in range(len(plan.codebook.patterns)):
        own = score[taken == index] if (taken == index).any() else None
        assert mean[index, 0] == pytest.approx(plan.codebook.centroids[index, 0] if own is None else own.mean())
        assert deviation[index, 0] == pytest.approx(score.std() if own is None else own.std(), abs=1e-6)


def test_records_are_read_as_the_table_says(plan: ReleasePlan) -> None:
    released = apply_plan(plan, dosages(60, SITES, seed=4))
    mean, _ = expected(plan, PANEL)
    assert np.array_equal(Decoder(plan, PANEL)(released.dosage), mean[released.patterns])


def test_the_recipe_reads_a_released_file_as_its_table_says(
    plan: ReleasePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = sites_panel(SITES)
    released = apply_plan(plan, dosages(60, SITES, seed=4))
    order = write_release(tmp_path, panel, released.shown, header=["##afml_use=test"], shows=released.patterns)
    told = GENOTYPES.told(panel, released.shown, plan.masked)
    (tmp_path / "codebook.tsv").write_text(codebook_table(plan, PANEL, ["gout"], told))
    monkeypatch.chdir(tmp_path)
    text = RECIPE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(import gzip\n.*?)```", text, re.DOTALL)
    phenotype = pd.Series(np.arange(60) % 2)
    names = {"phenotype": phenotype, "training": np.arange(60) < 40}
    exec(compile(block, str(RECIPE), "exec"), names)
    mean, _ = expected(plan, PANEL)
    read = np.asarray(names["features"])[:, 0]
    assert read == pytest.approx(mean[released.patterns[order], 0], rel=1e-4)
