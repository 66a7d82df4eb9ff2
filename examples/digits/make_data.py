"""Five institutions' images out of the digits that scikit-learn ships: `python make_data.py --out data`.

1,797 handwritten digits (Alpaydin, Kaynak 1998), dealt out at random; every image counts as a person.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

INSTITUTIONS = 5
_BRIGHTEST = 255 / 16
"""Grey levels of a file for each of the data's sixteen."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for institution-1.csv, images-1, ...")
    out: Path = parser.parse_args().out
    found = load_digits()
    dealt = np.random.default_rng(1).permutation(len(found.target)) % INSTITUTIONS  # [images]
    for number in range(1, INSTITUTIONS + 1):
        folder = out / f"images-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        with (out / f"institution-{number}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["person", "file", "digit"])
            for place in np.flatnonzero(dealt == number - 1):
                name = f"D{place:04d}"
                pixels = np.rint(found.images[place] * _BRIGHTEST).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}.png")
                writer.writerow([name, f"{name}.png", found.target[place]])


if __name__ == "__main__":
    main()
