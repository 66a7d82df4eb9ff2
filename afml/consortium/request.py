"""What a party asks of the coordinator: to be put on the roster by its public keys, and a TLS certificate.

`request.json` lies in the party's kit and is public. It is signed by the signing key that it names, and its
certificate request (PKCS 10) by the TLS key, so that nobody can have somebody else's keys entered as his own.
Whether the request comes from the institution that it names is for people to find out: both sides compare
its fingerprint.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationInfo, field_validator

from afml.consortium import messages
from afml.consortium.roster import LONGEST_NAME, MOST_KEY_CHANGES, KeyChange, check_lineage, founder_of, origin_of
from afml.core.config import Signed
from afml.core.errors import InputError
from crypto.public.signing import verify

REQUEST = "request.json"
_KEY = r"^[0-9a-f]{64}$"
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?")

Role = Literal["node", "aggregator", "coordinator"]


class Request(Signed):
    """A party's public keys and its certificate request. Keys are hex of raw public keys.

    Attributes:
        role: What it wants to be.
        name: Of the institution, as others will read it.
        signing_key: Ed25519.
        sealing_key: X25519, of nodes; "" of others.
        lineage: How the signing key followed from the one that the institution began with.
        hosts: DNS names and addresses that the aggregator serves; none of others.
        tls: Certificate request, PEM.
        signature: By the signing key over all of it, hex.
    """

    role: Role
    name: str
    signing_key: str = Field(pattern=_KEY)
    sealing_key: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    lineage: tuple[KeyChange, ...] = Field(default=(), max_length=MOST_KEY_CHANGES)
    hosts: tuple[str, ...] = Field(default=(), max_length=64)
    tls: str = Field(max_length=20_000)
    signature: str = Field(default="", pattern=r"^([0-9a-f]{2})*$")

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not 1 <= len(name) <= LONGEST_NAME or name != name.strip() or not name.isprintable():
            raise ValueError(f"has 1 to {LONGEST_NAME} printable characters")
        return name

    @field_validator("sealing_key")
    @classmethod
    def _of_nodes(cls, key: str, info: ValidationInfo) -> str:
        if bool(key) != (info.data.get("role") == "node"):
            raise ValueError("is what nodes have, and nobody else")
        return key

    @field_validator("hosts")
    @classmethod
    def _of_the_aggregator(cls, hosts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if bool(hosts) != (info.data.get("role") == "aggregator"):
            raise ValueError("are what the aggregator has, and nobody else")
        for host in hosts:
            if not _HOST.fullmatch(host):
                _require_address(host)
        return hosts

    @property
    def founder(self) -> str:
        """The signing key that the institution began with, hex."""
        return founder_of(self.signing_key, self.lineage)

    @property
    def origin(self) -> str:
        """Name of the institution's ledger."""
        return origin_of(bytes.fromhex(self.founder))

    @property
    def fingerprint(self) -> str:
        """What people compare on the telephone."""
        return fingerprint(self.digest())

    @property
    def tls_key(self) -> ec.EllipticCurvePublicKey:
        """The public key that a certificate is asked for. Only for requests that `read_request` has checked."""
        key = x509.load_pem_x509_csr(self.tls.encode()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return key

    def message(self) -> bytes:
        """The signed bytes."""
        return messages.party_request(self.model_copy(update={"signature": ""}).canonical())


def _require_address(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host} is no DNS name or address, without a scheme and without a port") from None


def fingerprint(digest: bytes) -> str:
    """The first 16 bytes of a digest, in groups that can be read aloud."""
    text = digest[:16].hex()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def read_request(path: Path) -> Request:
    """Read a request and check that whoever made it holds the keys that it names.

    Raises:
        InputError: Missing or malformed, or its certificate request is not one of a P-256 key.
        IntegrityError: Not signed by the keys that it names.
    """
    request = Request.load(path)
    verify(bytes.fromhex(request.signing_key), request.message(), bytes.fromhex(request.signature), where=path)
    check_lineage(request.signing_key, request.lineage, path)
    try:
        asked = x509.load_pem_x509_csr(request.tls.encode())
        key = asked.public_key()
        p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        sound = p256 and asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        sound = False
    if not sound:
        raise InputError(
            "holds no certificate request of a P-256 key", where=path, cure="make it with `afml keys init`"
        )
    return request


def require_role(kit: Path, role: Role) -> None:
    """Check that a kit, as far as it says whose it is, is that of such a party.

    Raises:
        InputError: It is another's.
    """
    path = kit / REQUEST
    if path.exists() and (found := read_request(path).role) != role:
        article = {"node": "a node", "aggregator": "an aggregator", "coordinator": "a coordinator"}
        raise InputError(f"is the kit of {article[found]}", where=kit, cure=f"give that of {article[role]}")
