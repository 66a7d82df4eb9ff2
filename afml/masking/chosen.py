"""What a run says of the masking task; read without the networks and what they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig, TaskChoice
from afml.core.config import complaint
from afml.core.errors import ConfigError
from afml.masking.settings import MaskingSettings, RiskSettings
from afml.training.registry import find

NAME = "masking"
KINDS = ("genotypes", "matrix")
"""Kinds of data that it trains on."""


def parsed(given: Mapping[str, Any]) -> MaskingSettings:
    """The settings of a run, validated and completed.

    Raises:
        ConfigError: Says what is wrong with them.
    """
    try:
        return MaskingSettings.model_validate(given)
    except ValidationError as error:
        raise ConfigError(complaint(error), where=f"settings of task {NAME}") from None


def masking_settings(run: RunConfig) -> MaskingSettings:
    """What a run says of the masking task.

    Raises:
        ConfigError: It trains another task.
    """
    if run.task.kind != NAME:
        raise ConfigError(
            f"trains the task {run.task.kind}, not {NAME}", where=f"run {run.run}", cure="give a masking run"
        )
    return parsed(run.task.settings)


def purpose(risk: RiskSettings) -> str:
    """What a release by the model of such a run is made for, and so may tell, in words."""
    names = [trait.name for trait in risk.diseases] + [attribute.name for attribute in risk.attributes]
    if not names:
        return f"reconstruction from {risk.kept_components} panel principal components"
    named = "one declared phenotype" if len(names) == 1 else ", ".join(names)
    return named + (f"; panel principal components kept: {risk.kept_components}" if risk.kept_components else "")


def masking_choice(settings: MaskingSettings) -> TaskChoice:
    """How a run names this task with these settings."""
    return find(NAME).choice.model_copy(update={"settings": settings.model_dump(mode="json")})


def with_settings(run: RunConfig, settings: MaskingSettings) -> RunConfig:
    """The same run with other settings of its task."""
    task = run.task.model_copy(update={"settings": settings.model_dump(mode="json")})
    return run.model_copy(update={"task": task})


def genotypes(fingerprint: str, sites: int, people: str = "") -> DataAgreement:
    """What nodes with this site panel, and these public people (`afml.genomics.public`), declare of their data."""
    return DataAgreement(kind=KINDS[0], fingerprint=fingerprint, features=sites, panel=people)
