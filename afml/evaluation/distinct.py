"""Equal records, found by hashing: half a million records of two thousand sites take seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
_WORD = 8
_AT_ONCE = 1 << 16


def distinct(rows: Int8) -> tuple[Int8, NDArray[np.int64]]:
    """The distinct rows and which of them each row is, as `np.unique(rows, axis=0, return_inverse=True)` has it.

    Rows with the same 64-bit hash are compared whole, so a collision costs time and never makes unequal rows one.

    Args:
        rows: int8[n, S].

    Returns:
        (int8[u, S] in lexicographic order, int64[n]).
    """
    return _told_apart(rows, *_hashed(rows))


def distinct_if_few(rows: Int8, most: int) -> tuple[Int8, NDArray[np.int64]] | None:
    """`distinct(rows)`; None, without comparing or sorting any, where more than `most` are."""
    first, group = _hashed(rows)
    return _told_apart(rows, first, group) if len(first) <= most else None


def largest_group(rows: Int8) -> int:
    """How many rows of int8[n, S] are equal to each other at most: no fewer than there are, by hashes alone."""
    return int(np.bincount(_hashed(rows)[1]).max()) if len(rows) else 0


def _told_apart(rows: Int8, first: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[Int8, NDArray[np.int64]]:
    found = rows[first]
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        if not np.array_equal(rows[part], found[group[part]]):
            found, index = np.unique(rows, axis=0, return_inverse=True)
            return found, index.reshape(-1).astype(np.int64)
    order = _lexicographic(found)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return found[order], place[group]


def counted(rows: Int8) -> tuple[Int8, NDArray[np.int64]]:
    """The distinct rows of int8[n, S] and how many rows are equal to each: (int8[u, S], int64[u])."""
    found, index = distinct(rows)
    return found, np.bincount(index, minlength=len(found)).astype(np.int64)


def hashes(rows: Int8) -> NDArray[np.uint64]:
    """uint64[n], equal for equal rows of int8[n, S]."""
    sites = rows.shape[1]
    words = -(-max(sites, 1) // _WORD)
    factors = np.random.default_rng(0xD1).integers(1 << 62, size=words, dtype=np.uint64) * 2 + 1
    found = np.empty(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        padded = np.zeros((len(part), words * _WORD), dtype=np.int8)
        padded[:, :sites] = part
        value = padded.view(np.uint64)
        # Low bits of a product depend on low bits alone: fold the high bytes of each word in first.
        folded = value ^ (value >> np.uint64(21)) ^ (value >> np.uint64(43))
        found[start : start + _AT_ONCE] = (folded * factors).sum(axis=1, dtype=np.uint64)
    return found


def _hashed(rows: Int8) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first row of each hash, int64[n] the hash of each row, numbered)."""
    _, first, group = np.unique(hashes(rows), return_index=True, return_inverse=True)
    return first.astype(np.int64), group.reshape(-1).astype(np.int64)


def _lexicographic(rows: Int8) -> NDArray[np.int64]:
    """The order of distinct rows: bytes compare as numbers once they are shifted to be positive."""
    if rows.shape[1] == 0:
        return np.arange(len(rows))
    shifted = np.ascontiguousarray(rows).view(np.uint8) ^ np.uint8(0x80)
    return np.argsort(shifted.view(f"V{rows.shape[1]}").reshape(-1), kind="stable").astype(np.int64)
