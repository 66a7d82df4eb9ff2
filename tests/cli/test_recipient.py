"""What a recipient reads in the terminal: where a recipe is run, and what is wrong with a package."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.packages import Institution, copy


@pytest.fixture(scope="module")
def told(trained: Institution, tmp_path_factory: pytest.TempPathFactory) -> Institution:
    """With a package that tells gout."""
    made = copy(trained, tmp_path_factory.mktemp("told") / "root")
    assert made("mask", "--phenotype", "gout").code == 0
    return made


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
