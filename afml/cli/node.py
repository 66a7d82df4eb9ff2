"""`afml node`: one institution's part in one run, by one process or, under torchrun, by several."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from afml.cli.runfile import load_run
from afml.core.errors import ConfigError, TransportError
from afml.core.files import write_bytes
from afml.core.logging import configure as configure_logging
from afml.core.run import NodeCard
from afml.training import distributed, worker
from afml.training.cohort import Cohort
from afml.training.distributed import Group
from afml.training.model import TrainedModel
from afml.training.program import Program
from crypto.public.kit import load_roster
from crypto.secret.nodekit import NodeKit, load_node_kit
from node.client import Client, preflight
from node.guard import open_ledger
from node.journal import Journal
from node.privacy import statement
from node.session import Session
from node.workspace import Workspace, load_holdings


@click.command()
@click.option("--kit", type=click.Path(path_type=Path), required=True, help="This node's start kit.")
@click.option(
    "--work", type=click.Path(path_type=Path), required=True, help="Folder that `afml prepare` made."
)
@click.option("--run", "run_file", type=click.Path(path_type=Path), required=True, help="run.json, signed.")
@click.option("--aggregator", "address", required=True, help="host:port")
@click.option("--wait", "wait_s", default=60.0, show_default=True, help="Seconds to wait for the aggregator.")
@click.option("--bf16", is_flag=True, help="Play the public game, where this node is elected to, under bf16 autocast.")
def node(kit: Path, work: Path, run_file: Path, address: str, wait_s: float, bf16: bool) -> None:
    """Train in one run. Restart it after a crash: it picks up where it stood, and never spends twice unrecorded.

    Several processes or GPUs: torchrun --standalone --nproc-per-node N -m afml -- node ...
    """
    further = distributed.rank() > 0
    if further:  # it writes nothing, so there is nothing to unwind
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    with distributed.joined(work) as group:
        if not further:
            _take_part(kit, work, run_file, address, wait_s, group, bf16)
        elif group is not None:
            worker.work(group, lambda: _load(kit, work, run_file))


def _take_part(
    kit: Path, work: Path, run_file: Path, address: str, wait_s: float, group: Group | None, bf16: bool
) -> None:
    loaded = load_node_kit(kit)
    configure_logging(f"node-{loaded.node}")
    config = load_run(run_file, loaded.roster)
    space = Workspace(work)
    space.require_prepared()
    _check_card(
        NodeCard.load(space.card), config.enrolled.get(loaded.node), config.site_panel, loaded.node, run_file
    )
    holdings = load_holdings(space, config.risk)
    if holdings.panel.digest() != config.site_panel:
        raise ConfigError(
            "site panel differs from the run's",
            where=space.site_panel,
            cure="run `afml prepare` as the consortium agreed",
        )
    if len(holdings.cohort) != config.enrolled[loaded.node]:
        raise ConfigError(
            f"holds {len(holdings.cohort)} enrolled people, the run declares {config.enrolled[loaded.node]}",
            where=space.people,
            cure="run `afml prepare` again and configure a new run from its card",
        )
    journal = Journal(space.run(config.run))
    if journal.over(config.rounds):
        click.echo(f"node {loaded.node}: run {config.run} is over; its model is in {space.model(config.run)}")
        return
    client = Client(address, loaded, config)
    try:
        with open_ledger(space, loaded) as ledger:
            program = Program(config, holdings.panel, holdings.panel_dosage, group=group, bf16=bf16)
            session = Session(
                loaded, config, holdings, ledger, journal, client,
                program=program,
                progress=lambda text: click.echo(f"node {loaded.node}: {text}"),
            )  # fmt: skip
            if not session.complete:
                program.load_others(holdings.cohort)
            model = _train(session, address, loaded, wait_s)
            model.save(space.model(config.run))
            cost = statement(ledger, config, holdings.enrolled_samples)
            write_bytes(space.privacy(config.run), cost.model_dump_json(indent=2).encode())
            journal.forget_keys()  # last: until here a restart begins where this one stood
    finally:
        client.close()
    click.echo(
        f"node {loaded.node}: PLE {cost.ple_sigma:.3f} sigma, epsilon {cost.epsilon:.3f} at {cost.delta:g}"
    )
    click.echo(f"node {loaded.node}: model saved in {space.model(config.run)}")


def _load(kit: Path, work: Path, run_file: Path) -> tuple[Program, Cohort]:
    """What a worker computes with; of the kit it reads the roster and no key."""
    config = load_run(run_file, load_roster(kit))
    holdings = load_holdings(Workspace(work), config.risk)
    return Program(config, holdings.panel, holdings.panel_dosage), holdings.cohort


def _train(session: Session, address: str, kit: NodeKit, wait_s: float) -> TrainedModel:
    click.echo(f"node {kit.node}: looking for the aggregator at {address}")
    try:
        preflight(address, kit, 0.0 if session.complete else wait_s)
        return session.run()
    except TransportError:
        if not session.complete:
            raise
        return session.model()  # it died between its last round and saving; the aggregator has stopped since


def _check_card(
    card: NodeCard, enrolled: int | None, site_panel: str, node_number: int, run_file: Path
) -> None:
    if enrolled is None:
        raise ConfigError(
            f"node {node_number} is not enrolled in this run", where=run_file, cure="ask the coordinator"
        )
    if (card.node, card.enrolled, card.site_panel) != (node_number, enrolled, site_panel):
        raise ConfigError(
            f"the run declares {enrolled} people at node {node_number}, this work folder's card says {card.enrolled} "
            f"(site panel {card.site_panel[:12]} / {site_panel[:12]})",
            where=run_file, cure="give the coordinator the present card.json and configure the run again",
        )  # fmt: skip
