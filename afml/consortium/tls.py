"""Connections between parties: mutual TLS 1.3 with the certificates of their consortium."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from afml.consortium.kit import TlsIdentity
from afml.core.errors import TransportError
from afml.core.tls13 import require_in_force

_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")
_OLD = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW")


def channel_credentials(tls: TlsIdentity) -> grpc.ChannelCredentials:
    """Of a party that connects.

    Raises:
        TransportError: TLS 1.3 cannot be required in this process.
    """
    require_in_force()
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)


def server_credentials(
    tls: TlsIdentity, renewed: Callable[[], TlsIdentity | None] = lambda: None
) -> grpc.ServerCredentials:
    """Of the party that listens; who connects must show a certificate.

    Args:
        tls: What it listens with.
        renewed: Asked before each handshake for what it listens with from then on; None for no change.

    Raises:
        TransportError: TLS 1.3 cannot be required in this process.
    """
    require_in_force()

    def present() -> Any:
        found = renewed()
        return None if found is None else _served(found)

    return grpc.dynamic_ssl_server_credentials(_served(tls), present, require_client_authentication=True)


def _served(tls: TlsIdentity) -> Any:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], root_certificates=tls.ca)


def client_context(tls: TlsIdentity) -> ssl.SSLContext:
    """For one plain handshake, whose errors say what is wrong."""
    context = ssl.create_default_context(cadata=tls.ca.decode())
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority may itself be certified by another one
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:  # ssl loads from files only; mode 0700, gone at once
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(tls.certificate + tls.key)
        context.load_cert_chain(pair)
    return context


def refusal(error: ssl.SSLError, address: str) -> TransportError:
    """What a failed handshake of a `client_context` means, but for a certificate that this side refuses."""
    reason = error.reason or ""
    if any(old in reason for old in _OLD):
        return TransportError(
            f"what listens there does not speak TLS 1.3 ({reason})",
            where=address,
            cure="update AFML at the aggregator; nothing may stand between that ends TLS itself",
        )
    if isinstance(error, ssl.SSLEOFError):
        return TransportError(
            "took the connection and hung up",
            where=address,
            cure="see that `afml aggregator` runs behind the load balancer or port forwarding",
        )
    if any(other in reason for other in _NO_TLS):
        return TransportError(
            f"what listens there does not speak TLS ({reason})",
            where=address,
            cure="correct the address; a load balancer or proxy must pass connections through to `afml aggregator`",
        )
    return TransportError(
        f"the aggregator refuses this node's certificate ({reason})",
        where=address,
        cure="use the kit of this consortium, or renew an expired certificate",
    )
