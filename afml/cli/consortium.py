"""`afml consortium`: who takes part, over years: versions of the roster, and certificates of parties' keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from afml.consortium import proposal as proposals
from afml.consortium import provision
from afml.consortium.answers import OTHERS
from afml.consortium.authority import CERTIFICATE_DAYS
from afml.consortium.history import History, countersigned_by, load_history
from afml.consortium.kit import load_roster
from afml.consortium.proposal import Changes
from afml.consortium.request import fingerprint, read_request
from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.core.files import write_bytes
from afml.operate.words import party

_PATH = click.Path(path_type=Path)
_REQUESTS = click.argument("requests", metavar="REQUEST...", type=_PATH, nargs=-1, required=True)
_KIT = click.option("--kit", type=_PATH, required=True, help="The coordinator's kit.")
_OUT = click.option("--out", type=_PATH, required=True, help="Folder for the answers; must be new.")
_PROPOSAL = click.option("--out", type=_PATH, required=True, help="Folder for the proposal; must be new.")
_DAYS = click.option("--days", default=CERTIFICATE_DAYS, show_default=True, help="Validity of certificates.")


_OTHERS = (
    "send {} to the aggregator, and to every node where it is about the aggregator; what runs there reads it by itself"
)


@click.group()
def consortium() -> None:
    """Coordinator: found a consortium and change it. Members: countersign. Nothing that is sent holds a secret."""


@consortium.command()
@_REQUESTS
@_KIT
@_OUT
@click.option("--consortium", "name", required=True, help="Its name.")
@_DAYS
@click.option("--authority", type=_PATH, help="Certificate of another authority that certifies the parties.")
def found(requests: tuple[Path, ...], kit: Path, out: Path, name: str, days: int, authority: Path | None) -> None:
    """Sign the first roster, of every REQUEST (all nodes and the aggregator), and answer each of them."""
    roster = provision.found(requests, kit, out, consortium=name, days=days, external=authority)
    for path in requests:
        request = read_request(path)
        click.echo(f"{party(request.role, request.name)}: fingerprint of its request {request.fingerprint}")
    click.echo(
        f"consortium {roster.consortium}, {len(roster.members)} nodes; fingerprint {fingerprint(roster.digest())}"
    )
    click.echo(f"compare the fingerprints with the parties, then send each its folder of {out}")


@consortium.command()
@_REQUESTS
@_KIT
@_PROPOSAL
def add(requests: tuple[Path, ...], kit: Path, out: Path) -> None:
    """Propose a version with all who made a REQUEST: institutions that join or changed their keys, an aggregator."""
    for path in requests:
        request = read_request(path)
        click.echo(f"{party(request.role, request.name)}: fingerprint of its request {request.fingerprint}")
    _proposed(Changes(requests=requests), kit, out)


@consortium.command()
@click.argument("nodes", metavar="NODE...", type=int, nargs=-1, required=True)
@_KIT
@_PROPOSAL
def remove(nodes: tuple[int, ...], kit: Path, out: Path) -> None:
    """Propose a version without these members. They finish the runs that they are in."""
    _proposed(Changes(leaving=nodes), kit, out)


@consortium.command()
@click.argument("node", type=int)
@click.argument("name")
@_KIT
@_PROPOSAL
def rename(node: int, name: str, kit: Path, out: Path) -> None:
    """Propose a version in which NODE is called NAME; that institution itself has to countersign it."""
    _proposed(Changes(names={node: name}), kit, out)


@consortium.command()
@click.argument("proposal", type=_PATH)
@click.option("--kit", type=_PATH, required=True, help="Your kit.")
@click.option("--out", type=_PATH, required=True, help="File for the countersignature, to send to the coordinator.")
def countersign(proposal: Path, kit: Path, out: Path) -> None:
    """Agree to a PROPOSAL, after reading what it says. A member agrees to one successor of a version only."""
    history = load_history(kit)
    _say(history, proposals.read_proposal(proposal, history).roster)
    write_bytes(out, proposals.countersign(proposal, kit).canonical())
    click.echo(f"countersigned; send {out} to the coordinator")


@consortium.command()
@click.argument("proposal", type=_PATH)
@click.option("--countersigned", type=_PATH, multiple=True, help="A member's countersignature; repeatable.")
@_KIT
@_OUT
@_DAYS
def publish(proposal: Path, countersigned: tuple[Path, ...], kit: Path, out: Path, days: int) -> None:
    """Make a PROPOSAL that a majority countersigned the present version, with an answer for every party."""
    history = proposals.publish(proposal, countersigned, kit, out, days)
    _told(history, history.present.version)
    click.echo(f"send each party its folder of {out}; `afml keys install` takes it")


@consortium.command()
@click.option("--kit", type=_PATH, required=True, help="Any party's kit.")
@click.option("--proposal", type=_PATH, help="What this proposal would change.")
@click.option("--version", type=int, help="Print this version's roster, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(kit: Path, proposal: Path | None, version: int | None, as_json: bool) -> None:
    """All versions of the roster, what each changed and who countersigned it."""
    history = load_history(kit)
    if proposal is not None:
        after = proposals.read_proposal(proposal, history).roster
        if as_json:
            click.echo(json.dumps(_version(after, proposals.differences(history, after)), indent=2))
        else:
            _say(history, after)
        return
    if version is not None:
        if not 1 <= version <= len(history.versions):
            raise InputError(f"there are versions 1 to {len(history.versions)}", where="--version")
        click.echo(history.versions[version - 1].roster.canonical().decode())
        return
    numbers = range(1, len(history.versions) + 1)
    if as_json:
        members = [{"node": member.node, "name": member.name} for member in load_roster(kit).members]
        told = {"versions": [_document(history, number) for number in numbers], "members": members}
        click.echo(json.dumps(told, indent=2))
        return
    for number in numbers:
        _told(history, number)
    for member in load_roster(kit).members:
        click.echo(f"node {member.node}: {member.name}")


@consortium.command()
@_REQUESTS
@_KIT
@_OUT
@_DAYS
def rotate(requests: tuple[Path, ...], kit: Path, out: Path, days: int) -> None:
    """Certify new TLS keys of parties on the roster (`afml keys renew`); their earlier certificates count no more."""
    members = {member.origin for member in load_roster(kit).members}
    for named, request in provision.renew(requests, kit, out, days=days).items():
        click.echo(f"{party(named, request.name)}: fingerprint of its request {request.fingerprint}")
        if request.role == "node" and request.origin not in members:
            click.echo(f"{named} has left the consortium: its certificate is for the runs that it is still in")
    click.echo(f"compare the fingerprints with the parties, then send each its folder of {out}")
    click.echo(_OTHERS.format(out / OTHERS))


@consortium.command()
@click.argument("party")
@_KIT
@_OUT
def revoke(party: str, kit: Path, out: Path) -> None:
    """No certificate that PARTY (node/3, aggregator) has counts from now on; `rotate` gives it one again."""
    provision.revoke(party, kit, out)
    click.echo(f"the certificates of {party} are revoked where this is installed")
    click.echo(_OTHERS.format(out / OTHERS))


def _proposed(changes: Changes, kit: Path, out: Path) -> None:
    before = load_history(kit)
    _say(before, proposals.propose(changes, kit, out))
    click.echo(f"send {out} to every member of version {before.present.version}, for `afml consortium countersign`")


def _say(before: History, after: Roster) -> None:
    """What a version would change, and its fingerprint."""
    for line in proposals.differences(before, after):
        click.echo(line)
    click.echo(f"version {after.version} of {after.consortium}; fingerprint {fingerprint(after.digest())}")


def _told(history: History, number: int) -> None:
    version = history.versions[number - 1]
    roster = version.roster
    click.echo(f"version {number}: {len(roster.members)} institutions; fingerprint {fingerprint(roster.digest())}")
    if number > 1:
        before = History(history.versions[: number - 1])
        for line in proposals.differences(before, roster):
            click.echo(f"  {line}")
        signed = [f"{node} ({name})" for node, name in countersigned_by(version, before.present).items()]
        click.echo(f"  countersigned by {len(signed)} of {len(before.present.members)}: {', '.join(signed)}")


def _version(roster: Roster, changes: Iterable[str]) -> dict[str, Any]:
    """A version of a roster, for programs."""
    return {
        "version": roster.version,
        "consortium": roster.consortium,
        "institutions": len(roster.members),
        "fingerprint": fingerprint(roster.digest()),
        "changes": list(changes),
    }


def _document(history: History, number: int) -> dict[str, Any]:
    """The same of one that is in force, with who countersigned it: node -> name."""
    version = history.versions[number - 1]
    if number == 1:
        return _version(version.roster, []) | {"countersigned_by": {}}
    before = History(history.versions[: number - 1])
    names = {str(node): name for node, name in countersigned_by(version, before.present).items()}
    return _version(version.roster, proposals.differences(before, version.roster)) | {"countersigned_by": names}
