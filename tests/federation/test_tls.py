"""TLS 1.3 and nothing older, in both directions, with gRPC and with the plain handshake before it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ssl import TLSVersion

import grpc
import pytest

from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.tls import channel_credentials, server_credentials
from afml.core.errors import TransportError
from afml.trial.kits import make_kits
from node.patience import Patience
from node.reach import preflight
from tests.processes import REPOSITORY
from tests.tls12 import greeted, listener

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls") / "kits"
    make_kits(made, "test", 3)
    return made


@pytest.fixture(scope="module")
def node(kits: Path) -> NodeKit:
    return load_node_kit(kits / "node-1")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_of_ours_greets_tls_13_alone(kits: Path, node: NodeKit, version: TLSVersion) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(load_aggregator_kit(kits / "aggregator").tls))
    server.start()
    try:
        assert greeted(port, node.tls, version) == (version is TLSVersion.TLSv1_3)
    finally:
        server.stop(None)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_channel_of_ours_shakes_hands_by_tls_13_alone(kits: Path, node: NodeKit, version: TLSVersion) -> None:
    with listener(load_aggregator_kit(kits / "aggregator").tls, version) as (port, hands):
        channel = grpc.secure_channel(f"127.0.0.1:{port}", channel_credentials(node.tls))
        with pytest.raises(grpc.RpcError), channel:  # nobody there speaks HTTP/2
            channel.unary_unary("/any/call")(b"", timeout=10)
    assert set(hands) == {version is TLSVersion.TLSv1_3}


def test_the_plain_handshake_names_an_old_version(kits: Path, node: NodeKit) -> None:
    old = listener(load_aggregator_kit(kits / "aggregator").tls, TLSVersion.TLSv1_2)
    with old as (port, hands), pytest.raises(TransportError, match=r"does not speak TLS 1\.3"):
        preflight(f"127.0.0.1:{port}", node, Patience("", 0.0))
    assert hands == [False]


@pytest.mark.parametrize("module", ["afml", "node", "aggregator", "node.client", "aggregator.server"])
def test_every_way_in_comes_before_grpc(module: str) -> None:
    _python(f"import {module}; from afml.core.tls13 import require_in_force; require_in_force()")


def test_a_wish_of_the_environment_for_other_suites_counts_for_nothing() -> None:
    _python(
        "import afml, os, grpc; from afml.core.tls13 import require_in_force; require_in_force()\n"
        "assert os.environ['GRPC_SSL_CIPHER_SUITES'] == 'ECDHE-RSA-AES256-GCM-SHA384'"
    )


def test_nothing_connects_where_grpc_was_there_first() -> None:
    _python(
        "import grpc, pytest\n"
        "from afml.consortium.tls import channel_credentials, server_credentials\n"
        "for make in (channel_credentials, server_credentials):\n"
        "    with pytest.raises(Exception, match='loaded before AFML'): make(None)"
    )


def _python(code: str) -> None:
    environment = os.environ | {"GRPC_SSL_CIPHER_SUITES": "ECDHE-ECDSA-AES256-GCM-SHA384"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


_FORKING = """
import os, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import afml, grpc
answer = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a", {"b": answer}),))
port, over = server.add_insecure_port("127.0.0.1:0"), threading.Event()
server.start()
def ask():
    while not over.is_set():
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            channel.unary_unary("/a/b")(b"x")
        time.sleep(0.003)
asking = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
for one in asking:
    one.start()
print({subprocess.run(["true"], preexec_fn=os.getpid).returncode for _ in range(600)}, flush=True)
over.set()
for one in asking:
    one.join()
os._exit(0)
"""


def test_children_are_started_whole_while_something_is_connected() -> None:
    """gRPC's own handlers around a fork aborted one child in a hundred before it became another program."""
    done = subprocess.run([sys.executable, "-c", _FORKING], cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.stdout == "{0}\n", done.stderr
