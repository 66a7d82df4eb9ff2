"""`afml demo` with every option that trusts less, in short: overlap, verified sums, proven noise, hybrid keys.

Its packages tell the phenotype, as the page for their recipients wants them.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from afml.consortium.run import RunConfig
from afml.data.people import PeopleTable
from afml.trial.demo import TWICE
from node.workspace import Workspace
from tests.processes import REPOSITORY, afml
from tests.terminal import Terminal

NODES, LIMIT_S = 3, 1500
OPTIONS = ("--simulated-people", 690, "--panel-people", 90, "--nodes", NODES, "--sites", 512, "--rounds", 2,
           "--game-rounds", 1, "--game-steps", 4, "--causal", 5, "--patterns", 2, "--heritability", 0.1)  # fmt: skip
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished demo, and what it said."""
    pytest.importorskip("msprime", reason="the optional extra 'simulate' is not installed")
    out = tmp_path_factory.mktemp("trust") / "out"
    done = afml(
        "demo", "--out", out, *OPTIONS, "--overlap", "--verified-sums", "--exact-noise", "--traits", timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_its_run_is_signed_with_all_of_them(demo: tuple[Path, str]) -> None:
    run = RunConfig.load(demo[0] / "run.json")
    assert (run.verified_sums, run.exact_noise, run.key_agreement) == (True, True, "x25519-mlkem768")


def test_nobody_is_enrolled_at_two_institutions(demo: tuple[Path, str]) -> None:
    """Of everybody who was planted at two, one record is gone, or one is held out and was not asked about."""
    out, said = demo
    tables = {n: PeopleTable.load(Workspace(out / f"node-{n}").people) for n in range(1, NODES + 1)}
    enrolled = {
        name: bool(one) for table in tables.values() for name, one in zip(table.samples, table.enrolled, strict=True)
    }
    with (out / "data" / "twice.tsv").open() as lines:
        pairs = [(row["sample"], row["again"]) for row in csv.DictReader(lines, delimiter="\t")]
    assert len(pairs) == TWICE
    left = [pair for pair in pairs if not set(pair) <= set(enrolled)]
    assert left, "somebody is enrolled at two"
    assert all(len(set(pair) - set(enrolled)) == 1 for pair in left)
    assert not any(enrolled[one] and enrolled[other] for one, other in set(pairs) - set(left))
    assert RunConfig.load(out / "run.json").enrolled == {n: int(table.enrolled.sum()) for n, table in tables.items()}
    assert re.search(rf"^overlap: {len(left)} records are left out", said, re.MULTILINE)
    report = json.loads((out / "report.json").read_text())
    assert report["overlap"] == {"queries": 1, "found": len(left), "left_out": len(left)}
    assert re.search(rf"two institutions:\s+{len(left)} found before training, {len(left)} of them left out", said)
    assert f"{len(left)} of these are left out at one of the two" in (out / "report.html").read_text()
    names = [name for pair in left for name in pair]
    assert not any(name in said for name in names)


def test_a_recipient_does_with_its_package_what_the_page_says(demo: tuple[Path, str]) -> None:
    """The commands of docs/for/recipient.md, with the places that it names for what `make demo TRAITS=1` leaves."""
    page = (REPOSITORY / "docs" / "for" / "recipient.md").read_text(encoding="utf-8")
    hour = page.split("\n## In an hour\n")[1].split("\n## What people ask")[0]
    there = [one.removeprefix("runs/demo/") for one in re.findall(r"`(runs/demo/[^`]+)`", hour)]
    places = dict(zip(("package", "roster.json", "PEOPLE.vcf.gz", "PUBLIC.vcf.gz"), there, strict=True))
    typed = re.findall(r"`((?:afml [^`]*package|cd package)\b[^`]*)`", hour)
    assert len(typed) == 3
    terminal = Terminal(demo[0])
    for line in typed:
        terminal.type(re.sub("|".join(map(re.escape, places)), lambda name: places[name[0]], line))
    package = demo[0] / places["package"]
    assert f"{places['package']}: published " in terminal.said
    (stated,) = json.loads((package / "release_card.json").read_text())["utility"]
    (learned,) = re.findall(r"^phenotype AUC (\S+)$", terminal.said, re.MULTILINE)
    assert float(learned) == pytest.approx(stated["value"], abs=2e-3)
    assert re.search(r"^genotypes shown: +\d+, ", terminal.said, re.MULTILINE)
    assert "its records are called like nobody" in terminal.said
    names = terminal.said.split()
    assert not set(PeopleTable.load(Workspace(demo[0] / "node-1").people).samples) & set(names)
