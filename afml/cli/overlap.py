"""`afml overlap`: which of this institution's people another node of a run has enrolled too, and nobody else."""

from __future__ import annotations

from pathlib import Path

import click

from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.nodekit import load_node_kit
from afml.core.logging import configure as configure_logging
from afml.core.progress import Event, text_of
from node.overlap import OUTSIDE, find_overlap
from node.patience import PATIENCE_S
from node.take_part import Part

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Folder that `afml prepare` made.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json, signed; none of it is trained.")
@click.option("--aggregator", "address", required=True, help="host:port, as for `afml node`.")
@click.option(
    "--wait", "wait_s", default=PATIENCE_S, type=click.FloatRange(0),
    help="Seconds to wait for the aggregator, and for each letter of another node.  [default: 7 days]",
)  # fmt: skip
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def overlap(kit: Path, work: Path, run_file: Path, address: str, wait_s: float, ledger: Path | None) -> None:
    """Find people enrolled at two institutions of a run, before it is trained. Every node of the run must take part.

    Of two institutions one leaves these people out: WORK/overlap/RUN/without.txt names them, for `afml prepare
    --without`. Off unless every site's policy allows it: whoever holds a genome can ask whether it is enrolled.
    """
    loaded = load_node_kit(kit)
    configure_logging(f"node-{loaded.node}")
    part = Part(kit, work, run_file, address, wait_s, ledger=ledger)

    def tell(event: Event) -> None:
        click.echo(f"node {loaded.node}: {text_of(event)}")

    found = find_overlap(loaded, part, tell=tell)
    for node, count in found.shared.items():
        click.echo(f"node {loaded.node}: node {node} keeps {count} of {found.people} people whom both have enrolled")
    if found.answered:
        nodes = ", ".join(str(node) for node in found.answered)
        click.echo(f"node {loaded.node}: asked by nodes {nodes}, which leave out whom they share with this one")
    if found.names:
        click.echo(f"node {loaded.node}: {len(found.names)} people to leave out are listed in {found.without}")
        click.echo(f"node {loaded.node}: give it to `afml prepare --without`, and have a new run configured")
    else:
        click.echo(f"node {loaded.node}: nobody to leave out")
    click.echo(f"node {loaded.node}: {OUTSIDE}")
