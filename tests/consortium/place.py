"""A consortium of three institutions whose roster changes, and a coordinator that does what it likes."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from afml.consortium import installing, messages, ownkeys, proposal, provision
from afml.consortium.history import HISTORY, Demand, Version, load_history, load_roster, roster_message
from afml.consortium.kit import CA_KEY, CERTIFICATE, load_private_key
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.proposal import Changes
from afml.consortium.request import REQUEST
from afml.consortium.roster import Roster
from crypto.public.signing import sign


@dataclass
class Place:
    """A consortium of three institutions, and whoever asks to join."""

    root: Path

    def kit(self, party: int | str) -> Path:
        return self.root / "kits" / (f"node-{party}" if isinstance(party, int) else party)

    def ask(self, name: str) -> Path:
        """An institution makes its keys; its request."""
        ownkeys.make(self.kit(name), Party("node", name))
        return self.kit(name) / REQUEST

    def propose(self, name: str = "proposal", **changes: object) -> Path:
        proposal.propose(Changes(**changes), self.kit("coordinator"), self.root / name)  # type: ignore[arg-type]
        return self.root / name

    def word(self, offered: Path, node: int) -> Path:
        """The countersignature of a member."""
        path = self.root / f"{offered.name}-{node}.json"
        path.write_bytes(proposal.countersign(offered, self.kit(node)).canonical())
        return path

    def publish(self, offered: Path, by: list[int], out: str = "published") -> Path:
        words = [self.word(offered, node) for node in by]
        proposal.publish(offered, words, self.kit("coordinator"), self.root / out, 30)
        return self.root / out

    def installed(self, answers: Path, *parties: int | str, demand: Demand = "majority") -> None:
        for party in parties:
            folder = answers / (party if isinstance(party, str) else f"node-{party}")
            installing.install(folder, self.kit(party), demand)


def forged(place: Place, roster: Roster, signed: dict[int, int] | None = None) -> Version:
    """A version as a coordinator signs it that does what it likes: node -> whose key countersigns for it."""
    key = provision.load_coordinator_key(place.kit("coordinator"))
    words = {
        node: sign(load_node_kit(place.kit(by)).signing_key, messages.roster_countersignature(roster.digest(), node))
        for node, by in (signed or {}).items()
    }
    return Version(
        roster=roster,
        signature=sign(key, roster_message(roster)).hex(),
        countersignatures={node: word.hex() for node, word in words.items()},
    )


def after(place: Place, **changes: object) -> Roster:
    """The version after the founding one, with whatever a coordinator writes into it."""
    present = load_roster(place.kit("coordinator"))
    stated = {"version": present.version + 1, "previous": present.digest().hex(), **changes}
    return Roster.model_validate(present.model_dump() | present.model_copy(update=stated).model_dump())


def answer(place: Place, version: Version) -> Path:
    """What such a coordinator sends to node 1."""
    folder = place.root / "forged"
    shutil.copytree(place.kit(1), folder, dirs_exist_ok=True)
    (folder / "roster.json").write_bytes(version.roster.canonical())
    (folder / "roster.sig").write_bytes(bytes.fromhex(version.signature))
    versions = (*load_history(place.kit("coordinator")).versions, version)
    (folder / HISTORY).write_bytes(b"".join(one.canonical() + b"\n" for one in versions))
    return folder


def end(place: Place, party: int | str, folder: Path | None = None) -> None:
    """A party's certificate, in its kit or in a folder, ended a minute ago, and is made as ever otherwise."""
    path, authority = (folder or place.kit(party)) / CERTIFICATE, place.kit("coordinator")
    before = x509.load_pem_x509_certificate(path.read_bytes())
    key = load_private_key((authority / CA_KEY).read_bytes(), authority)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    builder = x509.CertificateBuilder(before.issuer, before.subject, before.public_key(), before.serial_number)
    builder = builder.not_valid_before(before.not_valid_before_utc).not_valid_after(ended)
    for one in before.extensions:
        builder = builder.add_extension(one.value, one.critical)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
