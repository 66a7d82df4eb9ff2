"""`afml run submit`: hand a signed run to an aggregator of many runs."""

from __future__ import annotations

from pathlib import Path

import click

from afml.cli.places import RUN_FILE
from afml.consortium.history import load_history
from afml.consortium.kit import CERTIFICATE, load_certificate, load_tls, party_of_peer, require_kit, uris
from afml.consortium.runfile import load_run
from afml.consortium.submission import submit as hand_over
from afml.core.errors import InputError

_PATH = click.Path(path_type=Path)
_TOLD = {
    "served": "is served: nodes may be started",
    "over": "is over; it was submitted before",
}


@click.command()
@click.argument("run_file", metavar="FILE", type=RUN_FILE)
@click.option(
    "--kit",
    type=_PATH,
    required=True,
    help="The coordinator's kit, or an institution's.",
)
@click.option("--aggregator", "address", required=True, help="host:port, or several behind commas.")
def submit(run_file: Path, kit: Path, address: str) -> None:
    """Hand the run in FILE to an aggregator that serves many; again, it says where the run stands."""
    require_kit(kit)
    history = load_history(kit)
    config, roster = load_run(run_file, history), history.present
    party = party_of_peer(uris(load_certificate(kit / CERTIFICATE, "TLS certificate")), roster)
    if party == "aggregator":
        cure = "use the coordinator's kit, or an institution's"
        raise InputError("is the aggregator's, whose certificate serves and never calls", where=kit, cure=cure)
    turn, before = hand_over(run_file, address, kit, load_tls(kit, roster, party))
    told = _TOLD.get(turn) or f"waits for its turn, {before} before it; nodes may be started, and wait"
    click.echo(f"run {config.run} {told}")
