"""A node that trains a module task in a measured run: the product's `take_part`, which says each step with its time.

python -m benchmarks.module_party KIT WORK RUN ADDRESS
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from afml.consortium.nodekit import load_node_kit
from afml.core.logging import configure
from afml.core.progress import Event
from node.take_part import Part, take_part


def _say(event: Event) -> None:
    print(json.dumps({"time": time.time()} | asdict(event)), flush=True)


def main() -> None:
    kit, work, run, address = sys.argv[1:]
    configure("node")
    take_part(load_node_kit(Path(kit)), Part(Path(kit), Path(work), Path(run), address), tell=_say)


if __name__ == "__main__":
    main()
