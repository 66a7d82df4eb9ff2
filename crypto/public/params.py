"""Codec parameters: chosen by a function from (nodes, bits, parameters), never by hand.

One ciphertext is a CKKS ciphertext (Cheon, Kim, Kim, Song 2017) over Z_q[X]/(X^N + 1) with N = 4096, a
single prime q and N/2 complex slots. Each of its N real components carries one *word* of T bits, and each
word several *fields*, one per model parameter. A field of the sum of K nodes needs
B = bits + ceil(log2 K) bits, so T = fields * B.

What must hold for the decrypted sum to round to the exact integer sum:

* the error of a slot component of the sum has variance V * N/2 in units of 1/scale: SEAL's noise gives
  V = 10.5 K, and rounding the encoded coefficients K/12 where pads make the words independent, K^2/12 where
  all nodes may send the same words. So scale >= 24 * sqrt(V N / 2) (3.25 * sqrt(K N / 2) with pads):
  rounding fails at 12 standard deviations and a round is refused at 7.2 (`RESIDUAL_LIMIT`);
* nothing wraps around q: with pads every node's word is uniform mod 2^T, so K full words must fit,
  sqrt(2) * K * 2^(T-1) * scale < q/2; without pads the packed sum is T bits, sqrt(2) * 2^(T-1) * scale < q/2;
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
    36: 68719403009,
    40: 1099511480321,
    44: 17592186028033,
    48: 281474976694273,
    52: 4503599627149313,
    56: 72057594037641217,
    60: 1152921504606830593,
}
"""Bits -> the largest prime of so many bits that is 1 mod 2N (what SEAL's CoeffModulus::Create returns)."""

RESIDUAL_LIMIT = 0.3
"""A slot component further than this from an integer refuses the round; 0.5 would be ambiguous."""

MAX_NODES = 1024
MAX_FALSE_REFUSAL = 1e-3

_FFT_GROWTH = 8.0
_MAX_FFT_ERROR = 0.05


@dataclass(frozen=True)
class CodecParams:
    """One row of the parameter table. `choose` makes it; both sides of a run hold the same one.

    Attributes:
        nodes: K, the most ciphertexts that may be added.
        bits: Bits per quantised coordinate before the sum.
        fields: Coordinates per word.
        scale_bits: log2 of the CKKS scale.
        prime_bits: Bits of q, and of one coefficient on the wire.
        pads: Whether words are padded mod 2^T, so that K full words must fit.
    """

    nodes: int
    bits: int
    fields: int
    scale_bits: int
    prime_bits: int
    pads: bool = True

    @property
    def field_bits(self) -> int:
        """B: bits that the sum of `nodes` fields needs."""
        return self.bits + _log2_ceil(self.nodes)

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
                    "afml codec 1",
                    POLY_MODULUS,
                    self.prime,
                    self.nodes,
                    self.bits,
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
        bits: Bits per coordinate.
        parameters: Coordinates of one update.
        pads: Leave room for K full words.

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
            f"2^{_scale_bits(nodes, pads)} one word of {bits + _log2_ceil(nodes)} bits needs a modulus above "
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
    if not 2 <= bits <= 24:
        raise ConfigError(f"{bits} bits per coordinate", where="codec", cure="use 2 to 24 bits")
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
    return float((row.nodes if row.pads else 1) * 2 ** (row.total_bits - 1))


def _fft_error(row: CodecParams) -> float:
    return math.sqrt(2.0) * _largest_word(row) * 2.0**-53 * _FFT_GROWTH


def _slot_variance(nodes: int, pads: bool) -> float:
    # SEAL's error coefficients are centred binomial over 42 coins (variance 10.5); a rounded coefficient is
    # off by a uniform error (variance 1/12), the same at every node where all encode the same words.
    return (10.5 * nodes + (nodes if pads else nodes**2) / 12.0) * POLY_MODULUS / 2


def _scale_bits(nodes: int, pads: bool) -> int:
    return math.ceil(math.log2(24 * math.sqrt(_slot_variance(nodes, pads))))


def _log2_ceil(value: int) -> int:
    return (value - 1).bit_length()
