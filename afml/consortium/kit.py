"""Kits, the part that holds no run key: TLS files, roster, and the aggregator's whole kit.

A kit is a folder per party:

    signing.key                          Ed25519, PEM (0600)
    sealing.key                          X25519, PEM (0600), nodes only
    tls.key                              ECDSA P-256, PEM (0600)
    request.json                         their public halves, as the coordinator was sent them
    certificates.json                    from when on each party's certificates count (`afml.consortium.inforce`)
    roster.json  roster.sig  ca.pem      the same for all; the roster is signed by the coordinator
    history.jsonl                        all versions of the roster, once there are several (`afml.consortium.history`)
    tls.pem                              certificate of this party
    ca.key                               the consortium's authority (0600), coordinator only

The party makes the keys (`afml.consortium.ownkeys`); the coordinator answers with the rest
(`afml.consortium.provision`). A certificate names its party in a URI: `afml://<consortium>/node/3`,
`.../aggregator`, `.../coordinator`. Only the aggregator's may serve TLS, so no member can pose as the aggregator.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from afml.consortium.history import HISTORY as HISTORY
from afml.consortium.history import ROSTER as ROSTER
from afml.consortium.history import ROSTER_SIGNATURE as ROSTER_SIGNATURE
from afml.consortium.history import History, load_history
from afml.consortium.history import load_roster as load_roster
from afml.consortium.history import roster_message as roster_message
from afml.consortium.request import require_role
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, InputError, TransportError
from afml.core.files import read_secret, require_file
from crypto.public.signing import public_bytes

CA, CERTIFICATE = "ca.pem", "tls.pem"
TLS_KEY, SIGNING_KEY, SEALING_KEY, CA_KEY = "tls.key", "signing.key", "sealing.key", "ca.key"
CURE = "install the coordinator's answer to this very kit with `afml keys install`"


@dataclass(frozen=True)
class TlsIdentity:
    """PEM bytes for gRPC's credentials; a repr shows party and expiry only."""

    party: str
    ca: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    expires: dt.datetime


@dataclass(frozen=True)
class AggregatorKit:
    """Everything the aggregator holds: its TLS identity, its transcript key, a version of the roster and all others."""

    roster: Roster
    tls: TlsIdentity
    signing_key: Ed25519PrivateKey = field(repr=False)
    history: History
    folder: Path

    def under(self, run: RunConfig) -> AggregatorKit:
        """This kit with the version of the roster that a run was configured under.

        Raises:
            InputError: The kit does not have it, or another aggregator stands on it.
        """
        roster = self.history.of(run.roster, f"run {run.run}")
        if roster.aggregator_key != self.roster.aggregator_key:
            raise other_keys(run, roster)
        return replace(self, roster=roster)


def other_keys(run: RunConfig, roster: Roster) -> InputError:
    """That a party had other keys, or none, when a run was configured."""
    return InputError(
        f"is of version {roster.version} of the roster, which does not name this kit's keys",
        where=f"run {run.run}",
        cure="finish it with the kit of that time, or have it made anew with `afml configure`",
    )


def party_uri(consortium: str, party: str) -> str:
    """The URI of a party in its certificate; `party` is "node/3", "aggregator" or "coordinator"."""
    return f"afml://{quote(consortium, safe='')}/{party}"


def party_of_peer(names: Iterable[bytes | str], roster: Roster) -> str:
    """Which party of a consortium a TLS peer is: "node/3", "aggregator" or "coordinator".

    Args:
        names: As of `node_of_peer`.
        roster: The consortium.

    Raises:
        TransportError: The certificate names no party of this consortium, or several.
    """
    uris = {name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names}
    stem = party_uri(roster.consortium, "")
    found = [uri.removeprefix(stem) for uri in uris if uri.startswith(stem)]
    if len(found) != 1:
        raise TransportError(f"certificate names no party of {roster.consortium}", where="TLS peer", cure=CURE)
    return found[0]


def node_of_peer(names: Iterable[bytes | str], roster: Roster) -> int:
    """The roster's node number of a TLS peer.

    Args:
        names: Its certificate's subject alternative names, as gRPC's
            `context.auth_context()["x509_subject_alternative_name"]` lists them.
        roster: The consortium.

    Raises:
        TransportError: The certificate names no node of this consortium.
    """
    uris = {name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names}
    nodes = [m.node for m in roster.members if party_uri(roster.consortium, f"node/{m.node}") in uris]
    if len(nodes) != 1:
        raise TransportError(
            f"certificate names no node of consortium {roster.consortium}", where="TLS peer", cure=CURE
        )
    return nodes[0]


