"""Verifier of a dossier: `python verify.py [FOLDER] [--roster SHA256] [--all]`. One file, which needs Python's standard
library and the package `cryptography`, nothing else of its makers. It recomputes every digest, signature, Merkle proof
and derived number, and bounds the epsilon of each composition from both sides with its own arithmetic. It cannot see
that somebody who holds all keys made all of it up: so compare the roster's digest with each institution (`--roster`).
Exit code 0: nothing found; 6: something was, each named with where it is; 2: it is no dossier."""

from __future__ import annotations

import argparse
import base64
import contextlib
import decimal
import functools
import hashlib
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KINDS, MANIFEST, SIGNATURE, STATEMENTS = ("epsilon", "ple"), "dossier.json", "dossier.sig", "statements.json"
SIGNED, FORMAT, MARGIN = b"afml dossier v1\n", 1, 1e-6  # relative: another machine's arithmetic rounds otherwise
ORDERS = [1 + at / 10 for at in range(1, 100)] + [*range(12, 64)]  # of Renyi divergences that size the grid of PRV
ROOM = {"closed form": 0.0, "closed_form": 0.0, "drawn": 0.0, "PRV": 1.0, "prv": 1.0}  # of what a grid adds; else: any
PARTS = dict.fromkeys(("spent", "prv", "pld", "rdp", "closed_form"), "spent")  # what is said of an enrolment -> of
PARTS |= {"broken": "broken", "committed": "taken", "recorded": "recorded", "drawn": "drawn"}  # which part of its steps


