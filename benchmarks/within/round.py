"""Seconds of one deployed round of 1M parameters with five nodes, as one JSON line.

`benchmarks.paired` runs this in a checkout of its choice, with that checkout's own `benchmarks.rounds`: its processes
differ as the product's do. The interface used here has been the same since commit 59512c7.
"""

from __future__ import annotations

import json

from benchmarks.rounds import MILLION, measure

ROUNDS = 4  # the first one, which confirms keys, is not counted

if __name__ == "__main__":
    print(json.dumps({"round_s": measure(MILLION, rounds=ROUNDS).median_s}))
