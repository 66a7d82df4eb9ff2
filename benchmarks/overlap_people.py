"""`python -m benchmarks.overlap_people --data DATA`: fingerprints of real people, for docs/design/overlap.md.

1,000 of the 2,003 private exomes are read twice, each time with 1 % of the calls wrong and some missing; strangers are
all pairs of the 2,003; relatives are the pairs of the data's pedigree file, wherever both are. A pair is found from two
common fingerprints on (`afml.consortium.overlap.SHARED`). Writes results/overlap.json.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.overlap import BANDS, SHARED
from afml.core.files import write_bytes
from afml.genomics.build import build_store
from afml.genomics.fingerprints import telling_bands, telling_sites
from afml.genomics.marks import genotype_marks
from afml.genomics.sites import SitePanel
from afml.study.data import DataSettings, exomes, file_digest, load

Marks = list[set[bytes]]
DUPLICATES, WRONG, MISSING = 1000, 0.01, (0.0, 0.005, 0.01, 0.02)


def read_again(dosage: NDArray[np.int8], draw: np.random.Generator, missing: float) -> NDArray[np.int8]:
    """Genotyped once more."""
    other = (dosage + draw.integers(1, 3, dosage.shape, dtype=np.int8)) % 3
    read = np.where(draw.random(dosage.shape) < WRONG, other, dosage)
    return np.where(draw.random(dosage.shape) < missing, -1, read).astype(np.int8)


def marks(panel: SitePanel, sites: list[NDArray[np.int64]], dosage: NDArray[np.int8]) -> Marks:
    """Everybody's fingerprints."""
    return [set(one) for one in genotype_marks(panel, sites, dosage)]


def strangers(people: Marks) -> Counter[int]:
    """Pairs by how many fingerprints they share; of those that share any."""
    owners: dict[bytes, list[int]] = {}
    for person, own in enumerate(people):
        for mark in own:
            owners.setdefault(mark, []).append(person)
    pairs = Counter(pair for who in owners.values() for pair in combinations(sorted(who), 2))
    return Counter(pairs.values())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("build/overlap"))
    parser.add_argument("--out", type=Path, default=Path("results/overlap.json"))
    given = parser.parse_args()
    source, _ = exomes(given.data)
    settings = DataSettings(kind="vcf", source=file_digest(source), sites=0)
    data = load(settings, source=given.data, cache=given.cache, note=print)
    panel, people = data.panel, np.concatenate(data.files)
    sites = telling_bands(panel, data.panel_dosage, source)
    found: dict[str, object] = {
        "people": len(people), "panel_people": len(data.panel_dosage), "sites": len(telling_sites(panel)),
        "bands": BANDS, "sites_of_a_band": len(sites[0]), "needed": SHARED,
    }  # fmt: skip
    own = marks(panel, sites, people)
    found["pairs_of_strangers"] = len(people) * (len(people) - 1) // 2
    found["pairs_that_share_any"] = {str(count): pairs for count, pairs in sorted(strangers(own).items())}
    draw = np.random.default_rng(1)
    copies = people[draw.permutation(len(people))[:DUPLICATES]]
    rows = []
    for missing in MISSING:
        first, second = (marks(panel, sites, read_again(copies, draw, missing)) for _ in range(2))
        shared = np.array([len(a & b) for a, b in zip(first, second, strict=True)])
        rows.append({
            "missing": missing, "found": int((shared >= SHARED).sum()), "least": int(shared.min()),
            "median": float(np.median(shared)),
        })  # fmt: skip
    found["duplicates"] = {"people": DUPLICATES, "wrong": WRONG, "by_missing": rows}
    found["relatives"] = relatives(given.data, given.cache, panel, sites)
    write_bytes(given.out, (json.dumps(found, indent=2) + "\n").encode())
    print(json.dumps(found, indent=2))


def relatives(data: Path, cache: Path, panel: SitePanel, sites: list[NDArray[np.int64]]) -> list[dict[str, object]]:
    """Pairs of the pedigree file by relation: how many share calls, and fingerprints."""
    pairs = [line.split("\t") for line in (data / "known_related_pairs.tsv").read_text().splitlines()[1:]]
    store = build_store(exomes(data)[0], panel, cache / "everybody.zarr")
    row = {name: place for place, name in enumerate(store.samples)}
    among = telling_sites(panel)
    found: dict[str, list[tuple[int, float]]] = {}
    for one, other, relation in pairs:
        if one in row and other in row:
            both = store.dosage(np.array([row[one], row[other]]))
            first, second = marks(panel, sites, both)
            alike = float((both[0, among] == both[1, among]).mean())
            found.setdefault(relation, []).append((len(first & second), alike))
    return [
        {
            "relation": relation, "pairs": len(of), "found": sum(shared >= SHARED for shared, _ in of),
            "most_fingerprints": max(shared for shared, _ in of), "most_calls_alike": round(max(a for _, a in of), 3),
        }
        for relation, of in sorted(found.items())
    ]  # fmt: skip


if __name__ == "__main__":
    main()
