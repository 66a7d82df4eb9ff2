"""Draws that are public: mosaics of the panel, line-ups, pattern searches. The same at every party of a run.

Only public data is drawn with them, so a predictable generator costs no privacy and makes a run repeatable. A draw
depends on what it is for and on the run's seed (its name, where it has none), and on nothing else: a setting that
is renamed, a field that is added or a model that differs in its last bit draws the same people.
"""

from __future__ import annotations

import hashlib

import numpy as np

from afml.core.config import canonical_json


def draws_of(run: str, seed: int | None) -> str:
    """The stem of a run's public draws: its seed if it is a simulation, else its name."""
    return f"run {run}" if seed is None else f"seed {seed}"


def public_draw(stem: str, label: str) -> np.random.Generator:
    """The generator of one public draw.

    Args:
        stem: Of the run, see `draws_of`.
        label: What is drawn; every use has a label of its own.
    """
    seed = hashlib.sha256(canonical_json(["public draw", stem, label])).digest()
    return np.random.default_rng(int.from_bytes(seed[:16], "little"))
