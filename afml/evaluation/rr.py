"""RR, the re-identification rate: how often the worst attack names the right person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import MASKED, Attack, Case, Float64, Int8
from afml.evaluation.attacks.scoring import Linkage
from afml.evaluation.distinct import counted, distinct
from afml.evaluation.limits import LIMITS, Most, chosen

FEW_SITES = 1 / 64
"""Share of sites at which records of which an attack scores more pairs may differ from the usual one."""


@dataclass(frozen=True)
class KnownInstitution:
    """What the attacks reach where the candidates are the people of the record's own file.

    Attributes:
        rr: Mean success of the attack that is worst then.
        ci95: Its 95 % interval, see `interval`.
        chance: Success of a guess among the people of the file, mean over records.
    """

    rr: float
    ci95: tuple[float, float]
    chance: float


@dataclass(frozen=True)
class ReIdentification:
    """What the attacks reach on one release.

    Attributes:
        rr: Mean success of the worst attack.
        ci95: Its 95 % interval, see `interval`.
        by_attack: Mean success of each attack.
        candidates: Number of people the attacker chooses from.
        chance: Success of a guess among them.
        known_institution: The same where the attacker knows which file's people a record is of; None where the
            question was not asked.
        records: Number of records attacked: all, or a random sample of them.
        success: Of each attack per attacked record, float64[records].
        people: int64[records], whose each attacked record is, as a candidate.
        success_at_home: As `success`, where the institution is known; empty where the question was not asked.
    """

    rr: float
    ci95: tuple[float, float]
    by_attack: Mapping[str, float]
    candidates: int
    chance: float
    known_institution: KnownInstitution | None = None
    records: int = 0
    success: Mapping[str, Float64] = field(default_factory=dict, compare=False, repr=False)
    people: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), compare=False, repr=False)
    success_at_home: Mapping[str, Float64] = field(default_factory=dict, compare=False, repr=False)


def interval(success: Float64, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval for the mean of successes in [0, 1].

    The sum of successes, a real number because ties are split, stands where the number of hits stands in
    the beta quantiles of Clopper and Pearson (1934). Of all variables in [0, 1] with a given mean the 0/1
    variable varies most, so splitting ties can only make the interval wider than need be. Unlike a
    bootstrap it does not collapse to a point at 0 % and 100 %. It treats records as independent and says
    how far RR may differ on other people of the same kind; that the worst attack was picked on the same
    records biases RR upwards, to the safe side.
    """
    return clopper_pearson(float(success.sum()), len(success), level)


def clopper_pearson(hits: float, n: int, level: float) -> tuple[float, float]:
    """The interval of a share, of `hits` (a real number) among n."""
    from scipy.stats import beta  # 60 MB of modules, which a plan that is held against no attack does without

    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def attack_all(
    case: Case,
    attacks: Sequence[Attack],
    institution: NDArray[np.int64] | None = None,
    note: Callable[[str], None] = lambda _: None,
    most: Most = LIMITS.attacks,
) -> ReIdentification:
    """Run every attack on a case and keep the worst.

    Args:
        case: The release under attack.
        attacks: At least one.
        institution: int64[n], the file each record is in; its candidates are then the people of that file.
        note: Told what is running.
        most: What is scored at most; where more would be, a random sample of the records is attacked.
    """
    case = sampled(case if institution is None else _of_files(case, institution), most)
    reached: dict[str, Float64] = {}
    at_home: dict[str, Float64] = {}
    for attack in attacks:
        note(attack.name)
        if case.file is not None and isinstance(attack, Linkage):
            standing = attack.standing(case)
            reached[attack.name] = standing.success()
            at_home[attack.name] = np.zeros(len(case.truth)) if standing.home is None else standing.home.success()
            continue
        reached[attack.name] = attack.success(case)
        if case.file is not None:
            at_home[attack.name] = _file_by_file(attack, case)
    by_attack = {name: float(success.mean()) for name, success in reached.items()}
    worst = max(by_attack, key=lambda name: by_attack[name])
    return ReIdentification(
        rr=by_attack[worst],
        ci95=interval(reached[worst]),
        by_attack=by_attack,
        candidates=len(case.references),
        chance=1 / len(case.references),
        known_institution=_at_home(case, at_home) if at_home else None,
        records=len(case.released),
        success=reached,
        people=case.truth,
        success_at_home=at_home,
    )


def _of_files(case: Case, institution: NDArray[np.int64]) -> Case:
    """The case with the file of every candidate; one of whom there is no record is in a file of its own."""
    _, number = np.unique(institution, return_inverse=True)
    file = np.full(len(case.references), number.max() + 1, dtype=np.int64)
    known = case.truth >= 0
    file[case.truth[known]] = number.reshape(-1)[known]
    return replace(case, file=file)


def sampled(case: Case, most: Most) -> Case:
    """The case itself where its patterns and candidates make few enough pairs, else that of random records."""
    candidates = len(case.references)
    if len(case.released) * candidates <= min(most.pairs, most.dense):
        return case
    patterns, _ = case.patterns
    pairs = most.pairs if _alike(patterns) else most.dense
    rows = chosen(len(case.released), max(most.least, pairs // candidates), 0x5A)
    return case if len(patterns) * candidates <= pairs or isinstance(rows, slice) else case.sample(rows)


def _alike(patterns: Int8) -> bool:
    """Whether patterns differ from what most of them show at few sites."""
    some = patterns[:: max(1, len(patterns) // 1000)]
    usual = np.stack([(some == value).sum(axis=0) for value in range(-1, 3)]).max(axis=0)
    return float(1 - usual.mean() / len(some)) <= FEW_SITES


def _file_by_file(attack: Attack, case: Case) -> Float64:
    """Success of an attacker who knows the file and attacks each apart, float64[records]."""
    assert case.file is not None
    of_record, found = case.file[case.truth], np.zeros(len(case.truth))
    for file in np.unique(of_record):
        records = np.flatnonzero(of_record == file)
        found[records] = attack.success(case.restricted(records, np.flatnonzero(case.file == file)))
    return found


def _at_home(case: Case, success: Mapping[str, Float64]) -> KnownInstitution:
    assert case.file is not None
    worst = max(success.values(), key=lambda of: float(of.mean()))
    chance = 1 / np.bincount(case.file)[case.file[case.truth]]
    return KnownInstitution(float(worst.mean()), interval(worst), float(chance.mean()))


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
    shown = [counted(file) for file in files]
    _, pattern = distinct(np.concatenate([rows for rows, _ in shown]))
    counts = np.bincount(pattern, weights=np.concatenate([count for _, count in shown]))
    share = counts / counts.sum()
    smallest = min(int(count.min()) for _, count in shown)
    people = [len(file) for file in files]
    return Patterns(
        patterns=len(counts),
        smallest_group=smallest,
        entropy_bits=max(0.0, float(-(share * np.log2(share)).sum())),
        retained_fraction=float(np.average([retained_fraction(file, fill) for file in files], weights=people)),
    )
