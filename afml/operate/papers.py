"""What `afml doctor` looks at of a party: kit, certificates, folders, policy, ledger, and the run it is asked into."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.card import NodeCard
from afml.consortium.history import load_history
from afml.consortium.inforce import InForce
from afml.consortium.kit import (
    CA,
    CERTIFICATE,
    load_aggregator_kit,
    load_certificate,
    load_roster,
    party_of_peer,
    uris,
)
from afml.consortium.look import SEEN
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.request import REQUEST, Request, Role
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import AfmlError
from afml.ledger.schema import begun
from afml.ledger.snapshot import origin_in
from afml.operate.checked import Checked, failed, ok, refused, skipped, tried, warning
from afml.operate.words import DAY_S, duration
from afml.training.foreign.sandbox import available
from afml.training.registry import agreed
from node.memory import require_none_in_kit, require_remembered
from node.policy import load as load_policy
from node.workspace import Workspace

SOON_DAYS = 30
"""Days before its end that a certificate is worth a warning."""


@dataclass(frozen=True)
class Subject:
    """Whom the doctor looks at.

    Attributes:
        kit: Its start kit.
        address: Of the aggregator, host:port, for a node; where it is to listen, for the aggregator; "" for none.
        work: A node's work folder.
        data: The aggregator's data folder.
        ledger: Of the institution, where it is not in the work folder.
        run: run.json, signed.
    """

    kit: Path
    address: str = ""
    work: Path | None = None
    data: Path | None = None
    ledger: Path | None = None
    run: Path | None = None


def role_of(kit: Path) -> Role:
    """Whose kit it is: its request says so.

    Raises:
        InputError: There is no request.
    """
    return Request.load(kit / REQUEST).role


def kit(folder: Path, role: Role) -> Checked:
    """Whether the product would take this kit: files, signatures, keys that nobody else may read."""
    if role == "node":
        loaded = load_node_kit(folder)
        name = loaded.roster.member(loaded.node).name
        return ok("kit", f"node {loaded.node} ({name}) of consortium {loaded.roster.consortium}")
    if role == "aggregator":
        roster = load_aggregator_kit(folder).roster
        return ok("kit", f"aggregator of consortium {roster.consortium}, {len(roster.members)} institutions")
    return ok("kit", f"coordinator of consortium {load_roster(folder).consortium}")


def certificate(what: str, path: Path, cure: str) -> Checked:
    """How long a certificate has left; `cure` is what to do where that is not long."""
    found = load_certificate(path, what)
    left = (found.not_valid_after_utc - dt.datetime.now(dt.UTC)).total_seconds()
    until = f"until {found.not_valid_after_utc:%Y-%m-%d}"
    if left < 0:
        return failed(what, f"expired {duration(-left)} ago", cure)
    if left < SOON_DAYS * DAY_S:
        return warning(what, f"{until}, {left / DAY_S:.0f} days left", cure)
    return ok(what, f"{until}, {left / DAY_S:.0f} days left")


def folder(what: str, path: Path, *, holds_all: bool = True) -> Checked:
    """Whether a folder is this account's, and nobody else's.

    Args:
        what: To call it.
        path: It; one that is not there yet is in order.
        holds_all: Whether a command refuses it where others reach into it; else its files are closed by themselves.
    """
    if not path.exists():
        above = next(parent for parent in path.absolute().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            return failed(
                what, f"{path} cannot be made in {above}", "name another folder, or have this one made writable"
            )
        return ok(what, f"{path}: not there yet")
    if not path.is_dir():
        return failed(what, f"{path} is a file", "name a folder")
    found = path.stat()
    if found.st_uid != os.geteuid():
        cure = f"run as that account, or sudo chown -R $USER '{path}'"
        return failed(what, f"{path} belongs to another account", cure)
    if not os.access(path, os.W_OK | os.X_OK):
        return failed(what, f"{path} cannot be written", f"chmod u+rwx '{path}', or mount it for writing")
    if stat.S_IMODE(found.st_mode) & 0o077:
        told, cure = f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod 700 '{path}'"
        return failed(what, told, cure) if holds_all else warning(what, told, cure)
    return ok(what, f"{path}: this account's alone")


def policy(node: NodeKit, subject: Subject, run: RunConfig | None) -> Iterator[Checked]:
    """What the site's own policy says, to anything and to the run."""
    found = load_policy(subject.kit)
    path = subject.kit / "policy.toml"
    if stat.S_IMODE(path.stat().st_mode) & 0o022:
        yield warning("policy", f"{path} may be changed by other accounts", f"chmod 600 '{path}'")
    lifetime = found.lifetime
    yield ok("policy", f"{lifetime.ple_sigma:g} sigma for a person at delta {lifetime.delta:g}, over all runs")
    if run is None:
        return
    refusals = [refused("policy", error) for error in found.refusals(run, node.under(run).roster, node.node)]
    yield from refusals or [ok("policy", f"allows run {run.run}{', once approved' if found.run.approval else ''}")]


