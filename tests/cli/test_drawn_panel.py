"""A consortium without a public panel of people: from a VCF of frequencies to an all-private release."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.core.files import write_bytes
from afml.genomics.drawn import draw_people
from afml.genomics.files import GenotypeFiles
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.masking.chosen import masking_settings
from afml.masking.model import TrainedModel
from afml.masking.settings import GAME, RISK
from afml.training.inprocess import train_in_process
from afml.trial.kits import make_kits
from node.guard import open_ledger
from node.privacy import PrivacyStatement
from node.release import Wanted, release
from node.workspace import Workspace, load_holdings
from tests.cli.zygote import Outcome, Zygote
from tests.genomics.test_drawn import write_sites
from tests.holdout import fixed_holdout
from tests.simulated import simulate_dosage, write_vcf

NODES, PEOPLE, SITES = 2, 60, 24


class Consortium:
    """Two institutions and the frequencies of a cohort that is neither of theirs."""

    def __init__(self, root: Path, afml: Zygote) -> None:
        self.root, self.afml = root, afml
        dosage = simulate_dosage(100 + NODES * PEOPLE, SITES, seed=3)
        self.cohorts = [dosage[100 + n * PEOPLE : 100 + (n + 1) * PEOPLE] for n in range(NODES)]
        frequency = dosage[:100].mean(axis=0) / 2
        self.records = [f"22 {1000 + 100 * s} A G AF_x={value:.4f}" for s, value in enumerate(frequency)]
        write_sites(root / "panel.vcf.gz", self.records)
        make_kits(root / "kits", "test", NODES)
        for node, own in enumerate(self.cohorts, start=1):
            names = [f"N{node}-{i}" for i in range(PEOPLE)]
            write_vcf(root / f"node-{node}.vcf.gz", own, samples=names)
            write_phenotypes(root / f"node-{node}.tsv", names, (own[:, 3] > 0).astype(np.int8))

    def prepare(self, node: int, **changes: object) -> Outcome:
        options = {
            "--kit": self.root / "kits" / f"node-{node}", "--vcf": self.root / f"node-{node}.vcf.gz",
            "--panel-vcf": self.root / "panel.vcf.gz", "--panel-af-field": "AF_x", "--drawn-people": 80,
            "--phenotypes": self.root / f"node-{node}.tsv", "--work": self.root / f"work-{node}",
        } | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}  # fmt: skip
        fixed_holdout(Path(str(options["--work"])))
        return self.afml("prepare", *[part for pair in options.items() if pair[1] is not None for part in pair])

    def work(self, node: int) -> Workspace:
        return Workspace(self.root / f"work-{node}")


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("no panel"), afml)
    for node in range(1, NODES + 1):
        done = made.prepare(node)
        assert done.code == 0, done.err
    return made


@pytest.fixture(scope="module")
def config(consortium: Consortium) -> RunConfig:
    """No step of the game on the panel: both networks learn from private rounds alone."""
    root = consortium.root
    done = consortium.afml(
        "configure", *[consortium.work(n).card for n in range(1, NODES + 1)], "--kit", root / "kits" / "coordinator",
        "--out", root / "run.json", "--run", "all-private", "--ple", 5, "--rounds", 3, "--game-rounds", 2,
        "--game-steps", 0, "--game-share", 0.5, "--noise", "local", "--min-group-size", 5, "--seed", 1,
    )  # fmt: skip
    assert done.code == 0, done.err
    return RunConfig.load(root / "run.json")


def test_every_institution_draws_the_same_panel(consortium: Consortium) -> None:
    files = [GenotypeFiles(consortium.work(n).data) for n in (1, 2)]
    panels = [SitePanel.load(one.site_panel) for one in files]
    assert [panel.drawn_people for panel in panels] == [80, 80]
    assert panels[0].digest() == panels[1].digest()
    drawn = [GenotypeStore.open(one.panel_store).dosage() for one in files]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], draw_people(panels[0]))


def test_other_draws_are_another_panel(consortium: Consortium, tmp_path: Path) -> None:
    """How many are drawn is agreed upon like everything else: `configure` compares digests."""
    done = consortium.prepare(2, drawn_people=81, work=tmp_path / "work")
    assert done.code == 0
    assert "panel drawn from allele frequencies: 81 people, independent sites" in done.out.splitlines()
    cards = (consortium.work(1).card, tmp_path / "work" / "card.json")
    kit = consortium.root / "kits" / "coordinator"
    line = consortium.afml("configure", *cards, "--kit", kit, "--out", tmp_path / "run.json").complaint()
    assert "the institutions disagree on their data" in line


def test_an_all_private_release_says_where_its_panel_comes_from(consortium: Consortium, config: RunConfig) -> None:
    holdings = {n: load_holdings(consortium.work(n), config) for n in range(1, NODES + 1)}
    settings, task = masking_settings(config), holdings[1].task
    assert settings.game.steps == 0
    assert [phase.name for phase in config.phases] == [RISK, GAME]
    train_in_process(config, task, {n: one.enrolled for n, one in holdings.items()})
    model = task.model()
    assert isinstance(model, TrainedModel)
    assert len(model.game)
    assert model.card["panel"] == "panel drawn from allele frequencies: 80 people, independent sites"
    work = consortium.work(1)
    spent = PrivacyStatement(epsilon=1, delta=1e-5, ple_sigma=1, ple_at_delta=1, accountant="closed form",
                             epsilon_fixed_plan=1, ple_sigma_fixed_plan=1,
                             epsilon_if_aggregation_broken=1)  # fmt: skip
    write_bytes(work.privacy(config.run), spent.canonical())
    with open_ledger(work, load_node_kit(consortium.root / "kits" / "node-1")) as ledger:
        model.save(work.model(config.run))
        done = release(work, config, settings.release, ledger, Wanted(force=True))
    assert done.released.min_group_size >= 5
    header = gzip.decompress(done.files[0].read_bytes()).decode()
    assert "\n##afml_panel=panel drawn from allele frequencies: 80 people, independent sites\n" in header


def test_frequencies_that_are_not_there_are_refused_in_one_line(consortium: Consortium, tmp_path: Path) -> None:
    line = consortium.prepare(1, panel_af_field="AF", work=tmp_path / "work").complaint()
    assert line == (
        f"{consortium.root / 'panel.vcf.gz'}: no site is left of {SITES} ({SITES} without one INFO/AF in [0, 1] per "
        "ALT); name the INFO field of its frequencies, or give a panel with genotypes"
    )
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["holdout.key"]  # that was there before
    own = consortium.root / "node-1.vcf.gz"
    assert "holds people" in consortium.prepare(1, panel_vcf=own, work=tmp_path / "work").complaint()
    line = consortium.prepare(1, panel_vcf=own, panel_af_field=None, work=tmp_path / "work").complaint()
    assert line == f"{own}: holds people: none are drawn beside them; leave the number of drawn people out"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["holdout.key"]  # that was there before
    assert "--drawn-people" in consortium.prepare(1, drawn_people=1, work=tmp_path / "work").complaint()
