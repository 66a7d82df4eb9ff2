"""The figures of a run for Prometheus, out of its standing. docs/OPERATIONS.md lists them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from afml.consortium.stage import Stage
from afml.core.errors import InputError
from afml.core.metrics import Metric, of_process, of_several, one
from aggregator.run import folders_of_runs
from aggregator.standing import RunStanding


def of_aggregator(data: Path) -> Iterator[Metric]:
    """Of the process, and of the run in its data folder, once that is served; of many runs, each has a label `run`."""
    yield from of_process()
    if standing := _standing(data):
        yield one("afml_data_free_bytes", "Free space where the run's data are.", shutil.disk_usage(data).free)
        yield from of_run(standing)
    elif found := [standing for folder in folders_of_runs(data) if (standing := _standing(folder))]:
        yield one("afml_data_free_bytes", "Free space where the runs' data are.", shutil.disk_usage(data).free)
        yield from of_several((one.run, of_run(one)) for one in found)


def _standing(folder: Path) -> RunStanding | None:
    try:
        return RunStanding.found(folder)
    except InputError:
        return None


def of_run(standing: RunStanding) -> Iterator[Metric]:
    """Of a run as its aggregator sees it."""
    stages = [({"stage": stage.value}, float(stage is standing.stage)) for stage in Stage]
    nodes = [({"node": str(node.node)}, float(node.awaited)) for node in standing.nodes]
    absent = [({"node": str(node.node)}, float(node.absent is not None)) for node in standing.nodes]
    states = [({"node": str(node.node), "state": node.state}, 1.0) for node in standing.nodes]
    yield Metric("afml_run_info", "The run that is served.", [({"run": standing.run}, 1.0)])
    yield Metric("afml_run_stage", "1 for the stage that the run is in.", stages)
    yield one("afml_run_stage_since_seconds", "When that stage was entered, Unix time.", standing.since)
    yield one("afml_run_round", "The round that the stage is about; 0 while nodes enrol.", standing.round)
    yield one("afml_run_attempt", "The attempt of that round.", standing.attempt)
    yield one("afml_run_rounds", "Rounds of the whole run.", standing.rounds)
    yield one("afml_run_published_rounds", "Rounds whose sum is published.", standing.published)
    yield one("afml_run_quorum_nodes", "Fewest nodes in a sum.", standing.quorum)
    yield Metric("afml_run_node_awaited", "1 for a node that the run waits for.", nodes)
    yield Metric("afml_run_node_absent", "1 for a node that takes part and has no process connected.", absent)
    yield Metric("afml_run_node_state", "What each node has done for the present attempt.", states)
    if standing.round_seconds is not None:
        yield one("afml_run_round_duration_seconds", "Median over the last rounds.", standing.round_seconds)
    if standing.update_bytes:
        yield one("afml_run_update_bytes", "The largest of the last updates, on the wire.", standing.update_bytes)
    yield one("afml_certificate_expires_seconds", "When the TLS certificate does, Unix time.",
              standing.certificate_expires)  # fmt: skip
