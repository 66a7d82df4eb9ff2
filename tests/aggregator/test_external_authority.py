"""Certificates of another authority (step-ca, a hospital's): by file, under the same rules, over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from afml.consortium import installing, ownkeys, provision
from afml.consortium.inforce import InForce
from afml.consortium.kit import CA_KEY, CERTIFICATE, load_aggregator_kit
from afml.consortium.look import shown_by
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST
from afml.core.errors import InputError
from tests.aggregator.test_peers import ask, serving, unauthenticated

PARTIES = ("node-1", "node-2", "aggregator")


@dataclass
class Outside:
    """An authority that knows nothing of AFML: an intermediate one, which certifies a request's names for both ends."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def made(cls) -> Outside:
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        root = _certificate("root", "root", keys[0].public_key(), keys[0], authority=True)
        assert root.issuer == root.subject
        return cls(keys[1], _certificate("intermediate", "root", keys[1].public_key(), keys[0], authority=True))

    def certify(self, csr: Path, out: Path, minutes_ago: float = 1.0) -> Path:
        """As `step ca sign` does."""
        asked = x509.load_pem_x509_csr(csr.read_bytes())
        assert asked.is_signature_valid
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = asked.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        made = _certificate("leaf", "intermediate", key, self.key, names=names, minutes_ago=minutes_ago)
        pems = [one.public_bytes(Encoding.PEM) for one in (made, self.certificate)]  # with the chain, as step-ca does
        out.write_bytes(b"".join(pems))
        return out


def _certificate(
    name: str, issuer: str, key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePrivateKey, *,
    authority: bool = False, names: x509.SubjectAlternativeName | None = None, minutes_ago: float = 60.0,
) -> x509.Certificate:  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=minutes_ago))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names is not None:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(names, critical=False).add_extension(
            x509.ExtendedKeyUsage(both), critical=False
        )
    return builder.sign(by, hashes.SHA256())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A consortium whose coordinator holds no authority's key."""
    outside, kits = Outside.made(), tmp_path / "kits"
    (tmp_path / "ca.pem").write_bytes(outside.certificate.public_bytes(Encoding.PEM))
    for party in (*PARTIES, "coordinator"):
        role = party.split("-")[0]
        ownkeys.make(kits / party, Party(role, party, ("localhost", "127.0.0.1") if role == "aggregator" else ()))  # type: ignore[arg-type]
    requests = [kits / party / REQUEST for party in PARTIES]
    provision.found(
        requests, kits / "coordinator", tmp_path / "answers", consortium="north", external=tmp_path / "ca.pem"
    )
    for party in PARTIES:
        installing.install(tmp_path / "answers" / party, kits / party)
        assert not (kits / party / CERTIFICATE).exists()
        certified(tmp_path, party, outside)
    assert not (kits / "coordinator" / CA_KEY).exists()
    return tmp_path


def certified(root: Path, party: str, outside: Outside, minutes_ago: float = 5.0) -> None:
    csr = root / f"{party}.csr"
    csr.write_bytes(ownkeys.certificate_request(root / "kits" / party))
    told = installing.install_certificate(
        outside.certify(csr, root / f"{party}.pem", minutes_ago), root / "kits" / party
    )
    assert told == party.replace("-", "/")


def test_parties_meet_by_certificates_of_another_authority(root: Path) -> None:
    async def scene() -> None:
        async with serving(root) as (port, _):
            kit = load_node_kit(root / "kits" / "node-1")
            assert await ask(port, kit.tls) == b"x"
            met = InForce(root / "kits" / "node-1", kit.roster, root / "met.json")
            shown = await asyncio.to_thread(shown_by, f"127.0.0.1:{port}", kit.tls, kit.roster, met)
            assert shown == load_aggregator_kit(root / "kits" / "aggregator").tls.certificate
            provision.revoke("node/1", root / "kits" / "coordinator", root / "revoked")
            installing.install(root / "revoked" / "others", root / "kits" / "aggregator")
            with unauthenticated():
                await ask(port, kit.tls)
            assert await ask(port, load_node_kit(root / "kits" / "node-2").tls) == b"x"

    asyncio.run(scene())


def test_a_certificate_that_is_not_this_partys_is_refused_and_leaves_the_kit_as_it_was(root: Path) -> None:
    kit, before = root / "kits" / "node-1", (root / "kits" / "node-1" / CERTIFICATE).read_bytes()
    csr = root / "one.csr"
    csr.write_bytes(ownkeys.certificate_request(kit))
    for path, words in (
        (Outside.made().certify(csr, root / "other.pem"), "was not issued by this consortium"),
        (root / "node-2.pem", "is not of this kit's TLS key"),
        (root / "one.csr", "is not a PEM certificate"),
    ):
        with pytest.raises(InputError, match=words):
            installing.install_certificate(path, kit)
    assert (kit / CERTIFICATE).read_bytes() == before
    ownkeys.make(root / "kits" / "another", Party("coordinator", "c"))
    requests = [root / "kits" / party / REQUEST for party in PARTIES]
    with pytest.raises(InputError, match="is no authority's certificate"):
        provision.found(requests, root / "kits" / "another", root / "y", consortium="x", external=root / "node-1.pem")
