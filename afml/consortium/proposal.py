"""The next version of a roster: the coordinator proposes it, members countersign, the coordinator publishes it.

A proposal is a folder of public files: roster.json and roster.sig of the version to be, and the requests of those who
are new or have new keys. It binds nobody: a kit takes a version with the countersignatures that its owner demands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from afml.consortium import messages
from afml.consortium.answers import Answers, Coordinator, member_of, require_new
from afml.consortium.history import ROSTER, ROSTER_SIGNATURE, History, Version, load_history, roster_message
from afml.consortium.nodekit import load_node_kit
from afml.consortium.request import Request, fingerprint, read_request
from afml.consortium.roster import Member, Roster
from afml.core.config import Settings, canonical_json, complaint, read_settings
from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file, staged_folder, write_bytes
from crypto.public.signing import sign

REQUESTS = "requests"
COUNTERSIGNED = "countersigned.json"
"""In a member's kit: version -> digest of the roster that it countersigned."""
MOST_NODES = 1024


@dataclass(frozen=True)
class Changes:
    """What the next version changes.

    Attributes:
        requests: Of institutions that are new or have new keys, and of another aggregator.
        leaving: Numbers of members who go.
        names: Number -> new name.
    """

    requests: Sequence[Path] = ()
    leaving: Sequence[int] = ()
    names: Mapping[int, str] = field(default_factory=dict)


class Countersignature(Settings):
    """One member's word for a version.

    Attributes:
        roster: Its digest, hex.
        node: The member.
        signature: Hex.
    """

    roster: str = Field(pattern=r"^[0-9a-f]{64}$")
    node: int
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


def propose(changes: Changes, coordinator: Path, out: Path) -> Roster:
    """Propose the version after the present one.

    Args:
        changes: What changes.
        coordinator: The coordinator's kit; nothing in it changes.
        out: Folder for the proposal; it appears whole or not at all.

    Raises:
        InputError: `out` exists, a request is malformed or repeats somebody, a number is of nobody, or nothing changes.
        IntegrityError: A request is not signed by the keys that it names.
    """
    party, history = Coordinator.load(coordinator), load_history(coordinator)
    require_new(out)
    asked = [read_request(path) for path in changes.requests]
    roster = _next(history, changes, asked)
    version = Version(roster=roster, signature=sign(party.key, roster_message(roster)).hex())
    history.then(version, "proposal")
    with staged_folder(out) as staged:
        write_bytes(staged / ROSTER, roster.canonical())
        write_bytes(staged / ROSTER_SIGNATURE, bytes.fromhex(version.signature))
        (staged / REQUESTS).mkdir()
        for at, one in enumerate(asked):
            write_bytes(staged / REQUESTS / f"{at}.json", one.canonical())
    return roster


def differences(history: History, after: Roster) -> Iterator[str]:
    """What a version after a history changes, in plain words."""
    before, ever = history.present, history.last_entries()
    old, new = ({member.origin: member for member in roster.members} for roster in (before, after))
    for origin, member in new.items():
        known, named = ever.get(origin), f"node {member.node} ({member.name})"
        if origin not in old:
            comes = "joins" if known is None else "comes back"
            yield f"{named} {comes}; fingerprint of its key {fingerprint(bytes.fromhex(member.signing_key))}"
        if known is None:
            continue
        if known.name != member.name:
            yield f"node {member.node} is called {member.name}, no longer {known.name}"
        if known.signing_key != member.signing_key:
            yield f"{named} has a new signing key, named by the one before"
        if known.sealing_key != member.sealing_key:
            yield f"{named} has a new sealing key"
    for origin, member in old.items():
        if origin not in new:
            yield f"node {member.node} ({member.name}) goes; it finishes the runs that it is in"
    if before.aggregator_key != after.aggregator_key:
        yield f"another aggregator; fingerprint of its key {fingerprint(bytes.fromhex(after.aggregator_key))}"
    if before.authority != after.authority:
        yield f"another certificate authority, {fingerprint(bytes.fromhex(after.authority))}"


def read_proposal(folder: Path, history: History) -> Version:
    """A proposal that follows a history.

    Raises:
        InputError, IntegrityError: It is malformed, or does not follow.
    """
    roster = Roster.load(folder / ROSTER)
    signature = require_file(folder / ROSTER_SIGNATURE, "roster signature", "fetch the whole proposal").read_bytes()
    version = Version(roster=roster, signature=signature.hex())
    history.then(version, folder / ROSTER)
    return version


