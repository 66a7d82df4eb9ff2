"""What the status of a call means to a node."""

from __future__ import annotations

import grpc

from afml.consortium.connection import GONE_S
from afml.core.errors import AfmlError, ProtocolError, Superseded, TransportError, Twin

AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,  # the aggregator stops and cancels its calls
    grpc.StatusCode.UNAUTHENTICATED,  # until another certificate is in the kit
)
"""Of an aggregator that is away, for now."""
_SAYS_NOTHING = {grpc.StatusCode.CANCELLED: "it is stopping"}
_REFUSED = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
)


def translated(error: grpc.RpcError, address: str) -> AfmlError:
    """What the status of a call means, as an error of ours.

    Args:
        error: What the call ended by.
        address: The aggregator's.
    """
    code, detail = error.code(), (error.details() or "").splitlines()
    text = "".join(c for c in detail[0] if c.isprintable())[:300] if detail else _SAYS_NOTHING.get(code, code.name)
    if code == grpc.StatusCode.ABORTED:
        return Superseded(text, where=f"aggregator {address}")
    if code == grpc.StatusCode.ALREADY_EXISTS:
        cure = f"stop one of the two; where that machine is gone, its place is free within {GONE_S:.0f} s"
        return Twin(text, where=f"aggregator {address}", cure=cure)
    if code in _REFUSED:
        return ProtocolError(text, where=f"aggregator {address}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransportError("no answer in time", where=f"aggregator {address}", cure="check the other nodes")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        problem, cure = "it does not know a call of this version of AFML", "have both use the same version of AFML"
        return ProtocolError(problem, where=f"aggregator {address}", cure=cure)
    if code == grpc.StatusCode.UNAUTHENTICATED:
        cure = "install the coordinator's newest answer with `afml keys install`; this node then goes on by itself"
        return TransportError(text[:200], where=f"aggregator {address}", cure=cure)
    return TransportError(
        text[:200],
        where=f"aggregator {address}",
        cure="start the aggregator again; nodes pick the run up where it stood",
    )
