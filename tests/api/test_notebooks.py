"""Notebooks of docs/notebooks: executed as they stand, only with fewer rounds, and stored with what they print."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from afml.training.foreign import sandbox
from tests.processes import REPOSITORY

FOLDER = REPOSITORY / "docs" / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
PARAMETERS = "parameters"
#: Run before the rest: the processes of the task are forked, not started one by one (tests/warm.py).
FORKED = """from afml.training.foreign.process import TaskProcess
from tests import warm
TaskProcess.launch = warm.Popen"""

pytestmark = pytest.mark.timeout(1800)


def _code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def _printed(cells: list[nbformat.NotebookNode]) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def test_each_is_of_an_example() -> None:
    examples = {path.name for path in (REPOSITORY / "examples").iterdir() if (path / "pyproject.toml").is_file()}
    assert BOOKS
    assert {path.stem for path in BOOKS} <= examples


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_is_stored_as_it_was_executed(path: Path) -> None:
    cells = _code(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert "every ledger verifies" in _printed(cells)
    assert str(REPOSITORY) not in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not sandbox.available(), reason="no Landlock: other packages' tasks are not started")
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    source = "".join(cell.source for cell in _code(book))
    if "scikit-survival" in path.read_text(encoding="utf-8") and importlib.util.find_spec("sksurv") is None:
        pytest.skip("no scikit-survival: pip install 'examples/flchain[data]'")
    if "AFML_DATA_DIR" in source:
        monkeypatch.setenv("AFML_DATA_DIR", str(request.getfixturevalue("real_data")))
    (given,) = [cell for cell in _code(book) if PARAMETERS in cell.metadata.get("tags", ())]
    assert re.search(r"\bROUNDS\b", given.source)
    given.source += "\nROUNDS, PLE = 1, 0.3"  # little noise makes the verifier work long
    if "GLYPHS" in given.source:
        given.source += "\nGLYPHS, PASSES = 64, 1"
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book.cells.insert(0, nbformat.v4.new_code_cell(FORKED))
    NotebookClient(
        book, timeout=900, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    assert "1 encrypted rounds over 5 institutions" in _printed(_code(book))
