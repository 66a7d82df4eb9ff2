"""The example of examples/reassess, typed as its page has it: release, reassess, withdraw, release once more."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pysam
import pytest

from tests.cli.zygote import Outcome, Zygote

EXAMPLE = Path(__file__).parents[2] / "examples" / "reassess"
NODE = ("--kit", "consortium/kits/node-1", "--work", "consortium/node-1", "--run")


def lines() -> list[str]:
    """Every command of the page, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), flags=re.S)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


class Page:
    """Types the page's commands in a folder."""

    def __init__(self, folder: Path, afml: Zygote) -> None:
        self.folder, self.afml = folder, afml
        self.done: list[Outcome] = []

    def type(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[0] == "afml":
            self.done.append(self.afml(*words[1:], cwd=self.folder))
            assert self.done[-1].code == (7 if "# refused" in line else 0), line + self.done[-1].err
        elif words[0] == "python":
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(self.folder)
                patch.setattr("sys.argv", words[1:])
                runpy.run_path(str(EXAMPLE / words[1]), run_name="__main__")
        else:
            echoed, place = words[1], words[3]
            assert (words[0], words[2]) == ("echo", ">")
            (self.folder / place).write_text(echoed + "\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Page:
    made = Page(tmp_path_factory.mktemp("reassess"), afml)
    for line in lines():
        made.type(line)
    return made


def test_the_page_says_what_happens(page: Page) -> None:
    first, again, withdrawn, refused, second, both, shown, verified = page.done
    assert "node 1: 4 patterns, smallest group " in first.out
    assert "named by 5 relatives, degree 1:" in again.out
    assert "400 public people" in again.out
    assert re.search(r"promises: +all kept", again.out)
    assert "1 person has withdrawn" in withdrawn.out
    assert "`afml mask --nested`" in refused.complaint()
    assert re.search(r"nested in 4 groups that earlier releases made of these people, 9 people left out", second.out)
    assert re.search(r"joint groups: +least 1\d, promised 10, with 1 other releases of them\n", both.out)
    assert "together with run asthma" in both.out
    assert re.search(r"a next release, nested: +\d+ groups, \d+ joint groups at most, \d+ people left out", both.out)
    assert shown.out.count("attacked again: RR") == 2
    assert "2 reassessments against the releases they are about" in verified.out
    assert not list((page.folder / "consortium/node-1/releases/gout/1").glob("*.json.tmp"))


def test_what_was_found_stays_in_the_work_folder(page: Page) -> None:
    path = page.folder / "consortium/node-1/reassessments/gout.json"
    found = json.loads(path.read_text())
    assert path.stat().st_mode & 0o077 == 0
    assert found["broken"] == []
    assert found["attacked"] == 399
    assert found["others"][0]["smallest_group"] >= 10
    assert not re.search(r"I1-\d", path.read_text())


def test_a_target_that_is_not_met_is_recorded_and_ends_with_its_exit_code(page: Page, tmp_path: Path) -> None:
    """On a copy: the page's own ledger stays as it is."""
    folder = shutil.copytree(page.folder, tmp_path / "copy")
    run = "consortium/runs/gout/run.json"
    done = page.afml("reassess", *NODE, run, "--untrained", "--target-rr", 1e-9, cwd=folder)
    assert done.code == 7
    assert re.search(r"promises: +all kept\n", done.out)
    assert re.search(r"asked: +target RR 1e-07 %, NOT MET\n", done.out)
    assert "target RR not as asked" in done.err
    assert "promised" not in done.err
    assert json.loads((folder / "consortium/node-1/reassessments/gout.json").read_text())["broken"] == ["target RR"]
    kept = page.afml("audit", "show", "consortium/node-1/ledger", cwd=folder)
    assert "promises all kept; asked: target RR 1e-07 %, NOT MET" in kept.out


def columns(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[list[str], list[str]]]:
    """(fixed columns, columns of some samples) of a VCF, line by line from the one with the names."""
    with pysam.BGZFile(str(path), "r") as file:
        table = [line.decode().split("\t") for line in file if not line.startswith(b"##")]
    own = [n for n, name in enumerate(table[0]) if n >= 9 and wanted(name)]
    return ((row[:9], [row[n] for n in own]) for row in table)


def test_whoever_is_public_twice_or_was_released_is_no_new_public_person(page: Page, tmp_path: Path) -> None:
    """A newer version of the panel holds everybody of the panel; and somebody of the file who left is public now."""
    folder = shutil.copytree(page.folder, tmp_path / "copy")
    run, data = "consortium/runs/gout/run.json", folder / "data"
    written = folder / "consortium/node-1/reassessments/gout.json"
    done = page.afml("reassess", *NODE, run, "--untrained", "--panel-vcf", "data/panel.vcf.gz", cwd=folder)
    assert re.search(r"not counted as new public people: +200, in the panel or the file already\n", done.out)
    assert "everybody public today" not in done.out
    assert (found := json.loads(written.read_text()))["now"] is None
    assert found["left_out"] == 200
    # The panel, as many people again, and I1-7, who has withdrawn; then those further people once more.
    parts = [
        columns(data / "panel.vcf.gz", lambda _: True),
        columns(data / "public-later.vcf.gz", lambda _: True),
        columns(data / "institution-1.vcf.gz", lambda name: name == "I1-7"),
    ]
    head = '##fileformat=VCFv4.3\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    with pysam.BGZFile(str(data / "newer.vcf.gz"), "w") as file:
        file.write(head.encode())
        for rows in zip(*parts, strict=True):
            file.write(("\t".join([*rows[0][0], *(call for _, calls in rows for call in calls)]) + "\n").encode())
    public = ("--panel-vcf", "data/newer.vcf.gz", "--panel-vcf", "data/public-later.vcf.gz")
    done = page.afml("reassess", *NODE, run, "--untrained", *public, cwd=folder)
    assert done.code == 0
    assert re.search(r"with everybody public today: +400 public people\n", done.out)
    assert not re.search(r"I1-\d", done.out)
    found = json.loads(written.read_text())
    assert (found["left_out"], found["now"]["public_people"]) == (401, 400)
    # They are those of the page's first attack, which had the further people alone.
    alone = ("--panel-vcf", "data/public-later.vcf.gz")
    assert page.afml("reassess", *NODE, run, "--untrained", *alone, cwd=folder).code == 0
    assert json.loads(written.read_text())["now"] == found["now"]
    entries = json.loads(page.afml("audit", "show", "consortium/node-1/ledger", "--json", cwd=folder).out)["entries"]
    assert [one["public_people"] for one in entries if one["kind"] == "reassessment"][-3:] == [200, 400, 400]


def test_what_cannot_be_attacked_again_is_refused_in_one_line(page: Page, tmp_path: Path) -> None:
    folder = shutil.copytree(page.folder, tmp_path / "copy")
    run, own = "consortium/runs/gout/run.json", folder / "consortium/node-1"
    (tmp_path / "kin.tsv").write_text("sample\tperson\tdegree\nC0\tI1-0\t1\n")
    kin = ("--relatives-vcf", "data/children.vcf.gz", "--relatives")
    before = (own / "ledger/ledger.db").read_bytes()
    for arguments, said in (
        (("--panel-vcf", "data/institution-1.vcf.gz"), "of this institution's own people"),
        ((*kin, tmp_path / "kin.tsv"), "does not say of 4 of 5 relatives"),
        ((*kin, "data/traits-1.tsv"), "is no table of relatives"),
        (("--relatives", tmp_path / "kin.tsv"), "give both or none"),
        (("--panel-vcf", "nothing.vcf.gz"), "does not exist"),
    ):
        line = page.afml("reassess", *NODE, run, "--untrained", *arguments, cwd=folder).complaint()
        assert said in line
        assert not re.search(r"I1-\d", line)
    table = own / "columns/gout/1.json"
    columns = json.loads(table.read_text())
    other = next(n for n in range(1, len(columns)) if columns[n] != columns[0])
    columns[0], columns[other] = columns[other], columns[0]
    order = sorted(columns)
    table.write_text(json.dumps(order))
    line = page.afml("reassess", *NODE, run, "--untrained", cwd=folder).complaint()
    assert "the table of whose record is which is not that of the release" in line
    release = own / "releases/gout/1/release.vcf.gz"
    release.write_bytes((own / "releases/asthma/1/release.vcf.gz").read_bytes())
    assert page.afml("reassess", *NODE, run, "--untrained", cwd=folder).code in (2, 6)
    assert (own / "ledger/ledger.db").read_bytes() == before
