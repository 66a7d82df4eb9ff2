"""`afml ledger`: hand out what this institution knows of others' ledgers; keep, put back and pass on its own."""

from __future__ import annotations

from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.cli.places import PRIVATE
from afml.consortium import kit as kits
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.core.errors import InputError
from afml.core.files import read_secret, write_bytes
from afml.ledger.backup import back_up
from afml.ledger.backup import restore as put_back
from afml.ledger.checkpoint import parse
from afml.ledger.imported import Proof, import_ledger, read_old
from afml.ledger.outside import head_name, kept_head
from afml.ledger.schema import require_begun
from afml.ledger.snapshot import readable
from afml.ledger.store import Ledger
from afml.ledger.succession import Proposal, Vouch
from afml.ledger.succession import propose as make_proposal
from afml.ledger.succession import succeed as enter
from afml.ledger.succession import vouch as make_vouch
from afml.operate.words import counted
from crypto.public.signing import public_bytes
from node.guard import begin_ledger
from node.memory import keep_in_kit, kept_in_kit, require_none_in_kit

_PATH = click.Path(path_type=Path)


@click.group()
def ledger() -> None:
    """Back up and restore an institution's ledger; hand out the heads it keeps of others."""


@ledger.command()
@click.argument("folder", metavar="LEDGER", type=PRIVATE)
@click.option("--kit", type=_PATH, required=True, help="This node's kit.")
def begin(folder: Path, kit: Path) -> None:
    """Begin the institution's first ledger in LEDGER, for `--ledger LEDGER` of other verbs; it has one for ever.

    Without --ledger the first run begins it in the work folder.
    """
    loaded = load_node_kit(kit)
    begin_ledger(folder, loaded)
    click.echo(f"{loaded.origin}: a ledger is begun in {folder}")


