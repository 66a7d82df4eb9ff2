"""Parties that speak one version of TLS, with the certificates of a consortium."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afml.consortium.kit import TlsIdentity


def context(tls: TlsIdentity, version: ssl.TLSVersion, *, server: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=tls.ca.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    made.set_alpn_protocols(["h2"])
    made.minimum_version = made.maximum_version = version
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.write_bytes(tls.certificate + tls.key)
        made.load_cert_chain(pair)
    return made


def greeted(port: int, tls: TlsIdentity, version: ssl.TLSVersion) -> bool:
    """Whether a server on this machine shakes hands with this party, and says its first byte."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as opened,
            context(tls, version, server=False).wrap_socket(opened, server_hostname="127.0.0.1") as secure,
        ):
            return secure.version() is not None and len(secure.recv(1)) == 1
    except (ssl.SSLError, ConnectionError):
        return False


@contextmanager
def listener(tls: TlsIdentity, version: ssl.TLSVersion) -> Iterator[tuple[int, list[bool]]]:
    """A server on a port of this machine; the list says of each connection whether its handshake succeeded."""
    hands: list[bool] = []
    made = context(tls, version, server=True)

    def answer() -> None:
        while True:
            try:
                opened, _ = listening.accept()
            except OSError:
                return
            with opened:
                try:
                    made.wrap_socket(opened, server_side=True).close()
                    hands.append(True)
                except (ssl.SSLError, ConnectionError):
                    hands.append(False)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield int(listening.getsockname()[1]), hands
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
