"""The way to an aggregator: its address, the proxy that gRPC takes to it, a connection and one handshake.

gRPC goes through the proxy that the environment names and says little where something on the way is wrong. So the same
way is gone first by plain sockets, whose errors name what it is.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from afml.consortium.kit import TlsIdentity
from afml.consortium.tls import client_context
from afml.core.errors import InputError

ANSWER_S = 5.0
"""Seconds for each answer."""
_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")  # in the order in which gRPC looks at them
_EXCEPT = ("no_grpc_proxy", "no_proxy")
_HTTPS = 443  # gRPC's port of a proxy that names none


@dataclass(frozen=True)
class Address:
    """Where an aggregator is said to be.

    Attributes:
        host, port: To connect to.
        name: That its certificate is to bear, where that is another than the host's; "" for the host's.
    """

    host: str
    port: int
    name: str = ""

    @classmethod
    def of(cls, text: str, option: str = "--aggregator") -> Address:
        """From host:port or name@host:port.

        Args:
            text: It.
            option: Who said so, to blame.

        Raises:
            InputError: It is not that.
        """
        name, named, place = text.rpartition("@")
        host, _, port = place.rpartition(":")
        if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536 or bool(named) != bool(name):
            raise InputError("is not host:port", where=f"{option} {text}", cure="for example localhost:7443")
        return cls(host.strip("[]"), int(port), name)

    @property
    def server_name(self) -> str:
        """What the certificate of who listens there is to bear."""
        return self.name or self.host

    def __str__(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Proxy:
    """A proxy that gRPC goes through.

    Attributes:
        variable: Of the environment, that says so.
        host, port: Where it is.
        login: user:password for it, or "".
    """

    variable: str
    host: str
    port: int
    login: str = field(default="", repr=False)


class ProxyRefused(OSError):
    """The proxy does not connect; `strerror` says how it put it."""


def proxy_for(host: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy by which gRPC reaches a host: none for those that no_proxy names.

    Raises:
        InputError: The variable holds no URL of a proxy.
    """
    variable = next((name for name in _VARIABLES if environment.get(name)), None)
    if variable is None or _excepted(host, environment):
        return None
    found = urlsplit(environment[variable])
    try:
        port = found.port or _HTTPS
    except ValueError:
        port = 0
    if found.scheme != "http" or not found.hostname or not port:
        cure = "set it to http://HOST:PORT, the only kind that gRPC goes through, or unset it"
        raise InputError("is no URL of a proxy", where=variable, cure=cure)
    login = unquote(found.netloc.rpartition("@")[0])
    return Proxy(variable, found.hostname, port, login)


def connect(address: Address, proxy: Proxy | None) -> socket.socket:
    """A connection to an address, through the proxy if there is one.

    Raises:
        ProxyRefused: The proxy answers and does not connect.
        OSError: Nobody answers.
    """
    host, port = (proxy.host, proxy.port) if proxy else (address.host, address.port)
    made = socket.create_connection((host, port), timeout=ANSWER_S)
    if proxy is None:
        return made
    try:
        made.sendall(_wish(address, proxy))
        answer = made.recv(4096).split(b"\r\n")[0].decode("latin-1")
    except OSError as error:
        answer = str(error.strerror or error)
    if answer.split()[1:2] == ["200"]:
        return made
    made.close()
    said = f"the proxy {host}:{port} does not connect to {address}: {answer[:80]}"
    raise ProxyRefused(0, said)


def shake_hands(plain: socket.socket, address: Address, tls: TlsIdentity) -> bytes:
    """One TLS handshake over a connection, which is closed: the other side's certificate, DER.

    Raises:
        ssl.SSLError: A certificate is refused by either side.
        OSError: The other side hangs up.
    """
    with plain, client_context(tls).wrap_socket(plain, server_hostname=address.server_name) as secure:
        # In TLS 1.3 the server judges our certificate after its own handshake is done: its first bytes are HTTP/2
        # settings, or an alert.
        if not secure.recv(1):
            raise ConnectionResetError(0, "it hung up after the handshake")
        return secure.getpeercert(binary_form=True) or b""


def _wish(address: Address, proxy: Proxy) -> bytes:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.login:
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(proxy.login.encode()).decode()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _excepted(host: str, environment: Mapping[str, str]) -> bool:
    """gRPC takes no_proxy as suffixes of names, and as addresses or networks."""
    entries = next((environment[name] for name in _EXCEPT if environment.get(name)), "").split(",")
    for entry in filter(None, (entry.strip() for entry in entries)):
        if host == entry or host.endswith(entry):
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return False