def canonical(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Hex."""
    return hashlib.sha256(data).hexdigest()


def signed(key: str, signature: bytes, message: bytes) -> bool:
    """Whether the raw Ed25519 key (hex) signed a message."""
    with contextlib.suppress(InvalidSignature, ValueError):
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, message) is None
    return False


def tree_hash(*parts: bytes) -> bytes:
    """Of a tree of RFC 6962 (section 2.1): a leaf has one part, an inner node has two."""
    return hashlib.sha256(bytes([len(parts) - 1]) + b"".join(parts)).digest()


def roots(leaves: Sequence[bytes]) -> list[bytes]:
    """Roots of the trees over the first 0, 1, 2, ... leaves."""
    found, peaks = [hashlib.sha256(b"").digest()], list[tuple[int, bytes]]()
    for leaf in leaves:
        peak = (1, leaf)
        while peaks and peaks[-1][0] == peak[0]:
            size, left = peaks.pop()
            peak = (2 * size, tree_hash(left, peak[1]))
        peaks.append(peak)
        found.append(functools.reduce(lambda right, left: tree_hash(left[1], right), peaks[-2::-1], peaks[-1][1]))
    return found


def proof(size: int, leaves: Sequence[bytes], known: bool = True, whole: bool = True) -> list[bytes]:
    """RFC 6962: a tree begins with its first `size` leaves, with root `known` (2.1.2), or holds the last (2.1.1)."""
    if size == len(leaves) and (whole or size == 1):
        return [] if known else [roots(leaves)[-1]]
    half = 1 << (len(leaves) - 1).bit_length() - 1  # the largest power of two that leaves something on the right
    left, right = leaves[:half], leaves[half:]
    if size <= half:
        return [*proof(size, left, known, whole), roots(right)[-1]]
    return [*proof(size - half, right, not whole, whole), roots(left)[-1]]


class Note:
    """A signed head, parsed: whose, over how many entries, with which root; or ValueError. Signatures are apart."""

    def __init__(self, note: str) -> None:
        head, blank, tail = note.partition("\n\n")
        self.text, (self.origin, size, root) = head + "\n", head.split("\n")
        if not blank or not size.isdecimal():
            raise ValueError("not a signed note")
        self.size, self.root = int(size), base64.b64decode(root, validate=True)
        lines = [line.split(" ") for line in tail.splitlines()]
        self._lines = [(name, base64.b64decode(payload, validate=True)) for _, name, payload in lines]

    def under(self, name: str, kind: bytes, key: str) -> list[bytes]:
        """What the lines of a name and its key hold."""
        identity = hashlib.sha256(name.encode() + b"\n" + kind + bytes.fromhex(key)).digest()[:4]
        return [payload[4:] for its, payload in self._lines if its == name and payload[:4] == identity]

    def countersigned(self, name: str, key: str) -> int | None:
        """Unix seconds at which `name` countersigned it; 0: a line that does not verify; None: no line."""
        for one in self.under(name, b"\x04", key):
            seconds = int.from_bytes(one[:8], "big")
            return seconds if signed(key, one[8:], f"cosignature/v1\ntime {seconds}\n{self.text}".encode()) else 0
        return None


CELLS, _ONE = 1 << 15, 10**18  # of a grid; one, in the integers that masses are counted in
_RELATIVE, _ABSOLUTE = 1e-12, 2e-15  # what floating point may have got wrong in the mass of a cell, of a tail beyond it
_TAIL, _DIGITS = 10**4, 42  # what a tail may hold to be cut off; of a product of two masses, summed over all cells
_EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _bisected(below: Callable[[float], bool], high: float = 0.0) -> tuple[float, float]:
    low, high = 0.0, high or 1.0  # two neighbours of which only the first is `below`; an upper end is looked for
    while below(high):
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low, high


@dataclass(frozen=True)
class Losses:
    """A privacy loss on a grid: `masses[i]` of 10^18 at (first + i) * step, `infinite` beyond any. `up`: only ever made
    larger, so that it bounds every delta from above; else from below. Sums are exact (`decimal`)."""

    step: float
    first: int
    masses: list[int]
    infinite: int
    up: bool

    def _coarser(self, step: float) -> Losses:  # on a grid of at least that step
        if self.step >= step:
            return self
        start = self.first - (self.first % 2 != self.up)  # pairs are (odd, even) on the way up, else (even, odd)
        padded = [0] * (self.first - start) + self.masses + [0]
        pairs = [a + b for a, b in zip(padded[::2], padded[1::2], strict=False)]
        return replace(self, step=2 * self.step, first=(start + self.up) // 2, masses=pairs)._coarser(step)

    def plus(self, other: Losses) -> Losses:
        """The sum of two independent losses."""
        a, b = self._coarser(other.step), other._coarser(self.step)
        count = len(a.masses) + len(b.masses) - 1
        numbers = ["".join([f"{mass:0{_DIGITS}d}" for mass in one.masses]) for one in (a, b)]
        product = str(_EXACT.multiply(*map(_EXACT.create_decimal, numbers))).zfill(count * _DIGITS)
        sums = [int(product[at : at + _DIGITS]) for at in range(0, count * _DIGITS, _DIGITS)]
        masses = [-(-one // _ONE) if self.up else one // _ONE for one in sums]
        whole = replace(a, first=a.first + b.first, masses=masses, infinite=a.infinite + b.infinite).trimmed()
        while len(whole.masses) > CELLS:
            whole = whole._coarser(2 * whole.step)
        return whole

    def times(self, count: int) -> Losses:
        """The sum of `count` independent losses of this kind."""
        half = self.times(count // 2) if count > 1 else self
        twice = half.plus(half) if count > 1 else self
        return twice.plus(self) if count > 1 and count & 1 else twice

    def trimmed(self) -> Losses:
        """Without tails that hold next to nothing."""
        low, high, left, right = 0, 0, 0, len(self.masses)
        while left < right - 1 and low + self.masses[left] <= _TAIL:
            low, left = low + self.masses[left], left + 1
        while right > left + 1 and high + self.masses[right - 1] <= _TAIL:
            right, high = right - 1, high + self.masses[right - 1]
        masses = self.masses[left:right]
        masses[0 if self.up else -1] += low if self.up else high
        return replace(self, first=self.first + left, masses=masses, infinite=self.infinite + high * self.up)

    @functools.cached_property  # over 0, 1, 2, ... of the largest losses: mass, and mass exp(-loss)
    def _sums(self) -> tuple[list[float], list[float]]:
        cells = [(mass / _ONE, (self.first + at) * self.step) for at, mass in enumerate(self.masses)][::-1]
        weighted = itertools.accumulate(mass * math.exp(-loss) for mass, loss in cells)
        return [0.0, *itertools.accumulate(mass for mass, _ in cells)], [0.0, *weighted]

    def delta(self, epsilon: float) -> float:
        """P(infinite) + sum over losses above epsilon >= 0 of mass (1 - exp(epsilon - loss))."""
        cut = math.floor(epsilon / self.step) + 1 - self.first  # first cell above
        kept = min(max(0, len(self.masses) - cut), len(self.masses))
        finite = self._sums[0][kept] - math.exp(epsilon) * self._sums[1][kept] if kept else 0.0
        return min(1.0, max(0.0, self.infinite / _ONE + finite))

    def epsilon(self, delta: float) -> float:
        """Smallest epsilon with no more than that delta; a hair above it where this bounds from above."""
        top = max(0.0, (self.first + len(self.masses)) * self.step)
        if self.delta(0.0) <= delta or self.delta(top) > delta:
            return 0.0 if self.delta(0.0) <= delta else math.inf if self.up else top
        return _bisected(lambda epsilon: self.delta(epsilon) > delta, top)[self.up]


def _spread(tails: Callable[[float], tuple[float, float]], low: float, high: float, up: bool) -> Losses:
    # The loss with these chances of no more than a value and of more, on some CELLS cells; any two grids fit.
    first = math.floor(low / (step := 2.0 ** math.ceil(math.log2((high - low) / CELLS))))
    edges = [tails((first + at) * step) for at in range(math.ceil(high / step) - first + 2)]
    masses = []
    for (below, above), (next_below, next_above) in itertools.pairwise(edges):
        mass = next_below - below if below < 0.5 else above - next_above
        slack = min(_RELATIVE * min(next_below, above), _ABSOLUTE) * _ONE + 1
        masses.append(max(0, round(mass * _ONE + (slack if up else -slack))))
    masses[0] += (round(edges[0][0] * _ONE) + 1) * up
    infinite = round(edges[-1][1] * (1 + _RELATIVE) * _ONE) + 1 if up else 0
    return Losses(step, first + 1 if up else first, masses, infinite, up)


def _subsampled(q: float, z: float, adding: bool, up: bool) -> Losses:
    floor = math.log1p(-q)  # one Gaussian step on a Poisson batch, in one direction of adjacency (Zhu, Dong, Wang 2022)

    def place(loss: float) -> float:  # x with log(1 - q + q exp((2x - 1) / 2z^2)) = loss
        return z * z * math.log((1 - q) / q * math.expm1(loss - floor)) + 0.5 if loss > floor else -math.inf

    def loss_at(x: float) -> float:
        exponent = (2 * x - 1) / (2 * z * z)
        return math.log1p(q * math.expm1(exponent)) if exponent < 700 else exponent + math.log(q)

    def tails(loss: float) -> tuple[float, float]:
        if adding:
            return _phi(-place(-loss) / z), _phi(place(-loss) / z)
        x = place(loss)
        return (1 - q) * _phi(x / z) + q * _phi((x - 1) / z), (1 - q) * _phi(-x / z) + q * _phi((1 - x) / z)

    return _spread(tails, *((-loss_at(8.5 * z), -floor) if adding else (floor, loss_at(1 + 8.5 * z))), up)


def gdp_delta(mu: float, epsilon: float) -> float:
    """delta of mu-GDP (Dong, Roth, Su 2022, Cor. 2.13)."""
    if mu <= 0:
        return 0.0
    tail = _phi(-epsilon / mu - mu / 2)
    return _phi(-epsilon / mu + mu / 2) - (math.exp(epsilon + math.log(tail)) if tail > 0 else 0.0)


def gdp_mu(epsilon: float, delta: float) -> float:
    """mu of the GDP curve through a point."""
    if delta <= 0 or delta >= 1 or not math.isfinite(epsilon):
        return 0.0 if delta <= 0 else math.inf
    return _bisected(lambda mu: gdp_delta(mu, epsilon) < delta)[1]


Finding = NamedTuple("Finding", [("code", str), ("where", str), ("problem", str)])  # noqa: UP014
Bounds: TypeAlias = tuple[tuple[float, float], ...]  # epsilon from both sides, PLE; none to all that PRV may add
Steps: TypeAlias = Counter[tuple[float, float]]  # (sample rate, noise multiplier) -> steps
Entry: TypeAlias = dict[str, Any]


def charged(plan: Steps, spent: Steps, whole: bool) -> Steps:
    """Sampled steps as planned, or as spent where that is more; full batches as spent, or those of a `whole` plan."""
    full = max(plan, spent, key=lambda of: sum(n / z**2 for (q, z), n in of.items() if q == 1)) if whole else spent
    sampled = {kind: n for kind, n in (plan | spent).items() if kind[0] < 1}
    return Counter(sampled | {kind: n for kind, n in full.items() if kind[0] == 1})


def bounds(composition: Steps, delta: float) -> Bounds:
    """Own bounds, and what PRV may say beyond; full batches alone are exact."""
    square = math.fsum(n / z**2 for (q, z), n in composition.items() if q == 1)
    sampled = tuple(sorted((q, z, n) for (q, z), n in composition.items() if q < 1 and n))
    return _bounds(math.sqrt(square), sampled, delta)


@functools.cache
def _bounds(mu: float, sampled: tuple[tuple[float, float, int], ...], delta: float) -> Bounds:
    # PRV's grid of 2^19 cells errs by 0.01 at most, and by what width and steps make of it (Gopi, Lee, Wutschitz 2021,
    # Thm 5.5); that of full batches is wider. It adds twice that to epsilon, to PLE up to sqrt(pi / 2) times as much.
    steps, square = 1 + sum(n for *_, n in sampled), mu * mu + sum(n / z**2 for _, z, n in sampled)
    wide = 3 + min(a * square / 2 + math.log(8e3 * steps / delta / a) / (a - 1) + math.log1p(-1 / a) for a in ORDERS)
    room = 2.6 * min(0.01, max(1e-5, wide * math.sqrt(steps * math.log(1.2e4 / delta) / 2) / 2**18)) + 1e-3
    if not sampled:
        only = _bisected(lambda e: gdp_delta(mu, e) > delta)[1] if gdp_delta(mu, 0.0) > delta else 0.0
        return (only, only), (mu, mu), (0.0, room + only / 4e3)
    found: dict[bool, list[Losses]] = {True: [], False: []}
    half, width = mu * mu / 2, 8.5 * mu  # of full batches, a mu-GDP Gaussian mechanism: N(mu^2 / 2, mu^2)
    for up, adding in itertools.product(found, (False, True)):
        whole = [_subsampled(q, z, adding, up).trimmed().times(n) for q, z, n in sampled]
        if mu:
            whole += [_spread(lambda x: (_phi((x - half) / mu), _phi((half - x) / mu)), half - width, half + width, up)]
        found[up].append(functools.reduce(Losses.plus, whole))
    low, high = (max(one.epsilon(delta) for one in found[up]) for up in (False, True))
    at = [low * i / 128 for i in range(129)]
    least = max(gdp_mu(e, max(one.delta(e) for one in found[False])) for e in at) if low > 0 else 0.0
    at = [high * i / 512 for i in range(513)] if math.isfinite(high) else [0.0, math.inf]  # delta: as at the one before
    most = max(gdp_mu(b, max(one.delta(a) for one in found[True])) for a, b in itertools.pairwise(at))
    return (low, high), (least, most), (0.0, room + low / 4e3)  # its error in delta is a thousandth of that


def pointed(document: Any, at: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to; LookupError or TypeError where it leads nowhere."""
    for part in at.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name) if isinstance(document, list) and name.isdecimal() else name]
    return document


