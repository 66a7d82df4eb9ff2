"""Pages name files and things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
#: Pages that show files which a reader is to write.
ABOUT_NEW_FILES = {"EXTENDING.md", "ARCHITECTURE.md"}
#: `path.py`, or `path.py: name`, or `path.py::name`.
NAMED = re.compile(r"`([\w/]+\.py)(?::{1,2} ?([\w.]+))?")
MODULES = {
    path.relative_to(ROOT).as_posix()
    for folder in ("afml", "node", "aggregator", "crypto", "benchmarks", "tools", "tests")
    for path in (ROOT / folder).rglob("*.py")
}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in ABOUT_NEW_FILES], ids=lambda page: page.name
)
def test_named_modules_and_what_is_named_in_them_exist(page: Path) -> None:
    for module, name in NAMED.findall(page.read_text(encoding="utf-8")):
        found = [one for one in MODULES if one == module or one.endswith(f"/{module}")]
        assert found, module
        if name:
            words = name.split(".")
            assert any(all(word in (ROOT / one).read_text() for word in words) for one in found), f"{module}: {name}"
