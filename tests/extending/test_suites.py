"""Every addition is one file and one line, and passes the suite that the page names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.extending.conftest import Run
from tests.extending.page import PAGE, ROOT, TASK, additions

ADDITIONS = additions()
#: What docs/ARCHITECTURE.md promises.
SEVEN = ("Task", "Attack", "Release method", "Data kind", "Accountant", "Backend of blind sums", "Aggregator store")


def test_the_page_adds_seven_things_each_by_one_file_and_one_line() -> None:
    assert tuple(ADDITIONS) == SEVEN  # `additions` refuses a section with more than one of either
    for new in ADDITIONS.values():
        assert not (ROOT / new.path).exists(), f"{new.path} is in the product"
        assert (ROOT / new.table).is_file()


def test_links_of_the_page_lead_to_its_sections() -> None:
    text = PAGE.read_text(encoding="utf-8")
    anchors = {title.lower().replace(" ", "-") for title in ADDITIONS}
    assert set(re.findall(r"\(#([a-z-]+)\)", text)) == anchors
    for path in re.findall(r"`((?:afml|aggregator|crypto|tests)/[a-z_/]+(?:\.py)?)`", text):
        assert (ROOT / path).exists(), path


def test_the_files_of_the_page_are_in_the_house_style(tmp_path: Path) -> None:
    for new in ADDITIONS.values():
        new.write(tmp_path)
        assert new.source.count("\n") <= 300
    for check in (("check",), ("format", "--check")):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", "--config", ROOT / "pyproject.toml", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("title", [title for title, new in ADDITIONS.items() if new.suite])
def test_an_addition_passes_its_suite(title: str, apart: Run) -> None:
    new = ADDITIONS[title]
    assert new.suite[-2:] == ("-k", new.name)
    options = ("-q", "-p", "tests.extending.plugin", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = apart(new, "-m", "pytest", *options, *new.suite)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_two_contracts_are_kept_by_calling_them() -> None:
    """A task and a data kind need data of their own: no suite can bring them."""
    assert {title for title, new in ADDITIONS.items() if not new.suite} == {TASK, "Data kind"}
