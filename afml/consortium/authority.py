"""The consortium's certificate authority: its key lies in the coordinator's kit, or with somebody else altogether."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from afml.consortium import kit
from afml.core.errors import InputError
from afml.core.files import read_secret, write_bytes, write_secret

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 730
EARLY_S = 3600
"""Seconds that a certificate begins before it is made, since clocks differ a little."""


class Authority:
    """A certificate, and its key unless another authority certifies the parties (step-ca, a hospital's)."""

    def __init__(self, consortium: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> None:
        self.consortium, self._certificate, self._key = consortium, certificate, key

    @classmethod
    def make(cls, consortium: str) -> Authority:
        """A new authority for a consortium of this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"AFML {consortium}"[:64])])
        builder = _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return cls(consortium, builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256()), key)

    @classmethod
    def external(cls, path: Path, consortium: str) -> Authority:
        """Another authority, by the certificate whose key signs parties' certificates: of an intermediate one, its own.

        Raises:
            InputError: It is no certificate, or not of an authority.
        """
        certificate = kit.load_certificate(path, "authority's certificate")
        try:
            issues = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            issues = False
        if not issues:
            raise InputError("is no authority's certificate", where=path, cure="give the one that signs certificates")
        return cls(consortium, certificate, None)

    @classmethod
    def load(cls, folder: Path, consortium: str) -> Authority:
        """The authority of the coordinator's kit.

        Raises:
            InputError: The kit holds no certificate of one, or a key that is not the certificate's.
        """
        path = folder / kit.CA_KEY
        if not path.exists():
            return cls.external(folder / kit.CA, consortium)
        key = kit.load_private_key(read_secret(path), path)
        certificate = kit.load_certificate(folder / kit.CA, "consortium certificate")
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise InputError(
                "authority's key does not match its certificate", where=path, cure="put the coordinator's kit back"
            )
        return cls(consortium, certificate, key)

    def save(self, folder: Path) -> None:
        """Write ca.pem and ca.key into the coordinator's kit; the key last, so that it is never without the other."""
        write_bytes(folder / kit.CA, self.pem())
        if self._key is not None:
            write_secret(folder / kit.CA_KEY, kit.private_pem(self._key))

    @property
    def certifies(self) -> bool:
        """Whether it is the coordinator's own."""
        return self._key is not None

    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    def digest(self) -> bytes:
        """SHA-256 of that certificate, as the roster holds it."""
        return hashlib.sha256(self._certificate.public_bytes(Encoding.DER)).digest()

    def certify(
        self, party: str, public: ec.EllipticCurvePublicKey, hosts: Sequence[str], days: int, after: int = 0
    ) -> bytes:
        """A PEM certificate of a party's own TLS key.

        Args:
            party: "node/3", "aggregator" or "coordinator"; only the aggregator's certificate serves.
            public: Its key.
            hosts: DNS names and addresses that the aggregator serves.
            days: Validity.
            after: Unix seconds: it begins later than this, so that it follows the party's last certificate.

        Raises:
            InputError: Another authority certifies here.
        """
        if self._key is None:
            raise InputError(
                "certificates of this consortium come from another authority",
                where=party,
                cure="ask it with what `afml keys csr` makes",
            )
        server = party == "aggregator"
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(kit.party_uri(self.consortium, party))]
        if server:
            names += [host_name(host) for host in hosts]
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party)])
        builder = _builder(subject, self._certificate.subject, public, days, after)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = builder.add_extension(identifier, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        return certificate.public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int, after: int = 0
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    begins = max(now - dt.timedelta(seconds=EARLY_S), dt.datetime.fromtimestamp(after + 1, dt.UTC))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
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


def host_name(host: str) -> x509.GeneralName:
    """A DNS name or an address, as certificates name it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
