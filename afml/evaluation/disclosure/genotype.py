"""Inference of a sensitive genotype: how much a record says about a genotype beyond what is known without it.

The attacker has the most to start from: knows which record is the person's, holds the person's reference
profile at every other site, the public model and the panel. The question is what the record adds about the
chosen site. Without the record the genotype is predicted from the sites around it (linkage disequilibrium on
the panel); with it by Bayes' rule: for each genotype g that the person might have, mask the profile with g put
in and see whether the record comes out.

    P(record | g) = (1 - a) [mask(profile with g) = record] + a P(value shown at the site | g)

a is the rate at which genotyping errors at other sites change what is shown, measured on the panel; the second
term is the masking channel of the site alone, learnt on the panel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from afml.evaluation.attacks.base import Float64, Int8, Knowledge, reference_profiles

NEIGHBOURS = 12
PENALTY_C = 0.3


@dataclass(frozen=True)
class SiteInference:
    """One sensitive site.

    Attributes:
        site: Column of the site panel.
        shown: Share of records that show the genotype (then it is not withheld).
        panel_accuracy: Share of people whose genotype is named right without the record.
        release_accuracy: The same with the record.
        withheld_gain: Gain of accuracy among the people whose record does not show the site; 0 where none.
        bits: Mean of log2 P(true genotype | all) - log2 P(true genotype | all but the record).
    """

    site: int
    shown: float
    panel_accuracy: float
    release_accuracy: float
    withheld_gain: float
    bits: float

    @property
    def gain(self) -> float:
        """Accuracy with the record minus accuracy without it."""
        return self.release_accuracy - self.panel_accuracy


@dataclass(frozen=True)
class GenotypeReport:
    """All sites that were asked about.

    Attributes:
        people: People asked about.
        sites: One entry a site, in the order asked.
    """

    people: int
    sites: tuple[SiteInference, ...]

    @property
    def worst(self) -> SiteInference:
        """The site with the largest gain."""
        return max(self.sites, key=lambda site: site.gain)


def chosen_sites(knowledge: Knowledge, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Up to `count` sites: the half that the release shows of most panel people, the rest at random.

    Under fill 'major' a site is shown where it is not 0.
    """
    released = knowledge.released_panel
    shown = (released >= 0 if knowledge.fill == "missing" else released > 0).mean(axis=0)
    often = [int(s) for s in np.argsort(-shown, kind="stable")[: (count + 1) // 2] if shown[s] > 0]
    order = np.random.default_rng([seed, 0x6E]).permutation(len(shown))
    rest = [int(s) for s in order if s not in often]
    return np.array([*often, *rest[: count - len(often)]], dtype=np.int64)


class GenotypeInference:
    """The attacker described in the module.

    Args:
        knowledge: What is public.
        seed: Of simulated genotyping errors on the panel.
    """

    def __init__(self, knowledge: Knowledge, seed: int = 0) -> None:
        self.knowledge = knowledge
        panel = knowledge.complete_panel
        error, missing = knowledge.genotype_error, knowledge.reference_missing
        rng = np.random.default_rng([seed, 0x67])
        profiles = reference_profiles(panel, knowledge.frequencies, error=error, missing=missing, rng=rng)
        self._profiles = knowledge.complete(profiles)
        again = knowledge.mask(self._profiles)
        changed = int((again != knowledge.released_panel).any(axis=1).sum())
        self.changed = (changed + 1) / (len(panel) + 2)  # the a of the module

    def without_record(self, site: int, profiles: Int8) -> Float64:
        """P(genotype | all other sites): float64[n, 3], a logistic regression on the most correlated sites.

        Learnt on the panel, people with errors in their calls and all.
        """
        known = self.knowledge
        truth = known.complete_panel[:, site]
        prior = known.frequencies[site]
        kinds = np.unique(truth)
        if len(kinds) < 2:
            return np.tile(prior, (len(profiles), 1))
        calls = self._profiles.astype(np.float64)
        centred, target = calls - calls.mean(axis=0), truth - truth.mean()
        spread = np.sqrt((centred**2).sum(axis=0))
        correlation = np.abs(target @ centred) / np.where(spread > 0, spread, np.inf)
        correlation[site] = -1.0
        near = np.argsort(-correlation, kind="stable")[: min(NEIGHBOURS, len(correlation) - 1)]
        model = LogisticRegression(C=PENALTY_C, max_iter=300).fit(calls[:, near], truth)
        chance = np.zeros((len(profiles), 3))
        chance[:, kinds] = model.predict_proba(known.complete(profiles)[:, near])
        people = len(truth)
        return np.asarray((people * chance + prior) / (people + 1))

    def of_record(self, site: int, profiles: Int8, records: Int8) -> Float64:
        """P(record | genotype, rest of the profile): float64[n, 3]."""
        known = self.knowledge
        complete = known.complete(profiles)
        same = np.empty((len(profiles), 3))
        for g in range(3):
            assumed = complete.copy()
            assumed[:, site] = g
            same[:, g] = (known.mask(assumed) == records).all(axis=1)
        alone = known.channel[site][:, records[:, site].astype(np.int64) + 1].T  # [n, 3]
        return np.asarray((1 - self.changed) * same + self.changed * alone)

    def infer(self, sites: Iterable[int], truth: Int8, profiles: Int8, records: Int8) -> GenotypeReport:
        """Attack the given sites; one at which nobody has a call is left out, since there is nothing to guess.

        Args:
            sites: Columns.
            truth: int8[n, S], what to guess; people without a call at a site are left out there.
            profiles: int8[n, S], reference profiles. Their calls at the attacked site are not used.
            records: int8[n, S], each person's record.
        """
        guessed = [int(site) for site in sites if (truth[:, site] >= 0).any()]
        return GenotypeReport(len(truth), tuple(self._site(site, truth, profiles, records) for site in guessed))

    def _site(self, site: int, truth: Int8, profiles: Int8, records: Int8) -> SiteInference:
        called = truth[:, site] >= 0
        genotype, profiles, records = truth[called, site], profiles[called], records[called]
        before = self.without_record(site, profiles)
        after = before * self.of_record(site, profiles, records)
        after /= after.sum(axis=1, keepdims=True)
        rows = np.arange(len(genotype))
        right = [_right(table, genotype) for table in (before, after)]
        hidden = records[:, site] == (-1 if self.knowledge.fill == "missing" else 0)
        gains = (right[1] - right[0])[hidden]
        return SiteInference(
            site=site,
            shown=float(1 - hidden.mean()),
            panel_accuracy=float(right[0].mean()),
            release_accuracy=float(right[1].mean()),
            withheld_gain=float(gains.mean()) if len(gains) else 0.0,
            bits=float(np.log2(after[rows, genotype] / before[rows, genotype]).mean()),
        )


def _right(chance: Float64, genotype: Int8) -> Float64:
    """1 where the likeliest genotype is the true one, split over equals."""
    best = chance >= chance.max(axis=1, keepdims=True) - 1e-12
    return np.asarray(best[np.arange(len(genotype)), genotype] / best.sum(axis=1))
