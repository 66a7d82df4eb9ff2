"""Arithmetic of the verifier, written apart from the writer's: tree, signed notes, accounting.

Nothing here is imported from `afml.ledger` or `afml.privacy`. The tree is a binary counter over RFC
6962 hashes; the accountant is Google's dp-accounting (privacy loss distributions with pessimistic
rounding, both directions of adjacency), where the writer uses closed forms and Opacus.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from dp_accounting.pld import privacy_loss_distribution as pld
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

INTERVAL = 1e-4  # grid of the privacy loss


def leaf(body: bytes) -> bytes:
    """RFC 6962 leaf hash."""
    return hashlib.sha256(b"\x00" + body).digest()


class Counter:
    """A tree as a binary counter: slot h holds the root of a complete subtree of 2^h leaves, or None."""

    def __init__(self) -> None:
        self.slots: list[bytes | None] = []

    def add(self, value: bytes) -> None:
        """Add a leaf hash."""
        for height, slot in enumerate(self.slots):
            if slot is None:
                self.slots[height] = value
                return
            value = hashlib.sha256(b"\x01" + slot + value).digest()
            self.slots[height] = None
        self.slots.append(value)

    def root(self) -> bytes:
        """Root of all leaves so far."""
        root: bytes | None = None
        for slot in self.slots:  # smallest subtree first: it is the rightmost
            if slot is not None:
                root = slot if root is None else hashlib.sha256(b"\x01" + slot + root).digest()
        return hashlib.sha256(b"").digest() if root is None else root


@dataclass(frozen=True)
class Head:
    """A parsed checkpoint: whose, how many entries, which root."""

    origin: str
    size: int
    root: bytes


def read_head(note: str, key: bytes) -> Head | None:
    """The head in a note if `key` signed it, None if it did not.

    Raises:
        ValueError: Not a checkpoint at all.
    """
    body, separator, signatures = note.partition("\n\n")
    text = body + "\n"
    origin, size, root = body.split("\n")[:3]
    if not separator or not size.isdecimal():
        raise ValueError("not a checkpoint")
    head = Head(origin, int(size), base64.b64decode(root, validate=True))
    identity = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    for line in signatures.splitlines():
        parts = line.split(" ")
        if len(parts) != 3 or parts[1] != origin:
            continue
        payload = base64.b64decode(parts[2])
        if payload[:4] == identity and signed(key, payload[4:], text.encode()):
            return head
    return None


def countersigned(note: str, name: str, key: bytes) -> bool | None:
    """Whether `name` countersigned a note: True, False (a line that does not verify, or is none), None (no line)."""
    body, _, signatures = note.partition("\n\n")
    identity = hashlib.sha256(name.encode() + b"\n\x04" + key).digest()[:4]
    for line in signatures.splitlines():
        parts = line.split(" ")
        if len(parts) == 3 and parts[1] == name:
            try:
                payload = base64.b64decode(parts[2])
            except ValueError:
                return False
            if payload[:4] == identity:
                seconds = int.from_bytes(payload[4:12], "big")
                message = f"cosignature/v1\ntime {seconds}\n{body}\n".encode()
                return signed(key, payload[12:], message)
    return None


def signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a raw Ed25519 key signed a message."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Spend:
    """Recomputed privacy of a composition."""

    epsilon: float
    ple_sigma: float


def spend(counts: Mapping[tuple[float, float], int], delta: float) -> Spend:
    """epsilon and PLE of Gaussian mechanisms.

    Args:
        counts: (sample_rate, noise_multiplier) -> steps.
        delta: Target.
    """
    return _spend(tuple(sorted(counts.items())), delta)


@functools.lru_cache(maxsize=256)
def _spend(steps_of: tuple[tuple[tuple[float, float], int], ...], delta: float) -> Spend:
    """Ledgers of one run hold the same mechanisms, and so do the first and the last check of one ledger."""
    counts = dict(steps_of)
    total = pld.identity(value_discretization_interval=INTERVAL)
    full_batch = math.fsum(steps / z**2 for (q, z), steps in counts.items() if q == 1)
    if full_batch:
        gaussian = pld.from_gaussian_mechanism(full_batch**-0.5, value_discretization_interval=INTERVAL)
        total = total.compose(gaussian)
    for (q, z), steps in sorted(counts.items()):
        if q < 1:
            one = pld.from_gaussian_mechanism(z, sampling_prob=q, value_discretization_interval=INTERVAL)
            total = total.compose(one.self_compose(steps))
    epsilon = float(total.get_epsilon_for_delta(delta))
    if not math.isfinite(epsilon):
        return Spend(math.inf, math.inf)
    epsilons = np.linspace(0.0, epsilon, 129)
    deltas = np.asarray(total.get_delta_for_epsilon(epsilons), dtype=np.float64)
    return Spend(epsilon, max(_mu(e, d) for e, d in zip(epsilons, deltas, strict=True)))


def _mu(epsilon: float, delta: float) -> float:
    """mu with Phi(-eps/mu + mu/2) - exp(eps) Phi(-eps/mu - mu/2) = delta."""
    if delta <= 0:
        return 0.0
    if delta >= 1:
        return math.inf

    def gap(mu: float) -> float:
        x = epsilon / mu
        return float(ndtr(mu / 2 - x) - math.exp(min(700.0, epsilon + log_ndtr(-x - mu / 2)))) - delta

    high = 1.0
    while gap(high) < 0:
        high *= 2
    return 0.0 if gap(1e-6) > 0 else float(brentq(gap, 1e-6, high, xtol=1e-9))
