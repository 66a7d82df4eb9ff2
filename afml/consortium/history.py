"""The versions of a roster: each follows from the one before, by everybody's signature that it takes.

`roster.json` in a kit is the present version, `history.jsonl` all versions up to it, one a line. A consortium whose
roster never changed has no history.jsonl. docs/design/membership.md says what each rule is against.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, ValidationError

from afml.consortium import messages
from afml.consortium.roster import Member, Roster
from afml.core.config import Settings
from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file
from crypto.public.signing import verify

ROSTER, ROSTER_SIGNATURE, HISTORY = "roster.json", "roster.sig", "history.jsonl"
INSTALL = "install the coordinator's newest answer with `afml keys install`"

Demand: TypeAlias = Literal["majority", "all", "none"]
"""How many members of a version must have countersigned the next, before a party takes it."""


class Version(Settings):
    """One version, and who signed it.

    Attributes:
        roster: It.
        signature: The coordinator's, hex.
        countersignatures: node of the version before -> its signature, hex.
    """

    roster: Roster
    signature: str = Field(pattern=r"^([0-9a-f]{2})*$")
    countersignatures: dict[int, str] = Field(default_factory=dict)


def roster_message(roster: Roster) -> bytes:
    """What the coordinator signs."""
    return b"afml roster v1" + roster.digest()


@dataclass(frozen=True)
class History:
    """All versions of a roster up to one, ascending; made by `begun` and `then`, which check them.

    Attributes:
        versions: The first has number 1.
    """

    versions: tuple[Version, ...]

    @classmethod
    def begun(cls, first: Version, where: object) -> History:
        """The history of a first version.

        Raises:
            IntegrityError: It is not signed by the coordinator that it names, or follows something.
        """
        _check_alone(first, where)
        if first.roster.version != 1 or first.roster.previous:
            raise IntegrityError(
                f"is version {first.roster.version}, without those before it", where=where, cure=INSTALL
            )
        return cls((first,))

    @property
    def present(self) -> Roster:
        """The newest version."""
        return self.versions[-1].roster

    def of(self, digest: str, where: object) -> Roster:
        """The version with a digest (hex); the first one for "".

        Raises:
            InputError: There is none here.
        """
        for version in self.versions:
            if digest in ("", version.roster.digest().hex()):
                return version.roster
        raise InputError(f"is of roster {digest[:12]}, which this kit does not have", where=where, cure=INSTALL)

    def numbers(self) -> dict[str, int]:
        """Origin -> number, of every institution that ever was on it."""
        return {member.origin: member.node for version in self.versions for member in version.roster.members}

    def last_entries(self) -> dict[str, Member]:
        """Origin -> its newest entry, of every institution that ever was on it: who comes back goes on from that."""
        return {member.origin: member for version in self.versions for member in version.roster.members}

    def then(self, version: Version, where: object) -> History:
        """This history with one more version.

        Raises:
            IntegrityError: It does not follow; says why.
        """
        _check_alone(version, where)
        before, after = self.present, version.roster
        if (after.consortium, after.coordinator_key) != (before.consortium, before.coordinator_key):
            raise IntegrityError(f"is not of consortium {before.consortium} and its coordinator", where=where)
        if (after.version, after.previous) != (before.version + 1, before.digest().hex()):
            raise IntegrityError(
                f"is version {after.version} and does not follow version {before.version} as it is here",
                where=where,
                cure="compare the fingerprints of `afml consortium show` with the others",
            )
        known = self.numbers()
        owners = {node: origin for origin, node in known.items()}
        for member in after.members:
            if known.get(member.origin, member.node) != member.node or owners.get(member.node, "") not in (
                "",
                member.origin,
            ):
                raise IntegrityError(f"gives number {member.node} to another institution than before", where=where)
        for member in self.last_entries().values():
            _check_continued(member, after, where)
        return History((*self.versions, version))

    def require_countersigned(self, since: int, demand: Demand, where: object) -> None:
        """Refuse versions above `since` that too few members of the ones before them countersigned.

        Raises:
            IntegrityError: Too few, a countersignature is of nobody or false, or somebody's entry changed without it.
        """
        for before, version in zip(self.versions, self.versions[1:], strict=False):
            if version.roster.version > since:
                _require_countersigned(before.roster, version, demand, where)

    def extends(self, other: History) -> bool:
        """Whether this is the other history, or that and more; who countersigned does not matter."""
        own = [version.roster for version in self.versions[: len(other.versions)]]
        return own == [version.roster for version in other.versions]

    def lines(self) -> bytes:
        """The file."""
        return b"".join(version.canonical() + b"\n" for version in self.versions)


def load_roster(folder: Path) -> Roster:
    """Read and check a kit's present roster; see `load_history`."""
    return load_history(folder).present


