"""What the coordinator sends: its kit, and the answers that are made of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import kit
from afml.consortium.authority import CERTIFICATE_DAYS, EARLY_S, Authority
from afml.consortium.history import History, load_history
from afml.consortium.inforce import CERTIFICATES, Since, beginning, load_since, since_file
from afml.consortium.installing import install
from afml.consortium.request import REQUEST, Request, read_request
from afml.consortium.roster import Member
from afml.core.errors import InputError
from afml.core.files import write_bytes

OTHERS = "others"
"""Folder of the answer that any party may install: it holds no certificate."""
_FOLLOWED = 60
"""Certificates of one party that may have followed each other within an hour."""


@dataclass(frozen=True)
class Coordinator:
    """The coordinator's kit, whether or not there is a roster in it."""

    folder: Path
    request: Request
    key: Ed25519PrivateKey

    @classmethod
    def load(cls, folder: Path) -> Coordinator:
        """Read it.

        Raises:
            InputError: It is another party's kit, or a file is missing.
        """
        kit.require_kit(folder)
        request = read_request(folder / REQUEST)
        if request.role != "coordinator":
            raise InputError(
                f"is the kit of {'an' if request.role == 'aggregator' else 'a'} {request.role}",
                where=folder, cure="make the coordinator's with `afml keys init --role coordinator`",
            )  # fmt: skip
        return cls(folder, request, kit.load_signing_key(folder, request.signing_key))

    @property
    def history(self) -> History | None:
        """Of the roster; None before there is one."""
        return load_history(self.folder) if (self.folder / kit.ROSTER).exists() else None


class Answers:
    """What parties are sent: the roster, its authority, from when on certificates count, and their own certificate."""

    def __init__(self, party: Coordinator, history: History, authority: Authority, days: int) -> None:
        check_days(days)
        self.party, self.history, self.authority, self.days = party, history, authority, days
        self._since = load_since(party.folder, history.present)
        self._certificates: dict[str, bytes] = {}

    @classmethod
    def of(cls, party: Coordinator, history: History, days: int = CERTIFICATE_DAYS) -> Answers:
        """Of a coordinator whose authority is there.

        Raises:
            InputError: It is not, or certificates cannot be valid for so long.
        """
        return cls(party, history, Authority.load(party.folder, history.present.consortium), days)

    def certify(self, one: Request, where: object = "") -> str:
        """Certify a party's TLS key, unless another authority does; its earlier certificates count no more.

        Returns:
            The party.

        Raises:
            InputError: Its keys are not on the roster.
        """
        party = self._party(one, where)
        if not self.authority.certifies:
            return party
        known = self._since.get(party)
        after = known.since if known else 0
        self._certificates[party] = self.authority.certify(party, one.tls_key, one.hosts, self.days, after)
        began = beginning(x509.load_pem_x509_certificate(self._certificates[party]))
        self._since[party] = Since.signed(self.party.key, self.history.present, party, began)
        return party

    def revoke(self, party: str) -> None:
        """No certificate that a party has counts any more."""
        known = self._since.get(party)
        # This kit may know of none, or be a backup from before the last ones. Those began so long ago, a second later
        # for each that followed at once; when another authority's began nobody here knows.
        last = int(time.time()) - (EARLY_S - _FOLLOWED if self.authority.certifies else 0)
        since = max(known.since if known else 0, last) + 1
        self._since[party] = Since.signed(self.party.key, self.history.present, party, since)

    def write(self, out: Path, parties: Iterable[str]) -> None:
        """An answer for each of these parties, in a folder named by it; once all are certified."""
        for party in parties:
            place, present = out / party.replace("/", "-"), self.history.versions[-1]
            place.mkdir()
            write_bytes(place / kit.CA, self.authority.pem())
            write_bytes(place / CERTIFICATES, since_file(self._since))
            write_bytes(place / kit.ROSTER, present.roster.canonical())
            write_bytes(place / kit.ROSTER_SIGNATURE, bytes.fromhex(present.signature))
            if present.roster.version > 1:
                write_bytes(place / kit.HISTORY, self.history.lines())
            if party in self._certificates:
                write_bytes(place / kit.CERTIFICATE, self._certificates[party])

    def keep(self) -> None:
        """Put what concerns the coordinator into its own kit."""
        first = "coordinator" in self._certificates and not (self.party.folder / kit.CERTIFICATE).exists()
        answer = "coordinator" if first else OTHERS  # later ones it installs itself, as everybody does
        with tempfile.TemporaryDirectory() as own:
            self.write(Path(own), [answer])
            install(Path(own) / answer, self.party.folder)

    def _party(self, one: Request, where: object) -> str:
        """What a certificate calls whoever asks; his keys must be those on the roster, or those he left with."""
        roster = self.history.present
        if one.role == "node":
            for member in self.history.last_entries().values():
                if (member.keys, member.sealing_key) == (
                    (*(change.key for change in one.lineage), one.signing_key), one.sealing_key,
                ):  # fmt: skip
                    return f"node/{member.node}"
        elif one.signing_key == (roster.aggregator_key if one.role == "aggregator" else roster.coordinator_key):
            return one.role
        raise InputError(
            f"the roster names no {one.role} {one.name} by these keys",
            where=where,
            cure="propose a version that does with `afml consortium add`",
        )


def member_of(node: int, one: Request) -> Member:
    """The roster's entry of whoever asks."""
    return Member(
        node=node, name=one.name, signing_key=one.signing_key, sealing_key=one.sealing_key, lineage=one.lineage
    )


def require_new(out: Path) -> None:
    """Refuse a folder that is there.

    Raises:
        InputError: Likewise.
    """
    if out.exists():
        raise InputError("already exists", where=out, cure="choose another folder")


def check_days(days: int) -> None:
    """Refuse a validity that no certificate can have.

    Raises:
        InputError: Likewise.
    """
    if not 1 <= days <= 3650:
        raise InputError(f"certificates for {days} days", where="--days", cure="use 1 to 3650")
