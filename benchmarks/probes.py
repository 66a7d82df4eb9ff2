"""Honest nodes' rounds while strangers and an ill-meaning member storm their aggregator. Figures under "probes".

Five nodes of 1M parameters and an aggregator, as in `benchmarks.rounds`; beside them a process of attackers
(`benchmarks.probing`): connections (hung up, junk, HTTP/1, half a hello, no certificate, another authority's), two
fifths as many messages of a member that is not in the run (bent, made up, noise, larger than allowed), and 16 uploads
that begin and never go on. `round_ratio` is the median round meanwhile against the median round without them;
`rss_growth_mb` what the aggregator's processes grow by more than without them. The attackers have a process of their
own and take processor time from everybody: on two cores the ratio is mostly that.

Environment: ROUNDS (40), of each; whatever the attackers manage meanwhile, 5,000 attempts or more, is counted.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks import rounds

BARS = {"round_ratio": ("<=", 1.5), "answered": ("<=", 0.0), "attempts": (">=", 5000.0)}
MILLION = 1_000_000


def run() -> dict[str, object]:
    """Rounds with and without."""
    count = int(os.environ.get("ROUNDS", "40"))
    alone = rounds.measure(MILLION, rounds=count)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "said"
        beside = rounds.measure(MILLION, rounds=count, beside=("benchmarks.probing", 1), log=log)
        last = json.loads(log.read_text().splitlines()[-1])
    return {
        "attempts": last["attempts"],
        "answered": last["answered"],
        "messages": sum(last["said"].values()),
        "messages_taken": last["said"].get("OK", 0),
        "round_s_alone": round(alone.median_s, 3),
        "round_s_beside": round(beside.median_s, 3),
        "round_ratio": round(beside.median_s / alone.median_s, 2),
        "rss_growth_mb": round(beside.extra_rss_mb - alone.extra_rss_mb, 1),
    }
