"""Provisioning: the consortium's certificate authority, every party's keys and the signed roster.

`provision` makes one folder per party (see `afml.consortium.kit` for its files). Keys are made in one place
for convenience, and each folder goes to its party over a channel the parties trust. Whoever runs provisioning
could keep copies; docs/CRYPTO.md says what that would let them do.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from afml.consortium import kit
from afml.consortium.roster import Member, Roster
from afml.core.errors import InputError
from afml.core.files import read_secret, staged_folder, write_bytes, write_secret
from crypto.public.signing import generate_signing_key, public_bytes, sign

DEFAULT_HOSTS = ("localhost", "127.0.0.1")
AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 730


class _Authority:
    """The consortium's certificate authority."""

    def __init__(self, consortium: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.consortium, self.certificate, self.key = consortium, certificate, key

    @classmethod
    def make(cls, consortium: str) -> _Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"AFML {consortium}"[:64])])
        builder = _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return cls(consortium, builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256()), key)

    def issue(self, folder: Path, party: str, hosts: Sequence[str], days: int) -> None:
        """Write tls.key and tls.pem for `party`; only the aggregator's certificate serves hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        server = party == "aggregator"
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(kit.party_uri(self.consortium, party))]
        if server:
            names += [_host(host) for host in hosts]
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party)])
        builder = _builder(subject, self.certificate.subject, key.public_key(), days)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self.key, hashes.SHA256())
        write_secret(folder / kit.TLS_KEY, _pem(key))
        write_bytes(folder / kit.CERTIFICATE, certificate.public_bytes(Encoding.PEM))


def provision(
    out: Path,
    consortium: str,
    nodes: int | Sequence[str],
    hosts: Sequence[str] = DEFAULT_HOSTS,
    *,
    days: int = CERTIFICATE_DAYS,
) -> Roster:
    """Make the start kits `out/node-1`, ..., `out/aggregator`, `out/coordinator`.

    Args:
        out: A folder that does not exist yet; it appears whole or not at all.
        consortium: Its name.
        nodes: How many institutions, or their names.
        hosts: DNS names and addresses under which the aggregator is reached.
        days: Validity of the parties' certificates.

    Raises:
        InputError: `out` exists, a name is empty or repeated, fewer than one node, or no host.
    """
    names = [f"node-{number}" for number in range(1, nodes + 1)] if isinstance(nodes, int) else list(nodes)
    _check_arguments(out, consortium, names, hosts)
    coordinator, aggregator = generate_signing_key(), generate_signing_key()
    signing = [generate_signing_key() for _ in names]
    sealing = [X25519PrivateKey.generate() for _ in names]
    roster = Roster(
        consortium=consortium,
        coordinator_key=public_bytes(coordinator).hex(),
        aggregator_key=public_bytes(aggregator).hex(),
        members=tuple(
            Member(
                node=number,
                name=name,
                signing_key=public_bytes(signing[number - 1]).hex(),
                sealing_key=sealing[number - 1].public_key().public_bytes_raw().hex(),
            )
            for number, name in enumerate(names, start=1)
        ),
    )
    authority = _Authority.make(consortium)
    with staged_folder(out) as staged:
        for number in range(1, len(names) + 1):
            folder = _kit(staged / f"node-{number}", authority, roster, coordinator)
            authority.issue(folder, f"node/{number}", (), days)
            write_secret(folder / kit.SIGNING_KEY, _pem(signing[number - 1]))
            write_secret(folder / kit.SEALING_KEY, _pem(sealing[number - 1]))
        for party, key in (("aggregator", aggregator), ("coordinator", coordinator)):
            folder = _kit(staged / party, authority, roster, coordinator)
            authority.issue(folder, party, hosts, days)
            write_secret(folder / kit.SIGNING_KEY, _pem(key))
        write_secret(staged / "coordinator" / kit.CA_KEY, _pem(authority.key))
    return roster


def renew(
    coordinator: Path,
    party: str,
    out: Path,
    *,
    hosts: Sequence[str] | None = None,
    days: int = CERTIFICATE_DAYS,
) -> None:
    """Issue one party a new TLS key and certificate; nobody else's changes.

    Args:
        coordinator: The coordinator's kit (it holds the authority's key).
        party: "node-3", "node/3", "aggregator" or "coordinator".
        out: Folder for tls.key, tls.pem and ca.pem; the party's kit itself may be given.
        hosts: For the aggregator; by default those of the certificate in `out`, else localhost.
        days: Validity.

    Raises:
        InputError: The kit lacks the authority's key, or the party is not on the roster.
    """
    kit.require_kit(coordinator)
    roster = kit.load_roster(coordinator)
    name = party.replace("node-", "node/", 1)
    if name not in {"aggregator", "coordinator", *(f"node/{member.node}" for member in roster.members)}:
        raise InputError(f"party {party} is not on the roster", where=coordinator, cure="use node-N or aggregator")
    authority = _load_authority(coordinator, roster.consortium)
    if hosts is None:
        current = out / kit.CERTIFICATE
        hosts = kit.certificate_hosts(current.read_bytes()) if current.exists() else DEFAULT_HOSTS
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_bytes(out / kit.CA, authority.certificate.public_bytes(Encoding.PEM))
    authority.issue(out, name, hosts or DEFAULT_HOSTS, days)


def load_coordinator_key(folder: Path) -> Ed25519PrivateKey:
    """The coordinator's key for signing run configurations.

    Raises:
        InputError, IntegrityError: As `afml.consortium.kit.load_signing_key`.
    """
    kit.require_kit(folder)
    return kit.load_signing_key(folder, kit.load_roster(folder).coordinator_key)


def _load_authority(folder: Path, consortium: str) -> _Authority:
    key = kit.load_private_key(read_secret(folder / kit.CA_KEY), folder / kit.CA_KEY)
    certificate = kit.load_certificate(folder / kit.CA, "consortium certificate")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InputError("authority's key does not match its certificate", where=folder / kit.CA_KEY)
    return _Authority(consortium, certificate, key)


def _kit(folder: Path, authority: _Authority, roster: Roster, coordinator: Ed25519PrivateKey) -> Path:
    folder.mkdir(mode=0o700)
    write_bytes(folder / kit.ROSTER, roster.canonical())
    write_bytes(folder / kit.ROSTER_SIGNATURE, sign(coordinator, kit.roster_message(roster)))
    write_bytes(folder / kit.CA, authority.certificate.public_bytes(Encoding.PEM))
    return folder


def _check_arguments(out: Path, consortium: str, names: Sequence[str], hosts: Sequence[str]) -> None:
    if out.exists():
        raise InputError("already exists; its keys would be lost", where=out, cure="choose another folder")
    if not consortium.strip() or len(consortium) > 40:
        raise InputError("a consortium's name has 1 to 40 characters", where="consortium")
    if not 1 <= len(names) <= 1024:
        raise InputError(f"{len(names)} nodes", where="nodes", cure="use 1 to 1024")
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise InputError("node names must differ and not be empty", where="nodes")
    if not hosts:
        raise InputError("no name or address to reach the aggregator under", where="hosts", cure="give --host")


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # parties' clocks differ a little
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
