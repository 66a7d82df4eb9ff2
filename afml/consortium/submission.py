"""Handing a signed run to an aggregator of many runs, over mutual TLS."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal, TypeAlias

import grpc

from afml.consortium.connection import NODE, to
from afml.consortium.inforce import InForce
from afml.consortium.kit import TlsIdentity, load_roster
from afml.consortium.look import SEEN, addresses, pinned, shown_by
from afml.consortium.route import Address
from afml.consortium.tls import channel_credentials
from afml.core.errors import AfmlError, ProtocolError, TransportError
from afml.core.files import require_file
from afml.core.plain import plain_line
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub

Turn: TypeAlias = Literal["served", "queued", "over"]
_TURNS: dict[int, Turn] = {wire.TURN_SERVED: "served", wire.TURN_QUEUED: "queued", wire.TURN_OVER: "over"}
_ANSWER_S = 30.0
_SILENT = {
    grpc.StatusCode.UNAVAILABLE: "it hung up",
    grpc.StatusCode.DEADLINE_EXCEEDED: f"not within {_ANSWER_S:.0f} s",
}


def submit(run_file: Path, address: str, kit: Path, tls: TlsIdentity) -> tuple[Turn, int]:
    """Hand a run over; one that was handed over before is left as it is.

    Args:
        run_file: run.json, with run.sig beside it.
        address: host:port of the aggregator, or several behind commas: the first that is it takes the run.
        kit: Of the coordinator or an institution.
        tls: From it.

    Returns:
        What becomes of the run now, and how many wait before it.

    Raises:
        InputError: A file is missing.
        ProtocolError: The aggregator refuses it.
        TransportError: No aggregator of the roster's answers there, by a certificate that counts, that takes runs.
    """
    signature = require_file(run_file.with_suffix(".sig"), "run signature", "fetch it with run.json").read_bytes()
    signed = wire.SignedRun(config=require_file(run_file, "run").read_bytes(), signature=signature)
    at, pem = _found(address, kit, tls)
    with grpc.secure_channel(str(at), channel_credentials(pinned(tls, pem)), [*NODE, *to(at)]) as channel:
        try:
            place = FederationStub(channel).SubmitRun(signed, timeout=_ANSWER_S)  # type: ignore[no-untyped-call]
        except grpc.RpcError as error:
            raise _refusal(error, address) from None
    if place.turn not in _TURNS:
        raise ProtocolError("says nothing of the run that we know", where=f"aggregator {address}")
    return _TURNS[place.turn], int(place.before)


def _found(address: str, kit: Path, tls: TlsIdentity) -> tuple[Address, bytes]:
    """Where the aggregator is, and what it shows there."""
    roster = load_roster(kit)
    certificates = InForce(kit, roster, kit / SEEN)
    *others, last = addresses(address)
    for one in others:
        with contextlib.suppress(OSError, TransportError):
            return Address.of(one), shown_by(one, tls, roster, certificates)
    try:
        return Address.of(last), shown_by(last, tls, roster, certificates)
    except OSError as error:
        raise _away(error.strerror or str(error), f"aggregator {last}") from None


def _away(told: str, where: str) -> TransportError:
    cure = "start `afml aggregator` there, or correct --aggregator; `afml doctor` looks at the way to it"
    return TransportError(f"does not answer ({told})", where=where, cure=cure)


def _refusal(error: grpc.RpcError, address: str) -> AfmlError:
    told, where = plain_line(error.details() or error.code().name)[:300], f"aggregator {address}"
    if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED):
        return ProtocolError(told, where=where)
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return TransportError(
            told, where=where, cure="install the coordinator's newest answer with `afml keys install`"
        )
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        cure = "start it without --run to have it serve what is submitted"
        return ProtocolError("serves one run alone", where=where, cure=cure)
    return _away(_SILENT.get(error.code(), told), where)
