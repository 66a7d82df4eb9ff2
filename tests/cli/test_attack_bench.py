"""`afml evaluate --attack-bench` on files, as somebody without a run uses it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.zygote import Zygote
from tests.simulated import simulate_dosage, simulate_panel, write_vcf

PEOPLE, PANEL, SITES = 50, 60, 48


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("another tool's")
    dosage = simulate_dosage(PEOPLE + PANEL, SITES, 2)
    people, panel = dosage[:PEOPLE], dosage[PEOPLE:]
    names = [f"N{i}" for i in range(PEOPLE)]
    write_vcf(root / "people.vcf.gz", people, samples=names)
    write_vcf(root / "panel.vcf.gz", panel, samples=[f"P{i}" for i in range(PANEL)])
    write_vcf(root / "same.vcf.gz", people, samples=names)
    shown = np.where(np.arange(SITES) < 2, people, -1).astype(np.int8)
    write_vcf(root / "masked.vcf.gz", shown, samples=[f"R{i}" for i in range(PEOPLE)], keep=range(0, SITES, 2))
    rows = "".join(f"R{i}\tN{i}\nN{i}\tN{i}\n" for i in range(PEOPLE))
    (root / "pairs.tsv").write_text("sample\tperson\n" + rows)
    groups = [f"{name}\tXX\t{'AFR' if i % 2 else 'EUR'}\n" for i, name in enumerate(names)]
    groups += [f"P{i}\tXX\t{'AFR' if i % 2 else 'EUR'}\n" for i in range(PANEL)]
    (root / "groups.tsv").write_text("sample\tpop\tsuper_pop\n" + "".join(groups))
    return root


def test_files_of_any_tool_are_attacked(files: Path, afml: Zygote, tmp_path: Path) -> None:
    done = afml(
        "evaluate", "--attack-bench", files / "same.vcf.gz", "--attack-bench", files / "masked.vcf.gz",
        "--people-vcf", files / "people.vcf.gz", "--panel-vcf", files / "panel.vcf.gz", "--sites", SITES,
        "--pairs", files / "pairs.tsv", "--groups", files / "groups.tsv", "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.count("re-identification rate:") == 2
    same, masked = json.loads((tmp_path / "bench.json").read_text())["files"]
    assert same["found"]["linked"]["rr"] == 1.0
    assert {group["name"] for group in same["found"]["linked"]["groups"]["groups"]} == {"EUR", "AFR"}
    assert (masked["file"], masked["found"]["patterns"]["patterns"]) == ("masked.vcf.gz", 3)
    assert masked["found"]["linked"]["rr"] <= 3 / PEOPLE + 1e-9


def test_a_bench_that_is_there_is_written_over_by_force_alone(files: Path, afml: Zygote, tmp_path: Path) -> None:
    bench = tmp_path / "bench.json"
    bench.write_text("of yesterday")
    ask = (
        "evaluate", "--attack-bench", files / "masked.vcf.gz", "--people-vcf", files / "people.vcf.gz",
        "--panel-vcf", files / "panel.vcf.gz", "--sites", SITES, "--out", tmp_path,
    )  # fmt: skip
    refused = afml(*ask)
    assert refused.code == 2
    assert refused.complaint() == f"{bench}: is there already; give another --out, or --force"
    assert bench.read_text() == "of yesterday"
    done = afml(*ask, "--force")
    assert done.code == 0, done.err
    assert json.loads(bench.read_text())["files"][0]["file"] == "masked.vcf.gz"


def test_what_no_attack_used_is_counted_and_a_package_is_a_folder(files: Path, afml: Zygote, tmp_path: Path) -> None:
    shown = SITES // 2
    public = simulate_dosage(PEOPLE + PANEL, SITES, 2)[PEOPLE:]
    few = tmp_path / "few.vcf.gz"
    write_vcf(few, public, samples=[f"P{i}" for i in range(PANEL)], keep=range(shown))
    package = tmp_path / "package"
    package.mkdir()
    for suffix in ("", ".tbi"):
        if (files / f"masked.vcf.gz{suffix}").exists():
            (package / f"release.vcf.gz{suffix}").write_bytes((files / f"masked.vcf.gz{suffix}").read_bytes())
    (package / "manifest.json").write_text("{}")
    done = afml(
        "evaluate", "--attack-bench", package, "--attack-bench", files / "same.vcf.gz",
        "--people-vcf", files / "people.vcf.gz", "--panel-vcf", few, "--sites", SITES, "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    masked, same = json.loads((tmp_path / "bench.json").read_text())["files"]
    assert masked["file"] == "package/release.vcf.gz"
    assert (masked["shown"], masked["not_compared"]) == (PEOPLE, 0)  # sites 0 and 1 are shown, and 1 is left out
    assert (same["shown"], same["not_compared"]) == (PEOPLE * SITES, PEOPLE * (SITES - shown))
    assert f"{PEOPLE}, all at compared sites" in done.out
    assert f"{PEOPLE * (SITES - shown)} of them at sites that are not compared: no attack used these" in done.out
    empty = tmp_path / "empty"
    empty.mkdir()
    line = afml(
        "evaluate", "--attack-bench", empty, "--people-vcf", files / "people.vcf.gz", "--panel-vcf", few, "--out", empty
    ).complaint()
    assert str(empty) in line


def test_what_a_masked_file_shows_at_a_palindrome_is_no_question_of_strands(afml: Zygote, tmp_path: Path) -> None:
    """Whoever shows a site shows the same there: its frequency is that of whoever chose, and fits no panel."""
    dosage = simulate_dosage(PEOPLE + PANEL, SITES, 2)
    people, public = dosage[:PEOPLE], dosage[PEOPLE:]
    site = int(np.argmin(np.abs(public.mean(axis=0) / 2 - 0.25)))
    people[:12, site] = 2  # whom the rule of strands would judge by
    names = [f"N{i}" for i in range(PEOPLE)]
    shown = np.where((people == 2) & (np.arange(SITES) == site), people, -1).astype(np.int8)
    patterns = []
    for number, alleles in enumerate((("A", "T"), ("A", "C"))):
        ref, alt = ([one] * SITES for one in alleles)
        panel = replace(simulate_panel(dosage), ref=ref, alt=alt, minor_is_alt=np.ones(SITES, dtype=np.bool_))
        folder = tmp_path / str(number)
        folder.mkdir()
        write_vcf(folder / "people.vcf.gz", people, samples=names, panel=panel)
        write_vcf(folder / "panel.vcf.gz", public, samples=[f"P{i}" for i in range(PANEL)], panel=panel)
        write_vcf(folder / "masked.vcf.gz", shown, samples=names, panel=panel)
        done = afml(
            "evaluate", "--attack-bench", folder / "masked.vcf.gz", "--people-vcf", folder / "people.vcf.gz",
            "--panel-vcf", folder / "panel.vcf.gz", "--sites", SITES, "--out", folder,
        )  # fmt: skip
        assert done.code == 0, done.err
        (found,) = json.loads((folder / "bench.json").read_text())["files"]
        patterns.append(found["found"]["patterns"]["patterns"])
    assert patterns == [2, 2]


def test_what_cannot_be_attacked_is_refused_in_one_line(files: Path, afml: Zygote, tmp_path: Path) -> None:
    people, panel = ("--people-vcf", files / "people.vcf.gz"), ("--panel-vcf", files / "panel.vcf.gz")
    bench = ("evaluate", "--out", tmp_path / "out", "--attack-bench", files / "masked.vcf.gz")
    own = ("evaluate", "--out", tmp_path / "out", "--attack-bench", files / "people.vcf.gz")
    short = tmp_path / "short.tsv"
    short.write_text("sample\tperson\nR0\tN0\n")
    apart = tmp_path / "apart.vcf.gz"
    elsewhere = simulate_dosage(PEOPLE, SITES, 2)
    write_vcf(apart, elsewhere, samples=[f"N{i}" for i in range(PEOPLE)], chrom="21")
    strangers = tmp_path / "strangers.tsv"
    strangers.write_text("sample\tsuper_pop\nX\tEUR\n")
    for arguments, said in (
        ((*bench, *people), "give --people-vcf and --panel-vcf"),
        ((*bench, *people, *panel, "--run", "run.json"), "no --run, --own, --work, --aggregator or --attribute"),
        (("evaluate", "--out", tmp_path / "out"), "give --run, and --own or both --work and --aggregator"),
        ((*own, *people, "--panel-vcf", files / "people.vcf.gz"), "50 of the people"),
        ((*bench, *people, *panel, "--pairs", short, "--sites", SITES), "no person for 49 of 50"),
        (
            ("evaluate", "--out", tmp_path / "out", "--attack-bench", apart, *people, *panel, "--sites", SITES),
            f"shows no genotype at any of the {SITES} sites that are compared",
        ),
        ((*own, *people, *panel, "--groups", strangers, "--sites", SITES), "nobody of the release is in a group"),
    ):
        assert said in afml(*arguments).complaint()
    assert not (tmp_path / "out").exists()
