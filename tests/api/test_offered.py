"""`import afml` loads nothing, and offers what its stub says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import afml
from afml.core.errors import ConfigError
from afml.privacy.events import gaussian_rounds
from afml.privacy.ple import ple
from tests.processes import environment

STUB = Path(afml.__file__).with_suffix(".pyi")


def test_the_stub_names_what_is_there() -> None:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    named = {name.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert named == {**afml._OFFERED, "privacy": "afml"}
    for name in named:
        assert getattr(afml, str(name)).__name__.rpartition(".")[2] == name
    with pytest.raises(AttributeError):
        _ = afml.nothing  # type: ignore[attr-defined]


def test_importing_it_loads_no_torch_and_ple_needs_no_import() -> None:
    code = "import sys, afml; assert 'torch' not in sys.modules; print(afml.privacy.ple(2.0, rounds=4).sigma)"
    command = [sys.executable, "-c", code]  # a new interpreter: a forked one has loaded everything
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1.0)


def test_ple_of_rounds() -> None:
    assert afml.privacy.ple(1.5, sample_rate=0.1, rounds=100) == ple([gaussian_rounds(0.1, 1.5, 100)], 1e-5)
    with pytest.raises(ConfigError):
        afml.privacy.ple(1.5, delta=2.0)
