"""Patterns as deviations from what most of them show: a pattern of a codebook differs at a site or two.

A sum over sites is then one sum for all patterns and a few terms for each, instead of patterns x sites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from afml.evaluation.attacks.base import Int8

SPARSE = 16
"""A product is done sparsely where at most one term in so many is there; below, a dense one is faster."""


class Deviations:
    """The sites at which patterns differ from the commonest value there.

    Attributes:
        base: int8[S], the value that most patterns show.
        site: int64[d], of every deviation that some pattern has.
        value: int8[d], what is shown there instead.
    """

    def __init__(self, patterns: Int8) -> None:
        counts = np.stack([(patterns == value).sum(axis=0) for value in range(-1, 3)])
        self.base = (counts.argmax(axis=0) - 1).astype(np.int8)
        pattern, site = np.nonzero(patterns != self.base)
        code = site * 4 + patterns[pattern, site] + 1
        kinds, kind = np.unique(code, return_inverse=True)
        self.site, self.value = kinds // 4, (kinds % 4 - 1).astype(np.int8)
        self._patterns = len(patterns)
        self._made: dict[Any, Any] = {}
        ones = np.ones(len(pattern), dtype=np.float32)
        self._has = csr_array((ones, (pattern, kind.reshape(-1))), shape=(len(patterns), len(kinds)))
        self._sparse = len(pattern) * SPARSE <= len(patterns) * len(kinds)

    def added(self, common: NDArray[Any], terms: NDArray[Any]) -> NDArray[Any]:
        """`common[column]` + the sum of a pattern's own `terms[deviation, column]`: [patterns, columns].

        Exact where every partial sum is.
        """
        if not len(self.site):
            return np.broadcast_to(common, (self._patterns, len(common)))
        total: NDArray[Any] = self._matrix(terms.dtype) @ terms
        total += common
        return total

    def _matrix(self, dtype: Any) -> Any:
        """[patterns, deviations]: 1 where a pattern has it."""
        if dtype not in self._made:
            matrix = self._has.astype(dtype)
            self._made[dtype] = matrix if self._sparse else matrix.toarray()
        return self._made[dtype]


def looked_up(table: NDArray[Any], calls: Int8, site: NDArray[np.int64]) -> NDArray[Any]:
    """`table[d, call at site[d] + 1]` of every candidate: [deviations, candidates].

    Args:
        table: [deviations, 4], by reference call (no call, 0, 1, 2).
        calls: int8[candidates, S].
        site: int64[deviations].
    """
    at = np.ascontiguousarray(calls[:, site].T).astype(np.int32)
    at += np.arange(1, 4 * len(site), 4, dtype=np.int32)[:, None]
    return np.take(table.reshape(-1), at)
