"""A dossier is made, and says what its sources say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.dossier import dossier
from afml.core.errors import InputError
from afml.dossier.build import make
from afml.dossier.standalone import MANIFEST
from afml.dossier.verified import verified
from tests.dossier.pack import Built


def test_a_good_one_is_found_good(good: Path) -> None:
    found = verified(good)
    assert not found.findings
    assert len(found.stands) > 100


def test_it_says_what_a_rosters_signatures_are_and_how_much_noise_more_colluders_leave(good: Path) -> None:
    page = " ".join((good / "dossier.html").read_text().split())
    assert "A first roster has no other signature; that members countersigned a later one" in page
    form = (good / "forms" / "gdpr_dpia.json").read_text()
    assert "where a = 1 institution may be, and k = 3 institutions in a sum" in form
    assert "the accounted noise times the root of (k - c) / (k - a)" in form


def _make(built: Built, work: int, kit: int, out: Path, *more: str) -> None:
    words = ("--work", built.root / f"work-{work}", "--kit", built.root / "kits" / f"node-{kit}", "--out", out, *more)
    done = CliRunner().invoke(dossier, [str(word) for word in words])
    if isinstance(done.exception, Exception):
        raise done.exception


def test_one_that_is_there_is_written_over_only_where_that_is_said(
    plain: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "dossier"
    make(plain.sources, out, plain.signer)
    before = (out / MANIFEST).read_bytes()
    with pytest.raises(InputError, match=r"is a dossier already.*--force to write over it"):
        _make(plain, 1, 1, out)
    assert (out / MANIFEST).read_bytes() == before
    _make(plain, 1, 1, out, "--force")
    assert (out / MANIFEST).read_bytes() != before
    other = tmp_path / "other"
    other.mkdir()
    (other / "letters.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a dossier; name a new folder"):
        _make(plain, 1, 1, other, "--force")
    assert (other / "letters.txt").read_text() == "mine"


def test_an_institution_signs_nothing_of_others_alone(plain: Built, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the kit of node 2, and --work is of node 1; give --kit of"):
        _make(plain, 1, 2, tmp_path / "dossier")
    assert not (tmp_path / "dossier").exists()
