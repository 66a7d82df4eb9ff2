"""What is said "by design": every such sentence names what it rests on, and that is in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from afml.dossier.design import DESIGN, MARK, commit, recorded
from afml.dossier.forms.fields import forms
from afml.dossier.forms.wording import parts
from afml.dossier.page import PAGE
from afml.operate.installed import PACKAGES, digests, places

ROOT = Path(__file__).parents[2]
SENTENCES = [(form.id, field, part) for form in forms() for field, some in parts(form.id).items() for part in some]


@pytest.mark.parametrize("name", DESIGN)
def test_what_it_rests_on_is_in_the_repository(name: str) -> None:
    one = DESIGN[name]
    file, _, test = one.test.partition("::")
    assert (ROOT / one.code).is_file()
    assert (ROOT / one.note).is_file()
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.M)


def test_every_sentence_by_design_names_its_claims_and_none_else_does() -> None:
    for form, field, part in SENTENCES:
        claims = [name for name in part.names if name.startswith("design.")]
        assert bool(claims) == ("by design" in part.words.lower()), (form, field)
        assert {name.removeprefix("design.") for name in claims} <= DESIGN.keys()


def test_every_claim_is_made_somewhere(good: Path) -> None:
    html = (good / PAGE).read_text(encoding="utf-8")
    used = {name for _, _, part in SENTENCES for name in part.names}
    for name in DESIGN:
        assert f"design.{name}" in used or html.count(f'href="#design.{name}"') > 1, name


def test_the_page_marks_each_and_leads_to_one_place(good: Path) -> None:
    html = (good / PAGE).read_text(encoding="utf-8")
    marked = re.findall(r'<a class="design" href="#design">(.) by design</a>', html, re.I)
    assert len(marked) > 20
    assert set(marked) == {MARK}
    body = re.sub(r"<[^>]+>", "", html.partition('<h2 id="statements">')[0])
    bare = [at.start() for at in re.finditer("by design", body, re.I) if body[at.start() - 2] != MARK]
    assert len(bare) == 4, "its heading, where the contents lead to it, and what forms and glossary say of it"


def test_of_opacus_is_used_what_is_said_and_nothing_else() -> None:
    found: dict[str, set[str]] = {}
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                assert not [name for name in names if name.partition(".")[0] == "opacus"], file
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "opacus":
                found.setdefault("/".join(file.relative_to(ROOT).parts[:2]), set()).update(names)
    assert found == {
        "afml/training": {"GradSampleModule", "GradSampleModuleFastGradientClipping"},
        "afml/masking": {"DPLSTM", "register_grad_sampler"},  # the LSTM, and rows of a layer of ours
        "afml/tasks": {"ModuleValidator"},  # `afml task check`: what would give no gradients per row
        "afml/privacy": {"prv", "RDPAccountant", "compute_rdp", "get_privacy_spent"},
    }


def test_digests_are_those_of_code_release_test_and_note() -> None:
    files = digests(places())
    released = {**files, DESIGN["noise"].code: "00" * 32}
    found = recorded(files, released, ROOT)
    assert found.keys() == DESIGN.keys()
    assert found["clipping"]["sha256"] == found["clipping"]["released"] == files["afml/training/clipping.py"]
    assert found["noise"]["released"] == "00" * 32
    assert found["noise"]["note_sha256"] == _sha256(ROOT / "docs/design/noise.md")
    assert found["noise"]["test_sha256"] == _sha256(ROOT / "tests/statistical/test_noise.py")


def test_without_a_repository_or_a_release_nothing_is_said_of_them(tmp_path: Path) -> None:
    found = recorded(digests(places()), None, tmp_path)
    assert {key for one in found.values() for key in one} == {"code", "sha256", "test", "note"}
    assert commit(tmp_path) is None


def test_a_commit_is_told_of_packages_as_they_were_committed(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    (tmp_path / "afml").mkdir()
    (tmp_path / "afml" / "a.py").write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit(tmp_path) == head
    (tmp_path / "afml" / "a.py").write_text("2")
    assert commit(tmp_path) is None


def _sha256(path: Path) -> str:
    return subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
