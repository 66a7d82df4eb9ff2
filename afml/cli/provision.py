"""`afml provision` and `afml renew`: a consortium's authority, certificates and start kits."""

from __future__ import annotations

from pathlib import Path

import click

from afml.consortium.provision import CERTIFICATE_DAYS, DEFAULT_HOSTS
from afml.consortium.provision import provision as make_kits
from afml.consortium.provision import renew as renew_certificate


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the start kits; must be new.")
@click.option("--consortium", default="consortium", show_default=True, help="Name of the consortium.")
@click.option("--nodes", type=int, required=True, help="How many institutions.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=DEFAULT_HOSTS,
    show_default=True,
    help="Names or addresses of the aggregator.",
)
@click.option("--days", default=CERTIFICATE_DAYS, show_default=True, help="Validity of certificates.")
def provision(out: Path, consortium: str, nodes: int, hosts: tuple[str, ...], days: int) -> None:
    """Make start kits: one folder per party, keys readable by their owner only."""
    roster = make_kits(out, consortium, nodes, hosts, days=days)
    click.echo(f"{len(roster.members)} nodes, an aggregator and a coordinator: kits in {out}")
    click.echo("hand each folder to its party over a channel you trust, then delete your copies")


@click.command()
@click.argument("coordinator", type=click.Path(path_type=Path))
@click.argument("party")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the renewed TLS files.")
@click.option("--host", "hosts", multiple=True, help="Aggregator only; by default those it has.")
@click.option("--days", default=CERTIFICATE_DAYS, show_default=True)
def renew(coordinator: Path, party: str, out: Path, hosts: tuple[str, ...], days: int) -> None:
    """Renew PARTY's certificate (node/3, aggregator) with the COORDINATOR kit; nobody else is touched."""
    renew_certificate(coordinator, party, out, hosts=hosts or None, days=days)
    click.echo(f"renewed TLS files of {party} in {out}")