def countersign(proposal: Path, folder: Path) -> Countersignature:
    """A member's countersignature; the kit remembers it, and gives none for another successor of the same version.

    Args:
        proposal: Folder of the proposal.
        folder: The member's kit.

    Raises:
        InputError: As `read_proposal`, or the kit is no member's.
        IntegrityError: It does not follow, or another one was countersigned before.
    """
    own = load_node_kit(folder)
    roster = read_proposal(proposal, own.history).roster
    memory, digest = folder / COUNTERSIGNED, roster.digest()
    known = read_settings(memory) if memory.exists() else {}
    if (before := known.get(str(roster.version), digest.hex())) != digest.hex():
        raise IntegrityError(
            f"this institution has countersigned another version {roster.version} (digest {before[:12]})",
            where=proposal,
            cure="have that one published; what is to be otherwise is proposed after it",
        )
    write_bytes(memory, canonical_json({**known, str(roster.version): digest.hex()}))
    signature = sign(own.signing_key, messages.roster_countersignature(digest, own.node))
    return Countersignature(roster=digest.hex(), node=own.node, signature=signature.hex())


def publish(proposal: Path, countersigned: Sequence[Path], coordinator: Path, out: Path, days: int) -> History:
    """Make a proposal the present version, and an answer for every party on it.

    Published again with more countersignatures it stays the same version, and they are added.

    Args:
        proposal: Folder of the proposal.
        countersigned: Files of countersignatures.
        coordinator: The coordinator's kit; it receives the version.
        out: Folder for the answers; it appears whole or not at all.
        days: Validity of the certificates of those who asked for one.

    Raises:
        InputError: A file is malformed or of another proposal, or `out` exists.
        IntegrityError: It does not follow, or no majority countersigned it.
    """
    party, history = Coordinator.load(coordinator), load_history(coordinator)
    require_new(out)
    last = history.versions[-1]
    again = last.roster == Roster.load(proposal / ROSTER) and last.roster.version > 1
    before = History(history.versions[:-1]) if again else history
    version = last if again else read_proposal(proposal, history)
    given = {path: Countersignature.load(path) for path in countersigned}
    for path, one in given.items():
        if one.roster != version.roster.digest().hex():
            raise InputError("is of another proposal", where=path, cure="give the countersignatures of this one")
    signed = version.countersignatures | {one.node: one.signature for one in given.values()}
    after = before.then(version.model_copy(update={"countersignatures": signed}), proposal)
    after.require_countersigned(before.present.version, "majority", proposal)
    asked = [read_request(path) for path in sorted((proposal / REQUESTS).glob("*.json"))]
    answers = Answers.of(party, after, days)
    for request in asked:
        answers.certify(request)
    with staged_folder(out) as staged:
        answers.write(staged, [*(f"node/{member.node}" for member in after.present.members), "aggregator"])
        answers.keep()
    return after


def _next(history: History, changes: Changes, asked: Sequence[Request]) -> Roster:
    present, numbers = history.present, history.numbers()
    members = {member.origin: member for member in present.members}
    by_number = {member.node: member.origin for member in present.members}
    for node in (*changes.leaving, *changes.names):
        if node not in by_number:
            raise InputError(f"node {node} is not on the roster", where="members", cure="see `afml consortium show`")
    for node, name in changes.names.items():
        members[by_number[node]] = _renamed(members[by_number[node]], name)
    for node in changes.leaving:
        del members[by_number[node]]
    aggregator = present.aggregator_key
    for one, path in zip(asked, changes.requests, strict=True):
        if one.role == "aggregator":
            aggregator = one.signing_key
            continue
        if one.role != "node":
            raise InputError("is a coordinator's request", where=path, cure="a coordinator stays for good")
        node = numbers.setdefault(one.origin, max(numbers.values()) + 1)
        if node > MOST_NODES:
            raise InputError("every number is taken", where=path, cure="begin another consortium with --like")
        members[one.origin] = member_of(node, one)
    roster = present.model_copy(
        update={
            "version": present.version + 1,
            "previous": present.digest().hex(),
            "aggregator_key": aggregator,
            "members": tuple(sorted(members.values(), key=lambda member: member.node)),
        }
    )
    _check(history, roster)
    return roster


def _renamed(member: Member, name: str) -> Member:
    try:
        return Member.model_validate(member.model_dump() | {"name": name})
    except ValidationError as error:
        raise InputError(complaint(error), where="name", cure="give another") from None


def _check(history: History, roster: Roster) -> None:
    if not roster.members:
        raise InputError("would have no members", where="roster", cure="leave somebody in")
    if not list(differences(history, roster)):
        raise InputError("would change nothing", where="roster", cure="say who joins, goes, or is called otherwise")
    names = [member.name for member in roster.members]
    if len(set(names)) != len(names):
        raise InputError("would have two institutions of one name", where="roster", cure="have one of them renamed")
