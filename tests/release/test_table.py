"""The codebook table, and the recipe that reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

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
    method = METHODS.get(plan.method)
    people = learning_people(plan.model, PANEL, method.mosaics(8), near=method.many)
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


def test_a_record_that_shows_no_pattern_is_told_from_those_that_do(plan: ReleasePlan) -> None:
    people = dosages(60, SITES, seed=4)
    released = apply_plan(plan, people)
    np.testing.assert_array_equal(plan.pattern_of(released.dosage), released.patterns)
    np.testing.assert_array_equal(plan.pattern_of(np.asfortranarray(released.dosage)), released.patterns)
    assert plan.pattern_of(people[:3] % 2 + 1).tolist() == [-1, -1, -1]
    mean, _ = expected(plan, PANEL)
    np.testing.assert_array_equal(Decoder(plan, PANEL)(people[:3] % 2 + 1), mean[[0, 0, 0]])


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


def test_the_recipe_for_r(plan: ReleasePlan, tmp_path: Path) -> None:
    """Its block of the page, on a file of the package's kind."""
    if shutil.which("Rscript") is None:
        pytest.skip("no Rscript: the recipe is not run")
    panel = sites_panel(SITES)
    released = apply_plan(plan, dosages(60, SITES, seed=4))
    order = write_release(tmp_path, panel, released.shown, header=["##afml_use=test"], shows=released.patterns)
    told = GENOTYPES.told(panel, released.shown, plan.masked)
    (tmp_path / "codebook.tsv").write_text(codebook_table(plan, PANEL, ["my gout"], told))
    (block,) = re.findall(r"```r\n(.*?)```", RECIPE.read_text(encoding="utf-8"), re.DOTALL)
    mean, _ = expected(plan, PANEL)
    score = mean[released.patterns[order], 0]
    ill = (score + np.random.default_rng(1).normal(size=60) > score.mean()).astype(int)
    given = f"phenotype <- c({', '.join(map(str, ill))})\ntraining <- seq_len(60) <= 45\n"
    told_back = "\nwrite(features[[1]], 'features.txt', ncolumns = 1)\nwrite(coef(model)[2], 'effect.txt')\n"
    subprocess.run(["Rscript", "-"], input=given + block + told_back, cwd=tmp_path, check=True, text=True)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "features.txt"), score, rtol=1e-4, atol=1e-6)
    model = LogisticRegression(C=np.inf).fit(score[:45, None], ill[:45])
    assert float((tmp_path / "effect.txt").read_text()) == pytest.approx(model.coef_[0, 0], rel=1e-2)


def test_the_recipe_for_plink2(plan: ReleasePlan, tmp_path: Path) -> None:
    """Its script is run where there is awk, and what follows where there is plink2."""
    if shutil.which("awk") is None:
        pytest.skip("no awk: the script of the recipe is not run")
    released = apply_plan(plan, dosages(60, SITES, seed=4))
    order = write_release(
        tmp_path, sites_panel(SITES), released.shown, header=["##afml_use=test"], shows=released.patterns
    )
    told = GENOTYPES.told(sites_panel(SITES), released.shown, plan.masked)
    (tmp_path / "codebook.tsv").write_text(codebook_table(plan, PANEL, ["my gout"], told))
    text = RECIPE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```awk\n(.*?)```", text, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(gunzip.*?)```", text, re.DOTALL)
    (tmp_path / "make_scores.awk").write_text(script)
    making, *training = commands.splitlines()
    subprocess.run(["sh", "-ec", making], cwd=tmp_path, check=True)
    *_, head, line = (tmp_path / "scores.vcf").read_text().splitlines()
    people = head.split("\t")[9:]
    place, name, *dosage = np.array(line.split("\t"))[[1, 2, *range(9, 69)]]
    mean, _ = expected(plan, PANEL)
    score = mean[released.patterns[order], 0]
    assert (place, name) == ("3", "score_my_gout")
    stretched = 2 * (score - mean[:, 0].min()) / (mean[:, 0].max() - mean[:, 0].min())
    np.testing.assert_allclose(np.array(dosage, dtype=np.float64), stretched, atol=1e-4)
    if shutil.which("plink2") is None:
        pytest.skip("no plink2: the recipe is not run")
    ill = (score + np.random.default_rng(1).normal(size=60) > score.mean()).astype(int)
    (tmp_path / "phenotypes.tsv").write_text(
        "#IID\tgout\n" + "".join(f"{person}\t{value}\n" for person, value in zip(people, ill, strict=True))
    )
    (tmp_path / "training.txt").write_text("\n".join(people[:45]) + "\n")
    subprocess.run(["sh", "-ec", "\n".join(training)], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    (fitted,) = tmp_path.glob("fit.*.glm.*")
    found = pd.read_csv(fitted, sep="\t").set_index("ID").loc["score_my_gout"]
    assert found["OBS_CT"] == 45
    model = LogisticRegression(C=np.inf).fit(stretched[:45, None], ill[:45])
    effect = float(found["OR"])
    if str(found["A1"]) == "A":  # the effect is of the allele that plink2 counts, here the rarer one
        effect = 1 / effect
    assert np.log(effect) == pytest.approx(model.coef_[0, 0], abs=0.02)