def ends(limit: float, spent: float, first: int, last: int) -> int | None:
    """When squares of sigma, spent at the pace of 30 days or more (ms), reach the limit; null a century later."""
    day, pace = 86_400_000, last - first
    at = first + pace * (limit / spent) ** 2 if pace >= 30 * day and spent > 0 else math.inf
    return math.floor(at) if at < last + 36_525 * day else None


def sure(odds: float, most: Callable[[float], float]) -> float:
    """Share of members, at most, whom outcomes give away at `odds` to 1 to who began at 1 to 1; delta is `most`."""
    # Of these outcomes P >= odds Q, and P - exp(epsilon) Q <= delta, so that P (1 - exp(epsilon) / odds) <= delta.
    at = [math.log(odds) * i / 512 for i in range(512)]
    return min(1.0, *(most(epsilon) / (1 - math.exp(epsilon) / odds) for epsilon in at))


RULES: dict[str, Callable[..., Any]] = {
    "sum": lambda *of: sum(of), "count": lambda *of: len(of), "least": lambda *of: min(of), "most": lambda *of: max(of),
    "same": lambda of: of, "difference": lambda a, b: a - b, "ends": ends, "left_epsilon": lambda a, b: max(0.0, a - b),
    "joined": lambda *of: ", ".join(of), "right_at_most": lambda mu: _phi(mu / 2),  # 1/2 + TV/2 of mu-GDP
    "right_at_most_epsilon": lambda epsilon, d: 1 - (1 - d) / (1 + math.exp(epsilon)), "ratio": lambda a, b: a / b,
    "sure_90": lambda mu, d: sure(9, lambda at: max(d, gdp_delta(mu, at))),  # by a PLE, which is above from d upward
    "sure_99": lambda mu, d: sure(99, lambda at: max(d, gdp_delta(mu, at))),
    "sure_90_epsilon": lambda e, d: sure(9, lambda at: max(d, 1 - (1 - d) * (1 + math.exp(at)) / (1 + math.exp(e)))),
    "left_sigma": lambda limit, spent: math.sqrt(max(0.0, limit * limit - spent * spent)),  # squares add
}  # fmt: skip


def same(stated: Any, found: Any) -> bool:
    """Whether two values are the same, but for the last digits of a computed number."""
    if isinstance(stated, list | tuple) and isinstance(found, list | tuple):
        return len(stated) == len(found) and all(map(same, stated, found))
    near = isinstance(stated, float) and isinstance(found, float) and math.isclose(stated, found, rel_tol=1e-12)
    return near or (type(stated) is type(found) and bool(stated == found))


