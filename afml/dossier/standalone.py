"""Verifier of a dossier. One file: Python's standard library and `cryptography`, nothing of those who made the dossier.

    python verify.py [FOLDER] [--roster SHA256] [--json]

It recomputes every digest, signature, Merkle proof and derived number, and bounds the epsilon of each composition from
both sides with its own arithmetic. What it cannot do: see that a whole dossier was made up by somebody who holds all
keys. So compare the roster's digest with each institution (`--roster` refuses any other), by a way of your own. What
stands on no signature of an institution is said to.

Exit code 0: nothing found; 6: something was, each named with where it is; 2: it is no dossier.

Formats: RFC 6962 trees, C2SP signed notes and cosignatures, RFC 6901 pointers, Ed25519 (RFC 8032).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import decimal
import functools
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST, SIGNATURE, STATEMENTS = "dossier.json", "dossier.sig", "statements.json"
SIGNED = b"afml dossier v1\n"
FORMAT = 1
MARGIN = 1e-6  # relative: what is stated was rounded by another machine's arithmetic


# Digests, signatures, trees


def canonical(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Hex."""
    return hashlib.sha256(data).hexdigest()


def signed(key: str, signature: bytes, message: bytes) -> bool:
    """Whether the raw Ed25519 key (hex) signed a message."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def entry_hash(body: bytes) -> bytes:
    """Leaf of RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + body).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots(leaves: Sequence[bytes]) -> list[bytes]:
    """Roots of the trees over the first 0, 1, 2, ... leaves."""
    found, peaks = [hashlib.sha256(b"").digest()], list[tuple[int, bytes]]()
    for leaf in leaves:
        peak = (1, leaf)
        while peaks and peaks[-1][0] == peak[0]:
            size, left = peaks.pop()
            peak = (2 * size, _node(left, peak[1]))
        peaks.append(peak)
        found.append(functools.reduce(lambda right, left: _node(left[1], right), peaks[-2::-1], peaks[-1][1]))
    return found


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """An inclusion proof (RFC 9162, section 2.1.3.2)."""
    first, last, value = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if first & 1 or first == last:
            value = _node(step, value)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            value = _node(value, step)
        first, last = first >> 1, last >> 1
    return 0 <= index < size and last == 0 and value == root


