"""How much of what is accounted the declared audit establishes, on the demo's mechanism. Figures under "audit"."""

from __future__ import annotations

import time

from afml.audit.declared import DeclaredResult, audit_declared
from afml.audit.simulated import Size, simulate
from afml.consortium.run import RunConfig
from afml.masking.chosen import masking_settings
from afml.masking.plan import DEFAULT_GAME_ROUNDS, DEFAULT_GAME_SHARE, Wish, plan_phases
from afml.privacy.noise import with_fewest_bits

BARS = {"bound_ratio": (">=", 0.8), "bound_s": ("<=", 300.0)}
PLE = 0.9


def demo_run(sites: int = 1024, rounds: int = 20, reserve: int = 1) -> RunConfig:
    """A run as `afml demo` configures it: five institutions, full-batch rounds, distributed noise, PLE 0.9 in all."""
    run = simulate(1, Size(sites=sites)).config
    wish = Wish(PLE, run.budget.delta, rounds, DEFAULT_GAME_ROUNDS, DEFAULT_GAME_SHARE, reserve)
    return with_fewest_bits(run.model_copy(update={"phases": plan_phases(wish, masking_settings(run), sites)}))


def run() -> dict[str, object]:
    """All figures of this section."""
    started = time.perf_counter()
    found: DeclaredResult = audit_declared(demo_run(), seed=1)
    seconds = time.perf_counter() - started
    return {
        "bound_mu": round(found.mu_lower, 3),
        "bound_accounted": round(found.mu_accounted, 3),
        "bound_ratio": round(found.mu_lower / found.mu_accounted, 3),
        "bound_s": round(seconds, 1),
    }
