"""Looking at an aggregator before anything is said to it: a plain handshake, whose certificate gRPC then takes alone.

gRPC in Python does not show the other side's certificate, and takes any of the consortium's authority that fits the
host. So the same way is gone first by a plain handshake; what was shown is checked, whether it is the aggregator's and
in force, and gRPC is given that one certificate as the only one to trust. Errors of the handshake say what is wrong
where gRPC's do not.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from dataclasses import replace

from cryptography import x509

from afml.consortium import route
from afml.consortium.inforce import InForce
from afml.consortium.kit import TlsIdentity, party_of_peer, uris
from afml.consortium.roster import Roster
from afml.consortium.route import Address, connect, proxy_for
from afml.consortium.tls import refusal
from afml.core.errors import InputError, TransportError

SEEN = "seen.json"
"""In a kit: from when on the certificates count that parties were met with."""


def addresses(text: str) -> list[str]:
    """Those of one aggregator: host:port, or several behind commas, of which one is served at a time.

    Raises:
        TransportError: One of several is empty.
    """
    found = [one.strip() for one in text.split(",")]
    if not all(found):
        raise TransportError("names an empty address", where=text, cure="for example one.org:7443,two.org:7443")
    return found


def shake_hands(address: str, tls: TlsIdentity) -> bytes:
    """One TLS handshake, by the way that gRPC takes, at the first of some addresses where that can be done.

    Returns:
        The aggregator's certificate, DER.

    Raises:
        TransportError: An address is none, the proxy is none, or a certificate is refused by either side.
        OSError: Nobody answers.
    """
    *others, last = addresses(address)
    for one in others:
        with contextlib.suppress(OSError, TransportError):  # the aggregator may be at the next one
            return _shake_hands(one, tls)
    return _shake_hands(last, tls)


def shown_by(address: str, tls: TlsIdentity, roster: Roster, certificates: InForce) -> bytes:
    """The certificate that an aggregator shows, PEM.

    Args:
        address: host:port, or name@host:port.
        tls: Of who looks.
        roster: The consortium.
        certificates: Which count.

    Raises:
        TransportError: It is refused by either side, is another party's, or does not count any more.
        OSError: Nobody answers.
    """
    pem = ssl.DER_cert_to_PEM_cert(shake_hands(address, tls)).encode()
    names = uris(x509.load_pem_x509_certificate(pem))
    if party_of_peer(names, roster) != "aggregator":
        raise TransportError("what answers there is another party's", where=address, cure="correct --aggregator")
    certificates.check("aggregator", pem)
    return pem


def pinned(tls: TlsIdentity, pem: bytes) -> TlsIdentity:
    """An identity that trusts this one certificate at the other end alone."""
    return replace(tls, ca=pem)


def _shake_hands(address: str, tls: TlsIdentity) -> bytes:
    try:
        at = Address.of(address)
        proxy = proxy_for(at.host, os.environ)
    except InputError as error:
        raise TransportError(error.problem, where=error.where, cure=error.cure) from None
    try:
        return route.shake_hands(connect(at, proxy), at, tls)
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the aggregator's certificate is refused ({error.verify_message})",
            where=address,
            cure="check that the address is in its certificate (or put the name that is before it: "
            "--aggregator NAME@HOST:PORT) and that both kits come from one provisioning",
        ) from None
    except ssl.SSLError as error:
        raise refusal(error, address) from None
