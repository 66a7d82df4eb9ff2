"""The codec parameters of a run, as every party derives them from its configuration."""

from __future__ import annotations

from afml.consortium.run import RunConfig
from crypto.public.checkvalue import check_coordinates
from crypto.public.params import CodecParams, choose


def run_params(config: RunConfig) -> CodecParams:
    """One row for all phases, since one CKKS key serves the run: sized for the longest update.

    Raises:
        ConfigError: No parameters fit.
    """
    longest = max(1, max(phase.parameters for phase in config.phases))
    return choose(len(config.nodes), config.bits, longest + further_coordinates(config))


def further_coordinates(config: RunConfig) -> int:
    """Coordinates that travel with every update beside its own: those of its check value, where sums are verified.

    Raises:
        ConfigError: The run's bits have no room for one.
    """
    return check_coordinates(len(config.nodes), config.bits) if config.verified_sums else 0
