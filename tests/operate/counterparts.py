"""Who a doctor may find at the other end: a clock that is off, something that is no aggregator, a proxy."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from afml.consortium.kit import AggregatorKit
from afml.consortium.limits import TIME_MS
from afml.consortium.tls import server_credentials


class _Clock(health.HealthServicer):
    def __init__(self, ahead_s: float | None) -> None:
        super().__init__()
        self.ahead_s = ahead_s

    def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        if self.ahead_s is not None:
            context.set_trailing_metadata(((TIME_MS, str(round((time.time() + self.ahead_s) * 1000))),))
        return super().Check(request, context)


@contextlib.contextmanager
def aggregator(kit: AggregatorKit, ahead_s: float | None = 0.0) -> Iterator[int]:
    """What answers like an aggregator, and says that its clock is so far ahead (None: says nothing); its port."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(_Clock(ahead_s), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(kit.tls))
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Whatever `serve` makes of each connection, in threads of their own; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def hangs_up(connection: socket.socket) -> None:
    """A load balancer with nobody behind it."""
    connection.close()


def speaks_http(connection: socket.socket) -> None:
    """A web server."""
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def proxy(*, allows: bool, asked: list[str]) -> Callable[[socket.socket], None]:
    """An HTTP proxy; what it was asked for is appended to `asked`."""

    def serve(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            asked.append(head.split()[1].decode())
            if not allows:
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            host, _, port = asked[-1].rpartition(":")
            with socket.create_connection((host, int(port))) as behind:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(connection, behind)

    return serve


def _relay(one: socket.socket, other: socket.socket) -> None:
    to = {one: other, other: one}
    while True:
        for ready in select.select(list(to), [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            to[ready].sendall(data)
