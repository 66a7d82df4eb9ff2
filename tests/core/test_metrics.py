"""Figures for Prometheus: their text is what a reader of the format reads, and nobody elsewhere gets it."""

from __future__ import annotations

import http.client
import math
import re
import socket
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError, TransportError
from afml.core.metrics import Metric, of_process, one, served, text

NAMES = st.sampled_from(["a", "afml_run_rounds", "node_2", "x9"])
VALUES = st.floats(allow_nan=False)
LINE = re.compile(r'([a-z][a-z0-9_]*)(?:\{((?:[a-z][a-z0-9_]*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z][a-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def read(page: str) -> list[tuple[str, dict[str, str], float]]:
    """A slow reader of the text format: one sample a line, comments apart."""
    found = []
    for line in page.split("\n"):
        if not line or line.startswith("#"):
            continue
        name, labels, value = LINE.fullmatch(line).groups()  # type: ignore[union-attr]
        said = {key: _unescaped(quoted) for key, quoted in LABEL.findall(labels or "")}
        found.append((name, said, float(value.replace("Inf", "inf"))))
    return found


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), quoted)


LABELS = st.dictionaries(NAMES, st.text(max_size=9), max_size=2)


@given(st.lists(st.tuples(NAMES, st.text(max_size=9), st.lists(st.tuples(LABELS, VALUES), max_size=3)), max_size=3))
def test_what_is_said_is_read(metrics: list[tuple[str, str, list[tuple[Mapping[str, str], float]]]]) -> None:
    page = text(Metric(name, about, samples) for name, about, samples in metrics)
    assert read(page) == [(name, labels, value) for name, _, samples in metrics for labels, value in samples]
    assert page.count("# TYPE ") >= len(metrics)


def test_no_number_is_written_as_prometheus_writes_it() -> None:
    assert text([one("a", "b", math.nan), one("c", "d", -math.inf)]).splitlines()[2::3] == ["a NaN", "c -Inf"]


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no name"):
        text([one("a b", "", 1)])


def test_a_process_tells_of_itself() -> None:
    found = {name: value for name, _, value in read(text(of_process()))}
    assert 0 < found["process_open_fds"] <= found["process_max_fds"]
    assert found["process_resident_memory_bytes"] > 1 << 20


def _get(port: int, path: str = "/metrics", host: str | None = None, method: str = "GET") -> tuple[int, str]:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    asked.request(method, path, headers={} if host is None else {"Host": host})
    answer = asked.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_is_served_while_the_block_runs() -> None:
    with served("127.0.0.1:0", lambda: [one("afml_x", "Of a test.", 3)]) as port:
        assert _get(port) == (200, "# HELP afml_x Of a test.\n# TYPE afml_x gauge\nafml_x 3.0\n")
        assert _get(port, host=f"localhost:{port}")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        _get(port)


def test_nothing_else_is_served() -> None:
    with served("localhost:0", lambda: [one("afml_x", "Of a test.", 3)]) as port:
        assert _get(port, "/")[0] == 404
        assert _get(port, "/metrics/../etc")[0] == 404
        assert _get(port, method="POST")[0] == 501
        assert _get(port, host="evil.example.org")[0] == 404  # a browser that was led here by a name of somebody's own
        with socket.create_connection(("127.0.0.1", port), timeout=10) as junk:
            junk.sendall(b"\x16\x03\x01\x00\x00" + b"\xff" * 70_000)
        assert _get(port)[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464", "example.org:9464"])
def test_only_loopback_is_served(address: str) -> None:
    with pytest.raises(InputError, match=r"could be reached from elsewhere; give an address"), served(address, list):
        pass


@pytest.mark.parametrize("address", ["9464", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_has_a_port(address: str) -> None:
    with pytest.raises(InputError), served(address, list):
        pass


def test_a_port_that_is_taken_is_told() -> None:
    with (
        served("127.0.0.1:0", list) as port,
        pytest.raises(TransportError, match="choose another with --metrics"),
        served(f"127.0.0.1:{port}", list),
    ):
        pass


def test_nothing_is_served_unless_asked_for() -> None:
    with served("", list) as port:
        assert port == 0
