"""Commands for all tests of the command line, and one institution whose inputs they spoil."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import packages
from tests.cli.institution import Institution, listing
from tests.cli.zygote import Zygote


@pytest.fixture(scope="session")
def afml() -> Zygote:
    return Zygote()


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Institution:
    made = Institution(tmp_path_factory.mktemp("an institution"), afml)
    for node in (1, 2):
        done = made.prepare(node)
        assert done.code == 0, done.err
    return made


@pytest.fixture
def untouched(good: Institution) -> Iterator[None]:
    """Whatever the test does, what the institution had is still there, and nothing else is."""
    before = listing(good.root)
    yield
    assert listing(good.root) == before


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> packages.Institution:
    """With a model of two traits, and nothing released."""
    return packages.build(tmp_path_factory.mktemp("packages"), afml)
