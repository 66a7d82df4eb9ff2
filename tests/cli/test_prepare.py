"""`afml prepare` with tables, arrays and images: the work folder, the card, and options that do not go together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from afml.consortium import messages
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import load_node_kit
from afml.data.people import PeopleTable
from afml.data.prepared import Prepared
from afml.data.schema import Schema
from afml.data.source import open_source
from afml.trial.kits import make_kits
from crypto.public.signing import public_bytes, verify
from node.workspace import Workspace
from tests.cli.zygote import Outcome, Zygote

SCHEMA = """
targets = ["ill"]
[[columns]]
name = "age"
low = 0
high = 100
[[columns]]
name = "ill"
kind = "binary"
"""


class Site:
    """A table of 60 people, three rows each."""

    def __init__(self, root: Path, afml: Zygote) -> None:
        self.root, self._afml = root, afml
        make_kits(root / "kits", "test", 2)
        lines = [f"p{row % 60},{row % 120},{row % 2}" for row in range(180)]
        (root / "t.csv").write_text("\n".join(["person,age,ill", *lines]) + "\n")
        (root / "schema.toml").write_text(SCHEMA)

    def prepare(self, work: Path, *options: object) -> Outcome:
        return self._afml("prepare", "--kit", self.root / "kits" / "node-1", "--work", work, *options)

    def table(self, work: Path, *options: object) -> Outcome:
        files = ("--table", self.root / "t.csv", "--schema", self.root / "schema.toml")
        return self.prepare(work, "--data", "table", *files, *options)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Site:
    return Site(tmp_path_factory.mktemp("site"), afml)


def test_a_table_becomes_a_work_folder(site: Site, tmp_path: Path) -> None:
    done = site.table(tmp_path / "work")
    assert done.code == 0, done.err
    work = Workspace(tmp_path / "work")
    card = NodeCard.load(work.card)
    lines = done.out.splitlines()
    assert lines[-1] == f"node 1: 1 features, {card.enrolled} people enrolled; card in {work.card}"
    assert lines[-2] == "age: 19 of 180 rows were outside of the declared range and count as its end"
    kit = load_node_kit(site.root / "kits" / "node-1")
    verify(public_bytes(kit.signing_key), messages.node_card(card.unsigned()), bytes.fromhex(card.signature))
    assert card.data.fingerprint == Schema.load(site.root / "schema.toml").digest().hex()
    people = PeopleTable.load(work.people)
    assert people.samples == tuple(f"p{number}" for number in range(60))
    assert people.enrolled.sum() == card.enrolled < 60
    assert work.people.stat().st_mode & 0o777 == 0o600
    prepared = Prepared(work.data, work.people, card.data)
    source = open_source(prepared.folder)
    assert source.row_counts.tolist() == [3] * 60
    assert len(source.rows_of(prepared.enrolled)) == 3 * card.enrolled
    assert sorted(path.name for path in work.root.iterdir()) == ["card.json", "data", "holdout.key", "people.tsv"]


def test_other_people_in_a_folder_are_told_and_refused_once_runs_have_enrolled_some(site: Site, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert "whom this folder held" not in site.table(work).out
    assert "whom this folder held" not in site.table(work).out, "the same again"
    table, rows = tmp_path / "t.csv", (site.root / "t.csv").read_text().splitlines()
    schema = ("--schema", site.root / "schema.toml", "--data", "table", "--table", table)
    table.write_text("\n".join(row for row in rows if not row.startswith("p59,")) + "\nq1,3,1\nq2,4,0\n")
    Workspace(work).model("first").mkdir(parents=True)  # what a run leaves
    done = site.prepare(work, *schema)
    assert done.code == 0, done.err
    assert "of 60 people whom this folder held 59 stay, and 2 others have come\n" in done.out
    table.write_text("\n".join([rows[0], *(f"x{row}" for row in rows[1:])]) + "\n")
    before = Workspace(work).card.read_bytes()
    done = site.prepare(work, *schema)
    assert done.code == 2
    assert "work: these are other people: of 61 who were here when runs enrolled them 0 are among them; " in done.err
    assert done.err.rstrip().endswith("or give --force if the same are called otherwise now")
    assert (Workspace(work).card.read_bytes(), people(work)[0]) == (before, "p0")
    done = site.prepare(work, *schema, "--force")
    assert done.code == 0, done.err
    assert "of 61 people whom this folder held 0 stay, and 60 others have come\n" in done.out
    table.write_text("\n".join([rows[0], *(f"x{row}" for row in rows[1:] if not row.startswith("p0,"))]) + "\n")
    assert "of 60 people whom this folder held 59 stay, and nobody else has come\n" in site.prepare(work, *schema).out
    fresh = tmp_path / "fresh"
    site.table(fresh)
    assert site.prepare(fresh, *schema).code == 0, "no run has enrolled anybody from it"


def people(work: Path) -> tuple[str, ...]:
    return PeopleTable.load(Workspace(work).people).samples


def test_preparing_again_enrols_the_same_people_and_replaces_the_data(site: Site, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    assert site.table(tmp_path).code == 0
    first = work.people.read_text()
    items = np.zeros((180, 2))
    np.save(tmp_path / "x.npy", items)
    schema = tmp_path / "array.toml"
    schema.write_text(
        'targets = ["ill"]\n[array]\nshape = [2]\nlow = 0\nhigh = 1\n[[columns]]\nname = "ill"\nkind = "binary"\n'
    )
    options = ("--data", "array", "--table", site.root / "t.csv", "--schema", schema)
    done = site.prepare(tmp_path, *options, "--features", tmp_path / "x.npy")
    assert done.code == 0, done.err
    assert work.people.read_text() == first
    assert open_source(work.data).shape == (2,)
    seeded = [tmp_path / "seeded 1", tmp_path / "seeded 2"]
    for folder in seeded:
        assert site.table(folder, "--seed", 3).code == 0
    assert Workspace(seeded[0]).people.read_text() == Workspace(seeded[1]).people.read_text()
    assert not (seeded[0] / "holdout.key").exists()
    assert Workspace(seeded[0]).seeded.exists()
    assert site.table(seeded[0]).code == 0
    assert not Workspace(seeded[0]).seeded.exists()


def test_a_failure_leaves_what_was_there(site: Site, tmp_path: Path) -> None:
    work = tmp_path / "work"
    bad = tmp_path / "bad.csv"
    bad.write_text("person,age,ill\na,4711 years,1\n")
    files = ("--data", "table", "--table", bad, "--schema", site.root / "schema.toml")
    line = site.prepare(work, *files).complaint()
    assert line.startswith(
        f"{bad}: column 'age' holds something else than a number in 1 of 1 rows (the first is row 1)"
    )
    assert not work.exists()
    assert site.table(work).code == 0
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    assert "column 'age'" in site.prepare(work, *files).complaint()
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


def test_options_that_do_not_go_together(site: Site, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert (
        site.prepare(work).complaint().startswith("Missing option '--vcf'. For example: afml prepare --kit kit --vcf ")
    )
    assert site.prepare(work, "--data", "table").complaint().startswith("Missing option '--table'. For example: afml ")
    assert "Missing option '--images'" in site.prepare(
        work, "--data", "images", "--table", site.root / "t.csv", "--schema", site.root / "schema.toml"
    ).complaint()  # fmt: skip
    line = "--sites: does not go with --data table; leave it out"
    assert site.table(work, "--sites", 5).complaint() == line
    assert (
        site.table(work, "--exclude", "x.bed").complaint() == "--exclude: does not go with --data table; leave it out"
    )
    assert "'genotypes', 'matrix', 'table', 'array', 'images'" in site.prepare(work, "--data", "text").complaint()
    assert "--holdout: 1.0 is not a fraction in [0, 1)" in site.table(work, "--holdout", 1.0).complaint()
    assert site.table(work, "--holdout", 0.999, "--seed", 2).complaint() == (
        "--holdout: nobody is left to train on; lower it"
    )
    assert not work.exists()


def test_cards_of_other_schemas_differ(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "schema.toml"
    other.write_text(SCHEMA.replace("100", "101"))
    options = ("--data", "table", "--table", site.root / "t.csv", "--schema")
    cards = []
    for number, schema in enumerate((site.root / "schema.toml", other)):
        assert site.prepare(tmp_path / str(number), *options, schema).code == 0
        cards.append(json.loads((tmp_path / str(number) / "card.json").read_text()))
    assert cards[0]["data"]["fingerprint"] != cards[1]["data"]["fingerprint"]
    assert cards[0]["data"]["kind"] == cards[1]["data"]["kind"] == "table"


def test_a_task_says_which_kind_of_data_it_takes(site: Site, tmp_path: Path) -> None:
    files = ("--table", site.root / "t.csv", "--schema", site.root / "schema.toml")
    for options, line in (
        (
            ("--task", "masking", "--data", "table"),
            "afml: task masking: does not train on table; give --data genotypes",
        ),
        (("--task", "masking"), "afml: --table: does not go with --data genotypes; leave it out"),
        (("--task", "nothing"), "afml: --task: the task nothing is not installed here; install its package"),
    ):
        done = site.prepare(tmp_path / "work", *files, *options)
        assert done.code == 2
        assert done.err.startswith(line)
        assert not (tmp_path / "work").exists()


def test_a_card_says_how_many_are_kept_out_where_it_is_told_to(site: Site, tmp_path: Path) -> None:
    assert "held_out" not in json.loads((_prepared(site, tmp_path / "silent")).read_text())
    said = site.table(tmp_path / "work", "--declare-held-out")
    assert said.code == 0, said.err
    card = NodeCard.load(tmp_path / "work" / "card.json")
    assert card.held_out == 60 - card.enrolled
    assert f"{card.enrolled} people enrolled, {card.held_out} kept out; card in" in said.out
    kit = load_node_kit(site.root / "kits" / "node-1")
    verify(public_bytes(kit.signing_key), messages.node_card(card.unsigned()), bytes.fromhex(card.signature))
    told = "nobody is kept out of training (--holdout 0): nothing can be evaluated on these people, and no release of "
    assert told in site.table(tmp_path / "everybody", "--holdout", 0).out
    assert "nobody is kept out" not in site.table(tmp_path / "some", "--holdout", 0.5).out
    nobody = site.table(tmp_path / "all", "--declare-held-out", "--holdout", 0)
    assert nobody.code == 2
    assert "nobody is kept out of training" in nobody.err
    assert not (tmp_path / "all").exists()


def _prepared(site: Site, work: Path) -> Path:
    done = site.table(work)
    assert done.code == 0, done.err
    return work / "card.json"
