"""Mutated PLINK 1 and PLINK 2 files, written by the book, and a slow reader of them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from afml.genomics.contigs import canonical
from tests.genomics.fuzz.corpus import BYTES, SAMPLES
from tests.genomics.fuzz.reference import Call, Content, NotOne, Said

_SITES = 20
_BED = b"\x6c\x1b\x01"
_PGEN = b"\x6c\x1b\x02"  # hard calls of fixed width
_CALLS: dict[str, list[Call]] = {
    ".bed": [(1, 1), (-1, -1), (0, 1), (0, 0)],
    ".pgen": [(0, 0), (0, 1), (1, 1), (-1, -1)],
}
_TABLES = {".bed": (".bim", ".fam"), ".pgen": (".pvar", ".psam")}


@dataclass(frozen=True)
class PlinkMutant:
    """The files of one cohort, by suffix, and what was done to one of them."""

    name: str
    files: dict[str, bytes]


def plink(rng: np.random.Generator, suffix: str) -> dict[str, bytes]:
    """A small cohort: .bed, .bim, .fam or .pgen, .pvar, .psam."""
    sites, people = _TABLES[suffix]
    width = -(-len(SAMPLES) // 4)
    codes = rng.integers(4, size=(_SITES, 4 * width))
    codes[:, len(SAMPLES) :] = 0
    packed = (codes.reshape(_SITES, width, 4) << np.array([0, 2, 4, 6])).sum(axis=2).astype(np.uint8).tobytes()
    head = _BED if suffix == ".bed" else _PGEN + struct.pack("<II", _SITES, len(SAMPLES)) + b"\x40"
    rows, persons = [], [f"F{n} {name} 0 0 1 -9" for n, name in enumerate(SAMPLES)]
    if suffix == ".pgen":
        rows.append("##contig=<ID=22,length=50818468>\n#CHROM\tPOS\tID\tREF\tALT")
        persons = ["#FID\tIID\tSEX", *(f"F{n}\t{name}\t1" for n, name in enumerate(SAMPLES))]
    for site in range(_SITES):
        ref, alt = [("A", "C"), ("AT", "A"), ("G", "GCC")][site % 3]
        pos = 1000 + 50 * site
        rows.append(f"22\ts{site}\t0\t{pos}\t{alt}\t{ref}" if suffix == ".bed" else f"22\t{pos}\ts{site}\t{ref}\t{alt}")
    text = {sites: "\n".join(rows) + "\n", people: "\n".join(persons) + "\n"}
    return {suffix: head + packed, **{name: one.encode() for name, one in text.items()}}


def plink_mutant(seed: int, suffix: str) -> PlinkMutant:
    """One of the three files with something wrong."""
    rng = np.random.default_rng([seed, 5])
    files = plink(rng, suffix)
    which = [suffix, suffix, *_TABLES[suffix]][seed % 4]
    name = [*BYTES, "superscript"][seed // 4 % (len(BYTES) + 1)]
    data = files[which]
    files[which] = data.replace(b"\t1", "\t²".encode(), 1) if name == "superscript" else BYTES[name](data, rng)
    return PlinkMutant(f"{suffix} {seed}: {name} of {which}", files)


def read_plink(files: dict[str, bytes], suffix: str) -> Content:
    """What the files say.

    Raises:
        NotOne: They cannot be read.
    """
    sites_suffix, people_suffix = _TABLES[suffix]
    people = _people(_rows(files[people_suffix]))
    sites = _sites(_rows(files[sites_suffix]), binary=suffix == ".bed")
    width = -(-len(people) // 4)
    data = files[suffix]
    head = _BED if suffix == ".bed" else _PGEN + struct.pack("<II", len(sites), len(people))
    start = len(head) + (suffix == ".pgen")
    if not data.startswith(head) or len(data) != start + len(sites) * width:
        raise NotOne("head or length")
    records: list[Said] = []
    for number, (chrom, pos, alleles) in enumerate(sites):
        row = data[start + number * width : start + (number + 1) * width]
        calls = [_CALLS[suffix][row[n // 4] >> 2 * (n % 4) & 3] for n in range(len(people))]
        if any(allele >= len(alleles) for call in calls for allele in call):
            raise NotOne("an allele that the site lacks")
        records.append((canonical(chrom), pos, alleles, calls))
    return Content(people, records)


def _rows(data: bytes) -> list[list[str]]:
    try:
        return [line.split() for line in data.decode().split("\n") if line.strip()]
    except UnicodeDecodeError:
        raise NotOne("text") from None


def _people(rows: list[list[str]]) -> list[str]:
    names = [row[1] if len(row) > 1 else "" for row in rows if not row[0].startswith("#")]
    if "" in names or len(set(names)) < len(names):
        raise NotOne("people")
    return names


def _sites(rows: list[list[str]], *, binary: bool) -> list[tuple[str, int, tuple[str, ...]]]:
    found = []
    for row in rows:
        if row[0].startswith("#") and not binary:
            continue
        if len(row) < (6 if binary else 5):
            raise NotOne("columns")
        pos, ref, alt = (row[3], row[5], row[4]) if binary else (row[1], row[3], row[4])
        if not re.fullmatch("[0-9]+", pos):
            raise NotOne("position")
        alts = [] if alt in ("0", ".") else alt.upper().split(",")
        found.append((row[0], int(pos), (ref.upper(), *alts)))
    return found
