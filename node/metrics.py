"""The figures of a node for Prometheus, out of its standing. docs/OPERATIONS.md lists them.

What people have spent is not among them: `afml status` and `afml audit show` tell that to who may read the ledger.
"""

from __future__ import annotations

import shutil
import typing
from collections.abc import Iterator
from pathlib import Path

from afml.core.metrics import Metric, of_process, one
from afml.core.progress import Kind
from node.standing import PartStanding


def of_node(standing: PartStanding, work: Path) -> Iterator[Metric]:
    """Of the process and of its part in a run."""
    doing = [({"kind": kind}, float(kind == standing.kind)) for kind in typing.get_args(Kind)]
    yield from of_process()
    yield Metric("afml_run_info", "The run that the node takes part in.", [({"run": standing.run}, 1.0)])
    yield Metric("afml_node_doing", "1 for what the node does (the kinds of docs/OPERATIONS.md).", doing)
    yield one("afml_node_doing_since_seconds", "When it began to, Unix time.", standing.since)
    yield one("afml_node_round", "The last round that it worked on; 0 before the first.", standing.round)
    yield one("afml_run_rounds", "Rounds of the whole run.", standing.rounds)
    yield one("afml_data_free_bytes", "Free space where the work folder is.", shutil.disk_usage(work).free)
    yield one("afml_certificate_expires_seconds", "When the TLS certificate does, Unix time.",
              standing.certificate_expires)  # fmt: skip
