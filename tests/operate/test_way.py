"""The way to an aggregator: whatever stands in it is called by its name, and what lies behind is not looked at."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from afml.consortium.inforce import beginning
from afml.consortium.kit import AggregatorKit, load_aggregator_kit
from afml.consortium.look import shake_hands
from afml.consortium.nodekit import load_node_kit
from afml.consortium.route import Address, Proxy, _wish, proxy_for
from afml.core.errors import InputError
from afml.operate.checked import Checked
from afml.operate.network import to_aggregator
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from node.reach import reason
from tests.operate import counterparts

WAY = ["proxy", "name", "port", "handshake", "clock"]


def way(kit: Path, address: str) -> dict[str, Checked]:
    """What is found on the way, every step once and in order."""
    looks = list(to_aggregator(address, load_node_kit(kit).tls))
    assert [checked.what for checked in looks] == WAY
    assert all(checked.cure for checked in looks if checked.state in ("failed", "warning"))
    return {checked.what: checked for checked in looks}


def states(looks: dict[str, Checked]) -> str:
    return " ".join(checked.state for checked in looks.values())


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(0.0, "ok"), (30.0, "warning"), (-30.0, "warning"), (1000.0, "failed"), (None, "skipped")]
)
def test_clocks_are_compared(served: Path, ahead_s: float | None, state: str) -> None:
    with counterparts.aggregator(load_aggregator_kit(served / "aggregator"), ahead_s) as port:
        looks = way(served / "node-1", f"localhost:{port}")
    assert states(looks) == f"ok ok ok ok {state}"
    if state == "warning":
        assert ("behind" if ahead_s == 30.0 else "ahead of") in looks["clock"].told


def test_of_several_addresses_one_is_enough(served: Path) -> None:
    kit, quiet = load_node_kit(served / "node-1"), f"127.0.0.1:{free_port()}"
    with counterparts.aggregator(load_aggregator_kit(served / "aggregator")) as port:
        looks = list(to_aggregator(f"{quiet}, localhost:{port},nowhere.invalid:1", kit.tls))
    assert [(checked.what, checked.state) for checked in looks] == [
        ("address", "ok"), *((what, "ok") for what in WAY), ("address", "warning"),
    ]  # fmt: skip
    assert looks[0].told == f"{quiet}: Connection refused: it stands by, or is down; localhost:{port} serves"
    assert "nowhere.invalid has no address" in looks[-1].told
    looks = list(to_aggregator(f"{quiet},nowhere.invalid:1", kit.tls))
    assert [checked.what for checked in looks] == WAY * 2
    assert [checked.what for checked in looks if checked.state == "failed"] == ["port", "name"]
    looks = list(to_aggregator(f"{quiet},", kit.tls))
    assert [(checked.what, checked.state) for checked in looks][:2] == [("proxy", "failed"), ("name", "skipped")]


def test_a_certificate_of_the_aggregator_that_counts_no_more(served: Path) -> None:
    own, kit = load_node_kit(served / "node-1"), load_aggregator_kit(served / "aggregator")
    began = beginning(load_pem_x509_certificate(kit.tls.certificate))
    with counterparts.aggregator(kit) as port:
        for since, state in ((began, "ok"), (began + 1, "failed")):
            looks = {checked.what: checked for checked in to_aggregator(f"localhost:{port}", own.tls, since)}
            assert looks["handshake"].state == state
    assert "shows a certificate of the aggregator that was renewed or revoked" in looks["handshake"].told


def test_a_name_without_an_address(served: Path) -> None:
    looks = way(served / "node-1", "nowhere.invalid:7443")
    assert states(looks) == "ok failed skipped skipped skipped"
    assert "correct --aggregator" in looks["name"].cure


def test_a_port_where_nobody_listens(served: Path) -> None:
    looks = way(served / "node-1", f"127.0.0.1:{free_port()}")
    assert states(looks) == "ok ok failed skipped skipped"


def test_somebody_who_does_not_answer(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    assert "firewalls" in way(served / "node-1", "127.0.0.1:7443")["port"].cure


@pytest.mark.parametrize(
    ("serve", "cure"), [(counterparts.hangs_up, "load balancer"), (counterparts.speaks_http, "load balancer")]
)
def test_something_that_is_no_aggregator(served: Path, serve: object, cure: str) -> None:
    with counterparts.listener(serve) as port:  # type: ignore[arg-type]
        looks = way(served / "node-1", f"127.0.0.1:{port}")
    assert states(looks) == "ok ok ok failed skipped"
    assert cure in looks["handshake"].cure


def _of(kits: Path) -> AggregatorKit:
    return load_aggregator_kit(kits / "aggregator")


def test_an_aggregator_of_another_consortium(served: Path, tmp_path: Path) -> None:
    make_kits(tmp_path / "kits", "test", 2)
    with counterparts.aggregator(_of(tmp_path / "kits")) as port:
        looks = way(served / "node-1", f"localhost:{port}")
    assert states(looks) == "ok ok ok failed skipped"
    assert "certificate is refused" in looks["handshake"].told


def test_a_proxy_is_gone_through(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with (
        counterparts.aggregator(_of(served)) as port,
        counterparts.listener(counterparts.proxy(allows=True, asked=asked)) as between,
    ):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between}")
        looks = way(served / "node-1", f"localhost:{port}")
    assert states(looks) == "ok ok ok ok ok"
    assert looks["proxy"].told == f"through 127.0.0.1:{between}, says https_proxy"
    assert asked[0] == f"localhost:{port}"
    assert len(asked) == 2  # the handshake's, and gRPC's own


def test_a_node_goes_the_way_that_grpc_takes(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    kit = load_node_kit(served / "node-1")
    with (
        counterparts.aggregator(_of(served)) as port,
        counterparts.listener(counterparts.proxy(allows=True, asked=asked)) as between,
    ):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between}")
        shake_hands(f"localhost:{port}", kit.tls)
        assert asked == [f"localhost:{port}"]
        assert reason(f"localhost:{port}", kit) == ""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    assert reason(f"localhost:{port}", kit) == "Connection refused"
    with counterparts.listener(counterparts.proxy(allows=False, asked=[])) as between:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between}")
        assert "403 Forbidden" in reason(f"localhost:{port}", kit)
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert reason(f"localhost:{port}", kit) == "is no URL of a proxy"


def test_a_proxy_is_told_who_asks() -> None:
    found = proxy_for("sum.example.org", {"https_proxy": "http://me:p%40ss@b:2"})
    assert found == Proxy("https_proxy", "b", 2, "me:p@ss")
    assert "p@ss" not in repr(found)
    wish = _wish(Address("sum.example.org", 7443), found).decode().split("\r\n")
    assert wish[0] == "CONNECT sum.example.org:7443 HTTP/1.1"
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:p@ss').decode()}" in wish


def test_a_proxy_that_does_not_connect(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with counterparts.listener(counterparts.proxy(allows=False, asked=[])) as between:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between}")
        looks = way(served / "node-1", "localhost:7443")
    assert states(looks) == "ok ok failed skipped skipped"
    assert "403 Forbidden" in looks["port"].told
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert states(way(served / "node-1", "localhost:7443")) == "failed skipped skipped skipped skipped"


@pytest.mark.parametrize(
    ("environment", "through"),
    [
        ({}, None),
        ({"http_proxy": "http://a:1", "https_proxy": "http://b:2"}, Proxy("https_proxy", "b", 2)),
        ({"grpc_proxy": "http://c", "https_proxy": "http://b:2"}, Proxy("grpc_proxy", "c", 443)),
        ({"https_proxy": "http://b:2", "no_proxy": "example.org"}, None),
        ({"https_proxy": "http://b:2", "no_proxy": "other.org, sum.example.org"}, None),
        ({"https_proxy": "http://b:2", "no_proxy": "example.com"}, Proxy("https_proxy", "b", 2)),
        ({"https_proxy": "http://b:2", "no_grpc_proxy": "x", "no_proxy": "example.org"}, Proxy("https_proxy", "b", 2)),
    ],
)
def test_which_proxy_grpc_takes(environment: dict[str, str], through: Proxy | None) -> None:
    assert proxy_for("sum.example.org", environment) == through


def test_networks_without_a_proxy() -> None:
    around = {"https_proxy": "http://b:2", "no_proxy": "10.0.0.0/8"}
    assert proxy_for("10.1.2.3", around) is None
    assert proxy_for("11.1.2.3", around) is not None


def test_addresses_are_checked() -> None:
    assert str(Address.of("[::1]:7443")) == "[::1]:7443"
    assert Address.of("host:1").server_name == "host"
    named = Address.of("sum.example.org@10.0.0.5:7443")
    assert (str(named), named.server_name) == ("10.0.0.5:7443", "sum.example.org")
    for wrong in ("host", "host:", ":7443", "host:0", "host:70000", "@host:1", "name@", os.sep):
        with pytest.raises(InputError, match="is not host:port"):
            Address.of(wrong)
