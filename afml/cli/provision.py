"""`afml provision`: the coordinator signs a roster of all who ask, and certifies the keys that they made."""

from __future__ import annotations

from pathlib import Path

import click

from afml.consortium import provision as provisioning
from afml.consortium.authority import CERTIFICATE_DAYS
from afml.consortium.request import fingerprint, read_request

_PATH = click.Path(path_type=Path)
_REQUESTS = click.argument("requests", metavar="REQUEST...", type=_PATH, nargs=-1, required=True)
_KIT = click.option("--kit", type=_PATH, required=True, help="The coordinator's kit.")
_OUT = click.option("--out", type=_PATH, required=True, help="Folder for the answers; must be new.")
_DAYS = click.option("--days", default=CERTIFICATE_DAYS, show_default=True, help="Validity of certificates.")


@click.group()
def provision() -> None:
    """Answer the requests of the parties; no answer holds a secret."""


@provision.command()
@_REQUESTS
@_KIT
@_OUT
@click.option("--consortium", default="", help="Its name; needed the first time.")
@_DAYS
def sign(requests: tuple[Path, ...], kit: Path, out: Path, consortium: str, days: int) -> None:
    """Sign a roster of all who ask to be on it, and answer each of them.

    Give the REQUEST of every node and of the aggregator, also of those who were on the last roster.
    """
    roster = provisioning.sign(requests, kit, out, consortium=consortium, days=days)
    for path in requests:
        request = read_request(path)
        click.echo(f"{request.role} {request.name}: fingerprint of its request {request.fingerprint}")
    click.echo(
        f"consortium {roster.consortium}, {len(roster.members)} nodes; fingerprint {fingerprint(roster.digest())}"
    )
    click.echo(f"compare the fingerprints with the parties, then send each its folder of {out}")


@provision.command()
@_REQUESTS
@_KIT
@_OUT
@_DAYS
def renew(requests: tuple[Path, ...], kit: Path, out: Path, days: int) -> None:
    """Certify new TLS keys of parties on the roster; nobody else is touched."""
    for party, request in provisioning.renew(requests, kit, out, days=days).items():
        click.echo(f"{party} {request.name}: fingerprint of its request {request.fingerprint}")
    click.echo(f"compare the fingerprints with the parties, then send each its folder of {out}")
