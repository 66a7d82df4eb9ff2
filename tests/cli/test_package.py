"""A release as a package: `afml mask` from the command line, and what a recipient finds in the folder."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pysam
import pytest

from afml.consortium.nodekit import load_node_kit
from afml.consortium.request import fingerprint
from afml.consortium.roster import Roster
from afml.release.package.manifest import Manifest
from tests.cli.institution import listing
from tests.cli.packages import PEOPLE, Institution, K, copy

FILES = {
    "release.vcf.gz", "release.vcf.gz.tbi", "codebook.tsv", "scores.tsv", "plan.json", "release_card.json",
    "release_card.md", "README.md", "manifest.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def own(trained: Institution, tmp_path_factory: pytest.TempPathFactory) -> Institution:
    """With a first package that tells gout, and a second one, nested in it, without a trait."""
    made = copy(trained, tmp_path_factory.mktemp("own") / "root")
    for words in (("--phenotype", "gout"), ("--nested",)):
        done = made("mask", *words)
        assert done.code == 0, done.err
    return made


def table(own: Institution, version: int, name: str) -> pd.DataFrame:
    return pd.read_csv(own.package(version) / name, sep="\t", index_col="#IID")


def test_a_package_is_one_folder_and_versions_are_kept(own: Institution, tmp_path: Path) -> None:
    assert {path.name for path in own.package(1).iterdir()} == FILES | {"phenotypes.tsv"}
    assert {path.name for path in own.package(2).iterdir()} == FILES
    again = copy(own, tmp_path / "again")
    before = listing(again.work / "releases") | listing(again.work / "columns")
    done = again("mask", "--nested")
    assert f"package {again.package(3)}, version 3\n" in done.out
    after = listing(again.work / "releases") | listing(again.work / "columns")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + len(FILES) + 1


def test_traits_are_told_by_pseudonym_and_groups_share_them(own: Institution) -> None:
    with pysam.VariantFile(str(own.package(1) / "release.vcf.gz")) as opened:
        names = list(opened.header.samples)
        shown = list(zip(*([str(one["GT"]) for one in line.samples.values()] for line in opened), strict=True))
    traits, scores = table(own, 1, "phenotypes.tsv"), table(own, 1, "scores.tsv")
    assert list(traits.index) == list(scores.index) == names
    groups = Counter(zip(shown, traits["gout"], strict=True))
    card = json.loads((own.package(1) / "release_card.json").read_text())
    assert min(groups.values()) == card["smallest_group"] >= K
    assert card["groups"] == len(groups)
    assert card["named_at_most"] == round(len(groups) / PEOPLE, 6)
    assert len(set(zip(shown, scores["pattern"], strict=True))) == len(set(shown)) > 1
    # Of each person what the institution's own table says, by the table of columns that stays.
    rows = [line.split("\t") for line in (own.root / "data" / "traits-1.tsv").read_text().splitlines()[1:]]
    value = {name: int(gout) for name, gout, _ in rows}
    columns = json.loads((own.work / "columns" / "two" / "1.json").read_text())
    assert [value[person] for person in columns] == traits["gout"].tolist()
    whole = b"".join(path.read_bytes() for path in own.package(1).iterdir())
    assert b"I1-" not in whole


def test_the_card_says_what_the_package_is_good_for_and_what_not(own: Institution) -> None:
    card = json.loads((own.package(1) / "release_card.json").read_text())
    page = (own.package(1) / "release_card.md").read_text()
    assert (card["run"], card["version"], card["people"], card["k"]) == ("two", 1, PEOPLE, K)
    assert card["good_for"] == "gout, body height"
    assert "**Not for:** allele frequencies, association or ancestry; telling who somebody is." in page
    book = pd.read_csv(own.package(1) / "codebook.tsv", sep="\t", keep_default_na=False)
    assert [one["shows"] for one in card["codebook"]] == book["shows"].tolist()
    assert [one["scores"]["gout"]["sd"] for one in card["codebook"]] == book["sd_gout"].tolist()
    counts = table(own, 1, "scores.tsv")["pattern"].value_counts()
    assert {one["pattern"]: one["people"] for one in card["codebook"] if one["people"]} == counts.to_dict()
    (gout,) = card["phenotypes"]["traits"]
    kinds = table(own, 1, "phenotypes.tsv").groupby(table(own, 1, "scores.tsv")["pattern"])["gout"].transform("nunique")
    assert gout["told_for_certain"] == pytest.approx((kinds == 1).mean(), abs=1e-4)
    assert "k does not protect the traits" in page
    told, patterns = card["phenotypes"], table(own, 1, "scores.tsv")["pattern"].nunique()
    assert (told["combinations"], told["named_by_traits_alone"]) == (2, round(2 / PEOPLE, 6))
    assert told["named_by_genotypes_alone"] == round(patterns / PEOPLE, 6)
    assert f"guesses right for {200 / PEOPLE:.3g} % of the records (2 combinations over people)" in page
    assert f"for {100 * card['named_at_most']:.3g} % at most, and who has genotypes alone, for" in page
    second = (own.package(2) / "release_card.md").read_text()
    assert "No trait of anybody is in this package" in second
    assert json.loads((own.package(2) / "release_card.json").read_text())["phenotypes"] is None


def test_the_ledger_counts_pattern_and_traits_together(own: Institution) -> None:
    done = own.afml("audit", "verify", own.work / "ledger", "--roster", own.roster, "--node", 1)
    assert "nothing found" in done.out, done.out + done.err
    entries = json.loads(own.afml("audit", "show", own.work / "ledger", "--json").out)["entries"]
    first, second = (one for one in entries if one["kind"] == "release")
    card = json.loads((own.package(1) / "release_card.json").read_text())
    assert (first["traits"], first["patterns"]) == (["gout"], card["groups"])
    assert first["smallest_joint_group"] == card["smallest_group"]
    assert "traits" not in second
    assert second["smallest_joint_group"] >= K


def test_a_ledger_that_forgets_a_release_is_refused_by_the_kit(own: Institution, tmp_path: Path) -> None:
    """Peers hear of a release in the next run; until then its own kit alone knows that there is a later head."""
    again = copy(own, tmp_path / "again")
    before = shutil.copytree(again.work / "ledger", tmp_path / "before")
    assert again("mask", "--nested").code == 0
    shutil.rmtree(again.work / "ledger")
    shutil.copytree(before, again.work / "ledger")
    done = again("mask", "--nested")
    assert done.code == 6, done.out
    assert "an old copy was put back" in done.err
    assert not again.package(4).exists()


def test_what_k_does_not_allow_beside_traits_is_refused_and_leaves_nothing(
    trained: Institution, tmp_path: Path
) -> None:
    own = copy(trained, tmp_path / "copy")
    before = listing(own.work)
    rows = [line.split("\t") for line in (own.root / "data" / "traits-1.tsv").read_text().splitlines()[1:]]
    low = sorted(float(height) for _, _, height in rows)[2]  # two people are below it
    for words, said in (
        (("--phenotype", f"body height={low},170"), "combinations of what else is told of people are of fewer than 4"),
        (("--phenotype", "gout", "--min-group-size", 60), "leave one pattern, which says nothing"),
        (("--phenotype", "goutt"), "the run declares no trait 'goutt'"),
    ):
        line = own("mask", *words).complaint()
        assert said in line
        left = listing(own.work)
        left.pop("refused/release-two.txt", None)  # why, for `afml next`
        assert left == before


def test_what_traits_cost_is_what_the_page_says(own: Institution, trained: Institution, tmp_path: Path) -> None:
    """docs/RELEASE.md: five patterns, of which traits leave four, and two."""
    assert len(json.loads((own.package(1) / "plan.json").read_text())["patterns"]) == 5
    assert table(own, 1, "scores.tsv")["pattern"].nunique() == 4
    both = copy(trained, tmp_path / "both")
    done = both("mask", "--phenotype", "gout", "--phenotype", "body height=170")
    assert done.code == 0, done.err
    assert table(both, 1, "scores.tsv")["pattern"].nunique() == 2
    assert list(table(both, 1, "phenotypes.tsv").columns) == ["gout", "body_height"]


def within(told: str, package: Path) -> None:
    """What a recipe printed is what the card states, to its interval."""
    stated = {one["trait"]: one for one in json.loads((package / "release_card.json").read_text())["utility"]}
    lines = [line.split() for line in told.splitlines()]
    assert [(trait, measure.lower()) for trait, measure, _ in lines] == [
        (t, one["measure"]) for t, one in stated.items()
    ]
    for trait, _, value in lines:
        low, high = stated[trait]["ci95"]
        assert low <= float(value) <= high
        # Much closer than that: one score is all that is regressed on, so that ranks are the same whatever the fit.
        assert float(value) == pytest.approx(stated[trait]["value"], abs=2e-3)
        assert (stated[trait]["measure"] == "auc") == (trait == "gout")


@pytest.fixture(scope="module")
def telling(trained: Institution, tmp_path_factory: pytest.TempPathFactory) -> Institution:
    """With a package that tells gout and height, which is a number."""
    made = copy(trained, tmp_path_factory.mktemp("telling") / "root")
    assert made("mask", "--phenotype", "gout", "--phenotype", "body height=170").code == 0
    return made


@pytest.mark.parametrize(
    ("tool", "program"), [("pandas", (sys.executable, "-")), ("plink2", ("sh", "-e")), ("R", ("Rscript", "-"))]
)
def test_a_recipe_reproduces_the_stated_utility(
    own: Institution, telling: Institution, tool: str, program: tuple[str, ...]
) -> None:
    for needed in (program[0], *(("plink2", "awk") if tool == "plink2" else ())):
        if shutil.which(needed) is None:
            pytest.skip(f"no {needed}: the recipe for {tool} is not run")
    for institution in (own, telling):
        package = institution.package(1)
        code = own.afml("release", "recipe", package, "--with", tool).out
        first, _, rest = code.partition("\n")
        assert first.startswith(f"# run in the package's folder: cd {shlex.quote(str(package.resolve()))}; ")
        assert rest in (package / "README.md").read_text()
        done = subprocess.run(program, input=code, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        within(done.stdout, package)
        assert own.afml("release", "verify", package, "--roster", own.roster).code == 0


def test_where_no_trait_is_told_there_is_no_recipe(own: Institution) -> None:
    assert "nothing can be learned or tested with it alone" in (own.package(2) / "README.md").read_text()
    line = own.afml("release", "recipe", own.package(2)).complaint()
    assert "tells no trait of anybody, so it states no utility that could be reproduced" in line
    assert "ask the institution to tell traits with the first package of a run (`afml mask --phenotype TRAIT`)" in line


def test_a_package_verifies_with_roster_or_key_and_says_in_one_line_what_failed(
    own: Institution, tmp_path: Path
) -> None:
    manifest = json.loads((own.package(1) / "manifest.json").read_text())
    for trusted in (("--roster", own.roster), ("--key", manifest["key"])):
        done = own.afml("release", "verify", own.package(1), *trusted)
        assert (done.code, done.err) == (0, "")
        files = len(manifest["files"])
        assert done.out.startswith(f"{own.package(1)}: version 1 of the release of run two: {files} files as ")
        unsaid = (
            f"{own.package(1)}: not published: no publication.json is in it, so nobody says that it was evaluated first"
        )
        mark = f"{own.roster}: fingerprint of the roster, to compare with an institution on it: "
        mark += fingerprint(Roster.load(own.roster).digest())
        assert done.out.splitlines()[1:] == [unsaid, *([mark] if "--roster" in trusted else [])]
    package = tmp_path / "package"

    def complaint(*trusted: object) -> str:
        found = own.afml("release", "verify", package, *(trusted or ("--roster", own.roster)))
        assert found.code in (2, 6)
        return found.complaint()

    def anew() -> None:
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(own.package(1), package)

    for name in sorted(FILES - {"manifest.json"} | {"phenotypes.tsv"}):
        anew()
        with (package / name).open("ab") as file:
            file.write(b" ")
        assert f"{name} is not what was signed" in complaint()
        (package / name).unlink()
        assert f"{name} is missing" in complaint()
    anew()
    (package / "readme.txt").touch()
    assert "readme.txt was added" in complaint()
    (package / "readme.txt").unlink()
    (package / "codebook.tsv").unlink()
    (package / "codebook.tsv").symlink_to(own.package(1) / "codebook.tsv")
    assert "is no plain file" in complaint()
    for name, value in (("version", 2), ("run", "other"), ("release", "0" * 64), ("files", {}), ("signature", "00")):
        anew()
        (package / "manifest.json").write_text(json.dumps(manifest | {name: value}))
        assert "the signature is not the institution's" in complaint()
    anew()
    (package / "manifest.json").write_text("{")
    assert "it is damaged, or a newer AFML wrote it" in complaint()
    (package / "manifest.json").unlink()
    assert "name the folder that `afml mask` wrote" in complaint()
    anew()
    assert "give --roster" in own.afml("release", "verify", package).complaint()
    assert "the signature is not the institution's" in complaint("--key", "0" * 64)
    assert "is no Ed25519 public key" in complaint("--key", "xyz")


def test_whoever_signs_in_the_name_of_another_is_found_out(own: Institution, tmp_path: Path) -> None:
    """A package signed anew by another institution's key, under either name."""
    package = shutil.copytree(own.package(1), tmp_path / "package")
    manifest, key = Manifest.load(package / "manifest.json"), load_node_kit(own.kit.with_name("node-2")).signing_key
    manifest.signed(key).save(package)
    assert "the signature is not" in own.afml("release", "verify", package, "--roster", own.roster).complaint()
    manifest.model_copy(update={"origin": "afml/" + "0" * 32}).signed(key).save(package)
    assert "not on the roster" in own.afml("release", "verify", package, "--roster", own.roster).complaint()


