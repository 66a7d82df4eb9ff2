"""The run configuration that the training benchmarks measure: three nodes, one round of each phase."""

from __future__ import annotations

from afml.core.run import Budget, GameSettings, Phase, RunConfig


def bench_config(sites: int, people: int, *, game_rate: float, steps: int) -> RunConfig:
    """A run that nothing is released of.

    Args:
        sites: Sites of the panel.
        people: Enrolled at each node.
        game_rate: Sample rate of the private game round; the risk round takes everybody.
        steps: Steps of the game on the panel.
    """
    phases = tuple(
        Phase(name=name, rounds=1, sample_rate=rate, clip_norm=1, noise_multiplier=5, learning_rate=0.003)
        for name, rate in (("risk", 1.0), ("game", game_rate))
    )
    return RunConfig(
        run="bench",
        consortium="bench",
        site_panel="00",
        sites=sites,
        enrolled=dict.fromkeys(range(1, 4), people),
        quorum=3,
        budget=Budget(delta=1e-5, ple_sigma=1.0),
        phases=phases,
        game=GameSettings(steps=steps),
        seed=1,
    )
