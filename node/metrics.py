"""The figures of a node, or of a daemon with several runs, for Prometheus. docs/OPERATIONS.md lists them.

What people have spent is not among them: `afml status` and `afml audit show` tell that to who may read the ledger.
"""

from __future__ import annotations

import shutil
import typing
from collections.abc import Iterator
from pathlib import Path

from afml.core.metrics import Metric, of_process, of_several, one
from afml.core.progress import Kind
from node.serving.standing import ServeStanding, State
from node.standing import PartStanding


def of_node(standing: PartStanding, work: Path) -> Iterator[Metric]:
    """Of the process and of its part in a run."""
    yield from of_process()
    yield from _of_place(work, standing.certificate_expires)
    yield from of_part(standing)


def of_part(standing: PartStanding) -> Iterator[Metric]:
    """Of a node's part in a run."""
    doing = [({"kind": kind}, float(kind == standing.kind)) for kind in typing.get_args(Kind)]
    yield Metric("afml_run_info", "The run that the node takes part in.", [({"run": standing.run}, 1.0)])
    yield Metric("afml_node_doing", "1 for what the node does (the kinds of docs/OPERATIONS.md).", doing)
    yield one("afml_node_doing_since_seconds", "When it began to, Unix time.", standing.since)
    yield one("afml_node_round", "The last round that it worked on; 0 before the first.", standing.round)
    yield one("afml_run_rounds", "Rounds of the whole run.", standing.rounds)


def of_daemon(standing: ServeStanding, folder: Path) -> Iterator[Metric]:
    """Of the daemon, and of each run that it plays, under a label `run`."""
    yield from of_process()
    yield from _of_place(folder, standing.certificate_expires)
    states = [({"state": state}, float(standing.count(state))) for state in typing.get_args(State)]
    yield Metric("afml_serve_runs", "Runs by what the daemon does with them (docs/OPERATIONS.md).", states)
    yield one("afml_serve_answered_seconds", "When the aggregator last said which runs it has, Unix time; 0 for never.",
              standing.answered)  # fmt: skip
    yield from of_several((part.run, of_part(part)) for part in standing.parts())


def _of_place(folder: Path, expires: float) -> Iterator[Metric]:
    yield one("afml_data_free_bytes", "Free space where the folder is.", shutil.disk_usage(folder).free)
    yield one("afml_certificate_expires_seconds", "When the TLS certificate does, Unix time.", expires)
