"""The example of examples/reassess, typed as its page has it: release, reassess, withdraw, release once more."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from pathlib import Path

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
    assert "1 people have withdrawn" in withdrawn.out
    assert "`afml mask --nested`" in refused.complaint()
    assert re.search(r"nested in 4 groups that earlier releases made of these people, 9 people left out", second.out)
    assert re.search(r"joint groups: +least 1\d, promised 10, with 1 other releases of them\n", both.out)
    assert "together with run asthma" in both.out
    assert re.search(r"a next release, nested: +\d+ groups, \d+ joint groups at most, \d+ people left out", both.out)
    assert shown.out.count("attacked again: RR") == 2
    assert "2 reassessments against the releases they are about" in verified.out
    assert not list((page.folder / "consortium/node-1/releases/gout").glob("*.json.tmp"))


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
    assert "NOT KEPT: target RR" in done.out
    assert "target RR not as promised" in done.err
    kept = page.afml("audit", "show", "consortium/node-1/ledger", cwd=folder)
    assert "NOT KEPT: target RR" in kept.out


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
    table = own / "columns/gout.json"
    columns = json.loads(table.read_text())
    other = next(n for n in range(1, len(columns)) if columns[n] != columns[0])
    columns[0], columns[other] = columns[other], columns[0]
    order = sorted(columns)
    table.write_text(json.dumps(order))
    line = page.afml("reassess", *NODE, run, "--untrained", cwd=folder).complaint()
    assert "the table of whose record is which is not that of the release" in line
    release = own / "releases/gout/release.vcf.gz"
    release.write_bytes((own / "releases/asthma/release.vcf.gz").read_bytes())
    assert page.afml("reassess", *NODE, run, "--untrained", cwd=folder).code in (2, 6)
    assert (own / "ledger/ledger.db").read_bytes() == before
