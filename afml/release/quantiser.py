"""Learning a codebook on public people: a quantiser of the score (Lloyd 1982) whose codewords are genotypes.

With about ten patterns the groups are large by construction and nothing rare is ever shown. The empty pattern
stands for the mean score, and its centroid never moves. A recipient fits penalised linear models on dosages, in
which everybody who shows nothing sits at the intercept. Were they people of extreme scores, the penalty would pull
all other patterns towards them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices
from afml.release.lloyd import lloyd, open_patterns, squared_distance
from afml.release.patterns import Codebook, Pattern, contains

LLOYD_STEPS = 6
#: Trial centroids of a new pattern: score quantiles, or cluster centres where there are several scores.
_LEVELS, _LEVELS_MANY = 24, 64
_CLUSTER_STEPS = 10
_CANDIDATES_AT_ONCE = 256
#: Digits of a saving, a share of the variance, that a choice is made by; savings that are closer may be alike in them.
_DIGITS, _ALIKE = 9, 1e-8


def learn(
    dosage: NDArray[np.int8],
    score: NDArray[np.float64],
    pool: list[Pattern],
    *,
    patterns: int,
    min_share: float = 0.0,
    tabled: bool = False,
) -> Codebook:
    """Choose patterns from `pool` one by one: each time the one that lowers the score's squared error most.

    No site is shown by two patterns, so that each pattern has columns of its own in a recipient's model; and the empty
    one keeps the mean. Neither matters where recipients read a table.

    Args:
        dosage: Public people (panel and mosaics), [people, sites].
        score: Their risk scores, [people] or [people, scores].
        pool: Candidate patterns, the empty one not among them.
        patterns: J, the empty pattern included, at least 1.
        min_share: Candidates that would attract less of the public people are passed over.
        tabled: Whether what a pattern says stands in a table beside the release.

    Returns:
        A deterministic codebook of at most J patterns. It remembers its `steps`: with fewer patterns asked for, each of
        these would have been the last.
    """
    points = np.asarray(score, dtype=np.float64).reshape(len(dosage), -1)  # [people, scores]
    has = contains(dosage, pool)  # [people, candidates]
    enough = np.flatnonzero(has.sum(axis=0) / np.float64(len(points)) >= min_share)  # others never attract so many
    has, pool = has[:, enough], [pool[index] for index in enough]
    carried = np.ascontiguousarray(has.T)  # [candidates, people]
    levels = _levels(points)
    to_levels = squared_distance(points, levels)  # [people, levels]
    sites = [{site for site, _ in pattern} for pattern in pool]
    free: NDArray[np.bool_] = np.asarray(has.any(axis=0))
    chosen: list[int] = []
    centroids, unit = points.mean(axis=0, keepdims=True), max(float(points.var()), 1e-300)
    steps = [centroids]
    while len(chosen) < patterns - 1 and free.any():
        _, now = Choices(points, open_patterns(has[:, chosen]), centroids).nearest()
        best = best_candidate(carried, np.maximum(now[:, None] - to_levels, 0.0) / unit, free, min_share)
        if best is None:
            break
        candidate, level = best
        chosen.append(candidate)
        started = np.concatenate([centroids, levels[level][None]])
        centroids = lloyd(points, has[:, chosen], started, steps=LLOYD_STEPS, empty_moves=tabled)
        steps.append(centroids)
        free[candidate] = False
        if not tabled:
            free &= np.array([not (own & sites[candidate]) for own in sites])
    shown: tuple[Pattern, ...] = ((), *(pool[index] for index in chosen))
    return Codebook(dosage.shape[1], shown, centroids, steps=tuple(steps))


def best_candidate(
    carried: NDArray[np.bool_], saved: NDArray[np.float64], free: NDArray[np.bool_], min_share: float
) -> tuple[int, int] | None:
    """Candidate and level whose carriers save most on average; None where nothing is saved.

    Sums in short numbers tell which candidates come into question; exact ones, which it is.

    Args:
        carried: [candidates, people].
        saved: What people save at each level, in units of the variance, at least 0, [people, levels].
        free: Candidates that may be chosen, [candidates].
        min_share: Smallest share of the people who must save anything.
    """
    people, levels = saved.shape
    sums = _sums(carried, np.concatenate([saved, saved > 0], axis=1).astype(np.float32))
    rough, attracted = sums[:, :levels], sums[:, levels:]  # counts are exact
    asked = (attracted / np.float64(people) >= min_share) & free[:, None]
    rough = np.where(asked, rough / np.float32(people), 0.0)
    # A sum of so many numbers of one sign is off by this part of itself at most, whatever the order (Higham 2002, 4.2).
    off = 2 * (people + 2) * float(np.finfo(np.float32).eps)
    if not rough.any():
        return None
    near = np.flatnonzero((rough >= rough.max() * (1 - off) - _ALIKE).any(axis=1))
    # Rounded, so that machines whose sums differ in the last bits choose alike.
    gain = np.round(np.where(asked[near], _sums(carried[near], saved) / people, 0.0), _DIGITS)
    if gain.max() <= 0.0:
        return None
    first, level = divmod(int(gain.argmax()), levels)
    return int(near[first]), level


def _sums(carried: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[Any]:
    """Sums over each candidate's carriers, [candidates, columns]: only a few candidates are numbers at a time."""
    out = np.empty((len(carried), values.shape[1]), values.dtype)
    for start in range(0, len(carried), _CANDIDATES_AT_ONCE):
        part = slice(start, start + _CANDIDATES_AT_ONCE)
        out[part] = carried[part].astype(values.dtype) @ values
    return out


def _levels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trial centroids, [levels, scores]: middles of equal shares, or of clusters (k-means, Lloyd 1982)."""
    if points.shape[1] == 1:
        levels: NDArray[np.float64] = np.quantile(points[:, 0], (np.arange(_LEVELS) + 0.5) / _LEVELS)[:, None]
        return levels
    count = min(_LEVELS_MANY, len(points))
    centres = points[np.linspace(0, len(points) - 1, count).astype(np.int64)].copy()
    for _ in range(_CLUSTER_STEPS):
        nearest = squared_distance(points, centres).argmin(axis=1)
        for index in np.unique(nearest):
            centres[index] = points[nearest == index].mean(axis=0)
    return centres
