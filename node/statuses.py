"""What the status of a call means to a node, in plain words.

A status comes of the aggregator, whose words are shown as they are, or of the gRPC library at this end, which speaks of
sockets, frames and file descriptors. What the library says is known by marks in it; where it says something else under
a status that is its own alone, the kind of trouble is named and no more.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from afml.consortium.connection import GONE_S
from afml.core.errors import AfmlError, ProtocolError, Superseded, TransportError, Twin

AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,  # the aggregator stops and cancels its calls
    grpc.StatusCode.UNAUTHENTICATED,  # until another certificate is in the kit
)
"""Of an aggregator that is away, for now."""
_AGAIN = "start the aggregator again; nodes pick the run up where it stood"
_REFUSED = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
)
_AGGREGATORS = (*_REFUSED, grpc.StatusCode.ABORTED, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.UNAUTHENTICATED)
"""Statuses that an aggregator gives, with words of its own: a sentence of it may hold any mark."""

_OTHERS = "Received http2 header with status: "
"""So begins what the library says, under any status, of somebody who answers by HTTP and not by gRPC."""


class _Library(NamedTuple):
    """Something that the gRPC library says of a connection.

    Attributes:
        marks: What it is known by.
        plain: The same in plain words.
        cure: What to do about it.
    """

    marks: re.Pattern[str]
    plain: str
    cure: str = _AGAIN


_LIBRARY = tuple(
    _Library(re.compile(marks), *told)
    for marks, *told in (
        (  # first, for whatever an exception's text may hold
            "^Exception (calling|iterating|deserializing|serializing)|^Unexpected <class",
            "it failed at this call, and its own log says why",
            "have its operator read that log",
        ),
        (
            "message larger than max",
            "a message is larger than either side takes",
            "have both use the same version of AFML",
        ),
        (
            f"^{_OTHERS}|[Ii]nvalid content-type|parsing HTTP/2|connect an http1",
            "something else answers there and no aggregator: a proxy, for one",
            "correct the address, or let HTTP/2 through; `afml doctor` looks at the way to it",
        ),
        (
            "[Hh]andshak(e|ing) (failed|error|timed)|TSI_|SSL_ERROR|CERTIFICATE_VERIFY",
            "no TLS came about: one side refuses the other's certificate, or nobody speaks TLS there",
            "see which with `afml doctor`; certificates are renewed with `afml keys renew`",
        ),
        (
            "contact DNS|DNS resolution|errors resolving|address lookup failed|Domain name not found",
            "its name leads to no address",
            "correct the address, or the name service of this machine",
        ),
        ("Connection refused", "nobody listens there (connection refused)"),
        (
            "No route to host|Network is unreachable|Host is (down|unreachable)",
            "no way leads there (network unreachable)",
            "look at this machine's network; `afml doctor` looks at the way to it",
        ),
        (
            "[Kk]eepalive|[Pp]ing timeout|too_many_pings|onnection timed out|connection attempt timed out",
            "it went silent: nothing came back in time",
            "look at the network between and at the aggregator's machine; this end tries again by itself",
        ),
        ("Cancelling all calls|[Ss]erver shutdown", "it is stopping"),
        (
            r"Socket closed|onnection reset|Broken pipe|\bGOAWAY\b|RST_STREAM|Stream removed|[Ee]ndpoint clos|"
            r"[Tt]ransport clos|\brecvmsg\b|\bsendmsg\b|to all addresses",
            "the connection broke off, or none came about",
        ),
    )
)
_NOTHING = {
    grpc.StatusCode.CANCELLED: "it is stopping",
    grpc.StatusCode.UNAVAILABLE: "it is away",
}
_LIBRARYS_ALONE = {
    grpc.StatusCode.INTERNAL: "the connection failed within",
    grpc.StatusCode.UNKNOWN: "it failed at this call, and its own log says why",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "one of the two machines has no room for this call",
    grpc.StatusCode.DATA_LOSS: "what came over the connection is damaged",
    grpc.StatusCode.OUT_OF_RANGE: "a message is longer than it may be",
}
"""Statuses that no aggregator gives: all that is known where the library's words are none of the above."""


def _library(error: grpc.RpcError) -> _Library | None:
    """What the library said; None where the words are the aggregator's."""
    said = error.details() or ""
    if error.code() in _AGGREGATORS and not said.startswith(_OTHERS):
        return None
    return next((one for one in _LIBRARY if one.marks.search(said)), None)


def not_served(error: grpc.RpcError) -> bool:
    """Whether an aggregator does not know the call, and not somebody else who answers in its place."""
    return error.code() is grpc.StatusCode.UNIMPLEMENTED and _library(error) is None


def plain(error: grpc.RpcError) -> tuple[str, str]:
    """Why a call failed, in plain words on one line, and what to do about it.

    Args:
        error: What the call ended by.
    """
    if found := _library(error):
        return found.plain, found.cure
    code, detail = error.code(), (error.details() or "").splitlines()
    said = "".join(c for c in detail[0] if c.isprintable())[:300] if detail else ""
    return _LIBRARYS_ALONE.get(code) or said or _NOTHING.get(code, "no reason is given"), _AGAIN


def translated(error: grpc.RpcError, address: str) -> AfmlError:
    """What the status of a call means, as an error of ours.

    Args:
        error: What the call ended by.
        address: The aggregator's.
    """
    code, (text, cure) = error.code(), plain(error)
    if code == grpc.StatusCode.ABORTED:
        return Superseded(text, where=f"aggregator {address}")
    if code == grpc.StatusCode.ALREADY_EXISTS:
        stop = f"stop one of the two; where that machine is gone, its place is free within {GONE_S:.0f} s"
        return Twin(text, where=f"aggregator {address}", cure=stop)
    if code in _REFUSED:
        return ProtocolError(text, where=f"aggregator {address}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransportError("no answer in time", where=f"aggregator {address}", cure="check the other nodes")
    if not_served(error):
        problem, same = "it does not know a call of this version of AFML", "have both use the same version of AFML"
        return ProtocolError(problem, where=f"aggregator {address}", cure=same)
    if code == grpc.StatusCode.UNAUTHENTICATED:
        newest = "install the coordinator's newest answer with `afml keys install`; this node then goes on by itself"
        return TransportError(text[:200], where=f"aggregator {address}", cure=newest)
    return TransportError(text[:200], where=f"aggregator {address}", cure=cure)
