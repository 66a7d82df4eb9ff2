"""Nearest record: how close the closest record of a file comes to a person's genome."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks.base import Float64, Int8, Knowledge
from afml.evaluation.attacks.scoring import blocks
from afml.evaluation.distinct import distinct


class NearestRecord:
    """Membership by Hamming distance: whoever has a record nearly their own was in the data it was made from.

    The usual test of synthetic genotypes (PROVGEN calls its power "Hamming membership"). The distance is the share of
    differing genotypes among the sites that both show; a record that shares none with a profile is as far as can be.
    """

    name = "nearest record"

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: minus the smallest distance; higher is likelier."""
        records, _ = distinct(released)
        out = np.full(len(profiles), -1.0)
        for part in blocks(len(profiles), 4 * max(profiles.shape[1], 1024)):
            calls = profiles[part]
            for some in blocks(len(records), 4 * max(len(calls), profiles.shape[1])):
                shown = records[some]
                both = (shown >= 0).astype(np.float32) @ (calls >= 0).T.astype(np.float32)
                same = np.zeros_like(both)
                for g in range(3):
                    same += (shown == g).astype(np.float32) @ (calls == g).T.astype(np.float32)
                distance = np.where(both > 0, 1 - same / np.maximum(both, 1), 1.0)
                out[part] = np.maximum(out[part], -distance.min(axis=0))
        return np.round(out, 6)