def load_history(folder: Path) -> History:
    """Read and check all versions of a kit's roster, up to its present one.

    Of later versions than the first the signature is read from the history: one file cannot be newer than the other.

    Raises:
        InputError: Missing or malformed, or the present version is not among them.
        IntegrityError: One of them does not follow from the one before, or is not signed by the coordinator it names.
    """
    roster, path = Roster.load(folder / ROSTER), folder / HISTORY
    if roster.version == 1:
        signature = require_file(folder / ROSTER_SIGNATURE, "roster signature", INSTALL).read_bytes()
        return History.begun(Version(roster=roster, signature=signature.hex()), folder / ROSTER)
    found: History | None = None
    for number, line in enumerate(require_file(path, "history of the roster", INSTALL).read_bytes().splitlines(), 1):
        where = f"{path}, line {number}"
        try:
            version = Version.model_validate(json.loads(line))
        except (ValueError, ValidationError, RecursionError):
            raise InputError("is not a version of a roster", where=where, cure=INSTALL) from None
        found = History.begun(version, where) if found is None else found.then(version, where)
        if found.present == roster:
            return found
    raise InputError(f"does not hold version {roster.version} as {ROSTER} has it", where=path, cure=INSTALL)


def countersigned_by(version: Version, before: Roster) -> Mapping[int, str]:
    """node -> name of its institution, of all who countersigned."""
    return {node: before.member(node).name for node in sorted(version.countersignatures)}


def _check_alone(version: Version, where: object) -> None:
    roster = version.roster
    key = bytes.fromhex(roster.coordinator_key)
    verify(key, roster_message(roster), bytes.fromhex(version.signature), where=where)
    roster.check(where)


def _entry(before: Member, roster: Roster) -> Member | None:
    return next((member for member in roster.members if member.origin == before.origin), None)


def _check_continued(before: Member, roster: Roster, where: object) -> None:
    after = _entry(before, roster)
    if after is not None and after.keys[: len(before.keys)] != before.keys:
        raise IntegrityError(f"gives node {before.node} keys that do not continue those it had", where=where)


def _require_countersigned(before: Roster, version: Version, demand: Demand, where: object) -> None:
    roster, signed = version.roster, version.countersignatures
    members = {member.node: member for member in before.members}
    for node, signature in signed.items():
        if node not in members:
            raise IntegrityError(f"is countersigned by node {node}, which was no member", where=where)
        message = messages.roster_countersignature(roster.digest(), node)
        key = bytes.fromhex(members[node].signing_key)
        verify(key, message, bytes.fromhex(signature), where=f"{where}, countersignature of node {node}")
    for node, member in members.items():
        if _entry(member, roster) not in (None, member) and node not in signed:
            raise IntegrityError(
                f"changes the entry of node {node} ({member.name}), which has not countersigned that",
                where=where,
                cure="ask that institution for what `afml consortium countersign` makes",
            )
    needed = {"none": 0, "all": len(members), "majority": len(members) // 2 + 1}[demand]
    if len(signed) < needed:
        absent = ", ".join(f"{node} ({one.name})" for node, one in members.items() if node not in signed)
        raise IntegrityError(
            f"version {roster.version} is countersigned by {len(signed)} of {len(members)} members, and {needed} must; "
            f"not by {absent}",
            where=where,
            cure="give the coordinator the others' countersignatures, for `afml consortium publish`",
        )
