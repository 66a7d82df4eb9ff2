"""Where the patterns of a release for many traits should come from: ways to find them, beside what is possible at all.

Simulated people (haplotypes copied from founders of three populations, 1,024 sites of 5 % and more) have ten scores of
20 sites each; 2,500 patterns are learned on 2,000 panel people and mosaics, and released to a file of 100,000 in groups
of at least 20. Every way is given the same quantiser of the scores to begin with:

- `limit`: a code of as many bits for Gaussian scores, however long its blocks (Shannon's rate-distortion function);
- `lloyd`: the quantiser itself, which shows no genotype and is not in groups: nobody can do better by cells;
- `cells`: the product's method, a genotype or two for each cell by assignment; most people have a major allele twice;
- `cells_any_order`: the same patterns, given to cells as they come;
- `cells_minor`: the same method among genotypes with a minor allele, which may be shown under fill `major`, too;
- `singles`, `tuples`: random genotypes with one; random pairs and triples of those; then the same Lloyd steps;
- `product`: two books of 50 patterns of disjoint sites, one for each half of the scores;
- `greedy`: the method "codebook", one genotype a site chosen one by one, up to the 200 patterns it is made for.

A figure is the mean correlation of a released with a true score. `auc_*`: eight of the scores are traits' liabilities
(heritability 0.5, a tenth of the people are cases), predicted by what three habits learn from the released scores of
half of the file, as a share of the AUC that `lloyd` reaches; the worst trait. Figures that begin with `sixteen_` are of
as many scores of the same people, all of them liabilities: `limit`, `lloyd`, `cells` and what L2 reaches.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from afml.masking.mosaics import mosaics
from afml.release.cells import CANDIDATES, METHOD, bound, common_patterns, everything, moved, quantise
from afml.release.choices import Choices
from afml.release.codebook import common_genotypes
from afml.release.grouping import entropy_bits, grouped
from afml.release.method import MANY_PATTERNS
from afml.release.patterns import Codebook, Pattern, contains
from afml.release.quantiser import learn

SITES, PANEL, PEOPLE = 1024, 2000, 100_000
PATTERNS, SCORES, CAUSAL, K = 2500, 10, 20, 20
#: The most traits that a run serves.
MOST = 16
#: Of the scores, liabilities of binary traits; heritability and share of cases.
BINARY, HERITABILITY, CASES = 8, 0.5, 0.1

BARS = {
    "auc_l2_worst": (">=", 0.98),
    "auc_l1_worst": (">=", 0.98),
    "auc_boosting_worst": (">=", 0.98),
    "bits_over_limit": ("<=", 1.5),
    "smallest_group": (">=", K),
    "peak_gb": ("<=", 2.0),
}


def simulate(people: int, sites: int, seed: int, *, founders: int = 300) -> NDArray[np.int8]:
    """Dosages with linkage disequilibrium and three populations, minor alleles counted, [people, sites]."""
    rng = np.random.default_rng(seed)
    frequency = 0.05 * 10.0 ** rng.random(sites)
    linked = np.where(rng.random(sites) < 0.03, 0.0, 0.85)
    pools = []
    for _ in range(3):
        own = np.clip(frequency + rng.normal(size=sites) * np.sqrt(0.05 * frequency * (1 - frequency)), 0.02, 0.9)
        latent = rng.normal(size=(sites, founders))
        for site in range(1, sites):
            latent[site] = linked[site] * latent[site - 1] + np.sqrt(1 - linked[site] ** 2) * latent[site]
        pools.append(latent < norm.ppf(own)[:, None])
    haplotypes = np.concatenate(pools, axis=1).astype(np.int8)  # [sites, 3 * founders]
    dosage = np.zeros((sites, people), np.int8)
    offset = rng.integers(3, size=people) * founders
    for _ in range(2):
        copied = rng.integers(founders, size=people)
        for site in range(sites):
            switched = np.flatnonzero(rng.random(people) < 0.04)
            copied[switched] = rng.integers(founders, size=len(switched))
            dosage[site] += haplotypes[site, offset + copied]
    common = dosage.mean(axis=1) > 1
    dosage[common] = 2 - dosage[common]
    return np.ascontiguousarray(dosage.T)


class Trial:
    """One simulated file, and what public people say of its scores."""

    def __init__(self, seed: int = 1, scores: int = SCORES) -> None:
        everybody = simulate(PANEL + PEOPLE, SITES, seed)
        panel, self.file = everybody[:PANEL], everybody[PANEL:]
        rng = np.random.default_rng([seed, 1])
        weights = np.zeros((scores, SITES))
        for row in weights:
            row[rng.choice(SITES, CAUSAL, replace=False)] = rng.normal(size=CAUSAL)
        weights /= panel.std(axis=0)
        self.public = np.empty((PANEL + METHOD.mosaics(PATTERNS), SITES), np.int8)
        self.public[:PANEL] = panel
        mosaics(panel, METHOD.mosaics(PATTERNS), rng, out=self.public[PANEL:])
        self.scores = self._scores(self.public, weights)
        self.scale = self.scores.std(axis=0)
        self.points, self.truth = self.scores / self.scale, self._scores(self.file, weights) / self.scale
        self.free = quantise(self.points, PATTERNS, 1.25 * K / PEOPLE * len(self.points))

    @staticmethod
    def _scores(dosage: NDArray[np.int8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = (dosage[start : start + 4096] for start in range(0, len(dosage), 4096))
        return np.concatenate([part @ weights.T for part in parts])

    def lloyd(self) -> NDArray[np.float64]:
        """What the quantiser says of everybody in the file, [people, scores]."""
        taken, _ = everything(self.truth, self.free).nearest()
        return np.asarray(self.free[taken])

    def assigned(self, shown: tuple[Pattern, ...], centroids: NDArray[np.float64]) -> NDArray[np.int64]:
        """The file in groups by a codebook."""
        parts = (self.file[start : start + 4096] for start in range(0, PEOPLE, 4096))
        held = np.concatenate([np.packbits(contains(part, shown), axis=1) for part in parts])
        return grouped(Choices(self.truth, held, centroids), K)

    def correlation(self, told: NDArray[np.float64]) -> float:
        """Mean over the scores."""
        pairs = zip(told.T, self.truth.T, strict=True)
        return float(np.mean([np.corrcoef(one, true)[0, 1] for one, true in pairs]))


def _told(trial: Trial, pool: list[Pattern]) -> NDArray[np.float64]:
    shown, centroids = bound(trial.public, trial.points, trial.free, pool)
    return np.asarray(centroids[trial.assigned(shown, centroids)])


def _random(trial: Trial, pool: list[Pattern]) -> NDArray[np.float64]:
    """Patterns that were not chosen for their cells: as many as cells, in any order."""
    rng = np.random.default_rng(7)
    kept = rng.permutation(len(pool))[: PATTERNS - 1]
    shown: tuple[Pattern, ...] = ((), *(pool[index] for index in kept))
    centroids = trial.free[: len(shown)]
    choices = Choices(trial.points, np.packbits(contains(trial.public, shown), axis=1), centroids)
    for _ in range(6):
        choices = choices.with_centroids(moved(choices.centroids, trial.points, choices.nearest()[0]))
    return np.asarray(choices.centroids[trial.assigned(shown, choices.centroids)])


def _tuples(trial: Trial) -> list[Pattern]:
    """Random pairs and triples of genotypes that are carried by more than three in ten."""
    rng = np.random.default_rng(11)
    common = [site for (site,) in _single(trial) if _share(trial, site) > 0.3]
    found: set[Pattern] = set()
    while len(found) < PATTERNS - 1:
        chosen = [common[index] for index in rng.choice(len(common), int(rng.integers(2, 4)), replace=False)]
        if len({site for site, _ in chosen}) == len(chosen):
            found.add(tuple(sorted(chosen)))
    return sorted(found)


def _single(trial: Trial) -> list[Pattern]:
    return [one for one in common_patterns(trial.public[:PANEL], 20 * PATTERNS, values=(1, 2)) if len(one) == 1]


def _share(trial: Trial, genotype: tuple[int, int]) -> float:
    return float((trial.public[:PANEL, genotype[0]] == genotype[1]).mean())


def _product(trial: Trial) -> NDArray[np.float64]:
    """Everybody takes one pattern of each book, and shows both; not in groups."""
    told, each = np.empty_like(trial.truth), int(PATTERNS**0.5)
    pool = _single(trial)
    for book, columns in enumerate((slice(0, SCORES // 2), slice(SCORES // 2, SCORES))):
        points = trial.points[:, columns]
        shown, centroids = bound(trial.public, points, quantise(points, each, 0.0), pool[book::2])
        held = np.packbits(contains(trial.file, shown), axis=1)
        told[:, columns] = centroids[Choices(trial.truth[:, columns], held, centroids).nearest()[0]]
    return told


def _greedy(trial: Trial) -> NDArray[np.float64]:
    some = slice(0, 6000)
    people, points = trial.public[some], trial.points[some]
    book: Codebook = learn(people, points, common_genotypes(people), patterns=MANY_PATTERNS, min_share=K / PEOPLE)
    return np.asarray(book.centroids[trial.assigned(book.patterns, book.centroids)])


HABITS: dict[str, Callable[[], object]] = {
    "l2": lambda: LogisticRegression(C=0.01, max_iter=1000),
    "l1": lambda: LogisticRegression(l1_ratio=1.0, solver="liblinear", C=0.1, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, random_state=0),
}


def _aucs(trial: Trial, told: NDArray[np.float64], habit: str, binary: int = BINARY) -> NDArray[np.float64]:
    """AUC on the other half of the file, [binary traits]."""
    rng = np.random.default_rng(3)
    training, found = np.arange(PEOPLE) < PEOPLE // 2, []
    for trait in range(binary):
        risk = trial.truth[:, trait]
        noise = rng.normal(size=PEOPLE) * np.sqrt((1 - HERITABILITY) / HERITABILITY)
        liability = (risk - risk.mean()) / risk.std() + noise
        ill = liability > np.quantile(liability, 1 - CASES)
        model = HABITS[habit]()
        model.fit(told[training], ill[training])  # type: ignore[attr-defined]
        found.append(roc_auc_score(ill[~training], model.predict_proba(told[~training])[:, 1]))  # type: ignore[attr-defined]
    return np.array(found)


def _limit(scores: int) -> float:
    """Correlation at most, of Gaussian scores with what PATTERNS patterns tell of them in blocks of any length."""
    return float((1 - 2 ** (-2 * np.log2(PATTERNS) / scores)) ** 0.5)


def _sixteen() -> dict[str, float]:
    """The same for as many traits as a run serves."""
    trial = Trial(scores=MOST)
    cells, lloyd = _told(trial, common_patterns(trial.public, CANDIDATES * PATTERNS)), trial.lloyd()
    ratio = _aucs(trial, cells, "l2", MOST) / _aucs(trial, lloyd, "l2", MOST)
    return {
        "sixteen_corr_limit": _limit(MOST),
        "sixteen_corr_lloyd": trial.correlation(lloyd),
        "sixteen_corr_cells": trial.correlation(cells),
        "sixteen_auc_l2_worst": float(ratio.min()),
        "sixteen_auc_l2_mean": float(ratio.mean()),
    }


def run() -> dict[str, object]:
    trial = Trial()
    began = time.process_time()
    quantise(trial.points, PATTERNS, 1.25 * K / PEOPLE * len(trial.points))
    common = common_patterns(trial.public, CANDIDATES * PATTERNS)
    shown, centroids = bound(trial.public, trial.points, trial.free, common)
    learned = time.process_time()
    taken = trial.assigned(shown, centroids)
    masked = time.process_time()
    cells, lloyd = np.asarray(centroids[taken]), trial.lloyd()
    figures: dict[str, object] = {
        "corr_limit": _limit(SCORES),
        "corr_lloyd": trial.correlation(lloyd),
        "corr_cells": trial.correlation(cells),
        "corr_cells_any_order": trial.correlation(_random(trial, common[:PATTERNS])),
        "corr_cells_minor": trial.correlation(
            _told(trial, common_patterns(trial.public, CANDIDATES * PATTERNS, values=(1, 2)))
        ),
        "corr_singles": trial.correlation(_random(trial, _single(trial))),
        "corr_tuples": trial.correlation(_random(trial, _tuples(trial))),
        "corr_product": trial.correlation(_product(trial)),
        f"corr_greedy_{MANY_PATTERNS}": trial.correlation(_greedy(trial)),
    }
    lost = 1 - np.mean([np.corrcoef(cells[:, at], trial.truth[:, at])[0, 1] ** 2 for at in range(SCORES)])
    bits, sizes = entropy_bits(taken), np.bincount(taken)
    figures |= {"bits": bits, "bits_over_limit": bits / (SCORES / 2 * np.log2(1 / lost))}
    for habit in HABITS:
        ratio = _aucs(trial, cells, habit) / _aucs(trial, lloyd, habit)
        figures |= {f"auc_{habit}_worst": ratio.min(), f"auc_{habit}_mean": ratio.mean()}
    del trial, cells, lloyd
    figures |= _sixteen()
    figures = {name: round(float(value), 4) for name, value in figures.items()}  # type: ignore[arg-type]
    return figures | {
        "patterns_used": int(np.count_nonzero(sizes)),
        "smallest_group": int(sizes[sizes > 0].min()),
        "learning_cpu_s": round(learned - began, 1),
        "grouping_cpu_s": round(masked - learned, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
