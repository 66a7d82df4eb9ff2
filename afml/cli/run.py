"""`afml run`: what a signed run would mean for this institution's people; approve it, close it, or order it on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from afml.cli.orders import add_orders
from afml.cli.places import PRIVATE, RUN_FILE
from afml.cli.submit import submit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.runfile import load_run
from afml.core.errors import PolicyError
from afml.operate.words import counted
from node.guard import open_ledger
from node.memory import keep_in_kit
from node.signed import Signed, cost
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


def _places(command: click.Command) -> click.Command:
    """The options that say whose ledger it is."""
    for option in (
        click.Option(
            ["--ledger"], type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]"
        ),
        click.Option(["--work"], type=PRIVATE, required=True, help="Folder that `afml prepare` made."),
        click.Option(["--kit"], type=_PATH, required=True, help="This node's start kit."),
    ):
        command.params.insert(0, option)
    return command


@click.group()
def run() -> None:
    """A signed run: what it would mean for this institution, and orders about it while it is under way."""


add_orders(run)
run.add_command(submit)


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=RUN_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(run_file: Path, kit: Path, work: Path, ledger: Path | None, as_json: bool) -> None:
    """In plain words: what the run in FILE would spend of this site's people, and what would be left.

    Of a run that is over here: how it ended, and what it has spent. One that is refused ends it with exit code 3.
    """
    signed = Signed.read(run_file, kit)
    standing = signed.standing(work, ledger)
    if as_json:
        told = cost(signed.policy, signed.config, signed.kit) | standing.to_json()
        click.echo(json.dumps(told, indent=2, allow_nan=False))
    else:
        for line in signed.told(standing):
            click.echo(line)
    if standing.problems:
        reasons = counted(len(standing.problems), "reason")
        raise PolicyError(f"is refused at this site, for {reasons}", where=f"run {signed.config.run}")


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=RUN_FILE)
def approve(run_file: Path, kit: Path, work: Path, ledger: Path | None) -> None:
    """Approve the run in FILE, signed into this site's ledger; refused where the policy does not allow it."""
    signed = Signed.read(run_file, kit)
    signed.approve(work, ledger)
    config = signed.config
    click.echo(f"run {config.run} is approved (configuration {config.digest().hex()[:12]})")


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=RUN_FILE)
def close(run_file: Path, kit: Path, work: Path, ledger: Path | None) -> None:
    """Close the run in FILE at this site for good. What it reserved and did not spend is free again."""
    loaded = load_node_kit(kit)
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    with open_ledger(Workspace(work), loaded, ledger) as opened:
        opened.plans.close(config.run, config.digest().hex(), "by-hand")
        keep_in_kit(loaded, opened)
    click.echo(f"run {config.run} is closed at this site; it will be refused from now on")
