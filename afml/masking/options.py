"""The masking task's settings from the few words of a command line."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from afml.core.errors import ConfigError
from afml.masking.chosen import parsed
from afml.masking.settings import FOCUS, GAME, RISK, GameSettings, RiskSettings

PATTERNS_ONE, PATTERNS_SEVERAL = 10, 24  # of a release that serves one phenotype, or several


@dataclass(frozen=True)
class Words:
    """What was said; None for nothing.

    Attributes:
        risk: File of traits and covariates.
        game: File of the game's settings.
        game_steps: Steps of the game on the panel.
        phenotypes: Binary phenotypes that have no names of their own.
        patterns: Release patterns at most.
        min_group_size: People who share each pattern.
        fill: What a masked genotype shows.
        focus: Sites of each trait that the last risk rounds measure.
    """

    risk: Path | None = None
    game: Path | None = None
    game_steps: int | None = None
    phenotypes: int | None = None
    patterns: int | None = None
    min_group_size: int | None = None
    fill: str | None = None
    focus: int | None = None

    @property
    def any(self) -> bool:
        """Whether anything was said."""
        return astuple(self) != astuple(Words())


def given(words: Words) -> dict[str, Any]:
    """The settings that these words ask for.

    Raises:
        InputError: A file is missing or wrong.
        ConfigError: Both phenotypes and a file of traits are given.
    """
    if words.phenotypes is not None and words.risk is not None:
        raise ConfigError("give one of them", where="--phenotypes and --risk")
    game = GameSettings() if words.game is None else GameSettings.load(words.game)
    if words.game_steps is not None:
        game = game.model_copy(update={"steps": words.game_steps})
    risk = RiskSettings(phenotypes=words.phenotypes or 1) if words.risk is None else RiskSettings.load(words.risk)
    if words.focus is not None or (risk.declared and "focus" not in risk.model_fields_set):
        risk = parsed({RISK: risk.model_dump() | {"focus": FOCUS if words.focus is None else words.focus}}).risk
    release = {
        "min_group_size": words.min_group_size,
        "fill": words.fill,
        "patterns": words.patterns or (PATTERNS_ONE if risk.scores == 1 else PATTERNS_SEVERAL),
    }
    asked = {name: value for name, value in release.items() if value is not None}
    return {RISK: risk.model_dump(mode="json"), GAME: game.model_dump(mode="json"), "release": asked}
