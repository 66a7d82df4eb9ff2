"""Run configurations of the masking task, from the few words that a test cares about."""

from __future__ import annotations

from typing import Any

from afml.consortium.run import RunConfig
from afml.masking.chosen import genotypes, masking_choice
from afml.masking.settings import GAME, GameSettings, MaskingSettings, ReleaseSettings, RiskSettings


def masking_run(
    *,
    site_panel: str = "00",
    sites: int,
    risk: RiskSettings | None = None,
    game: GameSettings | None = None,
    release: ReleaseSettings | None = None,
    **fields: Any,
) -> RunConfig:
    """A run of the masking task; game phases are marked as needing the public part."""
    settings = MaskingSettings(
        risk=risk or RiskSettings(), game=game or GameSettings(), release=release or ReleaseSettings()
    )
    phases = tuple(phase.model_copy(update={"needs_public": phase.name == GAME}) for phase in fields.pop("phases", ()))
    return RunConfig.model_validate(
        {
            "task": masking_choice(settings),
            "data": genotypes(site_panel, sites),
            "public_part": True,
            "phases": phases,
            **fields,
        }
    )
