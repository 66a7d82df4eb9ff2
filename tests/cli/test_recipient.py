"""What a recipient reads in the terminal: where a recipe is run, and what is wrong with a package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from afml.consortium.nodekit import load_node_kit
from afml.release.package.manifest import MANIFEST_FILE, PUBLICATION_FILE, Manifest, digest_of
from afml.release.package.publication import Publication, Verdict
from tests.cli.packages import Institution, copy


@pytest.fixture(scope="module")
def told(trained: Institution, tmp_path_factory: pytest.TempPathFactory) -> Institution:
    """With a package that tells gout."""
    made = copy(trained, tmp_path_factory.mktemp("told") / "root")
    assert made("mask", "--phenotype", "gout").code == 0
    return made


def published(told: Institution, to: Path, *verdicts: Verdict) -> Path:
    """The package, with its institution's signed word that it was held against this."""
    package = shutil.copytree(told.package(1), to)
    manifest = Manifest.load(package / MANIFEST_FILE)
    same = {name: getattr(manifest, name) for name in ("consortium", "origin", "key", "run", "version", "release")}
    digest = digest_of(package / MANIFEST_FILE)
    word = Publication(**same, manifest=digest, assessment="ab" * 32, made="2026-01-31", verdicts=verdicts)
    word.signed(load_node_kit(told.kit).signing_key).save(package)
    return package


def test_a_recipe_says_first_where_it_is_run_and_no_folder_name_is_run_with_it(
    told: Institution, tmp_path: Path
) -> None:
    """What the first line says is typed as it stands, in a folder that may be called anything."""
    package = shutil.copytree(told.package(1), tmp_path / "o'clock; $(touch here)\nprint('run')")
    first, second, *_ = told.afml("release", "recipe", ".", cwd=package).out.splitlines()
    assert first.startswith("# ")
    assert second == "import pandas as pd"
    named = package.rename(tmp_path / "o'clock; $(touch here)")
    first = told.afml("release", "recipe", named).out.splitlines()[0]
    typed = re.fullmatch(
        r"# run in the package's folder: (cd .+); afml release recipe \. --with pandas \| python; .+", first
    )
    assert typed is not None
    done = subprocess.run(["sh", "-c", f"{typed[1]}; pwd -P; ls"], capture_output=True, text=True, check=True)
    where, *files = done.stdout.splitlines()
    assert where == str(named.resolve())
    assert sorted(files) == sorted(path.name for path in told.package(1).iterdir())


@pytest.mark.parametrize(("typed", "named"), [("r", "R"), ("Pandas", "pandas"), ("PLINK2", "plink2")])
def test_a_tool_may_be_typed_in_any_case(told: Institution, typed: str, named: str) -> None:
    found, plain = (told.afml("release", "recipe", told.package(1), "--with", word) for word in (typed, named))
    assert (found.code, found.out) == (0, plain.out)


def test_a_signed_file_that_cannot_be_read_is_a_matter_of_integrity(told: Institution, tmp_path: Path) -> None:
    """Cut, filled with rubbish or with something else: never the words of a parser, never a file to be corrected."""
    package = published(told, tmp_path / "package", Verdict(target="group size", asked=4, met=True))
    ask = ("release", "verify", package, "--roster", told.roster)
    assert told.afml(*ask).code == 0
    for name in (MANIFEST_FILE, PUBLICATION_FILE):
        whole = (package / name).read_bytes()
        other = json.loads(whole)
        for damaged in (
            b"", whole[: len(whole) // 2], b"\xff\xfe", b"[" * 100_000, b"[]", b"{}", b"null", b"\0" * 9, b" " * 2**23,
            b"\xef\xbb\xbf" + whole, whole.replace(b'"version":1', b'"version":' + b"1" * 5000),
            json.dumps({key: value for key, value in other.items() if key != "release"}).encode(),
            json.dumps(other | {"version": "first"}).encode(), json.dumps(other | {"more": 1}).encode(),
            json.dumps(other | {"version": 1.5}).encode(), json.dumps(other | {"signature": "zz"}).encode(),
        ):  # fmt: skip
            assert damaged != whole
            (package / name).write_bytes(damaged)
            done = told.afml(*ask)
            assert done.code == 6, done.err
            assert done.complaint() == (
                f"{package / name}: cannot be read as what an institution signs: it is damaged, or a newer AFML wrote "
                "it; ask the institution for the package once more, or update AFML here; do not use this one"
            )
        for altered in (other | {"signature": ""}, other | {"release": "ab" * 32}, other | {"version": 10**400}):
            (package / name).write_text(json.dumps(altered))
            done = told.afml(*ask)
            assert done.code == 6, done.err
            assert done.complaint().endswith("; ask the institution for the package once more, and do not use this one")
        with (package / name).open("wb") as huge:
            huge.truncate(2**36)  # nothing of it is on the disk
        assert "it is damaged, or a newer AFML wrote it" in told.afml(*ask).complaint()
        (package / name).unlink()
        (package / name).mkdir()
        assert "it is damaged, or a newer AFML wrote it" in told.afml(*ask).complaint()
        (package / name).rmdir()
        (package / name).write_bytes(whole)
    assert told.afml(*ask).code == 0


def test_a_folder_that_is_not_there_and_a_roster_that_cannot_be_read_are_mistakes_of_who_asks(
    told: Institution, tmp_path: Path
) -> None:
    done = told.afml("release", "verify", tmp_path / "none", "--roster", told.roster)
    assert done.code == 2
    assert "manifest of the package does not exist; name the folder" in done.complaint()
    (tmp_path / "roster.json").write_text("{")
    done = told.afml("release", "verify", told.package(1), "--roster", tmp_path / "roster.json")
    assert done.code == 2
    assert "roster.json" in done.complaint()


def test_what_was_asked_of_a_package_is_said_in_plain_words_and_what_nobody_asked(
    told: Institution, tmp_path: Path
) -> None:
    size, joint = (Verdict(target=name, asked=4, met=True) for name in ("group size", "joint groups"))
    rate = Verdict(target="re-identification rate", asked=0.025, met=False)
    for number, verdicts in enumerate(((size, joint), (size, joint, rate))):
        package = published(told, tmp_path / str(number), *verdicts)
        lines = told.afml("release", "verify", package, "--roster", told.roster).out.splitlines()
        assert lines[-1].startswith(f"{told.roster}: fingerprint of the roster")
        who, *targets = (line.removeprefix(f"{package}: ") for line in lines[2:-1])
        assert "the institution's own word. Who asks is the signed run, the institution's own policy and" in who
        assert [line.partition(" (")[0] for line in targets] == [
            "  asked and met: group size at least 4",
            "  asked and met: joint groups at least 4",
            "  asked and MISSED: re-identification rate at most 2.5 %"
            if rate in verdicts
            else "  asked by nobody, so neither met nor missed: re-identification rate",
            "  asked by nobody, so neither met nor missed: utility ratio",
        ]
        assert "the share of records for which an attacker names the right person" in targets[2]
        assert ("release_card.md says what the groups allow at most" in targets[2]) is (rate not in verdicts)
