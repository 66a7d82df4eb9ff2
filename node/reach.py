"""Reaching the aggregator: one plain handshake, whose errors say what is wrong where gRPC's do not."""

from __future__ import annotations

import contextlib
import os
import ssl

from afml.consortium import route
from afml.consortium.nodekit import NodeKit
from afml.consortium.route import Address, connect, proxy_for
from afml.consortium.tls import refusal
from afml.core.errors import InputError, TransportError
from node.patience import Patience


def preflight(address: str, kit: NodeKit, patience: Patience) -> None:
    """Wait until somebody listens at the address, and shake hands once.

    Args:
        address: host:port, or several behind commas.
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


def addresses(text: str) -> list[str]:
    """Those of one aggregator: host:port, or several behind commas, of which one is served at a time.

    Raises:
        TransportError: One of several is empty.
    """
    found = [one.strip() for one in text.split(",")]
    if not all(found):
        raise TransportError("names an empty address", where=text, cure="for example one.org:7443,two.org:7443")
    return found


def shake_hands(address: str, kit: NodeKit) -> bytes:
    """One TLS handshake, by the way that gRPC takes, at the first address where that can be done.

    Returns:
        The aggregator's certificate, DER.

    Raises:
        TransportError: An address is none, the proxy is none, or a certificate is refused by either side.
        OSError: Nobody answers.
    """
    *others, last = addresses(address)
    for one in others:
        with contextlib.suppress(OSError, TransportError):  # the aggregator may be at the next one
            return _shake_hands(one, kit)
    return _shake_hands(last, kit)


def _shake_hands(address: str, kit: NodeKit) -> bytes:
    try:
        at = Address.of(address)
        proxy = proxy_for(at.host, os.environ)
    except InputError as error:
        raise TransportError(error.problem, where=error.where, cure=error.cure) from None
    try:
        return route.shake_hands(connect(at, proxy), at, kit.tls)
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the aggregator's certificate is refused ({error.verify_message})",
            where=address,
            cure="check that the address is in its certificate (or put the name that is before it: "
            "--aggregator NAME@HOST:PORT) and that both kits come from one provisioning",
        ) from None
    except ssl.SSLError as error:
        raise refusal(error, address) from None