@ledger.command()
@click.argument("folder", metavar="LEDGER", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder for one file for each institution.")
def heads(folder: Path, out: Path) -> None:
    """Write the last signed head of every other ledger that this one has countersigned.

    Such a head is what an institution needs to put a backup back, and what an auditor needs to find a rollback
    or a fork (`afml audit verify --head`). It tells how many entries a ledger had, and nothing of what is in them.
    """
    with readable(folder) as database:
        rows = database.execute("SELECT origin, note FROM peers ORDER BY origin").fetchall()
    for origin, note in rows:
        path = out / head_name(origin)
        write_bytes(path, note.encode())
        click.echo(f"{origin}: head {parse(note).told}; {path}")
    if not rows:
        click.echo("no other institution's ledger was countersigned yet")


@ledger.command()
@click.argument("folder", metavar="LEDGER", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="A new folder; keep it as secret as the ledger.")
def backup(folder: Path, out: Path) -> None:
    """Copy LEDGER with its person key, also while a node uses it. Make one after every run and every withdrawal."""
    head = back_up(folder, out)
    click.echo(f"{head.origin}: {counted(head.size, 'entry is', 'entries are')} in {out}; head {head.told}")


@ledger.command()
@click.argument("saved", metavar="BACKUP", type=_PATH)
@click.option("--ledger", "folder", type=_PATH, required=True, help="Where it goes; what is there is set aside.")
@click.option("--kit", type=_PATH, required=True, help="This node's kit.")
@click.option("--head", "kept", type=_PATH, multiple=True, help="What a peer's `heads` wrote: file or folder.")
def restore(saved: Path, folder: Path, kit: Path, kept: tuple[Path, ...]) -> None:
    """Put BACKUP back, unless a peer or the folder it replaces holds more of the ledger: it would forget spends.

    A run that was under way when it was made is closed here, and its people are charged its whole plan.
    """
    loaded = load_node_kit(kit)
    notes = [*kept_in_kit(loaded), *(kept_head(path, loaded.origin) for path in kept)]
    done = put_back(saved, folder, loaded.signing_key, loaded.origin, notes, _others(loaded))
    click.echo(
        f"{loaded.origin}: {counted(done.head.size, 'entry is', 'entries are')} back in {folder}; head {done.head.told}"
    )
    for run in done.lost:
        click.echo(
            f"run {run} was under way: what was spent in it since is not known, so it is closed here, charged whole"
        )
    if done.unasked:
        click.echo(f"not asked: {', '.join(done.unasked)}; the next run asks them before anything is spent")


@ledger.command()
@click.argument("folder", metavar="LEDGER", type=_PATH)
@click.option("--kit", type=_PATH, required=True, help="This node's kit, with the present key.")
@click.option("--to", "new", type=_PATH, required=True, help="Kit that holds the new signing key.")
@click.option("--out", type=_PATH, required=True, help="The proposal, for the other institutions.")
def propose(folder: Path, kit: Path, new: Path, out: Path) -> None:
    """Propose a new signing key for LEDGER. Take it to the other institutions by another way than the old key."""
    with _opened(folder, kit) as own:
        proposal = make_proposal(own, public_bytes(_signing_key(new)))
    write_bytes(out, proposal.canonical())
    click.echo(f"{proposal.origin}: new key {proposal.new_key[:16]}...; {out} is for the other institutions")


@ledger.command()
@click.argument("proposal", type=_PATH)
@click.option("--ledger", "folder", type=_PATH, required=True, help="This institution's ledger.")
@click.option("--kit", type=_PATH, required=True, help="This node's kit.")
@click.option("--out", type=_PATH, required=True, help="This institution's word, for the one that asked.")
def vouch(proposal: Path, folder: Path, kit: Path, out: Path) -> None:
    """Vouch for another institution's PROPOSAL. First ask its people, not by mail, whether they made it."""
    given = Proposal.load(proposal)
    with _opened(folder, kit) as own:
        word = make_vouch(own, given)
    write_bytes(out, word.canonical())
    click.echo(f"{given.origin}: key {given.new_key[:16]}... is vouched for in {out}")


@ledger.command()
@click.argument("proposal", type=_PATH)
@click.option("--ledger", "folder", type=_PATH, required=True, help="This institution's ledger.")
@click.option("--kit", type=_PATH, required=True, help="This node's kit, with the present key.")
@click.option("--to", "new", type=_PATH, required=True, help="Kit that holds the new signing key.")
@click.option("--vouch", "words", type=_PATH, multiple=True, help="What another institution answered.")
def succeed(proposal: Path, folder: Path, kit: Path, new: Path, words: tuple[Path, ...]) -> None:
    """Pass the ledger on to the new key of PROPOSAL: the old key opens it no more, people's accounts go on."""
    others = _others(load_node_kit(kit))
    given, vouches = Proposal.load(proposal), [Vouch.load(path) for path in words]
    with _opened(folder, kit) as own:
        index = enter(own, given, vouches, others, _signing_key(new))
    click.echo(f"{given.origin}: entry {index} passes it on to key {given.new_key[:16]}...")


@ledger.command("import")
@click.argument("source", metavar="OLD", type=_PATH)
@click.option("--ledger", "folder", type=PRIVATE, required=True, help="Folder of the new ledger.")
@click.option("--kit", type=_PATH, required=True, help="This node's kit, with the new key.")
@click.option("--old-kit", type=_PATH, help="Kit with the key of OLD; left out where that is lost.")
@click.option("--head", "kept", type=_PATH, multiple=True, help="What a peer's `heads` wrote: file or folder.")
def bring(source: Path, folder: Path, kit: Path, old_kit: Path | None, kept: tuple[Path, ...]) -> None:
    """Begin a ledger under a new key with all that stands in OLD, this institution's under a key that it has no more.

    People keep their accounts. Where the old key is there and a consortium goes on, `propose`, `vouch` and `succeed`
    keep the ledger's name as well, and are the better way.
    """
    loaded, old = load_node_kit(kit), read_old(source)
    require_none_in_kit(loaded, folder)
    proof = Proof(
        heads=[kept_head(path, old.origin) for path in kept],
        old_key=None if old_kit is None else _signing_key(old_kit),
        members=_others(loaded),
    )
    head = import_ledger(source, folder, loaded.signing_key, proof)
    with _opened(folder, kit) as own:
        keep_in_kit(loaded, own)
    click.echo(f"{head.origin}: {head.size - 1} entries of {old.origin} are its first; it goes on in {folder}")
    click.echo(f"use {source} no more: under its old name it would be another ledger to everybody else")


def _others(loaded: NodeKit) -> dict[str, bytes]:
    members = loaded.roster.members
    return {one.origin: bytes.fromhex(one.signing_key) for one in members if one.node != loaded.node}


def _opened(folder: Path, kit: Path) -> Ledger:
    loaded = load_node_kit(kit)
    require_begun(folder)
    return Ledger.open(folder, loaded.signing_key, origin=loaded.origin)


def _signing_key(folder: Path) -> Ed25519PrivateKey:
    path = folder / kits.SIGNING_KEY
    key = kits.load_private_key(read_secret(path), path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("is not an Ed25519 signing key", where=path)
    return key
