"""The verifier that a dossier carries: alone in a process, and its bounds around dp-accounting's values."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.dossier import standalone
from afml.ledger import independent, tree
from afml.privacy import events


def test_it_runs_with_nothing_of_ours(good: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", good / "verify.py"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing found\n")
    source = Path(str(standalone.__file__)).read_text(encoding="utf-8")
    assert not any(
        line.startswith(("import afml", "from afml", "from crypto.", "from node")) for line in source.splitlines()
    )


@given(st.floats(0.01, 50), st.floats(0.001, 50), st.integers(0, 4000), st.integers(0, 10**12))
def test_a_budget_ends_where_squares_that_go_on_reach_it(limit: float, spent: float, days: int, first: int) -> None:
    """Day by day, as slowly as can be; null where the pace is of less than 30 days, or of a century."""
    day = 86_400_000
    found = standalone.ends(limit, spent, first, first + days * day)
    if days < 30:
        assert found is None
        return
    whole = (limit / spent) ** 2 * days  # days until squares at this pace make the limit
    if found is None:
        assert whole >= days + 36_524
    else:
        assert found == pytest.approx(first + whole * day, abs=day)
        assert datetime.fromtimestamp(found / 1000, UTC)  # a page writes it as a date


def test_nothing_spent_ends_never() -> None:
    assert standalone.ends(1.0, 0.0, 0, 10**11) is None


@pytest.mark.parametrize("count", range(1, 34))
def test_proofs_are_those_of_the_writers_tree(count: int) -> None:
    leaves = [bytes([number]) * 32 for number in range(count)]
    for index in range(count):
        path = standalone.proof(index + 1, leaves, whole=False)
        assert path == tree.inclusion_proof(leaves, index)
        assert tree.included(leaves[index], index, count, path, standalone.roots(leaves)[-1])
        assert standalone.proof(index + 1, leaves) == tree.consistency_proof(leaves, index + 1)


KINDS = ((1.0, 5.0), (1.0, 2.0), (0.1, 1.0), (0.3, 2.0))
STEPS = st.dictionaries(st.sampled_from(KINDS), st.integers(1, 9)).map(Counter)


@given(STEPS, STEPS, st.booleans())
def test_what_a_run_takes_is_what_the_ledger_charges(
    plan: Counter[tuple[float, float]], spent: Counter[tuple[float, float]], whole: bool
) -> None:
    found = standalone.charged(plan, spent, whole)
    expected = events.compose((events.reserved if whole else events.charged)(_events(plan), _events(spent)))
    full = sum(n / z**2 for (rate, z), n in found.items() if rate == 1)
    assert full == pytest.approx(expected.gaussian_mu**2)
    assert {(q, z): n for (q, z), n in found.items() if q < 1} == {(q, z): n for q, z, n in expected.subsampled}


def _events(steps: Counter[tuple[float, float]]) -> list[events.Event]:
    return [events.SubsampledGaussian(rate, z, n) for (rate, z), n in steps.items()]


@pytest.mark.parametrize(
    "steps",
    [{(1.0, 5.0): 20}, {(1.0, 5.2228): 20, (0.1, 1.4302): 4}, {(0.05, 1.0): 60}, {(0.5, 10.0): 30, (0.3, 5.0): 7}],
)
def test_its_bounds_hold_what_another_accountant_finds(steps: dict[tuple[float, float], int]) -> None:
    found, other = standalone.bounds(Counter(steps), 1e-5), independent.spend(steps, 1e-5)
    assert found.epsilon[0] - 1e-3 <= other.epsilon <= found.epsilon[1] + 1e-3
    assert found.ple[0] - 1e-3 <= other.ple_sigma <= found.ple[1] + 1e-3
    assert found.epsilon[1] - found.epsilon[0] < 0.05