def load_tls(folder: Path, roster: Roster, party: str, *, now: dt.datetime | None = None) -> TlsIdentity:
    """Read and check a kit's TLS files.

    Args:
        folder: The kit.
        roster: The consortium's.
        party: Whose certificate it must be: "node/3", "aggregator" or "coordinator".
        now: Time to check validity at; the clock's by default.

    Raises:
        InputError: A file is missing or malformed, the key is readable by others, the certificate comes from
            another authority than the roster's, is expired or not yet valid, names another party, or the key is
            not its key.
    """
    path = folder / CERTIFICATE
    ca = load_certificate(folder / CA, "consortium certificate")
    certificate = load_certificate(path, "TLS certificate")
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        raise InputError("certificate was not issued by this consortium", where=path, cure=CURE) from None
    if ca.fingerprint(hashes.SHA256()).hex() != roster.authority:
        raise InputError("is not the certificate authority on the roster", where=folder / CA, cure=CURE)
    _check_time(ca, folder / CA, now)
    _check_time(certificate, path, now)
    uri = party_uri(roster.consortium, party)
    if uri not in uris(certificate):
        raise InputError(f"certificate does not name {uri}", where=path, cure=CURE)
    key_pem = read_secret(folder / TLS_KEY)
    key = load_private_key(key_pem, folder / TLS_KEY)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise InputError("key does not match the certificate", where=folder / TLS_KEY, cure=CURE)
    return TlsIdentity(
        party,
        ca.public_bytes(Encoding.PEM),
        certificate.public_bytes(Encoding.PEM),
        key_pem,
        certificate.not_valid_after_utc,
    )


class Renewed:
    """A kit's TLS files, read at the first call and again when they have changed.

    Args:
        folder: The kit.
        party: Whose.
    """

    def __init__(self, folder: Path, party: str) -> None:
        self._folder, self._party = folder, party
        self._stamp: list[tuple[int, int]] = []

    def __call__(self) -> TlsIdentity | None:
        """The present identity, at the first call and where it is new; None where it is not, or is being installed."""
        files = self._folder / CERTIFICATE, self._folder / TLS_KEY
        try:
            stamp = [(one.st_mtime_ns, one.st_ino) for one in map(Path.stat, files)]
            if stamp == self._stamp:
                return None
            found = load_tls(self._folder, load_roster(self._folder), self._party)
        except (AfmlError, OSError):
            return None
        self._stamp = stamp
        return found


def load_signing_key(folder: Path, public_hex: str) -> Ed25519PrivateKey:
    """Read a kit's Ed25519 key and compare it with the roster's public key.

    Raises:
        InputError: Missing, malformed, readable by others, or another party's.
    """
    path = folder / SIGNING_KEY
    key = load_private_key(read_secret(path), path)
    if not isinstance(key, Ed25519PrivateKey) or public_bytes(key).hex() != public_hex:
        raise InputError("signing key is not the one on the roster", where=path, cure=CURE)
    return key


def load_aggregator_kit(folder: Path, *, now: dt.datetime | None = None) -> AggregatorKit:
    """Read and check the aggregator's kit.

    Raises:
        InputError, IntegrityError: As `load_roster`, `load_tls`, `load_signing_key`.
    """
    require_kit(folder)
    require_role(folder, "aggregator")
    history = load_history(folder)
    roster = history.present
    tls = load_tls(folder, roster, "aggregator", now=now)
    return AggregatorKit(roster, tls, load_signing_key(folder, roster.aggregator_key), history, folder)


def require_kit(folder: Path) -> None:
    """Check that `folder` is there.

    Raises:
        InputError: It is not a folder.
    """
    if not folder.is_dir():
        raise InputError("kit does not exist", where=folder, cure="make it with `afml keys init`")


def load_private_key(pem: bytes, where: Path) -> PrivateKeyTypes:
    """Parse an unencrypted PEM private key; errors never quote it.

    Raises:
        InputError: It is not one.
    """
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise InputError("not a PEM private key", where=where, cure=CURE) from None


def private_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """A private key as key files hold it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_certificate(path: Path, what: str) -> x509.Certificate:
    """Parse a PEM certificate; `what` names it in errors.

    Raises:
        InputError: Missing or not a certificate.
    """
    data = require_file(path, what, CURE).read_bytes()
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise InputError(f"{what} is not a PEM certificate", where=path, cure=CURE) from None


def _check_time(certificate: x509.Certificate, path: Path, now: dt.datetime | None) -> None:
    moment = now or dt.datetime.now(dt.UTC)
    if moment > certificate.not_valid_after_utc:
        raise InputError(
            f"certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
            where=path,
            cure="ask the coordinator for another with `afml keys renew`",
        )
    if moment < certificate.not_valid_before_utc:
        raise InputError(
            f"certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            where=path,
            cure="check this machine's clock",
        )


def uris(certificate: x509.Certificate) -> list[str]:
    """The URIs that a certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