class Ledger:
    """A ledger of the dossier: whose, its entries, and in words what vouches for them."""

    def __init__(self, name: str, member: Entry, raw: list[bytes]) -> None:
        self.name, self.member, self.raw, self.vouched = name, member, raw, ""
        self.bodies: list[Entry] = [json.loads(line) for line in raw]
        self.vouchers = dict[str, list[int]]()  # institution -> entries, Unix seconds
        self.node, self.owner = member.get("node"), member.get("name", "nobody on the roster")
        self.keys = {member.get("signing_key"), *(b["old_key"] for b in self.of("succession", "import"))}
        self.leaves = [tree_hash(line) for line in raw]
        self.roots = roots(self.leaves)
        self.names = {f"afml/{self.name}", *(body["origin"] for body in self.of("import"))}  # now, and before imports
        self.closed, self.lost, begins = {body["run"] for body in self.of("closing")}, dict[str, int](), 0
        for body in self.bodies:  # run -> first of the entries that a backup lacked when it closed the run as lost
            lost = body["kind"] == "closing" and body["reason"] == "lost"
            self.lost |= {body["run"]: begins} if lost else {}
            begins = begins if lost else body["index"] + 1

    def of(self, *kinds: str) -> list[Entry]:
        """Entries of some kinds."""
        return [body for body in self.bodies if body["kind"] in kinds]

    def composition(self, part: str = "spent", enrolment: str = "", run: str = "") -> Steps:
        """Steps of an enrolment (of a run): "recorded" by spends; "spent", of a lost run its whole plan; the same if
        aggregation is "broken" and own updates are read, or who is "drawn" is known; "taken" from a further run."""
        found, left = Counter[tuple[float, float]](), defaultdict[str, dict[tuple[float, float], float]](dict)
        for body in self.of("spend") if part == "broken" else ():
            left[body["run"]] |= dict.fromkeys(steps_of([body["mechanism"]]), float(body["broken_multiplier"]))
        its = [body for body in self.of("spend", "reservation") if enrolment in ("", body["enrolment"])]
        for name in dict.fromkeys(body["run"] for body in its if run in ("", body["run"])):
            mine = [body for body in its if body["run"] == name]
            plan = steps_of(mine[-1].get("plan", ()), left[name])
            spent = steps_of([body["mechanism"] for body in mine if body["kind"] == "spend"], left[name])
            held = part != "recorded" and any(body["kind"] == "reservation" for body in mine)
            whole = held and (name in self.lost or (part == "taken" and name not in self.closed))
            found += charged(plan, spent, whole) if whole or (part == "taken" and spent) else spent
        return found if part != "drawn" else sum((Counter({(1.0, z): n}) for (_, z), n in found.items()), Steps())

    def signed_head(self, note: Note) -> bool:
        """Whether its owner signed a head, by the key and the name that it had at that size."""
        key, its = self.member.get("signing_key", ""), f"afml/{self.name}"
        for body in reversed(self.bodies[note.size :]):
            if body["kind"] in ("succession", "import"):
                key, its = body["old_key"], body.get("origin", its)
        return note.origin == its and any(signed(key, one, note.text.encode()) for one in note.under(its, b"\x01", key))

    def holds(self, note: Note) -> bool:
        """Whether a head is of its history."""
        return note.size < len(self.roots) and self.roots[note.size] == note.root


def steps_of(events: Sequence[Entry], left: Mapping[tuple[float, float], float] | None = None) -> Steps:
    """Steps of events in entries; `left` says which noise multiplier is left of a kind."""
    found: Steps = Counter()
    for event in events:
        kind = float(event.get("sample_rate", 1.0)), float(event["noise_multiplier"])
        found[kind[0], (left or {}).get(kind, kind[1])] += int(event.get("steps", 1))
    return found


def keys_of(member: Entry) -> tuple[list[str], str]:
    """The signing keys of an institution, and the name of its ledger."""
    keys = [*(change["key"] for change in member["lineage"]), member["signing_key"]]
    return keys, sha256(bytes.fromhex(keys[0]))[:32]


