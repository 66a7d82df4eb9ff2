"""Imputation, then linkage: fill in the masked sites from the panel, then compare whole genomes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge
from afml.evaluation.attacks.scoring import Linkage, Standing, blocks, exact_terms, standing

SLICES = 4
"""Working arrays that the imputed genomes of the patterns at hand may fill."""


class ImputationLinkage(Linkage):
    """A record is seen as a mosaic of panel people; what they carry at its masked sites is evidence.

    In the manner of Li and Stephens (2003), without phase: per window of sites, panel people are weighted
    by how probable they make the released values there, and, with less weight, in the rest of the record
    (which carries ancestry). The weighted genotypes, corrected by what is shown at the site itself, are
    P(g | record). Candidates are ranked by `sum_s log P(r_s | record) - log P(r_s)`, the posterior of
    identity.

    Args:
        window: Sites per window.
        copying: Probability that a record equals the panel person at a site; else it is drawn from the
            genotype frequencies.
        distant: Weight of evidence from outside the window.
    """

    name = "imputation"
    guess = "masked sites filled in from the panel, then whole genomes compared"

    def __init__(self, window: int = 64, copying: float = 0.6, distant: float = 0.2) -> None:
        self.window, self.copying, self.distant = window, copying, distant

    def impute(self, records: Int8, knowledge: Knowledge) -> Float64:
        """P(true genotype | released record): float64[u, S, 3]."""
        sites = records.shape[1]
        people = len(knowledge.panel)
        starts = range(0, sites, self.window)
        drawn = np.einsum("sg,sgo->so", knowledge.frequencies, knowledge.channel)
        # Calls of the panel are references of somebody: the same error model turns them into genotypes.
        copied = np.einsum("srg,sgo->sro", knowledge.given_reference, knowledge.channel)
        # [S, panel call, shown value]
        evidence = np.log(self.copying * copied + (1 - self.copying) * drawn[:, None, :])
        calls = knowledge.panel.astype(np.int64) + 1
        near = np.zeros((len(starts), len(records), people))
        for k, start in enumerate(starts):
            columns = np.arange(start, min(start + self.window, sites))
            for o in range(4):
                shown = records[:, columns] == o - 1
                if shown.any():
                    near[k] += shown @ evidence[columns[:, None], calls[:, columns].T, o]
        total = near.sum(axis=0)
        posterior = np.empty((len(records), sites, 3))
        for k, start in enumerate(starts):
            columns = np.arange(start, min(start + self.window, sites))
            weights = softmax(near[k] + self.distant * (total - near[k]), axis=1)  # [u, people]
            for g in range(3):
                carried = weights @ (knowledge.panel[:, columns] == g)
                posterior[:, columns, g] = (
                    self.copying * carried + (1 - self.copying) * knowledge.frequencies[columns, g]
                )
        site = np.arange(sites)[None, :]
        posterior *= knowledge.channel.transpose(0, 2, 1)[site, records.astype(np.int64) + 1]
        return np.asarray(posterior / posterior.sum(axis=2, keepdims=True))

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        patterns, pattern_of = case.patterns
        count = len(case.released)
        files = case.file is not None
        result, home = _empty(count), _empty(count) if files else None
        # A record's imputed genome is dense: a slice of patterns at a time keeps memory bounded.
        for part in blocks(len(patterns), 3 * patterns.shape[1] // SLICES):
            records = np.flatnonzero((pattern_of >= part.start) & (pattern_of < part.stop))
            found = self._link(case if len(records) == count else case.sample(records))
            for whole, one in ((result, found), (home, found.home)):
                if whole is not None and one is not None:
                    whole.best[records], whole.ties[records], whole.own[records] = one.best, one.ties, one.own
        return Standing(result.best, result.ties, result.own, home)

    def _link(self, case: Case) -> Standing:
        knowledge = case.knowledge
        patterns, _ = case.patterns
        e = knowledge.genotype_error
        called = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)
        marginal = np.log(knowledge.frequencies @ called)
        terms = np.empty((len(patterns), patterns.shape[1], 3))
        windows = -(-patterns.shape[1] // self.window)
        for part in blocks(len(patterns), 2 * windows * len(knowledge.panel)):
            terms[part] = np.log(self.impute(patterns[part], knowledge) @ called) - marginal
        exact = exact_terms(terms, patterns.shape[1])
        del terms
        by_call = [np.ascontiguousarray(exact[:, :, r]) for r in range(3)]

        def score(part: slice) -> NDArray[Any]:
            calls = case.references[part]
            scores = np.zeros((len(patterns), len(calls)), dtype=exact.dtype)
            for r in range(3):
                scores += by_call[r] @ (calls == r).astype(exact.dtype).T
            return scores

        return standing(case, score)


def _empty(records: int) -> Standing:
    return Standing(np.empty(records), np.empty(records, dtype=np.int64), np.empty(records))