def test_what_an_institution_signed_is_told_in_a_line_and_moves_no_terminal(own: Institution, tmp_path: Path) -> None:
    package = shutil.copytree(own.package(1), tmp_path / "package")
    odd = Manifest.load(package / "manifest.json").model_copy(update={"run": "two\n\x1b[2Jpublished"})
    odd.signed(load_node_kit(own.kit).signing_key).save(package)
    told = own.afml("release", "verify", package, "--roster", own.roster).out.splitlines()
    assert told[0].startswith(f"{package}: version 1 of the release of run two\\n\\x1b[2Jpublished: ")
    assert all(line.startswith((f"{package}: ", f"{own.roster}: ")) for line in told)


def test_groups_smaller_than_the_signed_run_promises_are_refused(own: Institution) -> None:
    before = listing(own.work)
    for size, said in ((K - 1, f"the signed run promises {K}"), (0, "0 is not in the range"), (-3, "-3 is not in")):
        assert said in own("mask", "--min-group-size", size).complaint()
    assert listing(own.work) == before


def test_an_older_release_of_one_folder_is_the_first_version(own: Institution, tmp_path: Path) -> None:
    old = copy(own, tmp_path / "old")
    shutil.rmtree(old.package(2))
    first = old.work / "releases" / "two" / "1"
    for path in first.iterdir():
        path.rename(first.parent / path.name)
    first.rmdir()
    (old.work / "columns" / "two" / "1.json").rename(old.work / "columns" / "two.json")
    shutil.rmtree(old.work / "columns" / "two")
    assert old("reassess", "--untrained").code == 0
    assert f"package {old.package(2)}, version 2\n" in old("mask", "--nested").out
