"""`afml aggregator`: serve one run, or all that are submitted."""

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
from aggregator.server import serve, serve_many


@click.command()
@click.option("--kit", type=click.Path(path_type=Path), required=True, help="The aggregator's start kit.")
@click.option("--run", "run_file", type=click.Path(path_type=Path), help="run.json, signed: serve this run alone.")
@click.option("--data", type=PRIVATE, required=True, help="Folder for its state.")
@click.option(
    "--store",
    default="",
    help="Where decisions are kept: postgresql://USER@HOST/DATABASE; by default files in --data.",
)
@click.option(
    "--at-once",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Without --run: runs that are served at a time; further ones wait for their turn.",
)
@click.option("--listen", default="127.0.0.1:7443", show_default=True, help="host:port")
@click.option("--events", type=click.Path(path_type=Path), help="Append progress to this file, one JSON object a line.")
@click.option("--metrics", default="", help="Serve figures for Prometheus here, on loopback: 127.0.0.1:9464.")
def aggregator(
    kit: Path, run_file: Path | None, data: Path, store: str, at_once: int, listen: str, events: Path | None,
    metrics: str,
) -> None:  # fmt: skip
    """Admit nodes, fix cohorts, add ciphertexts. Restart it with the same --data and its runs go on.

    Without --run it serves all runs that are submitted (`afml run submit`), several at once.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError("is not host:port", where=f"--listen {listen}", cure="for example 127.0.0.1:7443")
    configure_logging("aggregator")
    loaded = load_aggregator_kit(kit)
    at = host.strip("[]"), int(port)
    if run_file is None:
        with events_to(events) as tell, served(metrics, partial(of_aggregator, data)):
            tell(Event("waiting", text=f"for runs at {listen}"))
            serve_many(loaded, data, at, at_once=at_once, store=store)
        return
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    at_run(config.run)
    with events_to(events) as tell, served(metrics, partial(of_aggregator, data)):
        tell(Event("waiting", text=f"run {config.run}: for nodes at {listen}"))
        outcome = serve(loaded, config, data, at, store=store)
        told = Event("finished", text=f"run {config.run}: {outcome}")
        tell(told)
    click.echo(text_of(told))
