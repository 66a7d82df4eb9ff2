"""Expression from two institutions to masked matrices: only public bins are kept, trained on and released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.core.files import write_bytes
from afml.genomics.files import GenotypeFiles
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.release import Output
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.masking.chosen import masking_settings
from afml.masking.model import TrainedModel
from afml.matrices.bins import Bins
from afml.release.released import apply_plan
from afml.training.inprocess import train_in_process
from afml.trial.kits import make_kits
from node.guard import open_ledger
from node.privacy import PrivacyStatement
from node.release import Wanted, release
from node.released import read_aligned
from node.workspace import Workspace, load_holdings
from tests.cli.zygote import Outcome, Zygote
from tests.holdout import fixed_holdout
from tests.matrices.simulated import expression, names_of, write_h5ad, write_table

PEOPLE, FEATURES, KEPT = 80, 16, 12


class Consortium:
    """Two institutions, one with TSV and one with AnnData, and public people in Parquet."""

    def __init__(self, root: Path, afml: Zygote) -> None:
        self.root, self.afml = root, afml
        features = names_of(FEATURES)
        self.public, self.own = (
            expression(200, FEATURES, seed=7),
            [expression(PEOPLE, FEATURES, seed=n) for n in (1, 2)],
        )
        self.own[0][3, 5] = np.nan
        write_table(root / "panel.parquet", [f"public-{n}" for n in range(200)], features, self.public)
        make_kits(root / "kits", "test", 2)
        for node, values in enumerate(self.own, start=1):
            write_phenotypes(root / f"node-{node}.tsv", self.names(node), (values[:, 3] > 100).astype(np.int8))
        write_table(root / "m1.tsv", self.names(1), features, self.own[0])
        write_h5ad(root / "m2.h5ad", self.names(2), features, self.own[1], sparse=True)

    def names(self, node: int) -> list[str]:
        return [f"SECRET{node}-{n}" for n in range(PEOPLE)]

    def prepare(self, node: int, **changes: object) -> Outcome:
        options = {
            "--kit": self.root / "kits" / f"node-{node}", "--data": "matrix",
            "--matrix": self.root / ("m1.tsv" if node == 1 else "m2.h5ad"),
            "--panel-matrix": self.root / "panel.parquet", "--most-varying": KEPT, "--log": True,
            "--phenotypes": self.root / f"node-{node}.tsv", "--work": self.root / f"work-{node}",
        } | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}  # fmt: skip
        fixed_holdout(Path(str(options["--work"])))
        return self.afml("prepare", *[part for pair in options.items() for part in pair])

    def work(self, node: int) -> Workspace:
        return Workspace(self.root / f"work-{node}")


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("expression"), afml)
    for node in (1, 2):
        done = made.prepare(node)
        assert done.code == 0, done.err
        assert ("1 of 960 numbers are missing" in done.out) == (node == 1)
    return made


def test_what_is_stored_is_everybodys_bins(consortium: Consortium) -> None:
    panels = [SitePanel.load(GenotypeFiles(consortium.work(n).data).site_panel) for n in (1, 2)]
    assert panels[0].digest() == panels[1].digest()
    bins = Bins.of(panels[0])
    spread = np.log1p(consortium.public).std(axis=0)
    kept = np.sort(np.argsort(-spread)[:KEPT])
    assert bins.features == tuple(np.array(names_of(FEATURES))[kept])
    for node, values in enumerate(consortium.own, start=1):
        store = GenotypeStore.open(GenotypeFiles(consortium.work(node).data).cohort_store)
        assert np.array_equal(store.dosage(), bins.coded(values[:, kept]))
        assert store.samples == consortium.names(node)


def test_a_release_shows_bins_of_public_edges_alone(consortium: Consortium) -> None:
    root = consortium.root
    done = consortium.afml(
        "configure", *[consortium.work(n).card for n in (1, 2)], "--kit", root / "kits" / "coordinator",
        "--out", root / "run.json", "--run", "bins", "--ple", 5, "--rounds", 3, "--game-rounds", 0,
        "--game-steps", 0, "--noise", "local", "--min-group-size", 5, "--seed", 1,
    )  # fmt: skip
    assert done.code == 0, done.err
    config = RunConfig.load(root / "run.json")
    assert config.data.kind == "matrix"
    holdings = {n: load_holdings(consortium.work(n), config) for n in (1, 2)}
    train_in_process(config, holdings[1].task, {n: one.enrolled for n, one in holdings.items()})
    model = holdings[1].task.model()
    assert isinstance(model, TrainedModel)
    work, settings = consortium.work(1), masking_settings(config).release
    spent = PrivacyStatement(epsilon=1, delta=1e-5, ple_sigma=1, ple_at_delta=1, accountant="closed form",
                             epsilon_fixed_plan=1, ple_sigma_fixed_plan=1,
                             epsilon_if_aggregation_broken=1)  # fmt: skip
    write_bytes(work.privacy(config.run), spent.canonical())
    dosage = GenotypeStore.open(GenotypeFiles(work.data).cohort_store).dosage()
    with open_ledger(work, load_node_kit(root / "kits" / "node-1")) as ledger:
        model.save(work.model(config.run))
        for form in ("tsv", "parquet", "h5ad"):
            made = release(work, config, settings, ledger, Wanted(Output(form), force=True))
            assert [path.name for path in made.files] == [f"release.{form}"]
            assert np.array_equal(read_aligned(work, config.run), apply_plan(made.plan, dosage).dosage)
            assert made.released.min_group_size >= 5
            whole = b"".join(path.read_bytes() for path in work.release(config.run).iterdir())
            assert b"SECRET" not in whole
        for output in (Output("vcf"), Output(per_contig=True)):
            with pytest.raises(ConfigError, match="data of the kind matrix"):
                release(work, config, settings, ledger, Wanted(output))
    about = (work.release(config.run) / "about.json").read_text()
    assert '"masked":"an empty cell"' in about
    assert "not for distributions" in about


def test_what_does_not_fit_is_refused_in_one_line(consortium: Consortium, tmp_path: Path) -> None:
    other = tmp_path / "other.tsv"
    write_table(other, consortium.names(1), tuple(f"X{n}" for n in range(FEATURES)), consortium.own[0])
    line = consortium.prepare(1, matrix=other, work=tmp_path / "work").complaint()
    assert line.startswith(f"{other}: lacks 12 of the public matrix's 12 features")
    line = consortium.prepare(1, far=0.2, work=tmp_path / "work").complaint()
    assert "the second edge is not beyond the first" in line
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["holdout.key"]
