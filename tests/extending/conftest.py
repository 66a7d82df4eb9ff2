"""What a section of docs/EXTENDING.md adds, in this process or in one of its own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.extending.page import ROOT, Addition, additions

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Title of a section -> its new module, with its line in the table until the test ends."""
    modules = []

    def add(title: str) -> Any:
        new = additions()[title]
        package = new.package()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(new.write(tmp_path / "new"))])
        mapping, name, value = new.entry()
        monkeypatch.setitem(mapping, name, value)
        importlib.invalidate_caches()
        modules.append(f"{package.__name__}.{Path(new.path).stem}")
        return importlib.import_module(modules[-1])

    yield add
    for name in modules:
        package, _, attribute = name.rpartition(".")
        sys.modules.pop(name, None)
        vars(sys.modules[package]).pop(attribute, None)


def _run(new: Addition, folder: Path, arguments: Sequence[object], start: Run) -> subprocess.CompletedProcess[str]:
    new.write(folder)
    environment = os.environ | {"AFML_EXTENDING": f"{new.title}:{folder}", "PYTHONPATH": str(ROOT)}
    return start([sys.executable, *map(str, arguments)], cwd=ROOT, env=environment)


@pytest.fixture
def apart(tmp_path: Path) -> Run:
    """(section, code or module arguments of Python...) -> how a process ended that has the section's addition."""
    return lambda new, *arguments: _run(new, tmp_path / "apart", arguments, warm.run)


@pytest.fixture
def interpreter(tmp_path: Path) -> Run:
    """The same in a new interpreter, which has loaded nothing."""
    start = partial(subprocess.run, capture_output=True, text=True, check=False)
    return lambda new, *arguments: _run(new, tmp_path / "apart", arguments, start)


@pytest.fixture
def afml(apart: Run) -> Run:
    """(section, arguments of `afml`...) -> how the command ended."""
    code = "import tests.extending.plugin\nfrom afml.cli.main import main\nmain()"
    return lambda new, *arguments: apart(new, "-c", code, *arguments)