def ledger(node: NodeKit, subject: Subject) -> Checked:
    """Whether the ledger that this kit and work folder know of is there."""
    place = subject.ledger or (subject.work / "ledger" if subject.work else None)
    if place is None:
        return skipped("ledger", "no --work and no --ledger was named")
    require_none_in_kit(node, place)
    if subject.work is not None:
        require_remembered(Workspace(subject.work), place)
    if not begun(place):
        return ok("ledger", f"{place}: none yet; the first run begins it")
    if (origin := origin_in(place)) != node.origin:
        return failed("ledger", f"{place} is the ledger of {origin}", "use the kit of that institution")
    return ok("ledger", f"{place}: {origin}; `afml audit verify` checks what is in it")


def prepared(node: NodeKit, subject: Subject, run: RunConfig | None) -> Checked:
    """Whether the work folder is what `afml prepare` leaves, and the one that the run was configured from."""
    assert subject.work is not None
    work = Workspace(subject.work)
    work.require_prepared()
    card = NodeCard.load(work.card)
    if card.node != node.node:
        return failed("data", f"{work.card} is the card of node {card.node}", "name the work folder of this node")
    if run is not None and (card.people(run.people), card.data) != (run.enrolled.get(node.node), run.data):
        cure = "give the coordinator the present card.json and have the run configured again"
        return failed("data", "the run was configured from another card than this work folder's", cure)
    if run is not None:
        work.require_drawn_for(run)
    return ok("data", f"{card.data.named}, {card.enrolled} people enrolled")


def task(run: RunConfig) -> Checked:
    """Whether the run's task is installed here, its very code, and can be confined where it is somebody else's."""
    found = agreed(run.task, where=f"run {run.run}")
    if found.own or available():
        return ok("task", f"{found.kind} {found.version}, the code that the run names")
    told = f"{found.kind} comes with another package, and this system cannot keep it from keys and network"
    return failed("task", told, "use Linux 5.13 or newer on x86-64 or arm64, with Landlock switched on")


def run_of(subject: Subject) -> tuple[RunConfig | None, Checked | None]:
    """The run, and what is to be said of its file; nothing of none."""
    if subject.run is None:
        return None, None
    try:
        found = load_run(subject.run, load_history(subject.kit))
    except AfmlError as error:
        return None, refused("run", error)
    told = f"{found.run}: task {found.task.kind}, {found.rounds} rounds, {len(found.nodes)} nodes"
    return found, ok("run", f"{told}, signed by the coordinator")


def certificates(subject: Subject) -> Iterator[Checked]:
    """Of the party, and of the consortium's authority."""
    own = shlex.quote(str(subject.kit))
    renew = f"`afml keys renew --kit {own}`, and install the coordinator's answer with `afml keys install`"
    yield tried("certificate", lambda: certificate("certificate", subject.kit / CERTIFICATE, renew))
    yield _in_force(subject.kit)
    anew = "have the coordinator begin a new roster with new keys of its own, and `afml keys init --like` at every node"
    yield tried("authority", lambda: certificate("authority", subject.kit / CA, anew))


def _in_force(folder: Path) -> Checked:
    """Whether what lies in the kit says that the party's own certificate was revoked: others refuse it then."""
    try:
        roster = load_roster(folder)
        party = party_of_peer(uris(load_certificate(folder / CERTIFICATE, "certificate")), roster)
        certificates = InForce(folder, roster, folder / SEEN)
    except AfmlError:  # said already, of the kit or its certificate
        return skipped("revocation", "without a kit that can be used")
    return tried("revocation", lambda: _counting(certificates, party))


def _counting(certificates: InForce, party: str) -> Checked:
    certificates.check_own(party)
    return ok("revocation", f"nothing in this kit says that the certificate of {party} was revoked")
