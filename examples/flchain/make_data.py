"""Five hospitals' tables out of the flchain data that scikit-survival ships: `python make_data.py --out data`.

The people of Olmsted County whose serum free light chain was measured (Dispenzieri et al. 2012), dealt to hospitals
by the year of their sample. People who were lost to follow-up alive before five years are left out.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
from pathlib import Path

YEARS = (("1995",), ("1996",), ("1997",), ("1998",), ("1999", "2000", "2001", "2002", "2003"))
FIVE_YEARS = 1826
"""Days."""
COLUMNS = ("person", "age", "female", "kappa", "lambda", "creatinine", "mgus", "died")


def source() -> Path:
    """The data file in the installed scikit-survival, which is found but not imported."""
    spec = importlib.util.find_spec("sksurv")
    if spec is None or spec.origin is None:
        sys.exit("make_data: scikit-survival is not installed here; pip install 'examples/flchain[data]'")
    return Path(spec.origin).parent / "datasets" / "data" / "flchain.arff"


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of an ARFF file of plain numbers and words; a missing value is empty."""
    head, _, body = path.read_text(encoding="utf-8").partition("@data\n")
    names = [line.split()[1] for line in head.splitlines() if line.startswith("@attribute")]
    cells = [["" if cell == "?" else cell for cell in line.split(",")] for line in body.splitlines() if line]
    return [dict(zip(names, row, strict=True)) for row in cells]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for institution-1.csv to institution-5.csv")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    people = list(enumerate(rows(source())))
    for number, years in enumerate(YEARS, start=1):
        with (out / f"institution-{number}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            for place, row in people:
                followed, dead = int(row["futime"]), row["death"] == "dead"
                if row["sample.yr"] in years and (dead or followed >= FIVE_YEARS):
                    told = {"person": f"F{place:04d}", "female": int(row["sex"] == "F")}
                    told |= {"mgus": int(row["mgus"] == "yes"), "died": int(dead and followed < FIVE_YEARS)}
                    writer.writerow(row | told)


if __name__ == "__main__":
    main()
