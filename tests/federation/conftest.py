"""Commands that end by themselves run in forks of one process that has loaded torch."""

from __future__ import annotations

import pytest

from tests.cli.zygote import Zygote


@pytest.fixture(scope="session")
def afml() -> Zygote:
    return Zygote()
