"""RR, the re-identification rate: how often the worst attack names the right person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from afml.evaluation.attacks.base import MASKED, Attack, Case, Float64, Int8


@dataclass(frozen=True)
class ReIdentification:
    """What the attacks reach on one release.

    Attributes:
        rr: Mean success of the worst attack.
        ci95: Its 95 % interval, see `interval`.
        by_attack: Mean success of each attack.
        candidates: Number of people the attacker chooses from.
        chance: Success of a guess among them.
        known_institution: The worst attack when the attacker knows which file's people a record is of; None
            where the question was not asked.
    """

    rr: float
    ci95: tuple[float, float]
    by_attack: Mapping[str, float]
    candidates: int
    chance: float
    known_institution: float | None = None


def interval(success: Float64, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval for the mean of successes in [0, 1].

    The sum of successes, a real number because ties are split, stands where the number of hits stands in
    the beta quantiles of Clopper and Pearson (1934). Of all variables in [0, 1] with a given mean the 0/1
    variable varies most, so splitting ties can only make the interval wider than need be. Unlike a
    bootstrap it does not collapse to a point at 0 % and 100 %. It treats records as independent and says
    how far RR may differ on other people of the same kind; that the worst attack was picked on the same
    records biases RR upwards, to the safe side.
    """
    n, hits = len(success), float(success.sum())
    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def attack_all(
    case: Case,
    attacks: Sequence[Attack],
    institution: NDArray[np.int64] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> ReIdentification:
    """Run every attack on a case and keep the worst.

    Args:
        case: The release under attack.
        attacks: At least one.
        institution: int64[n], the file each record is in; its candidates are then the people of that file.
        note: Told what is running.
    """
    reached: dict[str, Float64] = {}
    for attack in attacks:
        note(attack.name)
        reached[attack.name] = attack.success(case)
    by_attack = {name: float(success.mean()) for name, success in reached.items()}
    worst = max(by_attack, key=lambda name: by_attack[name])
    known = None
    if institution is not None:
        note("attackers who know the institution")
        files = [np.flatnonzero(institution == k) for k in np.unique(institution)]
        cases = [case.restricted(records, np.unique(case.truth[records])) for records in files]
        known = max(float(sum(attack.success(part).sum() for part in cases) / len(institution)) for attack in attacks)
    return ReIdentification(
        rr=by_attack[worst],
        ci95=interval(reached[worst]),
        by_attack=by_attack,
        candidates=len(case.references),
        chance=1 / len(case.references),
        known_institution=known,
    )


@dataclass(frozen=True)
class Patterns:
    """How alike the released records are.

    Attributes:
        patterns: Number of distinct records over all files.
        smallest_group: Records of the same file that share one pattern, the smallest such group of any file.
        entropy_bits: Shannon entropy of the pattern of a random record, in bits.
        retained_fraction: Share of the cells of the release that show a genotype, see `retained_fraction`.
    """

    patterns: int
    smallest_group: int
    entropy_bits: float
    retained_fraction: float


def retained_fraction(released: Int8, fill: str) -> float:
    """Share of cells that show a genotype: not './.' under fill 'missing', not 0 under fill 'major'.

    Under fill 'major' a shown 0 may be masked or true, and shows nothing by itself; unmasked records of
    common sites then retain about 0.6, not 1.
    """
    shown = released != MASKED if fill == "missing" else released > 0
    return float(shown.mean())


def describe(files: Sequence[Int8], fill: str) -> Patterns:
    """Count the patterns of released files (each int8[n, S])."""
    pooled = np.concatenate(files)
    counts = np.unique(pooled, axis=0, return_counts=True)[1]
    share = counts / counts.sum()
    smallest = min(int(np.unique(file, axis=0, return_counts=True)[1].min()) for file in files)
    return Patterns(
        patterns=len(counts),
        smallest_group=smallest,
        entropy_bits=max(0.0, float(-(share * np.log2(share)).sum())),
        retained_fraction=retained_fraction(pooled, fill),
    )
