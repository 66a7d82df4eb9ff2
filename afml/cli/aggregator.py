"""`afml aggregator`: serve one run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from afml.cli.places import PRIVATE
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.runfile import load_run
from afml.core.errors import InputError
from afml.core.logging import at_run
from afml.core.logging import configure as configure_logging
from afml.core.metrics import served
from afml.core.progress import Event, events_to, text_of
from aggregator.metrics import of_aggregator
from aggregator.server import serve


@click.command()
@click.option("--kit", type=click.Path(path_type=Path), required=True, help="The aggregator's start kit.")
@click.option("--run", "run_file", type=click.Path(path_type=Path), required=True, help="run.json, signed.")
@click.option("--data", type=PRIVATE, required=True, help="Folder for this run's state.")
@click.option(
    "--store", default="", help="Where its decisions are kept, NAME:PLACE; by default sqlite:DATA/run.sqlite."
)
@click.option("--listen", default="127.0.0.1:7443", show_default=True, help="host:port")
@click.option("--events", type=click.Path(path_type=Path), help="Append progress to this file, one JSON object a line.")
@click.option("--metrics", default="", help="Serve figures for Prometheus here, on loopback: 127.0.0.1:9464.")
def aggregator(
    kit: Path, run_file: Path, data: Path, store: str, listen: str, events: Path | None, metrics: str
) -> None:  # fmt: skip
    """Admit nodes, fix cohorts, add ciphertexts. Restart it with the same --data and the run goes on."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError("is not host:port", where=f"--listen {listen}", cure="for example 127.0.0.1:7443")
    configure_logging("aggregator")
    loaded = load_aggregator_kit(kit)
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    at_run(config.run)
    with events_to(events) as tell, served(metrics, partial(of_aggregator, data)):
        tell(Event("waiting", text=f"run {config.run}: for nodes at {listen}"))
        outcome = serve(loaded, config, data, (host.strip("[]"), int(port)), store=store)
        told = Event("finished", text=f"run {config.run}: {outcome}")
        tell(told)
    click.echo(text_of(told))
