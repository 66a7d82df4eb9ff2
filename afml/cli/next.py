"""`afml next`: what comes next for a party, and who does it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from afml.operate.next import Role, next_of
from afml.operate.place import Place

_PATH = click.Path(path_type=Path)


@click.command(name="next")
@click.option("--kit", type=_PATH, required=True, help="Your kit, or where it is to be.")
@click.option("--work", type=_PATH, help="Institution: the folder that `afml prepare` made, or is to make.")
@click.option("--run", type=_PATH, help="run.json; while there is none, what comes before it.")
@click.option("--ledger", type=_PATH, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
@click.option(
    "--role",
    type=click.Choice(["node", "aggregator", "coordinator"]),
    default="node",
    show_default=True,
    help="Before there is a kit: whose it will be.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def next_(kit: Path, work: Path | None, run: Path | None, ledger: Path | None, role: Role, as_json: bool) -> None:
    """Say what comes next for you, and who does it. It only looks."""
    if run is not None and not run.exists():
        click.echo(f"there is no {run} yet", err=True)
        run = None
    found = next_of(Place(kit, work, run, ledger), role)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f"{found.who}: {found.what}")
    if found.command:
        click.echo(f"  {found.command}")


next = next_
