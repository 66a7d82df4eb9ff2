"""Reaching the aggregator: waiting until somebody listens there, and why nobody answers."""

from __future__ import annotations

from afml.consortium.look import shake_hands
from afml.consortium.nodekit import NodeKit
from afml.core.errors import TransportError
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
            shake_hands(address, kit.tls)
            return patience.answered()
        except OSError as error:
            patience.endure(error.strerror or str(error))


def reason(address: str, kit: NodeKit) -> str:
    """Why nobody answers at an address, in a few words; "" where somebody does."""
    try:
        shake_hands(address, kit.tls)
    except TransportError as error:
        return error.problem
    except OSError as error:
        return error.strerror or str(error)
    return ""
