"""A simulated expression matrix: public people, and an institution's people with a simulated trait. Nobody's data.

python make_data.py --out data

Counts as of RNA sequencing: five factors go through all genes, and the trait depends on ten of them. Writes
`public.parquet`, and for each institution `expression-K.tsv` and `traits-K.tsv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

FACTORS, CAUSAL = 5, 10


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--public", type=int, default=500, help="people of the public matrix")
    parser.add_argument("--people", type=int, default=400, help="of each institution")
    parser.add_argument("--institutions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    base, loadings = rng.uniform(2, 7, given.genes), rng.normal(0, 0.3, (FACTORS, given.genes))
    effects = np.zeros(given.genes)
    effects[rng.choice(given.genes, CAUSAL, replace=False)] = rng.normal(size=CAUSAL)
    given.out.mkdir(parents=True, exist_ok=True)

    def people(count: int, prefix: str) -> tuple[pa.Table, np.ndarray]:
        log = base + rng.normal(size=(count, FACTORS)) @ loadings + rng.normal(0, 0.6, (count, given.genes))
        liability = (log - base) @ effects
        noisy = liability + rng.normal(0, liability.std(), count)
        counts = rng.poisson(np.exp(log))
        names = pa.array([f"{prefix}-{n}" for n in range(count)])
        genes = {f"GENE{n}": pa.array(column) for n, column in enumerate(counts.T)}
        return pa.table({"person": names, **genes}), (noisy > np.median(noisy)).astype(int)

    public, _ = people(given.public, "public")
    pa_parquet.write_table(public, given.out / "public.parquet")
    for number in range(1, given.institutions + 1):
        table, trait = people(given.people, f"person{number}")
        options = pa_csv.WriteOptions(delimiter="\t", quoting_style="none")
        pa_csv.write_csv(table, given.out / f"expression-{number}.tsv", options)
        rows = [f"{name}\t{value}" for name, value in zip(table["person"].to_pylist(), trait, strict=True)]
        (given.out / f"traits-{number}.tsv").write_text("\n".join(["sample\tphenotype", *rows]) + "\n")


if __name__ == "__main__":
    main()
