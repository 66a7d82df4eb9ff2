"""Codec parameters: chosen by a function from (nodes, bits, parameters), never by hand.

One ciphertext is a CKKS ciphertext (Cheon, Kim, Kim, Song 2017) over Z_q[X]/(X^N + 1) with N = 4096, a
single prime q and N/2 complex slots. Each of its N real components carries one *word* of T bits, and each
word several *fields*, one per model parameter, of B bits: as many as a coordinate of the sum needs. T = fields * B.

What must hold for the decrypted sum to round to the exact integer sum:

* the error of a slot component of the sum has variance V * N/2 in units of 1/scale: SEAL's noise gives
  V = 10.5 K, and rounding the encoded coefficients K/12 where pads make the words independent, K^2/12 where
  all nodes may send the same words. So scale >= 24 * sqrt(V N / 2) (3.25 * sqrt(K N / 2) with pads):
  rounding fails at 12 standard deviations and a round is refused at 7.2 (`RESIDUAL_LIMIT`);
* nothing wraps around q: every node's word may be any mod 2^T (with pads it is uniform), so K full words must fit,
  sqrt(2) * K * 2^(T-1) * scale < q/2;
* the double precision FFT of the encoder resolves the sum: sqrt(2) * K * 2^(T-1) * 2^-53 * 8 <= 0.05.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from afml.core.config import canonical_json
from afml.core.errors import ConfigError

POLY_MODULUS = 4096
"""Ring dimension N."""

PRIMES = {
    32: 4294828033,
    33: 8589852673,
    34: 17179754497,
    35: 34359697409,
    36: 68719403009,
    37: 137438822401,
    38: 274877816833,
    39: 549755731969,
    40: 1099511480321,
    41: 2199023190017,
    42: 4398046486529,
    43: 8796092858369,
    44: 17592186028033,
    45: 35184371884033,
    46: 70368743669761,
    47: 140737488273409,
    48: 281474976694273,
    49: 562949953216513,
    50: 1125899906826241,
    51: 2251799813554177,
    52: 4503599627149313,
    53: 9007199254429697,
    54: 18014398509309953,
    55: 36028797018652673,
    56: 72057594037641217,
    57: 144115188075814913,
    58: 288230376151130113,
    59: 576460752303415297,
    60: 1152921504606830593,
}
"""Bits -> the largest prime of so many bits that is 1 mod 2N (what SEAL's CoeffModulus::Create returns)."""

RESIDUAL_LIMIT = 0.3
"""A slot component further than this from an integer refuses the round; 0.5 would be ambiguous."""

MAX_NODES = 1024
MOST_BITS = 38
"""Of a coordinate of the sum: what one word of 64 nodes holds."""
MAX_FALSE_REFUSAL = 1e-3

_FFT_GROWTH = 8.0
_MAX_FFT_ERROR = 0.05


@dataclass(frozen=True)
class CodecParams:
    """One row of the parameter table. `choose` makes it; both sides of a run hold the same one.

    Attributes:
        nodes: K, the most ciphertexts that may be added.
        field_bits: B, bits of one coordinate of the sum.
        fields: Coordinates per word.
        scale_bits: log2 of the CKKS scale.
        prime_bits: Bits of q, and of one coefficient on the wire.
        pads: Whether words are padded mod 2^T, so that rounding errors of nodes are independent.
    """

    nodes: int
    field_bits: int
    fields: int
    scale_bits: int
    prime_bits: int
    pads: bool = True

    @property
    def total_bits(self) -> int:
        """T: bits of a word; pads are added mod 2^T."""
        return self.fields * self.field_bits

    @property
    def poly_modulus(self) -> int:
        """N, the ring dimension."""
        return POLY_MODULUS

    @property
    def slots(self) -> int:
        """Complex slots of one ciphertext, N / 2."""
        return POLY_MODULUS // 2

    @property
    def prime(self) -> int:
        """q, the only prime of the modulus."""
        return PRIMES[self.prime_bits]

    @property
    def scale(self) -> float:
        """CKKS scale: units of the encoded plaintext per unit of a word."""
        return float(2**self.scale_bits)

    @property
    def parameters_per_chunk(self) -> int:
        """Model parameters in one ciphertext."""
        return 2 * self.slots * self.fields

    def chunks(self, parameters: int) -> int:
        """Ciphertexts that an update of `parameters` coordinates takes (at least one)."""
        return max(1, -(-parameters // self.parameters_per_chunk))

    def digest(self) -> bytes:
        """SHA-256 over every number above; its first bytes open each payload."""
        return hashlib.sha256(
            canonical_json(
                [
                    "afml codec 2",
                    POLY_MODULUS,
                    self.prime,
                    self.nodes,
                    self.field_bits,
                    self.fields,
                    self.scale_bits,
                    self.pads,
                ]
            )
        ).digest()

    @property
    def slot_variance(self) -> float:
        """Variance (and sub-Gaussian proxy) of the error of one slot component of the sum, in 1/scale^2."""
        return _slot_variance(self.nodes, self.pads)

    def tail(self, distance: float) -> float:
        """Bound on P(|error of one slot component| >= `distance`), the error in units of one word step.

        Hoeffding: the component is a sum of N independent centred coefficients, weighted by cosines whose
        squares sum to N/2, and a centred binomial variable is sub-Gaussian with its variance as proxy.
        """
        margin = max(0.0, distance - _fft_error(self)) * self.scale
        return min(1.0, 2.0 * math.exp(-(margin**2) / (2.0 * self.slot_variance)))

    def false_refusal(self, parameters: int) -> float:
        """Bound on the probability that an honest round of `parameters` coordinates is refused."""
        return min(1.0, self.tail(RESIDUAL_LIMIT) * POLY_MODULUS * self.chunks(parameters))

    def wrong_sum(self, parameters: int) -> float:
        """Bound on the probability that an honest round yields a wrong integer and is not refused.

        A wrong integer passes the residual check only when the error reaches 1 - `RESIDUAL_LIMIT`.
        """
        return min(1.0, self.tail(1.0 - RESIDUAL_LIMIT) * POLY_MODULUS * self.chunks(parameters))


def choose(nodes: int, bits: int, parameters: int, *, pads: bool = True) -> CodecParams:
    """The parameters with the fewest bytes for an update of `parameters` coordinates.

    Args:
        nodes: K, the most nodes that one sum may hold.
        bits: B, bits of one coordinate of the sum.
        parameters: Coordinates of one update.
        pads: See `CodecParams`.

    Raises:
        ConfigError: No parameters satisfy the inequalities; the message says which and what would fit.
    """
    _check_arguments(nodes, bits, parameters)
    fitting = [
        row
        for fields in range(1, 9)
        if (row := _smallest_prime(nodes, bits, fields, pads)) is not None
        and row.false_refusal(parameters) <= MAX_FALSE_REFUSAL
    ]
    if not fitting:
        raise ConfigError(
            f"{nodes} nodes x {bits} bits x {parameters} parameters fit no ciphertext: at scale "
            f"2^{_scale_bits(nodes, pads)} one word of {bits} bits needs a modulus above "
            f"{max(PRIMES)} bits, or is refused too often by chance",
            where="codec",
            cure="use fewer bits per coordinate, fewer nodes or a smaller model",
        )
    return min(fitting, key=lambda row: (row.chunks(parameters) * row.prime_bits, row.prime_bits))


def _check_arguments(nodes: int, bits: int, parameters: int) -> None:
    if not 2 <= nodes <= MAX_NODES:
        reason = "the sum of one node is that node's update" if nodes < 2 else f"the limit is {MAX_NODES}"
        raise ConfigError(
            f"{nodes} nodes cannot be summed: {reason}", where="codec", cure=f"use 2 to {MAX_NODES} nodes"
        )
    if not 2 <= bits <= MOST_BITS:
        raise ConfigError(f"{bits} bits per coordinate", where="codec", cure=f"use 2 to {MOST_BITS} bits")
    if parameters < 1:
        raise ConfigError(f"{parameters} parameters", where="codec", cure="an update has at least one coordinate")


def _smallest_prime(nodes: int, bits: int, fields: int, pads: bool) -> CodecParams | None:
    for prime_bits in sorted(PRIMES):
        row = CodecParams(nodes, bits, fields, _scale_bits(nodes, pads), prime_bits, pads)
        if _fft_error(row) <= _MAX_FFT_ERROR and math.sqrt(2.0) * _largest_word(row) * row.scale < row.prime / 2:
            return row
    return None


def _largest_word(row: CodecParams) -> float:
    """Largest magnitude of a slot component of the sum, in word steps."""
    return float(row.nodes * 2 ** (row.total_bits - 1))


def _fft_error(row: CodecParams) -> float:
    return math.sqrt(2.0) * _largest_word(row) * 2.0**-53 * _FFT_GROWTH


def _slot_variance(nodes: int, pads: bool) -> float:
    # SEAL's error coefficients are centred binomial over 42 coins (variance 10.5); a rounded coefficient is
    # off by a uniform error (variance 1/12), the same at every node where all encode the same words.
    return (10.5 * nodes + (nodes if pads else nodes**2) / 12.0) * POLY_MODULUS / 2


def _scale_bits(nodes: int, pads: bool) -> int:
    return math.ceil(math.log2(24 * math.sqrt(_slot_variance(nodes, pads))))
