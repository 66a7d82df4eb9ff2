"""The attack bench: any released file, of whatever tool, against the people it was made of.

Nothing is known of how the file was made: no public model is run. What is shown is taken for the person's genotype with
some probability and for anybody's otherwise; several probabilities are tried, and the one that serves the attacker best
counts. Records that are known to be of one person each are linked; of synthetic records only membership is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.agreement import FrequencyAgreement, frequency_agreement
from afml.evaluation.attacks import Attack, Case, Knowledge, baseline_suite, reference_profiles
from afml.evaluation.attacks.base import MASKED, Float64, Int8
from afml.evaluation.attacks.inversion import InversionLinkage
from afml.evaluation.attacks.markov import HiddenMarkovLinkage
from afml.evaluation.disclosure import Judged, Membership, judge, measured, membership_suite
from afml.evaluation.disclosure.nearest import NearestRecord
from afml.evaluation.disclosure.recovery import Recovery, recover
from afml.evaluation.groups import ByGroup, Labels, by_group, clustered
from afml.evaluation.harder import attackers
from afml.evaluation.relatives import RelativesPoint, rr_by_degree
from afml.evaluation.rr import Patterns, attack_all, describe, interval

#: Shares of shown values that have nothing to do with the person, each tried by the attacker.
NOISE = (0.02, 0.5)


@dataclass(frozen=True, eq=False)
class FileAlone(Knowledge):
    """What is public where nobody says how a file was made.

    Attributes:
        shown: float64[S, 4], how often the file shows './.', 0, 1, 2.
        noise: Assumed share of shown values that are anybody's.
    """

    shown: Float64 = field(default_factory=lambda: np.empty((0, 4)))
    noise: float = 0.02

    @cached_property
    def channel(self) -> Float64:
        """float64[S, 3, 4]: P(shown value o | true genotype g), o in ('./.', 0, 1, 2)."""
        hidden = np.clip(self.shown[:, :1], 1e-6, 1 - 1e-6)  # [S, 1]
        values = self.shown[:, 1:] + 1e-3
        values = values / values.sum(axis=1, keepdims=True)  # [S, 3]
        told = (1 - self.noise) * np.eye(3)[None] + self.noise * values[:, None, :]  # [S, genotype, value]
        table = np.concatenate([np.repeat(hidden[:, None, :], 3, axis=1), (1 - hidden[:, :, None]) * told], axis=2)
        return np.asarray(np.maximum(table, 1e-6))


@dataclass(frozen=True, eq=False)
class BenchInputs:
    """A file under attack.

    Attributes:
        released: int8[n, S], its records, -1 = './.'.
        dosage: int8[m, S], the people it was made of: members, and candidates.
        panel: int8[p, S], public people who are not among them.
        truth: int64[n], whose record each is; None where records are of nobody in particular.
        labels: Groups of people; by default clusters of genotypes.
        genotype_error: Error rate of reference profiles (and share of calls missing).
        seed: Of reference profiles and made-up people.
    """

    released: Int8
    dosage: Int8
    panel: Int8
    truth: NDArray[np.int64] | None = None
    labels: Labels | None = None
    genotype_error: float = 0.01
    seed: int = 1


@dataclass(frozen=True)
class Linked:
    """Records linked to persons.

    Attributes:
        rr: Mean success of the worst attack, all people as candidates.
        ci95: Its 95 % interval.
        by_attack: Of each attack.
        candidates: Number of people.
        chance: Of a blind guess.
        relatives: With relatives in the place of the people.
        groups: By group of people.
        recovery: Genotypes that follow from a record alone.
    """

    rr: float
    ci95: tuple[float, float]
    by_attack: dict[str, float]
    candidates: int
    chance: float
    relatives: tuple[RelativesPoint, ...]
    groups: ByGroup
    recovery: Recovery


@dataclass(frozen=True)
class Bench:
    """What the attacks reach on one file.

    Attributes:
        records: Of the file.
        people: It was made of.
        panel: Public people.
        sites: Compared.
        patterns: How alike the records are.
        membership: Whether a person is among those the file was made of.
        frequencies: Allele frequencies of the file beside those of the people: what it is still good for.
        linked: None where records are of nobody in particular.
    """

    records: int
    people: int
    panel: int
    sites: int
    patterns: Patterns
    membership: Membership
    frequencies: FrequencyAgreement
    linked: Linked | None


def bench(inputs: BenchInputs, note: Callable[[str], None] = lambda _: None) -> Bench:
    """Attack a file.

    Args:
        inputs: The file, its people and the public ones.
        note: Told what is running.

    Raises:
        InputError: Sites do not match, or a panel of fewer than four people.
    """
    widths = {inputs.released.shape[1], inputs.dosage.shape[1], inputs.panel.shape[1]}
    if len(widths) > 1 or not len(inputs.released):
        raise InputError("file, people and panel do not share their sites", cure="give files of the same sites")
    fill = "missing" if (inputs.released < 0).any() else "major"
    plain = Knowledge(inputs.panel, lambda dosage: dosage, "missing", inputs.genotype_error, inputs.genotype_error)
    rng = np.random.default_rng([inputs.seed, 0xEF])
    references = reference_profiles(
        inputs.dosage, plain.frequencies, error=inputs.genotype_error, missing=inputs.genotype_error, rng=rng
    )
    note("membership")
    judged = [one for known in _known(inputs) for one in _judge(inputs, references, known)]
    linked = None
    if inputs.truth is not None:
        cases = [Case(inputs.released, references, inputs.truth, known) for known in _known(inputs)]
        linked = _link(inputs, cases, judged, note)
    return Bench(
        records=len(inputs.released),
        people=len(inputs.dosage),
        panel=len(inputs.panel),
        sites=inputs.panel.shape[1],
        patterns=describe([inputs.released], fill),
        membership=measured(judged),
        frequencies=frequency_agreement(inputs.released, inputs.dosage, inputs.panel),
        linked=linked,
    )


def suite(seed: int) -> tuple[Attack, ...]:
    """Linkage attacks on a file of unknown make; the trained identifier is none: it learns from a public model."""
    return (*baseline_suite(seed), HiddenMarkovLinkage(), InversionLinkage.seeded(seed))


def _known(inputs: BenchInputs) -> Iterator[FileAlone]:
    """One for every assumption about the noise."""
    shown = np.stack([(inputs.released == o - 1).mean(axis=0) for o in range(4)], axis=1)
    error = inputs.genotype_error

    def hidden(dosage: Int8) -> Int8:
        """Anybody's genotypes as the file shows them: './.' as often at every site, of whom is not known."""
        rng = np.random.default_rng([inputs.seed, len(dosage)])
        return np.where(rng.random(dosage.shape, dtype=np.float32) < shown[:, 0], MASKED, dosage).astype(np.int8)

    for noise in NOISE:
        yield FileAlone(inputs.panel, hidden, "missing", error, error, shown=shown, noise=noise)


