"""`afml node`: one institution's part in one run, by one process or, under torchrun, by several."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, ClassVar

import click

from afml.cli.places import PRIVATE, RUN_FILE
from afml.cli.serve import serve
from afml.cli.stopping import stop_in_order
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.runfile import load_run
from afml.core.bounded import at_most
from afml.core.logging import at_run
from afml.core.logging import configure as configure_logging
from afml.core.metrics import served
from afml.core.progress import Event, Tell, events_to, text_of, untold
from afml.training.processes import group as processes
from afml.training.processes import worker
from afml.training.processes.group import Group
from node.inuse import in_use
from node.leave import leave as end_part
from node.metrics import of_node
from node.patience import PATIENCE_S
from node.standing import Place, kept
from node.take_part import Part, further_process, take_part
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)
_ADDRESS = "host:port; NAME@host:port where the certificate there is to bear NAME; several behind commas."


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Folder that `afml prepare` made.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json, signed.")
@click.option("--aggregator", "address", required=True, help=_ADDRESS)
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def leave(kit: Path, work: Path, run_file: Path, address: str, ledger: Path | None) -> None:
    """End this institution's part in a run for good: all are told, signed; what was spent stays spent."""
    loaded = load_node_kit(kit)
    configure_logging(f"node-{loaded.node}")
    run = end_part(loaded, Part(kit, work, run_file, address, ledger=ledger), tell=_teller(loaded.node))
    click.echo(f"node {loaded.node} has left run {run.run}; it will be refused here from now on")


class _Node(click.Command):
    """`afml node`, and verbs behind it with options of their own.

    Attributes:
        further: Those.
    """

    further: ClassVar[dict[str, click.Command]] = {"leave": leave, "serve": serve}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if verb := self.further.get(args[0]) if args else None:
            return verb.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_Node)
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Folder that `afml prepare` made.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json, signed.")
@click.option("--aggregator", "address", required=True, help=_ADDRESS)
@click.option(
    "--wait", "wait_s", default=PATIENCE_S, type=click.FloatRange(0),
    help="Seconds to wait for the aggregator, at the beginning and whenever it is away.  [default: 7 days]",
)  # fmt: skip
@click.option("--events", type=_PATH, help="Append progress to this file, one JSON object a line.")
@click.option("--bf16", is_flag=True, help="Train the public part, where this node is elected to, under bf16 autocast.")
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
@click.option(
    "--start-model", type=_PATH, help="The model that the run begins at or evaluates.  [default: in WORK/models]"
)
@click.option("--simulation", is_flag=True, help="Take part in a seeded run, which protects nobody.")
@click.option("--metrics", default="", help="Serve figures for Prometheus here, on loopback: 127.0.0.1:9465.")
def node(
    kit: Path, work: Path, run_file: Path, address: str, wait_s: float, events: Path | None, bf16: bool,
    ledger: Path | None, start_model: Path | None, simulation: bool, metrics: str,
) -> None:  # fmt: skip
    """Train in one run. Restart it after a crash: it picks up where it stood, and never spends twice unrecorded.

    `afml node leave` ends this institution's part in a run for good; `afml node serve` is a daemon that plays many.

    SIGTERM: it finishes the update that it has paid for, says that it goes, and ends; a second one ends it at once.

    Several processes or GPUs: torchrun --standalone --nproc-per-node N -m afml -- node ...
    """
    part = Part(kit, work, run_file, address, wait_s, bf16, ledger, simulation, start_model)
    further = processes.rank() > 0
    if further:  # it writes nothing, so there is nothing to unwind
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    with processes.joined(work) as group:
        if not further:
            with events_to(events) as record:
                _first(part, group, record, metrics)
        elif group is not None:
            with in_use(Workspace(work)):
                worker.work(group, lambda: further_process(part))


def _teller(number: int, record: Tell = untold) -> Tell:
    def tell(event: Event) -> None:
        record(event)
        click.echo(f"node {number}: {text_of(event)}")

    return tell


def _first(part: Part, group: Group | None, record: Tell, metrics: str) -> None:
    """The process that is the node."""
    kit = load_node_kit(part.kit)
    configure_logging(f"node-{kit.node}")
    if group is None:  # torchrun ends all processes of a node together
        stop_in_order(part.stop)
    run = load_run(part.run_file, kit.history)
    at_run(run.run)
    place = Place(kit, run, part.address, Workspace(part.work).run(run.run))
    with kept(place) as keeper, served(metrics, lambda: of_node(keeper.seen, part.work)):
        say = _teller(kit.node, record)

        def tell(event: Event) -> None:
            keeper.told(event)
            say(event)

        _take_part(kit, part, group, tell)


def _take_part(kit: NodeKit, part: Part, group: Group | None, tell: Tell) -> None:
    taken = take_part(kit, part, group=group, tell=tell)
    if taken.cost is None:
        tell(Event("finished", text=f"run {taken.run} is over; its model is in {taken.model}"))
        return
    cost = taken.cost
    epsilon = "" if cost.epsilon is None else f", epsilon {at_most(cost.epsilon)} at {cost.delta:g}"
    click.echo(f"node {kit.node}: PLE {cost.ple}{epsilon}")
    if taken.evaluation:
        click.echo(f"node {kit.node}: {taken.evaluation}")
    tell(Event("finished", text=f"model saved in {taken.model}"))
    if taken.offence is not None:
        raise taken.offence
