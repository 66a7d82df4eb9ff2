"""Phenotypes: case (1) or control (0), read from a table, or simulated for experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file, write_bytes

_HEADER = ["sample", "phenotype"]


def read_phenotypes(path: Path, samples: Sequence[str]) -> NDArray[np.int8]:
    """Read the phenotype of every sample from a TSV with the header `sample<TAB>phenotype`.

    Rows of people who are not in `samples` are allowed. No message ever holds a value.

    Returns:
        int8 [people] in {0, 1}, in the order of `samples`.

    Raises:
        InputError: Missing file, bad header, bad or repeated row (with its line), or samples without a row.
    """
    require_file(path, "phenotype table")
    value: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(
            "phenotype table is not text", where=path, cure="give a tab-separated table"
        ) from None
    if not lines or lines[0].split("\t")[:2] != _HEADER:
        raise InputError("first line is not 'sample<TAB>phenotype'", where=path, cure="add this header")
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) < 2 or fields[1].strip() not in ("0", "1"):
            raise InputError(f"line {number} has no phenotype 0 or 1", where=path, cure="correct this line")
        if fields[0] in value:
            raise InputError(
                f"line {number} repeats sample {fields[0]}", where=path, cure="keep one line each"
            )
        value[fields[0]] = int(fields[1])
    absent = [name for name in samples if name not in value]
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise InputError(
            f"{len(absent)} of {len(samples)} samples have no phenotype ({shown})",
            where=path,
            cure="add their lines or leave these samples out of the VCF",
        )
    return np.asarray([value[name] for name in samples], dtype=np.int8)


def write_phenotypes(path: Path, samples: Sequence[str], phenotype: NDArray[np.int8]) -> None:
    """Write what `read_phenotypes` reads."""
    rows = ["\t".join(_HEADER), *(f"{name}\t{int(y)}" for name, y in zip(samples, phenotype, strict=True))]
    write_bytes(path, ("\n".join(rows) + "\n").encode())


def simulate_phenotype(
    dosage: NDArray[np.int8], *, causal: int, heritability: float, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Simulate a case-control phenotype by the liability-threshold model (Falconer 1965).

    liability = sqrt(h2) * g + sqrt(1 - h2) * e, with g the standardised sum of N(0, 1) effects on the
    standardised dosage of `causal` random polymorphic sites and e ~ N(0, 1); a case is above the median.

    Args:
        dosage: int8 [people, sites]; missing calls take the mean of their site.
        causal: Number of causal sites.
        heritability: h2 in [0, 1], the share of the liability's variance due to these sites.
        seed: Seed of numpy's generator.

    Returns:
        (int8 [people] in {0, 1}, causal site numbers ascending, int64 [causal]).

    Raises:
        ConfigError: `heritability` outside [0, 1], or more causal sites than polymorphic ones.
    """
    if not 0.0 <= heritability <= 1.0:
        raise ConfigError(
            f"heritability {heritability:g} is outside [0, 1]", cure="choose a share of variance"
        )
    called = dosage >= 0
    copies = np.where(called, dosage, 0)
    mean = copies.sum(axis=0, dtype=np.float64) / np.maximum(called.sum(axis=0), 1)
    square = np.square(copies, dtype=np.int64).sum(axis=0) / np.maximum(called.sum(axis=0), 1)
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    polymorphic = np.flatnonzero(deviation > 1e-9)
    if not 1 <= causal <= len(polymorphic):
        raise ConfigError(
            f"{causal} causal sites, but {len(polymorphic)} sites vary among these people",
            cure=f"choose between 1 and {len(polymorphic)}",
        )
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(polymorphic, size=causal, replace=False)).astype(np.int64)
    effects = rng.standard_normal(causal)
    standardised = (copies[:, chosen] - mean[chosen]) / deviation[chosen]  # [people, causal]
    genetic = np.where(called[:, chosen], standardised, 0.0) @ effects
    genetic /= max(float(genetic.std()), 1e-12)
    noise = rng.standard_normal(len(dosage))
    liability = np.sqrt(heritability) * genetic + np.sqrt(1.0 - heritability) * noise
    return (liability > np.median(liability)).astype(np.int8), chosen
