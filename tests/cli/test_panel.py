"""`afml panel`: made, looked at, compared, and prepared with, on a command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.consortium.card import NodeCard
from tests.cli.institution import SITES, Institution
from tests.cli.zygote import Zygote


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Institution:
    return Institution(tmp_path_factory.mktemp("panel"), afml)


def test_a_panel_is_made_once_and_prepared_with(good: Institution, afml: Zygote, tmp_path: Path) -> None:
    made = [tmp_path / "a.afml", tmp_path / "b.afml"]
    for number, out in enumerate(made):
        done = afml("panel", "create", good.root / "panel.vcf.gz", "--out", out, "--sites", SITES - number)
        assert done.code == 0, done.err
    there = afml(
        "panel", "create", good.root / "panel.vcf.gz", "--out", tmp_path / "r.afml", "--sites", SITES, "--regions", "22"
    )
    assert f"sites: {SITES}" in there.out
    told = afml("panel", "show", made[0]).out
    assert f"sites: {SITES}, 0 of them indels" in told
    assert "people: 60 people" in told
    assert afml("panel", "diff", made[0], made[0]).out == "the same panel\n"
    apart = afml("panel", "diff", *made)
    assert apart.code == 1
    assert "sites in a.afml alone: 1" in apart.out
    (tmp_path / "theirs").mkdir()
    theirs = Path(shutil.copy(made[1], tmp_path / "theirs" / "a.afml"))
    assert f"sites in {made[0]} alone: 1\nsites in {theirs} alone: 0" in afml("panel", "diff", made[0], theirs).out
    assert "is not a panel file" in afml("panel", "show", good.root / "people.tsv").complaint()

    files = ("--vcf", good.root / "own.vcf.gz", "--phenotypes", good.root / "people.tsv", "--seed", 1)
    cards = []
    for number, panel in enumerate(
        (("--panel-vcf", good.root / "panel.vcf.gz", "--sites", SITES), ("--site-panel", made[0]))
    ):
        work = tmp_path / f"work-{number}"
        done = afml("prepare", "--kit", good.root / "kits" / "node-1", "--work", work, *files, *panel)
        assert done.code == 0, done.err
        cards.append(NodeCard.load(work / "card.json"))
    assert cards[0].data == cards[1].data
    line = afml(
        "prepare", "--kit", good.root / "kits" / "node-1", "--work", tmp_path / "no", *files, "--site-panel", made[0],
        "--sites", 3,
    ).complaint()  # fmt: skip
    assert "--sites is settled in the file of --site-panel: leave it out" in line
