"""Shared fixtures: real genomes where they are present, hypothesis profiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from afml.training.foreign.process import TaskProcess
from afml.trial.processes import Team
from tests import postgres as servers
from tests import warm

Team.launch = TaskProcess.launch = warm.Popen  # each a process of its own still, but a forked one

settings.register_profile("default", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("AFML_HYPOTHESIS_PROFILE", "default"))


TESTS = Path(__file__).parent
#: What takes longest, begun first: both workers of `make test` then end at about the same time.
LONGEST = (
    "federation/test_faults.py", "study/", "cli/test_demo.py", "federation/test_traits.py", "tenants/", "trial/",
    "api/", "benchmarks/", "tasks/",
    "federation/", "privacy/", "training/foreign/", "extending/", "ledger/test_crash.py", "evaluation/", "masking/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by how long they take; within a file nothing moves."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(TESTS).as_posix()
    return next((rank for rank, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real genomes (1000 Genomes); the test is skipped, visibly, where there is none."""
    places = [os.environ.get("AFML_DATA_DIR"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real genomes: set AFML_DATA_DIR to run this test")


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Server]:
    """A server of these tests' own; the test is skipped, visibly, where PostgreSQL is not installed."""
    with servers.running() as server:
        yield server