def _judge(inputs: BenchInputs, references: Int8, known: FileAlone) -> list[Judged]:
    judged = judge(inputs.released, references, known, (*membership_suite(), NearestRecord()), seed=inputs.seed)
    return [replace(one, attack=f"{one.attack}, {known.noise:g} noise") for one in judged]


def _link(inputs: BenchInputs, cases: list[Case], judged: list[Judged], note: Callable[[str], None]) -> Linked:
    found = [attack_all(case, suite(inputs.seed), note=note) for case in cases]
    best = {name: max((one.success[name] for one in found), key=np.mean) for name in found[0].success}
    worst = max(best.values(), key=np.mean)
    linked = replace(found[0], rr=float(worst.mean()), success=best)
    relatives = [rr_by_degree(case, inputs.dosage, attackers(), seed=inputs.seed, note=note) for case in cases]
    labels = inputs.labels or clustered(inputs.dosage, cases[0].knowledge, inputs.seed)
    return Linked(
        rr=linked.rr,
        ci95=interval(worst),
        by_attack={name: float(values.mean()) for name, values in best.items()},
        candidates=len(inputs.dosage),
        chance=1 / len(inputs.dosage),
        relatives=tuple(max(points, key=lambda point: point.rr) for points in zip(*relatives, strict=True)),
        groups=by_group(labels, linked, judged, seed=inputs.seed),
        recovery=max(
            (recover(*_asked(inputs), case.knowledge, seed=inputs.seed) for case in cases),
            key=lambda one: one.accuracy,
        ),
    )


def _asked(inputs: BenchInputs) -> tuple[Int8, Int8]:
    """(records, their people's genotypes)."""
    return inputs.released, inputs.dosage if inputs.truth is None else inputs.dosage[inputs.truth]
