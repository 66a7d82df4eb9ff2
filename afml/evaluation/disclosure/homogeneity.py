"""Homogeneity: what a group of equal records gives away when a phenotype is released with the file.

A person who cannot be told from k - 1 others is still exposed where all k share a phenotype (Machanavajjhala
et al. 2007, l-diversity). Nothing of this applies to a file without phenotypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Int8
from afml.evaluation.distinct import distinct


@dataclass(frozen=True)
class Homogeneity:
    """Groups of equal records within a file, worst over files.

    Attributes:
        homogeneous_share: Share of people, over all files, whose group shows one phenotype only.
        distinct_diversity: Phenotypes in the least diverse group: distinct l-diversity.
        entropy_diversity: exp(entropy of the phenotype) in that group, at most `distinct_diversity`.
        smallest_class: People in the smallest (pattern, phenotype) class of any file.
        group_guess: Share of people whose phenotype is right when the commonest of the group is guessed.
        file_guess: The same with the commonest of the file: what is known without any record.
    """

    homogeneous_share: float
    distinct_diversity: int
    entropy_diversity: float
    smallest_class: int
    group_guess: float
    file_guess: float


def homogeneity(released: Sequence[Int8], phenotype: Sequence[NDArray[np.int8]]) -> Homogeneity:
    """Measure the groups of released files.

    Args:
        released: One int8[n, S] a file.
        phenotype: One int8[n] a file, what would be released with it.
    """
    return homogeneities(released, [values[:, None] for values in phenotype])[0]


def homogeneities(released: Sequence[Int8], phenotypes: Sequence[NDArray[np.int8]]) -> tuple[Homogeneity, ...]:
    """The same for each of several phenotypes, one int8[n, D] a file."""
    groups = [distinct(records)[1] for records in released]
    columns = range(phenotypes[0].shape[1])
    return tuple(_measured(groups, [values[:, column] for values in phenotypes]) for column in columns)


def _measured(groups: Sequence[NDArray[np.int64]], phenotype: Sequence[NDArray[np.int8]]) -> Homogeneity:
    counts, by_file = [], []
    for group, values in zip(groups, phenotype, strict=True):
        kinds, kind = np.unique(values, return_inverse=True)
        table = np.zeros((group.max() + 1, len(kinds)))  # [groups, phenotypes]
        np.add.at(table, (group, kind.reshape(-1)), 1)
        counts.append(table)
        by_file.append(table.sum(axis=0).max())
    people = sum(table.sum() for table in counts)
    alone = sum(table.sum(axis=1)[(table > 0).sum(axis=1) == 1].sum() for table in counts)
    shares = [table / table.sum(axis=1, keepdims=True) for table in counts]
    logs = [np.log(share, out=np.zeros_like(share), where=share > 0) for share in shares]
    entropy = min(float((-(share * log).sum(axis=1)).min()) for share, log in zip(shares, logs, strict=True))
    return Homogeneity(
        homogeneous_share=float(alone / people),
        distinct_diversity=min(int((table > 0).sum(axis=1).min()) for table in counts),
        entropy_diversity=float(np.exp(max(entropy, 0.0))),
        smallest_class=min(int(table[table > 0].min()) for table in counts),
        group_guess=float(sum(table.max(axis=1).sum() for table in counts) / people),
        file_guess=float(sum(by_file) / people),
    )
