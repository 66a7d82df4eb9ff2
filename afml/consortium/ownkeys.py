"""A party's own keys: made in its own kit, which no private key ever leaves.

make(kit, party)             new keys and request.json, which goes to the coordinator
make_like(kit, other)        the same institution in another consortium: same keys, another TLS key
make_successor(kit, other)   the same institution with new keys, which the old signing key names
renew(kit)                   another TLS key and request.json; the one in use stays until the answer is installed
The coordinator's answer comes into the kit by `afml.consortium.installing`.
"""

from __future__ import annotations

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
from afml.consortium.authority import host_name
from afml.consortium.request import REQUEST, Request, Role, read_request
from afml.consortium.roster import KeyChange
from afml.core.config import complaint
from afml.core.errors import InputError
from afml.core.files import read_secret, staged_folder, write_bytes, write_secret
from crypto.public.signing import generate_signing_key, public_bytes, sign

NEXT_TLS_KEY = "next-tls.key"  # asked for and not yet certified
DEFAULT_HOSTS = ("localhost", "127.0.0.1")


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


def certificate_request(folder: Path) -> bytes:
    """What another authority than the coordinator's is asked with: PKCS 10, PEM, with the names that it must certify.

    Args:
        folder: The kit, with the roster in it; of a TLS key that awaits a certificate, else of the present one.

    Raises:
        InputError, IntegrityError: A file is missing or wrong, or the roster does not name this kit's keys.
    """
    asked, roster = read_request(folder / REQUEST), kit.load_roster(folder)
    path = folder / (NEXT_TLS_KEY if (folder / NEXT_TLS_KEY).exists() else kit.TLS_KEY)
    key = kit.load_private_key(read_secret(path), path)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "request.json would not have been signed"
    party = next((f"node/{one.node}" for one in roster.members if one.signing_key == asked.signing_key), asked.role)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(kit.party_uri(roster.consortium, party))]
    names += [host_name(host) for host in asked.hosts]
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party)]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


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
