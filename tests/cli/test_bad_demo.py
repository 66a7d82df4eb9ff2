"""Demos and commands that cannot be: one line, nothing written, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.institution import PEOPLE, Institution
from tests.cli.zygote import Zygote


def test_vcf_and_panel_go_together(scratch: Path, good: Institution, afml: Zygote) -> None:
    line = afml("demo", "--out", scratch / "demo", "--vcf", good.root / "own.vcf.gz").complaint()
    assert "--vcf and --panel go together; give both, or neither to simulate" in line
    assert not (scratch / "demo").exists()


def test_a_demo_never_clears_a_folder_it_did_not_make(scratch: Path, afml: Zygote) -> None:
    (scratch / "mine").mkdir()
    (scratch / "mine" / "thesis.txt").write_text("years of work")
    line = afml("demo", "--out", scratch / "mine").complaint()
    assert f"{scratch / 'mine'}: exists and was not made by a demo; choose another --out" in line
    assert (scratch / "mine" / "thesis.txt").read_text() == "years of work"
    (scratch / "file").write_text("a file")
    line = afml("demo", "--out", scratch / "file").complaint()
    assert str(scratch / "file") in line
    assert (scratch / "file").read_text() == "a file"


def test_a_demo_on_a_missing_vcf_writes_nothing(scratch: Path, afml: Zygote) -> None:
    none = scratch / "none.vcf.gz"
    line = afml("demo", "--out", scratch / "demo", "--vcf", none, "--panel", scratch / "p.tsv").complaint()
    assert f"{none}: VCF does not exist; correct VCF=" in line
    assert not (scratch / "demo").exists()


def test_a_demo_on_a_truncated_vcf_keeps_the_last_demo(scratch: Path, good: Institution, afml: Zygote) -> None:
    out = scratch / "demo"
    out.mkdir()
    (out / ".afml-demo").touch()
    (out / "report.json").write_text("{}")
    table, cut = scratch / "people.tsv", scratch / "cut.vcf.gz"
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in good.names))
    cut.write_bytes((good.root / "own.vcf.gz").read_bytes()[:-200])
    line = afml("demo", "--out", out, "--vcf", cut, "--panel", table).complaint()
    assert f"{cut}: VCF is truncated" in line
    assert (out / "report.json").exists()


@pytest.mark.parametrize("spoilt", ["missing sample", "too few people", "too few simulated people"])
def test_a_demo_that_cannot_be_split_keeps_the_last_demo(
    scratch: Path, good: Institution, afml: Zygote, spoilt: str
) -> None:
    out, table = scratch / "demo", scratch / "people.tsv"
    out.mkdir()
    (out / ".afml-demo").touch()
    (out / "report.json").write_text("{}")
    names = good.names[1:] if spoilt == "missing sample" else good.names
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in names))
    data = () if "simulated" in spoilt else ("--vcf", good.root / "own.vcf.gz", "--panel", table)
    people = {"missing sample": 10, "too few people": PEOPLE - 4, "too few simulated people": 2496}[spoilt]
    line = afml("demo", "--out", out, *data, "--panel-people", people, "--nodes", 5).complaint()
    assert ("lacks sample N0" if spoilt == "missing sample" else "people are too few for a panel of") in line
    assert (out / "report.json").exists()


@pytest.mark.parametrize("options", [["--nodes", 2], ["--nodes", "many"], ["--sites", 0], ["--unknown"]])
def test_impossible_options(scratch: Path, afml: Zygote, options: list[object]) -> None:
    afml("demo", "--out", scratch / "demo", *options).complaint()
    assert not (scratch / "demo").exists()


def test_an_unknown_command_and_a_folder_that_may_not_be_written(scratch: Path, afml: Zygote) -> None:
    assert "No such command" in afml("frobnicate").complaint()
    blocked = scratch / "blocked"
    blocked.write_text("a file where a folder should go")
    done = afml("keys", "init", "--out", blocked / "kit", "--name", "A")
    assert done.code == 1
    assert done.err.splitlines() == [f"afml: {blocked}: File exists"]
