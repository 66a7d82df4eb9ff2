"""`afml node serve`: an institution's daemon, which takes the runs that its site admits."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import click

from afml.cli.places import PRIVATE
from afml.cli.stopping import stop_in_order
from afml.consortium.nodekit import load_node_kit
from afml.core.logging import configure as configure_logging
from afml.core.metrics import served
from afml.core.plain import plain_line
from node.metrics import of_daemon
from node.patience import utc_now
from node.serving.daemon import Daemon, Post
from node.serving.declared import Declared
from node.serving.held import held

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit, with its policy.")
@click.option("--config", type=_PATH, required=True, help="serve.toml: the aggregator, and whose data serve what.")
@click.option("--state", type=PRIVATE, required=True, help="Folder for what it knows of runs.")
@click.option(
    "--at-once",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Runs that are played at a time, each by a process; no fewer than the aggregator serves.",
)
@click.option(
    "--every",
    "every_s",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0.2, 86_400),
    help="Seconds between two looks which runs there are.",
)
@click.option("--simulation", is_flag=True, help="Take part in seeded runs too, which protect nobody.")
@click.option("--metrics", default="", help="Serve figures for Prometheus here, on loopback: 127.0.0.1:9465.")
def serve(kit: Path, config: Path, state: Path, at_once: int, every_s: float, simulation: bool, metrics: str) -> None:
    """Ask the aggregator which runs are for this institution, take those that policy.toml admits, play several at once.

    Start it again after whatever ended it: unfinished runs go on where they stood. SIGTERM: each run finishes what it
    has paid for, then this ends; a second one ends it at once.
    """
    loaded = load_node_kit(kit)
    configure_logging(f"node-{loaded.node}")
    declared = Declared.load(config)
    declared.require_apart(state)
    post = Post(kit.absolute(), declared, state.absolute(), at_once, every_s, simulation)
    say = partial(_say, loaded.node)
    daemon = Daemon(post, loaded, held(post.folder, say), say)
    stop = threading.Event()
    stop_in_order(stop)
    with served(metrics, lambda: of_daemon(daemon.keeper.seen, state)):
        daemon.work(stop)


def _say(node: int, line: str) -> None:
    click.echo(f"{utc_now()} node {node}: {plain_line(line)}")