class Check:
    """One verification; `roster`: SHA-256 that roster.json must have, None any; `unsigned`: a manifest may be so."""

    def __init__(self, folder: Path, roster: str | None = None, unsigned: bool = False) -> None:
        self.folder, self.pinned, self.unsigned, self.roster = folder, roster, unsigned, dict[str, Any]()
        self.findings, self.checked, self.unchecked = list[Finding](), list[str](), list[str]()
        self.ledgers, self.transcripts, self.listed = dict[str, Ledger](), dict[str, list[bytes]](), set[str]()
        self.said, self.stands, self.sealed = dict[str, Any](), list[tuple[str, Any, str, str]](), "which nobody signed"

    def require(self, holds: bool, code: str, where: str, problem: str) -> bool:
        """A finding unless something holds."""
        self.findings += [] if holds else [Finding(code, where, problem)]
        return holds

    def alike(self, code: str, where: str, said: Entry, made: Entry, by: str) -> None:
        """A finding for each field that is not what another place, `by`, makes it."""
        for name, value in made.items():
            self.require(same(its := said.get(name), value), code, f"{where}, {name}", f"is {its!r}, {by} {value!r}")

    def json(self, file: str) -> Any:
        """A JSON file of the dossier; None where there is none."""
        path = self.folder / file
        return json.loads(path.read_bytes()) if path.is_file() else None

    def run(self) -> Check:
        """Everything, in order; later parts rest on earlier ones."""
        for part in (self._roster, self._files, self._ledgers, self._transcripts, self._statements,
                     self._proofs, self._bounds, self._links, self._publications):  # fmt: skip
            try:
                part()
            except Exception as error:  # noqa: BLE001 - whatever a forger wrote is a finding
                self.require(False, "unreadable", part.__name__.strip("_"), f"{type(error).__name__}: {error}")
        return self

    def _roster(self) -> None:
        self.roster, data = self.json("roster.json"), (self.folder / "roster.json").read_bytes()
        message = b"afml roster v1" + hashlib.sha256(canonical(self.roster)).digest()
        ok = signed(self.roster["coordinator_key"], (self.folder / "roster.sig").read_bytes(), message)
        self.require(ok, "unsigned-roster", "roster.json", "the coordinator that it names did not sign it")
        self.require(self.pinned in (None, sha256(data)), "other-roster", "roster.json", f"has SHA-256 {sha256(data)}")
        for member in self.roster["members"]:
            keys, where = keys_of(member)[0], f"roster.json, node {member['node']}"
            for change, after in zip(member["lineage"], keys[1:], strict=True):
                message = b"afml/v1/key-change\n" + canonical({"founder": keys[0], "key": after})
                ok = signed(change["key"], bytes.fromhex(change["signature"]), message)
                self.require(ok, "unsigned-roster", where, "a key did not sign the next")
        self.checked.append(f"roster of consortium {self.roster['consortium']}, SHA-256 {sha256(data)}")
        self.unchecked += [] if self.pinned else ["whether this roster is the institutions' own: compare it (--roster)"]

    def _files(self) -> None:
        manifest, root = self.json(MANIFEST), self.folder
        self.require(manifest["format"] == FORMAT, "unreadable", MANIFEST, f"is not of format {FORMAT}")
        listed = {one["file"]: one["sha256"] for one in manifest["files"]}
        there = {one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_symlink() or not one.is_dir()}
        for file in sorted(there - {MANIFEST, SIGNATURE} | {*listed}):
            known = self.require(file in listed, "added-file", file, "is not in the manifest")
            if known and self.require(file in there and (root / file).is_file(), "missing-file", file, "is not here"):
                self.listed.add(file)
                ok = sha256((root / file).read_bytes()) == listed[file]
                self.require(ok, "changed-file", file, "is not what the manifest lists")
        self.checked.append(f"{some(len(listed), 'files')} against the manifest")
        if (signer := (manifest.get("signer") or {}).get("node")) is None:
            problem = "no institution signed it: whoever had it can have changed anything (--unsigned allows it)"
            self.require(self.unsigned, "unsigned-dossier", MANIFEST, problem)
            self.unchecked.append("whose the manifest is: no institution signed it")
            return
        told = {"signer": signer, **(self.json("software.json") or {})}
        self.alike("unsigned-dossier", "software.json", told, {"signer": signer}, "by the manifest")
        member = next(one for one in self.roster["members"] if one["node"] == signer)
        signature, message = self.folder / SIGNATURE, SIGNED + (self.folder / MANIFEST).read_bytes()
        ok = signature.is_file() and signed(member["signing_key"], signature.read_bytes(), message)
        if self.require(ok, "unsigned-dossier", MANIFEST, f"{member['name']} did not sign it as it is"):
            self.sealed = f"which {member['name']} signed"
            self.checked.append(f"the manifest, signed by {member['name']} (node {member['node']})")

    def _ledgers(self) -> None:
        members = {keys_of(member)[1]: member for member in self.roster["members"]}
        for folder in sorted((self.folder / "ledgers").glob("*")):
            file, raw = f"ledgers/{folder.name}", (folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]
            self.ledgers[folder.name] = ledger = Ledger(folder.name, members.get(folder.name, {}), raw)
            self.require(folder.name in members, "unknown-ledger", file, "is of nobody on the roster")
            self._heads(ledger, folder)
            self._entries(ledger)
            whose = f"ledger of {ledger.owner}: "
            self.unchecked += [f"{whose}rounds of run {run}, charged as planned" for run in sorted(ledger.lost)]
            self.unchecked += [f"{whose}who vouched for its {b['kind']}" for b in ledger.of("succession", "import")]

    def _heads(self, ledger: Ledger, folder: Path) -> None:  # the newest, those others keep, who countersigned
        file, size = f"ledgers/{ledger.name}", len(ledger.leaves)
        files = [folder / "head.txt", *sorted(folder.glob("kept/*.txt"))]
        notes = [Note(path.read_text(encoding="utf-8")) for path in files]
        ok = notes[0].size == size and ledger.holds(notes[0])
        self.require(ok, "edited-ledger", f"{file}/entries.jsonl", f"its {size} entries are not those of head.txt")
        for path, note in zip(files, notes, strict=True):
            where = path.relative_to(self.folder).as_posix()
            if self.require(ledger.signed_head(note), "wrong-key", where, f"{ledger.owner} did not sign it") and ok:
                self.require(ledger.holds(note), "forked-head", where, "is of another history, or of a longer one")
            for member in self.roster["members"]:
                (keys, name), who = keys_of(member), member["name"]
                for key in keys if name != ledger.name else ():
                    seconds = note.countersigned(f"afml/{name}", key)
                    if self.require(seconds != 0, "bad-countersignature", where, f"of {who}") and seconds:
                        ledger.vouchers[who] = max(ledger.vouchers.get(who, [0, 0]), [note.size, seconds])
        by = [f"{at - 1} by {who} ({some(s, 's since 1970')})" for who, (at, s) in sorted(ledger.vouchers.items())]
        ledger.vouched = f"{some(size, 'entries')} by {ledger.owner}; countersigned to entry {', '.join(by) or 'none'}"
        self.checked.append(f"ledger of {ledger.owner}: {ledger.vouched}; {some(len(files) - 1, 'kept heads')}")

    def _transcripts(self) -> None:
        for path in sorted((self.folder / "transcripts").glob("*.jsonl")):
            file, previous, records = f"transcripts/{path.name}", "0" * 64, []
            self.transcripts[file] = path.read_bytes().split(b"\n")[:-1]
            for number, line in enumerate(self.transcripts[file], 1):
                record, where = json.loads(line), f"{file}, line {number}"
                signature = bytes.fromhex(record.pop("signature"))
                ok = signed(self.roster["aggregator_key"], signature, b"afml transcript v1\n" + canonical(record))
                self.require(ok, "unsigned-line", where, "the aggregator on the roster did not sign it")
                self.require(record["previous"] == previous, "broken-chain", where, "does not follow the one before it")
                previous = sha256(line)
                records += [record] if "cohort" in record else []
            for ledger in self.ledgers.values():
                self.published(ledger, records, file)
            self.checked.append(f"{file}: {some(len(records), 'rounds')} that the aggregator signed, and each ledger")
        self.unchecked += [] if any(self.transcripts.values()) else ["no published round: hidden runs cannot be seen"]

    def published(self, ledger: Ledger, records: Sequence[Entry], file: str) -> None:
        """What the aggregator published against what this ledger holds, and the receipts that came with it."""
        spends, used = {(b["run"], b["round"], b["attempt"]): b for b in ledger.of("spend")}, set[int]()
        left = defaultdict[str, Counter[float]](Counter)  # lost run -> steps of its plan, by sample rate
        left |= {run: Counter(rate for rate, _ in ledger.composition(run=run).elements()) for run in ledger.lost}
        for record in records:
            named = [n for n, its in record["receipts"].items() if its["checkpoint"].split("\n")[0] in ledger.names]
            node = int(named[0]) if named else ledger.node  # it may have had another number then
            if node not in record["cohort"]:
                continue
            run, where = record["run"], f"{file}, run {record['run']}, round {record['round']}, node {node}"
            ok = len(set(record["cohort"])) >= record["quorum"]
            self.require(ok, "quorum-broken", where, f"{len(record['cohort'])} institutions, quorum {record['quorum']}")
            body, receipt = spends.get((run, record["round"], record["attempt"])), record["receipts"].get(str(node))
            left[run][rate := record["sample_rate"]] -= 1
            if body is None:  # or lost with entries that a backup lacked, where the plan of its run is charged whole
                ok = receipt is not None and receipt["index"] >= ledger.lost.get(run, math.inf) and left[run][rate] >= 0
                self.require(ok, "hidden-round", where, "was published, and is not in the ledger")
                continue
            its, z, m = body["mechanism"], record["noise_multiplier"], body["enrolments_per_person"]
            own, broken = its["noise_multiplier"], body["broken_multiplier"]  # a share of two at least, or all of it
            most = z * (1.0 if record["noise"] == "local" else math.sqrt(m / 2)) * (1 + MARGIN)
            ok = body["published_multiplier"] * math.sqrt(m) == z and own in (z, broken) and broken <= most
            self.require(ok, "changed-noise-multiplier", where, f"accounted {own} ({broken}), published {z}")
            mine = {**body, "sample_rate": its.get("sample_rate", 1.0), "steps": its.get("steps", 1)}
            names = ("config_digest", "cohort", "phase", "noise", "clip_norm", "sample_rate")
            self.alike("changed-spend", where, mine, {name: record[name] for name in names} | {"steps": m}, "published")
            if receipt is not None:
                note, index = Note(receipt["checkpoint"]), receipt["index"]
                ok = index == body["index"] and index not in used and receipt["leaf"] == ledger.leaves[index].hex()
                self.require(ok, "wrong-receipt", where, f"entry {index} did not pay for it as it is here")
                ok = ledger.signed_head(note) and ledger.holds(note)
                self.require(ok, "forked-head", f"{where}, receipt", f"{ledger.owner} signed no head of this history")
                used.add(index)

    def _statements(self) -> None:
        for one in (every := self.json(STATEMENTS)):
            where = f"{STATEMENTS}, {one['id']}"
            try:
                found, ground = self._ground(one["pointer"])
            except (LookupError, TypeError, ValueError, OSError, ArithmeticError):
                self.require(False, "lost-ground", where, "what it stands on is not here as it was")
                continue
            self.alike("changed-statement", where, one, {"value": found}, "what it stands on says")
            self.require(one["id"] not in self.said, "changed-statement", where, "is said twice")
            self.said[one["id"]] = one["value"]
            self.stands.append((one["id"], one["value"], str(one["unit"]), ground))
        self.checked.append(f"{some(len(self.said), 'statements')} against what they stand on (--all lists them)")
        told = {one["id"]: {name: one[name] for name in one if name != "words"} for one in every}
        forms = {f"forms/{path.name}": json.loads(path.read_bytes()) for path in self.folder.glob("forms/*.json")}
        fields = [(file, field) for file, form in sorted(forms.items()) for field in form.get("fields", ())]
        for file, name, one in ((file, field["id"], one) for file, field in fields for one in field["stands_on"]):
            ok, where = canonical(one) == canonical(told.get(one["id"])), f"{file}, {name}, {one['id']}"
            self.require(ok, "other-form", where, f"is not as {STATEMENTS} says it")
            if ".privacy_parameters." in name:  # the same number in the entry for the registry
                its = pointed(forms["forms/registry_entry.json"], "/" + name.replace(".", "/"))
                self.require(same(its, one["value"]), "other-form", "forms/registry_entry.json", f"{name} is another")

    def _proofs(self) -> None:
        proofs, pointers = self.json("proofs.json"), [one["pointer"] for one in self.json(STATEMENTS)]
        wanted = {(one["ledger"], one["index"]) for one in pointers if one["kind"] == "ledger"}
        for name, index in sorted(wanted):
            ledger, path = self.ledgers[name], proofs[name]["inclusion"].get(str(index))
            ok = path == [step.hex() for step in proof(index + 1, ledger.leaves, whole=False)]
            where = f"proofs.json, ledger of {ledger.owner}, entry {index}"
            self.require(ok, "wrong-proof", where, "does not lead to the root that the head signs")
        for name, ledger in self.ledgers.items():
            for one in proofs[name]["consistency"]:
                size, where = one["size"], f"proofs.json, ledger of {ledger.owner}, head of {one['size']} entries"
                ok = one["path"] == [step.hex() for step in (proof(size, ledger.leaves) if size else [])]
                self.require(ok, "wrong-proof", where, "does not lead to the newest head")
        self.checked.append(f"{some(len(wanted), 'inclusion proofs')}, and that the newest head extends every kept one")

    def _bounds(self) -> None:
        run, report = self.json("run.json"), self.json("report.json")  # none is below its own ledger's spends, or above
        self.deltas = {b["lifetime"]["delta"] for one in self.ledgers.values() for b in one.of("spend", "reservation")}
        for ledger in self.ledgers.values():
            spends = [b for b in ledger.of("spend", "reservation") if b["kind"] == "spend" or b["run"] in ledger.lost]
            bounded, whose = [body for body in spends if not body["insecure"]], f"ledger of {ledger.owner}"
            self.unchecked += [f"{whose}: simulations, which nothing bounds"] if len(bounded) < len(spends) else []
            for enrolment, last in {body["enrolment"]: body for body in bounded}.items():
                self._enrolment(ledger, enrolment, last["lifetime"])
            for body in ledger.of("audit"):
                deltas = [float(one["lifetime"]["delta"]) for one in bounded if one["run"] == body["run"]]
                most = bounds(ledger.composition(run=body["run"]), deltas[-1])[1][1] if deltas else math.inf
                told = f"at least {(least := body['mu_lower']):.4g} sigma by attack, at most {most:.4g} composed"
                self.require(least <= most * 1.02, "audit-exceeds-accounting", f"{whose}, entry {body['index']}", told)
            if run and report and not report["privacy"]["insecure"] and ledger.composition(run=run["run"]):
                for said, part in ("reported", "spent"), ("broken", "broken"):
                    own = bounds(ledger.composition(part, run=run["run"]), float(report["privacy"]["delta"]))
                    self._between({f"privacy.{said}_{KINDS[at]}": (own[at][0], math.inf) for at in (0, 1)})
        ok = self.said.get("privacy.delta") in (None, *self.deltas)
        self.require(ok, "other-ground", f"{STATEMENTS}, privacy.delta", "is the delta of no ledger here")

    def _enrolment(self, ledger: Ledger, enrolment: str, lifetime: Entry) -> None:  # who may be in others
        delta, name, told = float(lifetime["delta"]), f"budget.{enrolment[:12]}", dict[str, str]()
        for said, part in PARTS.items():
            own, most = (bounds(ledger.composition(part, its), delta) for its in (enrolment, ""))
            names, two = [f"{name}.{said}_{kind}" for kind in KINDS], (("low", own), ("high", most))
            ends_here = {f"{one}_{end}": of[at][n] for at, one in enumerate(names) for n, (end, of) in enumerate(two)}
            self._between({one: (value, value * (1 + MARGIN)) for one, value in ends_here.items()})
            if said == "committed":  # in the unit of the limit
                names[lifetime.get("ple_sigma") is not None] = f"{name}.committed"
            room = ROOM.get(self.said.get(f"{name}.{said}_accountant", said), math.inf) * most[2][1]
            self._between({names[at]: (own[at][0], most[at][1] * (1 + MARGIN) + room) for at in (0, 1)})
            if (kind := {"spent": "", "drawn": "drawn_"}.get(said)) is not None:  # what the plain words make of it
                plain = {f"privacy.{kind}ple": (low := own[1][0]), f"privacy.{kind}right_at_most": _phi(low / 2)}
                plain |= {f"privacy.{kind}{rule}": RULES[rule](low, 0.0) for rule in ("sure_90", "sure_99")}
                if not kind:
                    plain |= {f"odds.{name[7:]}": _phi(low / 2), f"sure.{name[7:]}": RULES["sure_90"](low, 0.0)}
                    plain |= {"privacy.epsilon": own[0][0]} if len(self.deltas) == 1 else {}
                self._between({one: (least, math.inf) for one, least in plain.items()})
            told[part] = "{}: epsilon in [{:.4f}, {:.4f}], PLE in [{:.4f}, {:.4f}]".format(part, *own[0], *own[1])
        due = {f"{name}.delta": lifetime["delta"], f"{name}.limit": lifetime.get("ple_sigma") or lifetime["epsilon"]}
        self.alike("other-ground", STATEMENTS, self.said, due, "by the ledger")
        whose = f"enrolment {enrolment[:12]} of {ledger.owner}, by own arithmetic at delta {delta:g}, PLE in sigma"
        self.checked.append(f"{whose}: {'; '.join(told.values())}")

    def _between(self, due: Mapping[str, tuple[float, float]]) -> None:
        for name, (low, high) in due.items():  # no less than own bounds, and no more but for some room
            if (stated := self.said.get(name)) is not None:
                at, number = f"{STATEMENTS}, {name}", stated if type(stated) in (int, float) else math.nan
                self.require(number >= low * (1 - MARGIN), "below-bound", at, f"is {stated!r}, not {low:.6g} or more")
                self.require(number <= high, "above-bound", at, f"is {stated!r}, not {high:.6g} or less")

    def _links(self) -> None:  # files that name each other
        run, model, told = self.json("run.json"), self.json("model.json"), self.json("verification.json")
        self.unchecked.append("what their makers say in report.json, details.json, model.json, software.json")
        self.unchecked.append("tables of people; sentences of dossier.html, forms/ (`afml audit verify`), dossier.pdf")
        if run:
            message = b"afml/v1/run-config\n" + canonical({"config": (digest := sha256(canonical(run)))})
            ok = signed(self.roster["coordinator_key"], (self.folder / "run.sig").read_bytes(), message)
            self.require(ok, "unsigned-run", "run.json", "the coordinator on the roster did not sign it")
            away = ", ".join(sorted({*run["enrolled"]} - {str(ledger.node) for ledger in self.ledgers.values()}))
            self.unchecked += [f"ledgers of nodes {away}, which run {run['run']} enrols: not here"] if away else []
            self.checked.append(f"run {run['run']}, {digest[:16]}: that it is signed, and that ledgers keep to it")
        if run and model:
            card = {"config_digest": digest, "task": run["task"], **model["card"]}
            ok = (card["config_digest"], card["task"]["code"]) == (digest, run["task"]["code"])
            self.require(ok, "other-model", "model.json/card", "is of another run, or of another code than the run's")
        asked = {(name, b["run"]): b for one in self.ledgers.values() for b in one.of("overlap") for name in one.names}
        for ledger in self.ledgers.values():
            if run:
                self._planned(ledger, run, digest)
            whose, found = f"ledger of {ledger.owner}", told[ledger.name]
            held = {"entries": len(ledger.leaves), "root": ledger.roots[-1].hex(), "countersigned": ledger.vouchers}
            self.alike("other-verification", "verification.json", found, held, f"by the {whose}")
            for one in found["findings"]:
                self.require(False, "ledger-finding", f"{whose}, {one['where']}", f"{one['code']}: {one['problem']}")
            for body in ledger.of("overlap-answer"):  # what one institution answers is what the other one's ledger asks
                its, where = asked.get((body["origin"], body["run"]), body), f"{whose}, entry {body['index']}"
                held = {name: its[name] for name in ("ask", "people", "config_digest")}
                self.alike("other-overlap", where, body, held, "in the ledger of who asked")
            for body in ledger.of("release") if run and model else ():
                ok = body["run"] != run["run"] or body["model_digest"] == model["digest"]
                self.require(ok, "other-model", f"{whose}, entry {body['index']}", "is not a release by model.json")

    def _publications(self) -> None:  # the institution's entry that a file may leave, and the word in its package
        for ledger in self.ledgers.values():
            for body in ledger.of("publication"):
                of = ledger.bodies[body["release"]] if body["release"] < body["index"] else {}
                ok = of.get("kind") == "release" and of["run"] == body["run"] and not {*body["met"]} & {*body["missed"]}
                where, file = f"entry {body['index']}", f"publications/{ledger.name}-{body['index']}.json"
                self.require(ok, "wrong-publication", f"ledger of {ledger.owner}, {where}", "is of no release so far")
                if (word := self.json(file)) is None:
                    continue
                unsigned = sha256(canonical({**word, "signature": ""}))
                message = b"afml/v1/release-publication\n" + canonical({"publication": unsigned})
                ok = word["key"] in ledger.keys and signed(word["key"], bytes.fromhex(word["signature"]), message)
                self.require(ok, "unsigned-publication", file, f"{ledger.owner} did not sign it")
                says = {**word, "verdicts": {one["target"]: one["met"] for one in word["verdicts"]}}
                holds = {"verdicts": dict.fromkeys(body["met"], True) | dict.fromkeys(body["missed"], False)}
                holds |= {name: body[name] for name in ("manifest", "assessment", "run")}
                self.alike("other-publication", file, says, holds | {"release": of.get("file_digest")}, where)

    def _entries(self, ledger: Ledger) -> None:  # among each other: order, clock, spends against plans set aside
        plans, spent, closed = dict[str, Steps](), dict[str, Steps](), set[str]()
        seen, last = set[tuple[Any, ...]](), 0
        for index, (raw, body) in enumerate(zip(ledger.raw, ledger.bodies, strict=True)):
            where, run = f"ledgers/{ledger.name}/entries.jsonl, entry {index}", body.get("run", "")
            ok = body["index"] == index and canonical(body) == raw
            self.require(ok, "moved-entry", where, f"was written as entry {body['index']}")
            self.require(body["time_ms"] >= last, "clock-set-back", where, "is earlier than the entry before it")
            kind, last = body["kind"], body["time_ms"]
            plans |= {run: steps_of(body["plan"])} if kind == "reservation" else {}
            closed |= {run} if kind == "closing" else set()
            if kind == "spend":
                attempt = run, body["round"], body["attempt"]
                self.require(attempt not in seen, "duplicated-spend", where, f"round {attempt[1]} of run {run}, again")
                seen.add(attempt)
                self.require(run in plans and run not in closed, "unreserved-spend", where, f"run {run}: no open plan")
                spent.setdefault(run, Counter()).update(steps_of([body["mechanism"]]))
                over = [n for its, n in spent[run].items() if its[0] < 1 and n > plans.get(run, Counter())[its]]
                self.require(not over, "beyond-plan", where, f"the plan of run {run} was used up")

    def _planned(self, ledger: Ledger, run: Entry, digest: str) -> None:  # entries against what the run makes of them
        its, own = [body for body in ledger.of("spend", "reservation") if body["run"] == run["run"]], False
        always = {"insecure": run["seed"] is not None, "exact_noise": run.get("exact_noise", False)}
        always |= {"people": people} if (people := run["enrolled"].get(str(ledger.node))) else {}
        told = f"ledger of {ledger.owner}: people of run {run['run']}, in which it had another number"
        self.unchecked += [told] if its and not people else []
        phases = [phase for phase in run["phases"] for _ in range(phase["rounds"])]
        honest, m = run["quorum"] - run["max_colluding"], run["enrolments_per_person"]
        read = math.sqrt(m) if run["noise"] == "local" else m / math.sqrt(honest)  # of a phase's multiplier
        plan = [phase | {"steps": (phase["rounds"] + run["reserve_attempts"]) * m} for phase in run["phases"]]
        for body in its:
            own = body.get("own_noise", own)  # what is planned says it, before what is spent
            left = {kind: kind[1] * (read if own else math.sqrt(m)) for kind in steps_of(plan)}
            said = {"exact_noise": False, **body, "plan": sorted(steps_of(body["plan"]).items())}
            made = {**always, "config_digest": digest, "plan": sorted(steps_of(plan, left).items())}
            if body["kind"] == "spend":
                phase, there = phases[body["round"] - 1], len({*body["cohort"]} & {*map(int, run["enrolled"])})
                said |= {"mechanism": [*steps_of([body["mechanism"]]).items()], "quorum": min(there, run["quorum"])}
                made |= {"mechanism": [*steps_of([phase | {"steps": m}], left).items()], "quorum": run["quorum"]}
                made |= {"published_multiplier": (z := phase["noise_multiplier"]), "broken_multiplier": z * read}
                made |= {name: run[name] for name in ("noise", "enrolments_per_person")}
                made |= {"phase": phase["name"], "clip_norm": phase["clip_norm"]}
            self.alike("unlike-run", f"ledger of {ledger.owner}, entry {body['index']}", said, made, "by run.json")

    def _ground(self, pointer: Entry) -> tuple[Any, str]:
        kind, at, file = pointer["kind"], pointer.get("at", ""), pointer.get("file", "")  # what it says and what it is
        if kind == "ledger":
            ledger, index = self.ledgers[pointer["ledger"]], pointer["index"]
            if ledger.leaves[index].hex() != pointer["leaf"]:
                raise LookupError("another entry")
            return pointed(ledger.bodies[index], at), f"entry {index} of the ledger of {ledger.owner}, {ledger.vouched}"
        if kind == "derived":
            of = [self.said[one] for one in pointer["of"]]
            return RULES[pointer["rule"]](*of), f"{pointer['rule']} of {', '.join(pointer['of'])}"
        by = "signed by the coordinator" if file in ("run.json", "roster.json") else f"in this dossier, {self.sealed}"
        by = f"line {pointer['line']}, signed by the aggregator" if kind == "transcript" else by
        if file not in self.listed:
            raise LookupError("no file of this dossier")
        data = self.transcripts[file][pointer["line"] - 1] if "line" in pointer else (self.folder / file).read_bytes()
        if sha256(data) != pointer["sha256"]:
            raise LookupError("other bytes")
        return pointed(json.loads(data), at) if at else sha256(data), f"{file}{at}, {by}"


