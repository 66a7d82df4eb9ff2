"""The hash tree of RFC 6962, section 2.1: leaves SHA-256(0x00 || body), inner nodes SHA-256(0x01 || l || r).

The writer's side. The verifier has its own implementation and does not import this file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """Hash of one entry, 32 bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash per set bit of its size. Appending costs O(1) amortised."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []  # (leaves below, hash), largest subtree first

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        peak = (1, leaf)
        while self._peaks and self._peaks[-1][0] == peak[0]:
            leaves, left = self._peaks.pop()
            peak = (2 * leaves, node_hash(left, peak[1]))
        self._peaks.append(peak)
        self.size += 1

    def root(self) -> bytes:
        """Root hash of the tree so far, 32 bytes."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """An independent copy."""
        other = Frontier()
        other.size, other._peaks = self.size, list(self._peaks)
        return other


def _split(size: int) -> int:
    """Largest power of two below `size` (> 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root hash of leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf `index` (RFC 6962, 2.1.1)."""
    if len(leaves) <= 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root_of(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root_of(leaves[:k])]


def inclusion_proofs(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Audit paths of all leaves, at the cost of one tree."""
    paths: list[list[bytes]] = [[] for _ in leaves]
    level, place = list(leaves), list(range(len(leaves)))
    while len(level) > 1:
        for leaf, at in enumerate(place):
            if (beside := at ^ 1) < len(level):  # a last one without a neighbour goes up as it is
                paths[leaf].append(level[beside])
        pairs = range(0, len(level) - 1, 2)
        level = [node_hash(level[i], level[i + 1]) for i in pairs] + level[len(pairs) * 2 :]
        place = [at >> 1 for at in place]
    return paths


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the first `old_size` leaves are a prefix of all (RFC 6962, 2.1.2)."""

    def sub(part: Sequence[bytes], m: int, whole: bool) -> list[bytes]:
        if m == len(part):
            return [] if whole else [root_of(part)]
        k = _split(len(part))
        if m <= k:
            return [*sub(part[:k], m, whole), root_of(part[k:])]
        return [*sub(part[k:], m - k, False), root_of(part[:k])]

    if not 0 <= old_size <= len(leaves):
        raise ValueError(f"old size {old_size} of {len(leaves)}")
    return [] if old_size in (0, len(leaves)) else sub(leaves, old_size, True)


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an audit path (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, value = index, size - 1, leaf
    for step in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            value = node_hash(step, value)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            value = node_hash(value, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and value == root


def consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Check a consistency proof (RFC 9162, 2.1.4.2)."""
    if old_size > size:
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(step, old), node_hash(step, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old == old_root and new == root
