"""What a node says of a call that failed: what the gRPC library says in plain words, the aggregator's as they are."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest

from afml.core.errors import ProtocolError, Superseded, TransportError
from node.statuses import not_served, translated

_RAW = re.compile(r"ipv4:|https?2|[A-Z]+_[A-Z]+|errno|recvmsg|0x|UNKNOWN|UNAVAILABLE|INTERNAL|application")
_WHERE = "aggregator HOST:1: "


class Failed(grpc.RpcError):  # type: ignore[misc]
    """A status as the library would give it."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        super().__init__()
        self.code, self.details = lambda: code, lambda: details


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which somebody does as told with whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    answer(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(60)


@contextmanager
def aggregating(serve: Callable[[Any, grpc.ServicerContext], bytes]) -> Iterator[int]:
    """A gRPC server of one call."""

    class _Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return grpc.unary_unary_rpc_method_handler(serve) if details.method == "/a/call" else None

    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Handler()], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


def failure(port: int, call: str = "call", *, tls: bool = False) -> grpc.RpcError:
    """What a call of a node there ends by."""
    at = f"127.0.0.1:{port}"
    made = grpc.secure_channel(at, grpc.ssl_channel_credentials()) if tls else grpc.insecure_channel(at)
    with made as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/a/{call}")(b"x", timeout=120)
    return caught.value


def said(error: grpc.RpcError) -> str:
    line = str(translated(error, "HOST:1"))
    assert line.startswith(_WHERE)
    assert not _RAW.search(line), line
    return line.removeprefix(_WHERE)


def test_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert said(failure(port)).startswith("nobody listens there (connection refused); start the aggregator again")


def test_where_somebody_else_answers() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        web.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign,assignment]
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        assert said(failure(web.server_port)).startswith("something else answers there and no aggregator")
        assert said(failure(web.server_port, tls=True)).startswith("no TLS came about")
        web.shutdown()
        thread.join(60)


def test_where_the_connection_breaks_off() -> None:
    with answering(lambda caller: None) as port:
        assert said(failure(port)).startswith("the connection broke off, or none came about; ")


def test_where_the_aggregator_fails_or_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(asked: Any, context: grpc.ServicerContext) -> bytes:
        raise ValueError("Connection refused by SSL_ERROR")

    with aggregating(serve) as port:
        assert said(failure(port)).startswith("it failed at this call, and its own log says why; have its operator ")
        unknown = failure(port, "another")
        assert not_served(unknown)
        assert said(unknown).startswith("it does not know a call of this version of AFML; ")

    for code, kind in (
        (grpc.StatusCode.UNAVAILABLE, TransportError), (grpc.StatusCode.FAILED_PRECONDITION, ProtocolError),
        (grpc.StatusCode.ABORTED, Superseded),
    ):  # fmt: skip
        words = "round 3 is over, and Connection refused" if kind is not TransportError else "the disk is full"
        with aggregating(lambda _, context, c=code, w=words: context.abort(c, w)) as port:  # type: ignore[misc]
            error = failure(port)
            assert said(error).startswith(words)
            assert type(translated(error, "HOST:1")) is kind


def test_an_aggregator_that_stops_cancels_its_calls() -> None:
    began, leave = threading.Event(), threading.Event()

    def serve(asked: Any, context: grpc.ServicerContext) -> bytes:
        began.set()
        leave.wait(120)
        return b""

    class _Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return grpc.unary_unary_rpc_method_handler(serve)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Handler()], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with ThreadPoolExecutor(1) as apart:
        asked = apart.submit(failure, port)
        assert began.wait(120)
        server.stop(0)
        line = said(asked.result(120))
        leave.set()
    assert line.startswith(("it is stopping; ", "the connection broke off, or none came about; ")), line


@pytest.mark.parametrize(
    ("code", "details", "told"),
    [
        ("UNAVAILABLE", "errors resolving a.b:443: [field:hostname lookup error:address lookup failed for a.b:443: "
         "Domain name not found]", "its name leads to no address"),
        ("UNAVAILABLE", "keepalive watchdog timeout", "it went silent"),
        ("UNAVAILABLE", "GOAWAY received; Error code: 2; Debug Text: too_many_pings", "it went silent"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer (104)", "the connection broke off"),
        ("UNAVAILABLE", "ipv4:10.0.0.1:7443: Failed to connect: No route to host", "no way leads there"),
        ("RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max (5 vs. 4))", "a message is"),
        ("UNIMPLEMENTED", "Received http2 header with status: 404", "something else answers there"),
        ("PERMISSION_DENIED", "Received http2 header with status: 403", "something else answers there"),
        ("INTERNAL", "Error sending 0x7f from UNKNOWN", "the connection failed within"),
        ("UNAVAILABLE", "", "it is away"),
        ("CANCELLED", None, "it is stopping"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "no answer in time"),
    ],
)  # fmt: skip
def test_what_else_the_library_says(code: str, details: str | None, told: str) -> None:
    error = Failed(grpc.StatusCode[code], details)
    assert said(error).startswith(told)
    assert not not_served(error)
