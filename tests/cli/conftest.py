"""One zygote for all tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.zygote import Zygote, zygote


@pytest.fixture(scope="session")
def afml() -> Iterator[Zygote]:
    with zygote() as made:
        yield made