def some(count: Any, unit: str) -> str:
    """A value with its unit as it is read: "1 round", "3 people", a moment (UTC), what nothing bounds."""
    with contextlib.suppress(OverflowError, TypeError, ValueError):  # what is no moment is said as it is
        if unit.endswith("since 1970") and count is not None:
            return f"{datetime.fromtimestamp(count / (1000 if unit.startswith('ms') else 1), UTC):%Y-%m-%d %H:%M UTC}"
    if count is None or isinstance(count, bool):
        return "yes" if count else "no" if count is False else "no bound" if unit in ("sigma", "epsilon") else "none"
    one = unit.replace("people", "person").replace("entries", "entry").removesuffix("s") if count == 1 else unit
    return f"{count:.9g} {unit}".strip() if isinstance(count, float) else f"{count} {one}".strip()


def lines(found: Check, every: bool = False) -> list[str]:
    """What was found, for people; `every` statement after it, with its number on the page."""
    told = [f"checked {one}" for one in found.checked] + [f"not checked: {one}" for one in found.unchecked]
    told += [f"{one.code} {one.where}: {one.problem}" for one in found.findings]
    told.append(some(len(found.findings), "findings") if found.findings else "nothing found")
    for at, (name, value, unit, by) in enumerate(found.stands if every else (), 1):
        told += [f"{at} {name} = {some(value, unit)}", f"    stands on {by}"]
    return ["".join(one if one.isprintable() else ascii(one)[1:-1] for one in line) for line in told]  # of others: text


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Verify a dossier without anything of those who made it.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, help="the dossier")
    parser.add_argument("--roster", help="SHA-256 of roster.json, as the institutions say it")
    parser.add_argument("--unsigned", action="store_true", help="that no institution signed the dossier is expected")
    parser.add_argument("--all", action="store_true", help="list every statement with what it stands on, too")
    given = parser.parse_args()
    if not (given.folder / MANIFEST).is_file():
        parser.error(f"{given.folder} holds no {MANIFEST}: it is no dossier")
    if given.roster and (len(given.roster) != 64 or given.roster.strip("0123456789abcdefABCDEF")):
        parser.error("--roster takes the whole SHA-256 of roster.json, 64 hex digits (sha256sum; AFML shows 32)")
    found = Check(given.folder, given.roster and given.roster.lower(), given.unsigned).run()
    print("\n".join(lines(found, given.all)))
    return 6 if found.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
