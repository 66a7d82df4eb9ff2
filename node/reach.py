"""Reaching the aggregator: one plain handshake, whose errors say what is wrong where gRPC's do not."""

from __future__ import annotations

import socket
import ssl

from afml.consortium.nodekit import NodeKit
from afml.consortium.tls import client_context, refusal
from afml.core.errors import TransportError
from node.patience import Patience

_ANSWER_S = 5


def preflight(address: str, kit: NodeKit, patience: Patience) -> None:
    """Wait until somebody listens at the address, and shake hands once.

    Args:
        address: host:port.
        kit: This node's certificate and key.
        patience: How long to wait for somebody to listen there.

    Raises:
        TransportError: Nobody listens for too long, or a certificate is refused by either side.
        Stopped: This node is to stop.
    """
    while True:
        try:
            shake_hands(address, kit)
            return patience.answered()
        except OSError as error:
            patience.endure(error.strerror or str(error))


def reason(address: str, kit: NodeKit) -> str:
    """Why nobody answers at an address, in a few words; "" where somebody does."""
    try:
        shake_hands(address, kit)
    except TransportError as error:
        return error.problem
    except OSError as error:
        return error.strerror or str(error)
    return ""


def shake_hands(address: str, kit: NodeKit) -> None:
    """One TLS handshake.

    Raises:
        TransportError: The address is none, or a certificate is refused by either side.
        OSError: Nobody answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise TransportError("is not host:port", where=address, cure="for example localhost:7443")
    name = host.strip("[]")
    try:
        with (
            socket.create_connection((name, int(port)), timeout=_ANSWER_S) as plain,
            client_context(kit.tls).wrap_socket(plain, server_hostname=name) as secure,
        ):
            # In TLS 1.3 the server judges our certificate after its own handshake is done: its first
            # bytes are HTTP/2 settings, or an alert.
            secure.recv(1)
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the aggregator's certificate is refused ({error.verify_message})",
            where=address,
            cure="check that the address is in its certificate and that both kits come from one provisioning",
        ) from None
    except ssl.SSLError as error:
        raise refusal(error, address) from None
