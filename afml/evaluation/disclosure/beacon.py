"""Beacon-style presence: a file read as answers to "does anybody here carry this allele?"."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks.base import Float64, Int8, Knowledge, row_blocks
from afml.evaluation.attacks.scoring import blocks


class BeaconPresence:
    """Likelihood ratio over the alleles that a person carries (Shringarpure, Bustamante 2015; frequencies known).

    Of n records, a site answers yes if any of them shows its minor allele. Were the person not in the file, no would
    have probability (1 - q)^n, q being the share of records in which the public model shows the allele; were they in
    it, (1 - c)(1 - q)^(n - 1), c being the share of carriers whose record shows it. Both are learnt on the panel as it
    would be released. Sites that the person carries no minor allele of say nothing.
    """

    name = "presence"

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: how likely each profile's owner is to be in the file; higher is likelier."""
        carried, shown = knowledge.complete_panel > 0, knowledge.released_panel > 0
        people = len(carried)
        pooled = (shown & carried).sum() / max(1, carried.sum())
        of_carriers = ((shown & carried).sum(axis=0) + pooled) / (carried.sum(axis=0) + 1)
        # A wrong call of either genotyping is never excluded.
        of_carriers = np.minimum(of_carriers, 1 - max(knowledge.genotype_error, 1e-6))
        frequency = knowledge.frequencies[:, 1:].sum(axis=1)
        share = np.clip((shown.sum(axis=0) + pooled * frequency) / (people + 1), 1e-9, 1 - 1e-9)
        nobody = len(released) * np.log1p(-share)  # log P(no | not in the file)
        absent = np.log1p(-of_carriers) - np.log1p(-share)  # log ratio of a no
        present = np.log1p(-np.exp(np.minimum(nobody + absent, -1e-12))) - np.log1p(-np.exp(nobody))
        answers = np.zeros(released.shape[1], dtype=np.bool_)
        for part in row_blocks(released):
            answers |= (released[part] > 0).any(axis=0)
        ratio = np.round(np.where(answers, present, absent), 6)
        out = np.empty(len(profiles))
        for part in blocks(len(profiles), profiles.shape[1]):
            out[part] = (profiles[part] > 0) @ ratio
        return np.round(out, 9)  # equal profiles tie
