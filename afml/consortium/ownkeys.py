"""A party's own keys: made in its own kit, which no private key ever leaves.

make(kit, party)             new keys and request.json, which goes to the coordinator
make_like(kit, other)        the same institution in another consortium: same keys, another TLS key
make_successor(kit, other)   the same institution with new keys, which the old signing key names
renew(kit)                   another TLS key and request.json; the one in use stays until the answer is installed
install(answer, kit)         the coordinator's answer, checked against these keys, into the kit
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from afml.consortium import kit, messages
from afml.consortium.nodekit import load_node_kit
from afml.consortium.request import REQUEST, Request, Role, read_request
from afml.consortium.roster import KeyChange, Roster
from afml.core.config import complaint
from afml.core.errors import InputError
from afml.core.files import read_secret, require_file, staged_folder, write_bytes, write_secret
from crypto.public.signing import generate_signing_key, public_bytes, sign

NEXT_TLS_KEY = "next-tls.key"  # asked for and not yet certified
DEFAULT_HOSTS = ("localhost", "127.0.0.1")
_PUBLIC = (kit.CA, kit.CERTIFICATE, kit.ROSTER, kit.ROSTER_SIGNATURE)


@dataclass(frozen=True)
class Party:
    """Who makes keys.

    Attributes:
        role: What it wants to be in a consortium.
        name: As others will read it.
        hosts: DNS names and addresses that the aggregator serves; none for others.
    """

    role: Role
    name: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Keys:
    """What outlives a consortium."""

    signing: Ed25519PrivateKey
    sealing: X25519PrivateKey | None
    lineage: tuple[KeyChange, ...] = ()

    @classmethod
    def make(cls, role: Role, lineage: tuple[KeyChange, ...] = ()) -> _Keys:
        return cls(generate_signing_key(), X25519PrivateKey.generate() if role == "node" else None, lineage)


def make(folder: Path, party: Party) -> Request:
    """Make a party's keys and its request.

    Args:
        folder: The kit; it appears whole or not at all.
        party: Whose.

    Raises:
        InputError: The folder exists, or a name or host cannot be one.
    """
    return _write_kit(folder, party, _Keys.make(party.role))


def make_like(folder: Path, other: Path) -> Request:
    """The kit of an institution for another consortium: the signing and sealing keys of `other`, another TLS key.

    Raises:
        InputError: The folder exists, or a key of `other` is missing, not its own, or readable by others.
        IntegrityError: The request in `other` is not signed by its keys.
    """
    asked = read_request(other / REQUEST)
    return _write_kit(folder, Party(asked.role, asked.name, asked.hosts), _own_keys(other, asked))


def make_successor(folder: Path, other: Path) -> Request:
    """The kit of an institution that changes its keys: new ones, the new signing key named by that of `other`.

    Raises:
        InputError: As `make_like`, or `other` is no node's: nobody else has a past to keep.
        IntegrityError: As `make_like`.
    """
    asked = read_request(other / REQUEST)
    if asked.role != "node":
        raise InputError(f"is the kit of the {asked.role}", where=other, cure="make a new one with `afml keys init`")
    before = _own_keys(other, asked).signing
    keys = _Keys.make(asked.role)
    message = messages.key_change(bytes.fromhex(asked.founder), public_bytes(keys.signing))
    change = KeyChange(key=asked.signing_key, signature=sign(before, message).hex())
    keys = _Keys(keys.signing, keys.sealing, (*asked.lineage, change))
    return _write_kit(folder, Party(asked.role, asked.name, asked.hosts), keys)


def renew(folder: Path, hosts: Sequence[str] = ()) -> Request:
    """Make another TLS key and a request for its certificate; the kit keeps working with the one that it has.

    Args:
        folder: The kit.
        hosts: Of the aggregator, where they change.

    Raises:
        InputError, IntegrityError: As `make_like`; or hosts for somebody who is not the aggregator.
    """
    kit.require_kit(folder)
    asked = read_request(folder / REQUEST)
    keys, tls = _own_keys(folder, asked), ec.generate_private_key(ec.SECP256R1())
    request = _request(Party(asked.role, asked.name, tuple(hosts) or asked.hosts), keys, tls)
    write_secret(folder / NEXT_TLS_KEY, kit.private_pem(tls))
    write_bytes(folder / REQUEST, request.canonical())
    return request


def install(answer: Path, folder: Path) -> Roster:
    """Put the coordinator's answer into a kit, after checking that it answers this kit's request.

    Whatever is wrong with the answer leaves the kit as it was. Repeat it where it was interrupted.

    Args:
        answer: Folder with roster.json, roster.sig, ca.pem and tls.pem.
        folder: The kit.

    Raises:
        InputError: A file is missing or wrong; the roster has other keys of this party than the kit, is another
            consortium's or another coordinator's than before; or the certificate is not of the kit's TLS key.
        IntegrityError: The roster is not signed by the coordinator that it names.
    """
    kit.require_kit(folder)
    asked = read_request(folder / REQUEST)
    roster = kit.load_roster(answer)
    _check_same_coordinator(roster, folder)
    tls = _certified(answer, folder)
    _check_keys(roster, asked, answer)
    # What a run will load is loaded here first, beside the kit: the same checks, and no second version of them.
    with tempfile.TemporaryDirectory(prefix=".install.", dir=folder) as draft:
        for name in _PUBLIC:
            write_bytes(Path(draft) / name, require_file(answer / name, "answer").read_bytes())
        for name, at in ((kit.SIGNING_KEY, kit.SIGNING_KEY), (kit.SEALING_KEY, kit.SEALING_KEY), (kit.TLS_KEY, tls)):
            (Path(draft) / name).symlink_to(folder.absolute() / at)
        _load(Path(draft), roster, asked.role)
    if tls == NEXT_TLS_KEY:
        write_secret(folder / kit.TLS_KEY, read_secret(folder / NEXT_TLS_KEY))
    for name in _PUBLIC:
        write_bytes(folder / name, (answer / name).read_bytes())
    if tls == NEXT_TLS_KEY:
        (folder / NEXT_TLS_KEY).unlink()
    return roster


def _load(folder: Path, roster: Roster, role: Role) -> None:
    if role == "node":
        load_node_kit(folder)
    elif role == "aggregator":
        kit.load_aggregator_kit(folder)
    else:
        kit.load_tls(folder, roster, role)


def _write_kit(folder: Path, party: Party, keys: _Keys) -> Request:
    if folder.exists():
        raise InputError("already exists; its keys would be lost", where=folder, cure="choose another folder")
    tls = ec.generate_private_key(ec.SECP256R1())
    request = _request(party, keys, tls)
    with staged_folder(folder) as staged:
        write_secret(staged / kit.SIGNING_KEY, kit.private_pem(keys.signing))
        if keys.sealing is not None:
            write_secret(staged / kit.SEALING_KEY, kit.private_pem(keys.sealing))
        write_secret(staged / kit.TLS_KEY, kit.private_pem(tls))
        write_bytes(staged / REQUEST, request.canonical())
    return request


def _request(party: Party, keys: _Keys, tls: ec.EllipticCurvePrivateKey) -> Request:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party.role)])
    wanted = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(tls, hashes.SHA256())
    sealing = keys.sealing.public_key().public_bytes_raw().hex() if keys.sealing else ""
    try:
        request = Request(
            role=party.role, name=party.name, signing_key=public_bytes(keys.signing).hex(), sealing_key=sealing,
            lineage=keys.lineage, hosts=party.hosts, tls=wanted.public_bytes(Encoding.PEM).decode(),
        )  # fmt: skip
    except ValidationError as error:
        raise InputError(complaint(error), where="keys", cure="correct this option") from None
    return request.model_copy(update={"signature": sign(keys.signing, request.message()).hex()})


def _own_keys(folder: Path, asked: Request) -> _Keys:
    """The keys that a kit's request names."""
    signing = kit.load_signing_key(folder, asked.signing_key)
    if asked.role != "node":
        return _Keys(signing, None, asked.lineage)
    path = folder / kit.SEALING_KEY
    sealing = kit.load_private_key(read_secret(path), path)
    if not isinstance(sealing, X25519PrivateKey) or sealing.public_key().public_bytes_raw().hex() != asked.sealing_key:
        raise InputError("sealing key is not the one of this kit's request", where=path, cure="put the kit back")
    return _Keys(signing, sealing, asked.lineage)


