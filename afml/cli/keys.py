"""`afml keys`: a party makes its own keys, asks for a place on the roster, and installs the coordinator's answer."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

import click

from afml.consortium import installing, ownkeys
from afml.consortium.kit import ROSTER, load_roster
from afml.consortium.request import REQUEST, Request, Role, fingerprint
from afml.core.errors import InputError
from afml.core.files import write_bytes
from afml.operate.words import party
from node.policy import FILE as POLICY
from node.policy import Policy
from node.policy import load as load_policy

_PATH = click.Path(path_type=Path)


@click.group()
def keys() -> None:
    """Make your own keys; none of them ever leaves its kit."""


@keys.command()
@click.option("--out", type=_PATH, required=True, help="The kit; must be new.")
@click.option("--role", type=click.Choice(get_args(Role)), default="node", show_default=True)
@click.option("--name", help="Of the institution, as others will read it.")
@click.option("--host", "hosts", multiple=True, help="Aggregator: name or address it is reached under; repeatable.")
@click.option("--like", type=_PATH, help="A kit of yours: the same keys in another consortium.")
@click.option("--succeed", type=_PATH, help="A kit of yours: new keys, which its signing key names.")
def init(
    out: Path, role: str, name: str | None, hosts: tuple[str, ...], like: Path | None, succeed: Path | None
) -> None:
    """Make keys and the request that goes to the coordinator."""
    if like and succeed:
        raise InputError("contradict each other", where="--like and --succeed", cure="give one of them")
    if like or succeed:
        if name or hosts:
            raise InputError("are those of the other kit", where="--name and --host", cure="leave them out")
        request = ownkeys.make_like(out, like) if like else ownkeys.make_successor(out, cast(Path, succeed))
    else:
        if not name and role == "node":
            raise InputError("is missing", where="--name", cure="give the institution's name")
        serves = hosts or (ownkeys.DEFAULT_HOSTS if role == "aggregator" else ())
        request = ownkeys.make(out, ownkeys.Party(cast(Role, role), name or role, serves))
    _say(f"keys of {party(request.role, request.name)} in {out}", request, out)


@keys.command()
@click.option("--kit", type=_PATH, required=True, help="Your kit.")
@click.option("--host", "hosts", multiple=True, help="Aggregator: where it is reached; by default as before.")
def renew(kit: Path, hosts: tuple[str, ...]) -> None:
    """Ask for a new TLS certificate, of a new key; the kit works on until the answer is installed."""
    request = ownkeys.renew(kit, hosts)
    _say(f"a new TLS key of {party(request.role, request.name)} in {kit}", request, kit)


@keys.command()
@click.argument("answer", type=_PATH)
@click.option("--kit", type=_PATH, required=True, help="Your kit.")
def install(answer: Path, kit: Path) -> None:
    """Check the coordinator's ANSWER (a folder) against your keys and put it into your kit.

    Where another authority certifies, its certificate (a file) too, once the folder is installed.
    """
    if answer.is_file():
        click.echo(f"installed in {kit}: the certificate of {installing.install_certificate(answer, kit)}")
        return
    _require_own(answer)
    demand = load_policy(kit).roster.countersigned if (kit / POLICY).exists() else Policy().roster.countersigned
    roster = installing.install(answer, kit, demand)
    if (sent := load_roster(answer)).version > roster.version:
        click.echo(f"this institution is not on version {sent.version} of it any more, and finishes the runs it is in")
    click.echo(
        f"installed in {kit}: consortium {roster.consortium}, version {roster.version} of its roster, "
        f"{len(roster.members)} institutions"
    )
    click.echo(
        f"fingerprint of the roster, to compare with the coordinator and the others: {fingerprint(roster.digest())}"
    )


@keys.command()
@click.option("--kit", type=_PATH, required=True, help="Your kit, with the roster in it.")
@click.option("--out", type=_PATH, required=True, help="File for the request.")
def csr(kit: Path, out: Path) -> None:
    """Write a certificate request (PKCS 10) for an authority other than the coordinator's."""
    write_bytes(out, ownkeys.certificate_request(kit))
    click.echo(f"have {out} certified with all the names in it, then `afml keys install` what comes back")


def _say(done: str, request: Request, kit: Path) -> None:
    click.echo(done)
    if request.role == "coordinator":
        click.echo(
            "ask the parties for their request.json and answer with `afml consortium found`; nothing here is sent"
        )
        click.echo(f"fingerprint of these keys, by which others know them: {request.fingerprint}")
        return
    click.echo(f"send {kit / REQUEST} to the coordinator, and nothing else of this folder")
    click.echo(f"fingerprint of the request, to compare with the coordinator: {request.fingerprint}")


def _require_own(answer: Path) -> None:
    """Refuse the folder of everybody's answers.

    Raises:
        InputError: Likewise; names whose they are.
    """
    if (answer / ROSTER).exists() or not answer.is_dir():
        return
    if theirs := sorted(path.parent.name for path in answer.glob(f"*/{ROSTER}")):
        cure = f"give your own, as {answer / theirs[0]}"
        raise InputError(f"holds the answers of several: {', '.join(theirs)}", where=answer, cure=cure)
