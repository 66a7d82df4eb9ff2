"""What others published about attacks, made again on raw exomes with the attacks of this suite.

Each function is one paper's claim: a few rows of (what, published, measured). Attackers who reach less here than in
their papers would understate what they reach on a release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.evaluation.attacks.base import Attack, Case, Float64, Int8, Knowledge, reference_profiles
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.markov import HiddenMarkovLinkage
from afml.evaluation.disclosure.beacon import BeaconPresence
from afml.evaluation.disclosure.membership import tpr_at
from afml.evaluation.disclosure.scores import Score, invert
from afml.evaluation.relatives import of_relatives
from afml.evaluation.rr import interval

SCORES, LONGEST, DECIMALS = 298, 50, 4
SEED = 1001


class Row(Settings):
    """One claim.

    Attributes:
        paper: Who published it.
        what: Was done.
        published: In the paper, in words.
        measured: Here, a share.
        ci95: Its interval, where it is a share of independent tries.
    """

    paper: str
    what: str
    published: str
    measured: float
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Raw:
    """Unmasked people.

    Attributes:
        people: int8[n, S], candidates.
        panel: int8[p, S], public people; may be among `people`: frequencies alone are taken from them.
    """

    people: Int8
    panel: Int8

    def knowledge(self, error: float = 1e-4) -> Knowledge:
        """Everything is shown; './.' says nothing."""
        return Knowledge(self.panel, lambda dosage: dosage, "missing", error, 1e-6)

    @property
    def common(self) -> NDArray[np.int64]:
        """Sites of MAF above 5 %."""
        maf = self.panel.mean(axis=0) / 2
        return np.flatnonzero(np.minimum(maf, 1 - maf) > 0.05)


def _row(paper: str, what: str, published: str, success: Float64) -> Row:
    return Row(paper=paper, what=what, published=published, measured=float(success.mean()), ci95=interval(success))


def _query(raw: Raw, sites: NDArray[np.int64], error: float, rng: np.random.Generator) -> Raw:
    """The people at some sites alone, as queries with wrong calls, and the panel there."""
    frequencies = raw.knowledge().frequencies[sites]
    shown = reference_profiles(raw.people[:, sites], frequencies, error=error, missing=0.0, rng=rng)
    return Raw(shown, raw.panel[:, sites])


def _draws(raw: Raw, count: int, tries: int = 4) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
    """Some random sets of common sites, in genome order."""
    for number in range(tries):
        rng = np.random.default_rng([SEED, count, number])
        yield np.sort(rng.choice(raw.common, count, replace=False)), rng


def sparse_and_noisy(raw: Raw) -> list[Row]:
    """PLIGHT (Emani et al., Genome Research 2023): about 5,000 haplotypes, few common SNPs."""
    paper, rows = "PLIGHT", []
    for count, error, published in (
        (10, 0.0, "10 identify"), (20, 0.0, "10 identify"), (10, 0.1, "not enough"), (30, 0.1, "30 identify"),
    ):  # fmt: skip
        success = []
        for sites, rng in _draws(raw, count):
            query = _query(raw, sites, error, rng)
            known = replace(query.knowledge(), genotype_error=max(error, 1e-4))
            case = Case(query.people, raw.people[:, sites], np.arange(len(query.people)), known)
            success.append(HiddenMarkovLinkage(sites=count, share=1.0).success(case))
        what = f"{count} common SNPs, {100 * error:g} % wrong calls: person named among {len(raw.people)}"
        rows.append(_row(paper, what, published, np.mean(success, axis=0)))
    return rows


def mosaics(raw: Raw, tries: int = 300) -> list[Row]:
    """PLIGHT: a query that joins two people's halves; both are named."""
    rows = []
    for count in (20, 30):
        found = []
        for sites, rng in _draws(raw, count, 1):
            people, attack = raw.people[:, sites], HiddenMarkovLinkage(sites=count, share=1.0)
            calls = np.ascontiguousarray(people.T)
            known = Raw(people, raw.panel[:, sites]).knowledge()
            for _ in range(tries):
                one, other = rng.choice(len(people), 2, replace=False)
                record = np.where(np.arange(count) < count // 2, people[one], people[other]).astype(np.int8)
                (telling,) = attack.telling(record[None], known)
                likelihood = attack.likelihood(telling, calls)
                # Named: no more than two candidates are as good as the worse of the two.
                found.append((likelihood >= min(likelihood[one], likelihood[other])).sum() <= 2)
        what = f"mosaics of two people, {count} common SNPs: both named among {len(raw.people)}"
        rows.append(_row("PLIGHT", what, "about 20 identify both", np.array(found, dtype=np.float64)))
    return rows


def few_of_a_relative(raw: Raw) -> list[Row]:
    """PLIGHT: first-order relatives from 20-30 SNPs."""
    rows = []
    for count in (20, 30, 60):
        success = []
        for sites, _ in _draws(raw, count):
            some = Raw(raw.people[:, sites], raw.panel[:, sites])
            case = Case(some.people, some.people, np.arange(len(some.people)), some.knowledge())
            success.append(LikelihoodLinkage().success(of_relatives(case, some.people, 1, SEED)))
        what = f"{count} common SNPs: child named among the children of {len(raw.people)}"
        rows.append(_row("PLIGHT", what, "20 to 30 identify", np.mean(success, axis=0)))
    return rows


def relatives(raw: Raw) -> list[Row]:
    """SF-Relate (Genome Research 2024): relatives to the third degree and duplicates, all sites."""
    case = Case(raw.people, raw.people, np.arange(len(raw.people)), raw.knowledge(0.01))
    rows, attacks = [], (LikelihoodLinkage(), KinshipLinkage())
    frequencies = case.knowledge.frequencies
    again = reference_profiles(raw.people, frequencies, error=0.01, missing=0.01, rng=np.random.default_rng(SEED))
    twice = replace(case, references=again, knowledge=replace(case.knowledge, reference_missing=0.01))
    rows.append(_row("SF-Relate", "duplicates, 1 % wrong calls", "16 of 16", _best(twice, attacks)))
    known = replace(case.knowledge, reference_missing=0.01)
    for degree in (1, 2, 3):
        kin = of_relatives(replace(case, knowledge=known), raw.people, degree, SEED)
        what = f"descendant of degree {degree} named among those of {len(raw.people)}"
        rows.append(_row("SF-Relate", what, "97 % of relatives found", _best(kin, attacks)))
    return rows


def _best(case: Case, attacks: tuple[Attack, ...]) -> Float64:
    return max((attack.success(case) for attack in attacks), key=lambda success: float(success.mean()))


def beacon(members: Int8, others: Int8, panel: Int8) -> list[Row]:
    """Shringarpure and Bustamante (2015): a beacon of 65 Europeans, membership from 250 SNPs.

    Args:
        members: int8[65, S], whole-exome calls of who is in the beacon, rare sites included.
        others: int8[m, S], of other Europeans.
        panel: int8[p, S], of further ones, for frequencies.
    """
    knowledge = Knowledge(panel, lambda dosage: dosage, "missing", 1e-3, 1e-6)
    rng, rows = np.random.default_rng(SEED), []
    for count in (50, 250, 1000):
        asked = [_asked(people, count, rng) for people in (members, others)]
        score = BeaconPresence().score(members, np.concatenate(asked), knowledge)
        power = tpr_at(score[: len(members)], score[len(members) :], 0.05)
        hits = np.arange(len(members)) < round(power * len(members))
        what = f"beacon of {len(members)} Europeans, {count} SNPs a person carries: found at 5 % false alarms"
        rows.append(_row("Shringarpure, Bustamante", what, "250 detect membership", hits.astype(np.float64)))
    return rows


def _asked(people: Int8, count: int, rng: np.random.Generator) -> Int8:
    """Profiles of so many carried sites each; the others are not asked about."""
    order = np.where(people > 0, rng.random(people.shape, dtype=np.float32), 2.0)
    chosen = np.argpartition(order, count - 1, axis=1)[:, :count]
    out = np.zeros_like(people)
    np.put_along_axis(out, chosen, np.take_along_axis(people, chosen, axis=1), axis=1)
    return out


def score_inversion(raw: Raw, people: int = 12, pool: int = 1500) -> list[Row]:
    """Polygenic-score inversion: 298 scores of at most 50 SNPs give most of their genotypes; 27 SNPs are a name."""
    rng = np.random.default_rng(SEED)
    sites = rng.choice(raw.common, min(pool, len(raw.common)), replace=False)
    panel, dosage = raw.panel[:, sites], raw.people[:, sites]
    frequencies = Raw(dosage, panel).knowledge().frequencies
    scores = []
    for size in rng.integers(2, LONGEST + 1, SCORES):
        weights = np.round(rng.normal(0, 0.1, size) * 10**DECIMALS).astype(np.int64)
        scores.append(Score(rng.choice(len(sites), size, replace=False), np.where(weights == 0, 1, weights)))
    covered = np.unique(np.concatenate([score.columns for score in scores]))
    right, asked = [], rng.choice(len(dosage), people, replace=False)
    for person in asked:
        values = [int(score.of(dosage[person : person + 1])[0]) for score in scores]
        named = invert(scores, values, frequencies).argmax(axis=1)
        right.append((named == dosage[person])[covered].mean())
    what = f"{SCORES} scores of 2 to {LONGEST} SNPs, {DECIMALS} decimals: genotypes right ({len(covered)} SNPs)"
    found = Row(paper="score inversion", what=what, published="94.6 %", measured=float(np.mean(right)))
    alone = (dosage[asked][:, covered] == frequencies[covered].argmax(axis=1)).mean()
    guess = Row(paper="score inversion", what="the same without scores", published="", measured=float(alone))
    return [found, guess, _unique(dosage[:, rng.choice(len(sites), 27, replace=False)], rng)]


def _unique(dosage: Int8, rng: np.random.Generator, crowd: int = 500_000) -> Row:
    """Share of people whose genotypes nobody shares among so many drawn site by site from the same people."""
    drawn = np.empty((crowd, dosage.shape[1]), dtype=np.int8)
    for site in range(dosage.shape[1]):
        drawn[:, site] = dosage[rng.integers(len(dosage), size=crowd), site]
    powers = 3 ** np.arange(dosage.shape[1], dtype=np.int64)
    own = dosage.astype(np.int64) @ powers
    _, index, counts = np.unique(own, return_inverse=True, return_counts=True)
    alone = (counts[index] == 1) & ~np.isin(own, drawn.astype(np.int64) @ powers)
    what = f"27 common SNPs: shared by nobody of {crowd:,} made-up people"
    return _row("score inversion", what, "27 identify among 500,000", alone.astype(np.float64))