def _check_same_coordinator(roster: Roster, folder: Path) -> None:
    if not (folder / kit.ROSTER).exists():
        return
    known = kit.load_roster(folder)
    if (known.consortium, known.coordinator_key) != (roster.consortium, roster.coordinator_key):
        raise InputError(
            f"kit belongs to consortium {known.consortium} and its coordinator",
            where=folder,
            cure="make one for the other with `afml keys init --like`",
        )


def _check_keys(roster: Roster, asked: Request, answer: Path) -> None:
    """Nobody takes part under keys that the coordinator put in the place of his own."""
    if asked.role == "node":
        found = [
            member
            for member in roster.members
            if (member.name, member.signing_key, member.sealing_key, member.lineage)
            == (asked.name, asked.signing_key, asked.sealing_key, asked.lineage)
        ]
    else:
        key = roster.aggregator_key if asked.role == "aggregator" else roster.coordinator_key
        found = [key] if key == asked.signing_key else []  # type: ignore[list-item]
    if not found:
        raise InputError(
            f"the roster does not name {asked.name} by the keys of this kit",
            where=answer / kit.ROSTER,
            cure="send the coordinator this kit's request.json again",
        )


def _certified(answer: Path, folder: Path) -> str:
    """The key file that the answer's certificate is of."""
    certificate = kit.load_certificate(answer / kit.CERTIFICATE, "TLS certificate")
    for name in (NEXT_TLS_KEY, kit.TLS_KEY):
        if (folder / name).exists():
            key = kit.load_private_key(read_secret(folder / name), folder / name)
            if key.public_key() == certificate.public_key():
                return name
    raise InputError(
        "certificate is not of this kit's TLS key",
        where=answer / kit.CERTIFICATE,
        cure="take the folder that answers this kit's newest request.json",
    )
