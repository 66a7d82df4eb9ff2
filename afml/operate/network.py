"""What `afml doctor` looks at between a node and its aggregator: name, proxy, port, certificates, clock."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from afml.consortium.connection import to
from afml.consortium.inforce import beginning
from afml.consortium.kit import TlsIdentity
from afml.consortium.limits import TIME_MS
from afml.consortium.look import addresses
from afml.consortium.route import ANSWER_S, Address, Proxy, ProxyRefused, connect, proxy_for, shake_hands
from afml.consortium.tls import channel_credentials, refusal
from afml.core.errors import InputError, TransportError
from afml.core.plain import plain_line
from afml.operate.checked import Checked, failed, ok, refused, skipped, warning
from afml.operate.words import DAY_S, duration
from node.statuses import plain

_STEPS = ("name", "port", "handshake", "clock")
SKEW_S, MOST_SKEW_S = 10.0, 300.0
"""Seconds that clocks may differ before a word is said, and before certificates and reservations go wrong."""


def to_aggregator(text: str, tls: TlsIdentity | None, since: int = 0) -> Iterator[Checked]:
    """Each step of the way to an aggregator; the steps behind one that fails are not looked at.

    Args:
        text: host:port; of several behind commas one is enough, and the others are told of in one line each.
        tls: Of who goes there.
        since: Unix seconds: the aggregator's certificates that began earlier count no more.
    """
    try:
        found = addresses(text)
    except TransportError as error:
        yield refused("proxy", error)
        yield from (skipped(what, "after proxy") for what in _STEPS)
        return
    ways = {one: list(_to_one(one, tls, since)) for one in found}
    there = next((one for one, steps in ways.items() if _failure(steps) is None), None)
    for one, steps in ways.items():
        if there in (None, one):
            yield from steps
        else:
            yield _other(one, _failure(steps), str(there))


def _failure(steps: list[Checked]) -> Checked | None:
    return next((step for step in steps if step.state == "failed"), None)


def _other(address: str, failure: Checked | None, there: str) -> Checked:
    """One of several addresses beside the one where the aggregator is."""
    if failure is None:
        return ok("address", f"{address} answers too")
    if failure.what == "port":  # who stands by does not listen
        return ok("address", f"{failure.told}: it stands by, or is down; {there} serves")
    return warning("address", f"{address}: {failure.what}: {failure.told}", failure.cure)


def _to_one(text: str, tls: TlsIdentity | None, since: int) -> Iterator[Checked]:
    rest = list(_STEPS)

    def left(found: Checked) -> Iterator[Checked]:
        yield found
        yield from (skipped(what, f"after {found.what}") for what in rest)

    try:
        address = Address.of(text)
        proxy = proxy_for(address.host, os.environ)
    except InputError as error:
        yield from left(refused("proxy", error))
        return
    yield ok("proxy", f"through {proxy.host}:{proxy.port}, says {proxy.variable}" if proxy else "none")
    step = _named(proxy.host if proxy else address.host, rest.pop(0))
    if step.state == "failed":
        yield from left(step)
        return
    yield step
    connected = _connected(address, proxy, rest.pop(0))
    if isinstance(connected, Checked):
        yield from left(connected)
        return
    yield ok("port", f"{address} answers" + (" behind the proxy" if proxy else ""))
    if tls is None:
        connected.close()
        yield from (skipped(what, "without a kit that can be used") for what in rest)
        return
    step = _greeted(connected, address, tls, since)
    rest.pop(0)
    if step.state == "failed":
        yield from left(step)
        return
    yield step
    yield _clocks(address, tls)


def _named(host: str, what: str) -> Checked:
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        cure = "correct --aggregator, or have the name entered in DNS or /etc/hosts"
        return failed(what, f"{host} has no address ({error.strerror or error})", cure)
    return ok(what, f"{host} is {', '.join(found)}")


def _connected(address: Address, proxy: Proxy | None, what: str) -> socket.socket | Checked:
    """A connection to the aggregator, or why there is none."""
    host, port = (proxy.host, proxy.port) if proxy else (address.host, address.port)
    try:
        return connect(address, proxy)
    except ProxyRefused as error:
        cure = f"have the proxy allow CONNECT to {address}, or name the host in no_proxy"
        return failed(what, str(error.strerror), cure)
    except TimeoutError:
        cure = "have the firewalls between here and there let this port through"
        return failed(what, f"{host}:{port} does not answer within {ANSWER_S:g} s", cure)
    except OSError as error:
        cure = (
            "start `afml aggregator` there, or correct the port" if proxy is None else "start it, or unset its variable"
        )
        return failed(what, f"{host}:{port}: {error.strerror or error}", cure)


def _greeted(plain: socket.socket, address: Address, tls: TlsIdentity, since: int) -> Checked:
    """One handshake: whether each side takes the other's certificate, and how long the aggregator's lasts."""
    try:
        shown = shake_hands(plain, address, tls)
    except ssl.SSLCertVerificationError as error:
        cure = (
            f"see that {address.server_name} is a --host of the aggregator's certificate, that both kits come from one "
            "provisioning, and that nothing between ends TLS itself"
        )
        return failed("handshake", f"the aggregator's certificate is refused ({error.verify_message})", cure)
    except ssl.SSLError as error:
        return refused("handshake", refusal(error, str(address)))
    except OSError as error:
        told = f"{address} took the connection and hung up ({error.strerror or error})"
        return failed("handshake", told, "see that `afml aggregator` runs behind the load balancer or port forwarding")
    certificate = x509.load_der_x509_certificate(shown)
    if beginning(certificate) < since:
        told = f"{address} shows a certificate of the aggregator that was renewed or revoked"
        return failed("handshake", told, "have the aggregator's operator install its newest answer, or renew it")
    left = (certificate.not_valid_after_utc.timestamp() - time.time()) / DAY_S
    told = f"TLS 1.3, each side takes the other's certificate; the aggregator's has {left:.0f} days left"
    if left < 30:
        return warning("handshake", told, "have the aggregator's operator renew it with `afml keys renew`")
    return ok("handshake", told)


def _clocks(address: Address, tls: TlsIdentity) -> Checked:
    """This machine's clock against the aggregator's, which tells its time with its health."""
    with grpc.secure_channel(str(address), channel_credentials(tls), to(address)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            health.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)  # the connection takes its own time
            before = time.time()
            said, call = health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
            after = time.time()
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                cure = "ask for another certificate with `afml keys renew`, and install the coordinator's answer"
                return failed("clock", f"the aggregator refuses: {plain_line(error.details() or '')[:200]}", cure)
            cure = "see that `afml aggregator` itself listens there, with nothing between that speaks HTTP"
            return failed("clock", f"the aggregator does not say that it serves: {plain(error)[0]}", cure)
    if said.status != health_pb2.HealthCheckResponse.SERVING:
        return failed("clock", "the aggregator says that it does not serve", "wait until it does, or look at its log")
    told = dict(call.trailing_metadata() or ()).get(TIME_MS, "")
    if not told.isdigit():
        return skipped("clock", "the aggregator is of a version that does not tell its time")
    off, unsure = int(told) / 1000 - (before + after) / 2, (after - before) / 2
    way = "behind" if off > 0 else "ahead of"
    shown = f"{duration(abs(off))} {way} the aggregator's, give or take {unsure:.3f} s"
    cure = "set the clocks of both machines by NTP (timedatectl set-ntp true)"
    if abs(off) - unsure > MOST_SKEW_S:
        return failed("clock", shown, cure)
    return warning("clock", shown, cure) if abs(off) - unsure > SKEW_S else ok("clock", shown)
