"""Commands that end by themselves run in forks of one process that has loaded torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.zygote import Zygote, zygote


@pytest.fixture(scope="session")
def afml() -> Iterator[Zygote]:
    with zygote() as made:
        yield made
