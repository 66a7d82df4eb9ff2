"""What the scores of a run mean to its evaluation: its traits, or the components that it keeps, and their names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import MaskingSettings


def names_of(settings: MaskingSettings) -> tuple[str, ...]:
    """Of the traits, binary ones first; none of the single phenotype of a run that declares no trait."""
    if not settings.risk.diseases:
        return (f"reconstruction, {settings.risk.kept_components} components",)
    if not settings.risk.traits and settings.risk.phenotypes == 1:
        return ()
    return tuple(served(np.array([trait.name for trait in settings.risk.diseases]), settings).tolist())


def served(rows: NDArray[Any], settings: MaskingSettings) -> NDArray[Any]:
    """Rows of scores in declared order -> those of traits, binary ones first; of components where there is no trait."""
    traits = settings.risk.diseases
    if not traits:
        return rows[-settings.risk.kept_components :]
    return rows[np.argsort([trait.kind == "quantitative" for trait in traits], kind="stable")]
