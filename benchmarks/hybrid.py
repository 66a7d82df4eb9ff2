"""What it costs to agree on a run's keys by ML-KEM-768 beside X25519: processor time and bytes beyond X25519 alone.

A pair is two nodes that do everything for themselves: each makes its keys of the run (which a node does once, for all
its pairs), they agree, confirm, and one of them seals the run's key to the other, which opens it. Times are processor
milliseconds of both ends together, the median of `REPEATS`, hybrid and classical by turns.

Bytes are those of the protobuf messages. `hybrid_bytes`: both enrolments, and what each writes to the other in its
confirmation letter. `hybrid_sealed_bytes`: for each key that is sealed to somebody, the run's once and the public
part's once. `hybrid_run_bytes_5`: a run of five in all, every copy up to the aggregator and down from it counted.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from afml.wire import federation_pb2 as wire
from crypto.public.suites import CLASSICAL, HYBRID, KeyAgreement, split
from crypto.secret.kem import Encapsulated
from crypto.secret.pads import PadKeys
from crypto.secret.pairs import Pairs, Place, encapsulated
from crypto.secret.sealing import open_sealed, seal

SECTION = "trust"
BARS = {"hybrid_ms": ("<=", 5.0), "hybrid_bytes": ("<=", 4096)}
REPEATS = 201
NODES = 5
_CONFIG, _ROSTER, _KEY, _INFO = bytes(32), bytes(32), bytes(32), b"run key"


@dataclass(frozen=True)
class Cost:
    """Of a pair: processor milliseconds; bytes of an enrolment, of both confirmations, of a sealed key."""

    ms: float
    enrolment: int
    confirmations: int
    sealed: int


def run() -> dict[str, object]:
    """All figures."""
    costs: dict[KeyAgreement, list[Cost]] = {HYBRID: [], CLASSICAL: []}
    for _ in range(REPEATS):
        for agreement, found in costs.items():
            found.append(pair(agreement))
    hybrid, classical = (
        Cost(statistics.median(one.ms for one in found), found[0].enrolment, found[0].confirmations, found[0].sealed)
        for found in costs.values()
    )
    enrolment = hybrid.enrolment - classical.enrolment
    confirmations = hybrid.confirmations - classical.confirmations
    sealed = hybrid.sealed - classical.sealed
    pairs = NODES * (NODES - 1) // 2
    return {
        "hybrid_ms": round(hybrid.ms - classical.ms, 3),
        "classical_ms": round(classical.ms, 3),
        "hybrid_bytes": 2 * enrolment + confirmations,
        "hybrid_sealed_bytes": sealed,
        "hybrid_run_bytes_5": NODES * (1 + NODES) * enrolment + 2 * pairs * confirmations + 2 * (NODES - 1) * sealed,
    }


def pair(agreement: KeyAgreement) -> Cost:
    """Two nodes agree, and one seals a key to the other.

    Raises:
        IntegrityError: They do not hold the same secret.
    """
    opener = X25519PrivateKey.generate()  # of the kit: made once for all runs
    began = time.process_time()
    keys = {node: PadKeys.generate(agreement) for node in (1, 2)}
    publics = {node: one.public for node, one in keys.items()}
    pairs = {node: _agreed(node, keys[node], {3 - node: publics[3 - node]}) for node in keys}
    said = {node: pairs[node].confirmation(3 - node, _KEY) for node in keys}
    for node in keys:
        pairs[node].confirm(3 - node, said[3 - node], _KEY)
    sealed = seal(split(publics[2])[0] + opener.public_key().public_bytes_raw(), bytes(32), _INFO)
    open_sealed(opener, sealed, _INFO, keys[2].kem)
    ms = 1000 * (time.process_time() - began)
    enrolment = wire.Enrolment(
        run="bench", config_digest=_CONFIG, node=1, pad_key=publics[1], signature=bytes(64), lease=bytes(16)
    )
    return Cost(ms, enrolment.ByteSize(), sum(_own(one) for one in said.values()), _own(sealed))


def _agreed(node: int, own: PadKeys, publics: dict[int, bytes]) -> Pairs:
    made: dict[int, Encapsulated] = {} if own.kem is None else encapsulated(node, publics, {})
    return Pairs(Place(node, _CONFIG, _ROSTER), own, publics, made)


def _own(body: bytes) -> int:
    """Bytes of a letter's part for one recipient, as its header holds it."""
    return wire.LetterHeader(own=[wire.Own(recipient=1, body=body)]).ByteSize()
