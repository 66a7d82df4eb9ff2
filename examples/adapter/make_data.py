"""Five institutions' images as arrays, out of the digits that scikit-learn ships: `python make_data.py --out data`.

1,797 handwritten digits (Alpaydin, Kaynak 1998), dealt out at random; every image counts as a person.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

INSTITUTIONS = 5


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for institution-1.csv, images-1.npy, ...")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    found = load_digits()
    dealt = np.random.default_rng(1).permutation(len(found.target)) % INSTITUTIONS  # [images]
    for number in range(1, INSTITUTIONS + 1):
        own = np.flatnonzero(dealt == number - 1)
        np.save(out / f"images-{number}.npy", found.images[own].astype(np.float32))
        with (out / f"institution-{number}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["person", "digit"])
            writer.writerows((f"D{place:04d}", found.target[place]) for place in own)


if __name__ == "__main__":
    main()
