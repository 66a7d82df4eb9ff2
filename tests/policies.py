"""What institutions allow in tests: kits get a policy that allows trials, guards get terms without a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from afml.consortium.kit import load_roster
from afml.consortium.run import Budget, RunConfig
from afml.ledger.reservation import Limits
from node.policy import Policy, Terms
from node.policyfile import init, trial_policy


def allow_trials(kits: Path) -> None:
    """Give every node's kit below `kits` a policy for trials: every task, simulations, everybody on the roster."""
    for kit in sorted(kits.glob("node-*")):
        roster = load_roster(kit)
        init(kit, trial_policy(roster), roster)


def terms(lifetime: float = 100.0) -> Callable[[RunConfig], Terms]:
    """What a site without a file says to every run."""

    def told(run: RunConfig) -> Terms:
        limits = Limits(run.budget, Budget(delta=1e-5, ple_sigma=lifetime))
        return Terms(limits, own_noise=False, approval=False, days=30.0, policy=Policy())

    return told
