"""The gates of `afml prepare`: what genotypes must be like to be trained on, and the option that moves each gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from afml.core.config import FiniteSettings

PoorlyCalled = Literal["refuse", "drop"]
#: Largest share of sites whose frequency may differ from the panel's by more than `max_frequency_difference`.
MAX_DIFFERING = 0.2
#: Standard errors that a difference of frequencies may have beyond `max_frequency_difference`, by chance alone.
CHANCE = 3.0


class GateSettings(FiniteSettings):
    """Gates, as options of `afml prepare`; docs/QC.md says why each stands where it stands."""

    min_site_call_rate: float = Field(
        default=0.9, ge=0, le=1, description="share of people that a site must have calls of; others count as absent."
    )
    min_person_call_rate: float = Field(
        default=0.9, ge=0, le=1, description="share of the sites at which a person must have calls."
    )
    poorly_called: PoorlyCalled = Field(
        default="refuse", description="people with fewer calls than that; drop leaves them out."
    )
    max_absent: float = Field(default=0.05, ge=0, le=1, description="share of the panel's sites that may be absent.")
    max_frequency_difference: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="how far a site's frequency may be from the panel's; 20 % of the sites may be further.",
    )
    max_panel_overlap: int = Field(default=0, ge=0, description="people who may be in the public panel as well.")
