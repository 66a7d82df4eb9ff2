"""The product's aggregator, handed the backend that adds in the clear (`benchmarks.plain`).

A module of its own, since its worker processes import it again: nothing of a node is in it.

    python -m benchmarks.plain_aggregator ROOT ADDRESS
"""

from __future__ import annotations

import sys
from pathlib import Path

from afml.consortium.kit import load_aggregator_kit
from afml.consortium.runfile import load_run
from afml.core.logging import configure
from aggregator.server import serve
from benchmarks.plain import PLAIN


def main(root: Path, address: str) -> None:
    configure("aggregator")
    kit = load_aggregator_kit(root / "kits" / "aggregator")
    host, _, port = address.rpartition(":")
    serve(kit, load_run(root / "run.json", kit.history), root / "aggregator", (host, int(port)), backend=PLAIN)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