def consistent(old: tuple[int, bytes], new: tuple[int, bytes], path: Sequence[bytes]) -> bool:
    """A consistency proof of two (size, root) (RFC 9162, section 2.1.4.2)."""
    (old_size, old_root), (size, root) = old, new
    if old_size == size or old_size == 0:
        return not path and (old_root == root or old_size == 0 < size)
    steps = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    if old_size > size or not steps:
        return False
    first, last = old_size - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before, after = _node(step, before), _node(step, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = _node(after, step)
        first, last = first >> 1, last >> 1
    return last == 0 and (before, after) == (old_root, root)


@dataclass(frozen=True)
class Note:
    """A signed head: whose, over how many entries, with which root; the lines under it as (name, payload)."""

    origin: str
    size: int
    root: bytes
    text: str
    lines: tuple[tuple[str, bytes], ...]

    @classmethod
    def read(cls, note: str) -> Note:
        """Parse; signatures are not checked.

        Raises:
            ValueError: Not a signed note.
        """
        text, blank, tail = note.partition("\n\n")
        origin, size, root = text.split("\n")
        if not blank or not size.isdecimal():
            raise ValueError("not a signed note")
        lines = [line.split(" ") for line in tail.splitlines()]
        return cls(
            origin, int(size), base64.b64decode(root, validate=True), text + "\n",
            tuple((name, base64.b64decode(payload, validate=True)) for _, name, payload in lines),
        )  # fmt: skip

    def signed_by(self, key: str) -> bool:
        """Whether its owner signed it with a key."""
        identity = hashlib.sha256(self.origin.encode() + b"\n\x01" + bytes.fromhex(key)).digest()[:4]
        return any(
            name == self.origin and payload[:4] == identity and signed(key, payload[4:], self.text.encode())
            for name, payload in self.lines
        )

    def countersigned(self, name: str, key: str) -> int | bool | None:
        """Unix seconds at which `name` countersigned it; False: a line that does not verify; None: no line."""
        identity = hashlib.sha256(name.encode() + b"\n\x04" + bytes.fromhex(key)).digest()[:4]
        for its, payload in self.lines:
            if its == name and payload[:4] == identity:
                seconds = int.from_bytes(payload[4:12], "big")
                message = f"cosignature/v1\ntime {seconds}\n{self.text}".encode()
                return seconds if signed(key, payload[12:], message) else False
        return None


# Bounds of a composition


CELLS = 1 << 15
_ONE = 10**18  # one, in the integers that masses are counted in
_RELATIVE, _ABSOLUTE = 1e-12, 2e-15  # what floating point may have got wrong in the mass of a cell, of a tail beyond it
_TAIL = 10**4  # of them, that a tail may hold to be cut off
_DIGITS = 42  # of a product of two masses, summed over all cells
_EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


@dataclass(frozen=True)
class Losses:
    """A privacy loss on a grid: `masses[i]` of 10^18 at (first + i) * step, `infinite` beyond any.

    With `up` a loss was only ever made larger and a mass only ever larger: an upper bound of delta at every epsilon.
    Without, the other way round: a lower bound. Sums of losses are exact products of integers (`decimal`).
    """

    step: float
    first: int
    masses: list[int]
    infinite: int
    up: bool

    def coarser(self) -> Losses:
        """On a grid of twice the step."""
        start = self.first - (self.first % 2 == (0 if self.up else 1))  # up: (odd, even) -> even; down: (even, odd) -> even
        padded = [0] * (self.first - start) + self.masses
        padded += [0] * (len(padded) % 2)
        pairs = [a + b for a, b in zip(padded[::2], padded[1::2], strict=True)]
        return self._with(2 * self.step, (start + 1) // 2 if self.up else start // 2, pairs, self.infinite)

    def plus(self, other: Losses) -> Losses:
        """The sum of two independent losses."""
        a, b = self, other
        while a.step < b.step:
            a = a.coarser()
        while b.step < a.step:
            b = b.coarser()
        product = str(_EXACT.multiply(_packed(a.masses), _packed(b.masses)))
        count = len(a.masses) + len(b.masses) - 1
        product = product.zfill(count * _DIGITS)
        sums = [int(product[at : at + _DIGITS]) for at in range(0, count * _DIGITS, _DIGITS)]
        masses = [-(-one // _ONE) if self.up else one // _ONE for one in sums]
        whole = a._with(a.step, a.first + b.first, masses, a.infinite + b.infinite).trimmed()
        while len(whole.masses) > CELLS:
            whole = whole.coarser()
        return whole

    def times(self, count: int) -> Losses:
        """The sum of `count` independent losses of this kind."""
        whole, square = None, self
        while True:
            if count & 1:
                whole = square if whole is None else whole.plus(square)
            count >>= 1
            if not count:
                assert whole is not None
                return whole
            square = square.plus(square)

    def trimmed(self) -> Losses:
        """Without tails that hold next to nothing."""
        low = high = 0
        left, right = 0, len(self.masses)
        while left < right - 1 and low + self.masses[left] <= _TAIL:
            low, left = low + self.masses[left], left + 1
        while right > left + 1 and high + self.masses[right - 1] <= _TAIL:
            right, high = right - 1, high + self.masses[right - 1]
        masses = self.masses[left:right]
        if self.up:
            masses[0] += low
        else:
            masses[-1] += high
        return self._with(self.step, self.first + left, masses, self.infinite + (high if self.up else 0))

    def profile(self) -> Profile:
        """delta as a function of epsilon."""
        return Profile(self)

    def _with(self, step: float, first: int, masses: list[int], infinite: int) -> Losses:
        return Losses(step, first, masses, infinite, self.up)


def _packed(masses: Sequence[int]) -> decimal.Decimal:
    return _EXACT.create_decimal("".join([f"{one:0{_DIGITS}d}" for one in masses]))


class Profile:
    """delta(epsilon) = P(infinite) + sum over losses above epsilon of mass (1 - exp(epsilon - loss))."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        above = weighted = 0.0
        self._above, self._weighted = [0.0], [0.0]
        for at in range(len(losses.masses) - 1, -1, -1):
            mass = losses.masses[at] / _ONE
            above += mass
            weighted += mass * math.exp(-(losses.first + at) * losses.step)
            self._above.append(above)
            self._weighted.append(weighted)

    def delta(self, epsilon: float) -> float:
        """At an epsilon >= 0."""
        losses = self._losses
        cut = math.floor(epsilon / losses.step) + 1 - losses.first  # first cell above
        kept = min(max(0, len(losses.masses) - cut), len(losses.masses))
        finite = self._above[kept] - math.exp(epsilon) * self._weighted[kept] if kept else 0.0
        return min(1.0, max(0.0, losses.infinite / _ONE + finite))

    def epsilon(self, delta: float) -> float:
        """Smallest epsilon with no more than that delta; a hair above it where this bounds from above."""
        low, high = 0.0, max(0.0, (self._losses.first + len(self._losses.masses)) * self._losses.step)
        if self.delta(low) <= delta:
            return 0.0
        if self.delta(high) > delta:
            return math.inf if self._losses.up else high
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.delta(middle) > delta else (low, middle)
        return high if self._losses.up else low


Tails = Callable[[float], tuple[float, float]]
"""Of a loss: the chance of no more than that, and of more."""


def _spread(tails: Tails, low: float, high: float, up: bool) -> Losses:
    """The loss with these tails, between `low` and `high`, on some CELLS cells."""
    step = 2.0 ** math.ceil(math.log2((high - low) / CELLS))  # so that any two grids fit each other
    first = math.floor(low / step)
    edges = [tails((first + at) * step) for at in range(math.ceil(high / step) - first + 2)]
    masses = []
    for (below, above), (next_below, next_above) in zip(edges, edges[1:], strict=False):
        mass = next_below - below if below < 0.5 else above - next_above
        slack = min(_RELATIVE * min(next_below, above), _ABSOLUTE) * _ONE + 1
        masses.append(max(0, round(mass * _ONE + (slack if up else -slack))))
    if up:
        masses[0] += round(edges[0][0] * _ONE) + 1
    infinite = round(edges[-1][1] * (1 + _RELATIVE) * _ONE) + 1 if up else 0
    return Losses(step, first + 1 if up else first, masses, infinite, up)


def _gaussian(mu: float, up: bool) -> Losses:
    """The loss of a mu-GDP Gaussian mechanism, N(mu^2 / 2, mu^2)."""
    half = mu * mu / 2

    def tails(loss: float) -> tuple[float, float]:
        return _phi((loss - half) / mu), _phi((half - loss) / mu)

    return _spread(tails, half - 8.5 * mu, half + 8.5 * mu, up)


def _subsampled(q: float, z: float, adding: bool, up: bool) -> Losses:
    """The loss of one Gaussian step on a Poisson batch, in one direction of adjacency (Zhu, Dong, Wang 2022)."""
    floor = math.log1p(-q)

    def place(loss: float) -> float:  # x with log(1 - q + q exp((2x - 1) / 2z^2)) = loss
        return z * z * math.log((1 - q) / q * math.expm1(loss - floor)) + 0.5 if loss > floor else -math.inf

    def loss_at(x: float) -> float:
        exponent = (2 * x - 1) / (2 * z * z)
        rest = math.log(q + (1 - q) * math.exp(-exponent)) if exponent > 0 else 0.0
        return exponent + rest if exponent > 0 else math.log1p(q * math.expm1(exponent))

    def adds(loss: float) -> tuple[float, float]:
        x = place(-loss) / z
        return _phi(-x), _phi(x)

    def removes(loss: float) -> tuple[float, float]:
        x = place(loss)
        return (1 - q) * _phi(x / z) + q * _phi((x - 1) / z), (1 - q) * _phi(-x / z) + q * _phi((1 - x) / z)

    return _spread(adds, -loss_at(8.5 * z), -floor, up) if adding else _spread(removes, floor, loss_at(1 + 8.5 * z), up)


def gdp_delta(mu: float, epsilon: float) -> float:
    """delta of mu-GDP (Dong, Roth, Su 2022, Cor. 2.13)."""
    if mu <= 0:
        return 0.0
    tail = _phi(-epsilon / mu - mu / 2)
    return _phi(-epsilon / mu + mu / 2) - (math.exp(epsilon + math.log(tail)) if tail > 0 else 0.0)


def gdp_epsilon(mu: float, delta: float) -> float:
    """epsilon of mu-GDP at delta."""
    low, high = 0.0, 1.0
    while gdp_delta(mu, high) > delta:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if gdp_delta(mu, middle) > delta else (low, middle)
    return high


def gdp_mu(epsilon: float, delta: float) -> float:
    """mu of the GDP curve through a point."""
    if delta <= 0 or not math.isfinite(epsilon):
        return 0.0 if delta <= 0 else math.inf
    if delta >= 1:
        return math.inf
    low, high = 0.0, 1.0
    while gdp_delta(high, epsilon) < delta:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if gdp_delta(middle, epsilon) < delta else (low, middle)
    return high


@dataclass(frozen=True)
class Bounds:
    """Of what is composed as fixed: epsilon at delta, and PLE (smallest mu whose GDP curve is above it), from both sides."""

    epsilon: tuple[float, float]
    ple: tuple[float, float]


Composition = Mapping[tuple[float, float], int]
"""(sample rate, noise multiplier) -> steps."""


def bounds(composition: Composition, delta: float) -> Bounds:
    """Own bounds; full batches alone are exact."""
    return _bounds(tuple(sorted((q, z, n) for (q, z), n in composition.items() if n)), delta)


@functools.lru_cache(maxsize=None)
def _bounds(parts: tuple[tuple[float, float, int], ...], delta: float) -> Bounds:
    mu = math.sqrt(math.fsum(n / z**2 for q, z, n in parts if q == 1))
    sampled = [(q, z, n) for q, z, n in parts if q < 1]
    if not sampled:
        epsilon = gdp_epsilon(mu, delta) if mu else 0.0
        return Bounds((epsilon, epsilon), (mu, mu))
    found: dict[bool, list[Profile]] = {True: [], False: []}
    for up in found:
        for adding in (False, True):
            whole = [_subsampled(q, z, adding, up).trimmed().times(n) for q, z, n in sampled]
            whole += [_gaussian(mu, up)] if mu else []
            found[up].append(functools.reduce(Losses.plus, whole).profile())
    low, high = (max(one.epsilon(delta) for one in found[up]) for up in (False, True))
    at = [low * i / 128 for i in range(129)]
    least = max(gdp_mu(e, max(one.delta(e) for one in found[False])) for e in at) if low > 0 else 0.0
    if not math.isfinite(high):
        return Bounds((low, high), (least, math.inf))
    at = [high * i / 512 for i in range(513)]
    tops = zip(at, at[1:], strict=False)  # between two points delta is at most that of the first
    most = max(gdp_mu(b, max(one.delta(a) for one in found[True])) for a, b in tops)
    return Bounds((low, high), (least, most))


# Statements


def pointed(document: Any, at: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to.

    Raises:
        LookupError: Nothing is there.
    """
    for part in at.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document[name]
        elif isinstance(document, list) and name.isdecimal():
            document = document[int(name)]
        else:
            raise LookupError(at)
    return document


_DAY_MS = 86_400_000


def _ends(limit: float, spent: float, first: float, last: float) -> float | None:
    """When squares of sigma, spent at the pace between two times, reach the limit; null under 30 days of pace."""
    if last - first < 30 * _DAY_MS or spent <= 0:
        return None
    return math.floor(first + (last - first) * (limit / spent) ** 2)


RULES: dict[str, Callable[..., Any]] = {
    "sum": lambda *of: sum(of),
    "count": lambda *of: len(of),
    "least": lambda *of: min(of),
    "most": lambda *of: max(of),
    "same": lambda of: of,
    "difference": lambda a, b: a - b,
    "right_at_most": lambda mu: _phi(mu / 2),  # 1/2 + TV/2 of mu-GDP
    "left_sigma": lambda limit, spent: math.sqrt(max(0.0, limit * limit - spent * spent)),  # squares add
    "left_epsilon": lambda limit, spent: max(0.0, limit - spent),
    "ends": _ends,
}


def derive(rule: str, values: Sequence[Any]) -> Any:
    """What follows from values by a rule.

    Raises:
        LookupError: There is no such rule.
    """
    return RULES[rule](*values)


def same(stated: Any, found: Any) -> bool:
    """Whether two values are the same, but for the last digits of a computed number."""
    if isinstance(stated, float) and isinstance(found, float):
        return math.isclose(stated, found, rel_tol=1e-12, abs_tol=1e-300)
    return type(stated) is type(found) and bool(stated == found)
