"""`afml task new`: what it tells an author to type is about the folder that it made, and nothing on a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.main import cli


@pytest.mark.parametrize("where", ["stroke", "models/stroke", "absolute"])
def test_the_package_that_is_installed_is_the_folder(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    given = str(tmp_path / where) if where == "absolute" else where
    told = CliRunner().invoke(cli, ["task", "new", given], catch_exceptions=False).output
    (install,) = [line for line in told.splitlines() if line.startswith("install it:")]
    place = install.split()[-1]
    assert place.startswith(("./", "/")), "pip takes a bare word for the name of a package on the network"
    assert Path(place).resolve() == Path(given).resolve()
