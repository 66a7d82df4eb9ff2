"""Inversion: from what is released back to the genotypes behind it, then linkage by those."""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import Linkage, Standing, blocks, exact_terms, standing
from afml.evaluation.distinct import distinct


class InversionLinkage(Linkage):
    """A release is a function of the genome that everybody can run: run it, and keep whose record comes out.

    The public model is applied to the panel and to mosaics of it. Those of whom it shows a record are a sample of the
    people whom that record may be of, and their genotypes at *all* sites, the masked ones included, are what it says
    of these people. Where few or none show it, the genotypes follow site by site from what is shown (Bayes' rule with
    the channel learnt on the panel), which weighs as `weight` people. Candidates are ranked by
    `sum_s log P(r_s | record) - log P(r_s)` over the sites of a record that tell most.

    Args:
        mosaics: Made-up people beside the panel's.
        weight: Of what each site says by itself, in people.
        sites: Most sites used of a record.
        share: They stop before, where they hold this share of what all sites tell.
        seed: Of the mosaics.
    """

    name = "inversion"
    guess = "genotypes of public people of whom the model shows the same, then whole genomes compared"
    baseline = False

    def __init__(
        self, mosaics: int = 2000, weight: float = 4.0, sites: int = 64, share: float = 0.99, seed: int = 0
    ) -> None:
        self.mosaics, self.weight, self.sites, self.share, self.seed = mosaics, weight, sites, share, seed
        self._behaviour: WeakKeyDictionary[Knowledge, tuple[Int8, Int8]] = WeakKeyDictionary()

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """The attack as a report runs it."""
        return cls(seed=seed)

    def behaviour(self, knowledge: Knowledge) -> tuple[Int8, Int8]:
        """(public and made-up people, what the model shows of them), int8[people, S] each."""
        if knowledge not in self._behaviour:
            rng = np.random.default_rng([self.seed, 0x1F])
            made = mosaic_people(knowledge.complete_panel, self.mosaics, rng)
            people = np.concatenate([knowledge.complete_panel, made])
            shown = np.concatenate([knowledge.released_panel, knowledge.mask(made)])
            self._behaviour[knowledge] = (people, shown)
        return self._behaviour[knowledge]

    def impute(self, records: Int8, knowledge: Knowledge) -> Float64:
        """P(true genotype | released record): float64[u, S, 3], of distinct records int8[u, S]."""
        people, shown = self.behaviour(knowledge)
        _, group = distinct(np.concatenate([records, shown]))
        mine, theirs = np.split(group, [len(records)])
        same = (mine[:, None] == theirs).astype(np.float32)  # [u, people]
        site = np.arange(records.shape[1])[None, :]
        posterior = knowledge.frequencies * knowledge.channel.transpose(2, 0, 1)[records.astype(np.int64) + 1, site]
        posterior /= posterior.sum(axis=2, keepdims=True)
        posterior *= self.weight
        for g in range(3):
            posterior[:, :, g] += same @ (people == g).astype(np.float32)
        return np.asarray(posterior / posterior.sum(axis=2, keepdims=True))

    def _telling(self, case: Case) -> tuple[list[NDArray[np.int64]], list[NDArray[Any]]]:
        """(sites of each distinct record, exact terms [sites, 4] by reference call: none, 0, 1, 2)."""
        knowledge = case.knowledge
        patterns, _ = case.patterns
        e = knowledge.genotype_error
        called = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)
        marginal = knowledge.frequencies @ called
        columns, terms = [], []
        for part in blocks(len(patterns), 16 * patterns.shape[1]):
            expected = self.impute(patterns[part], knowledge) @ called
            ratios = np.log(expected / marginal)
            told = (expected * ratios).sum(axis=2)  # Kullback and Leibler: never negative
            for ratio, said in zip(ratios, told, strict=True):
                order = np.argsort(-said, kind="stable")[: self.sites]
                enough = int(np.searchsorted(said[order].cumsum(), self.share * said.sum())) + 1
                columns.append(np.sort(order[:enough]))
                terms.append(np.pad(ratio[columns[-1]], ((0, 0), (1, 0))))
        exact = exact_terms(np.concatenate(terms), self.sites)
        return columns, np.split(exact, np.cumsum([len(one) for one in columns])[:-1])

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand."""
        columns, terms = self._telling(case)

        def score(part: slice) -> NDArray[Any]:
            calls = (case.references[part].T + np.int8(1)).view(np.uint8)  # [S, candidates], 0 to 3
            return np.stack([summed_terms(calls, sites, table) for sites, table in zip(columns, terms, strict=True)])

        return standing(case, score)


def summed_terms(calls: NDArray[np.uint8], sites: NDArray[np.int64], table: NDArray[Any]) -> NDArray[Any]:
    """Sums of exact terms over some sites, [candidates]: those of four sites are one look-up in a table of 256.

    Args:
        calls: uint8[S, candidates], 0 (none) to 3.
        sites: int64[m].
        table: [m, 4], the term of each call at each of them.
    """
    total = np.zeros(calls.shape[1], dtype=table.dtype)
    for first in range(0, len(sites), 4):
        code = np.zeros(calls.shape[1], dtype=np.uint8)
        joint = np.zeros(1, dtype=table.dtype)
        for site, values in zip(sites[first : first + 4], table[first : first + 4], strict=True):
            code = code << 2 | calls[site]
            joint = (joint[:, None] + values).reshape(-1)
        total += joint[code]
    return total
