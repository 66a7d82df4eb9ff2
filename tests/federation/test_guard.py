"""The guard counts what each phase of the plan has used, by an index of the ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import BudgetError
from afml.training.registry import code_digest
from node.guard import Guard
from tests.ledger.helpers import open_ledger
from tests.masking_runs import masking_run
from tests.policies import terms

COHORT = (1, 2, 3)
PEOPLE = [f"p{i}" for i in range(40)]


def phase(name: str, rounds: int) -> Phase:
    return Phase(name=name, rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=9.0, learning_rate=1.0)


def run(name: str) -> RunConfig:
    budget = Budget(delta=1e-5, ple_sigma=50.0)
    phases = (phase("one", 2), phase("two", 1), phase("three", 3))
    return masking_run(
        run=name, consortium="test", sites=9, enrolled=dict.fromkeys(COHORT, len(PEOPLE)), quorum=3,
        phases=phases, reserve_attempts=1, budget=budget,
    )  # fmt: skip


def test_each_phase_has_its_own_attempts_and_other_runs_do_not_count(tmp_path: Path) -> None:
    config, other = run("r"), run("other")
    with open_ledger(tmp_path, key=Ed25519PrivateKey.generate()) as ledger:
        guards = {one.run: Guard(ledger, one, PEOPLE, terms()) for one in (config, other)}
        for guard in guards.values():
            guard.reserve()
        used: Counter[int] = Counter()
        for number in (1, 2, 3, 4):
            for round_number in range(1, config.rounds + 1):
                index, its = config.phase_of(round_number)
                attempt = Attempt(round_number, number)
                binding = Binding(config.run, config.digest(), attempt, COHORT)
                if used[index] < its.rounds + 1:
                    guards["r"].spend(binding)
                    used[index] += 1
                    assert guards["r"].receipt(binding) is not None
                    continue
                for refused in (lambda n=round_number: guards["r"].check(n), lambda b=binding: guards["r"].spend(b)):
                    with pytest.raises(BudgetError, match=f"phase {its.name} has used the {its.rounds + 1} attempts"):
                        refused()
                assert attempt not in guards["r"].spends(round_number)
        assert used == {0: 3, 1: 2, 2: 4}
        guards["other"].check(1)
        assert guards["other"].spends(1) == {}


def test_a_node_states_the_digests_of_its_source_where_it_sets_a_plan_aside(tmp_path: Path) -> None:
    with open_ledger(tmp_path, key=Ed25519PrivateKey.generate()) as ledger:
        Guard(ledger, run("r"), PEOPLE, terms()).reserve()
        (body,) = (entry.body for entry in ledger.entries() if entry.kind == "reservation")
        assert body["code"] == {name: code_digest(name, own=False) for name in ("afml", "crypto", "node")}
