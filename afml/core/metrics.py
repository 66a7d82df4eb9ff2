"""Figures of a process for Prometheus: its text format, and a page on loopback that serves them.

The names and units are listed in docs/OPERATIONS.md. Format: text version 0.0.4 of the Prometheus exposition formats.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import math
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

import psutil

from afml import __version__
from afml.core.errors import InputError, TransportError

PAGE = "/metrics"
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PATIENCE_S = 5.0
"""Seconds that a reader may take over its request."""


@dataclass(frozen=True)
class Metric:
    """One figure, or one for each of several labels.

    Attributes:
        name: With its unit at the end.
        help: What it is, in one line.
        samples: (labels, value) pairs.
        kind: A counter only grows while the process lives.
    """

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]
    kind: Literal["gauge", "counter"] = "gauge"


def one(name: str, help: str, value: float, kind: Literal["gauge", "counter"] = "gauge") -> Metric:
    """A figure without labels."""
    return Metric(name, help, [({}, value)], kind)


def text(metrics: Iterable[Metric]) -> str:
    """The figures in Prometheus's text format.

    Raises:
        ValueError: A name cannot be one.
    """
    lines: list[str] = []
    for metric in metrics:
        if not all(map(_NAME.fullmatch, (metric.name, *(label for labels, _ in metric.samples for label in labels)))):
            raise ValueError(f"{metric.name} or one of its labels is no name of a metric")
        told = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {metric.name} {told}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {_number(float(value))}" for labels, value in metric.samples]
    return "".join(f"{line}\n" for line in lines)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[repr(value)]


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items()) + "}" if labels else ""


def of_several(runs: Iterable[tuple[str, Iterable[Metric]]]) -> Iterator[Metric]:
    """The figures of several runs, told apart by a label `run`."""
    found: dict[str, Metric] = {}
    for run, metrics in runs:
        for metric in metrics:
            samples = [({"run": run, **labels}, value) for labels, value in metric.samples]
            before = found[metric.name].samples if metric.name in found else ()
            found[metric.name] = dataclasses.replace(metric, samples=[*before, *samples])
    yield from found.values()


def of_process() -> Iterator[Metric]:
    """What Prometheus's own clients say of a process, under their names."""
    process = psutil.Process()
    times = process.cpu_times()
    soft, _ = process.rlimit(psutil.RLIMIT_NOFILE)
    yield Metric("afml_build_info", "The version of AFML.", [({"version": __version__}, 1.0)])
    yield one("process_cpu_seconds_total", "CPU time, user and system.", times.user + times.system, "counter")
    yield one("process_resident_memory_bytes", "Resident memory.", process.memory_info().rss)
    yield one("process_open_fds", "Open files and connections.", process.num_fds())
    yield one("process_max_fds", "Most of them that the system allows.", soft if soft >= 0 else math.inf)
    yield one("process_start_time_seconds", "When the process began, Unix time.", process.create_time())


@contextlib.contextmanager
def served(address: str, metrics: Callable[[], Iterable[Metric]]) -> Iterator[int]:
    """Serve the figures at http://ADDRESS/metrics while the block runs; "" serves nothing. Yields the port.

    Raises:
        InputError: The address is not one of loopback: there is no password on this page.
        TransportError: The port is taken.
    """
    if not address:
        yield 0
        return
    host, port = _loopback(address)
    try:
        server = _Server((host, port), metrics)
    except OSError as error:
        cure = "stop the process that uses this port or choose another with --metrics"
        raise TransportError(f"cannot listen ({error.strerror})", where=address, cure=cure) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def _loopback(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    cure = "give an address of this machine's loopback, 127.0.0.1:9464 for one"
    if not port.isdigit() or int(port) > 65535:
        raise InputError("is not host:port", where=f"--metrics {address}", cure=cure)
    if not is_loopback(bare):
        raise InputError("could be reached from elsewhere", where=f"--metrics {address}", cure=cure)
    return ("127.0.0.1" if bare == "localhost" else bare), int(port)


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address without brackets, can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], metrics: Callable[[], Iterable[Metric]]) -> None:
        self.metrics = metrics
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Reader)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up or never asks is no event."""


class _Reader(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE_S
    server_version, sys_version = "afml", ""

    def do_GET(self) -> None:
        """Answer with the figures; a page that a browser was led here by gets nothing."""
        host = self.headers.get("Host", "localhost").rsplit(":", 1)[0] if "Host" in self.headers else "localhost"
        if not is_loopback(host.strip("[]")) or self.path.split("?")[0] != PAGE:
            self.send_error(404)
            return
        body = text(self.server.metrics()).encode()
        self.send_response(200)
        self.send_header("Content-Type", _TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Reading figures is no event."""
