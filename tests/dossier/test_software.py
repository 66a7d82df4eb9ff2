"""What a dossier says of the code that made it, where a release is given to compare with."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.dossier import dossier
from afml.core.errors import InputError
from afml.dossier.build import make
from afml.dossier.page import PAGE
from afml.dossier.standalone import STATEMENTS, Check
from afml.dossier.statements import Statement, Statements
from afml.operate.installed import digests, manifest, places
from tests.dossier.pack import Built, Hands

NUMPY, CRYPTOGRAPHY = (metadata.version(name) for name in ("numpy", "cryptography"))
PARTS = (
    {"name": "cryptography", "version": CRYPTOGRAPHY, "scope": "required"},
    {"name": "numpy", "version": f"{NUMPY}.1", "scope": "required"},
    {"name": "nobody-has-this", "version": "1", "scope": "required"},
    {"name": "nor-that", "version": "1", "scope": "optional"},
)


@pytest.fixture(autouse=True)
def _without_paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def released(tmp_path: Path) -> tuple[Path, Path]:
    """A bill of materials, and a manifest in which one file is another and one is not there."""
    sbom, listed = tmp_path / "bom.json", tmp_path / "listed.sha256"
    sbom.write_text(json.dumps({"bomFormat": "CycloneDX", "components": PARTS}))
    files = digests(places()) | {"afml/privacy/noise.py": "00" * 32}
    del files["crypto/public/grid.py"]
    listed.write_bytes(manifest(files))
    return sbom, listed


def said_in(folder: Path) -> Statements:
    return Statements(map(Statement.from_json, json.loads((folder / STATEMENTS).read_bytes())))


def text_of(folder: Path) -> str:
    return " ".join((folder / PAGE).read_text(encoding="utf-8").split())


def test_what_is_installed_is_compared_with_a_release_on_the_command_line(
    plain: Built, tmp_path: Path, released: tuple[Path, Path]
) -> None:
    given, (sbom, listed), out = plain.sources, released, tmp_path / "dossier"
    works = [word for work in given.works for word in ("--work", str(work))]
    words = ["--kit", given.kit, "--run", given.run, "--transcript", given.transcripts[0], "--report", given.report]
    told = CliRunner().invoke(
        dossier,
        [*works, *map(str, [*words, "--sbom", sbom, "--manifest", listed, "--out", out])],
        catch_exceptions=False,
    )
    assert told.exit_code == 0
    said = said_in(out)
    assert said.value("sbom.components") == 4
    assert said.value("sbom.differences") == 2  # another numpy, and one that is needed and lacking
    assert said.value("code.differences") == 2  # one changed, one not released
    assert said.value("design.noise.released") == "00" * 32
    assert said.value("design.clipping.released") == said.value("design.clipping")
    assert said.value("design.rounding.released") is None
    assert "4 components, 2 of them lacking or in another version" in text_of(out)
    assert text_of(out).count("another than released") == 1
    assert (out / "sbom.json").read_bytes() == sbom.read_bytes()
    assert not Check(out).run().findings


def test_a_bill_or_a_manifest_that_was_changed_since_is_named(
    plain: Built, tmp_path: Path, released: tuple[Path, Path]
) -> None:
    out = tmp_path / "dossier"
    make(replace(plain.sources, sbom=released[0], manifest=released[1]), out, plain.signer)
    hands = Hands(out, plain)
    for file in ("sbom.json", "manifest.sha256"):
        (out / file).write_bytes((out / file).read_bytes() + b"\n")
    hands.sealed()
    found = {(one.code, one.where.rpartition(", ")[2]) for one in Check(out).run().findings}
    assert found == {("lost-ground", "sbom.digest"), ("lost-ground", "code.manifest")}


@pytest.mark.parametrize("field", ["sbom", "manifest"])
def test_what_is_none_is_refused_and_nothing_is_written(plain: Built, tmp_path: Path, field: str) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("{}")
    with pytest.raises(InputError, match=r"is no CycloneDX JSON|is no line of a manifest"):
        make(replace(plain.sources, **{field: wrong}), tmp_path / "dossier", plain.signer)
    assert not (tmp_path / "dossier").exists()


def test_without_a_release_that_is_said(plain: Built, tmp_path: Path) -> None:
    out = tmp_path / "dossier"
    make(plain.sources, out, plain.signer)
    assert said_in(out).value("sbom.digest") is None
    assert "No bill of materials (SBOM) of a release was given." in text_of(out)
    assert "No manifest of a release was given to compare with." in text_of(out)
