"""A run through real processes, TLS, pads and CKKS ends with the bits of the in-process reference.

Every party here is a new interpreter, as a user would start it; elsewhere most are forked (tests/warm.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from afml.trial.processes import free_port
from tests.federation.parties import Consortium
from tests.processes import afml


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("a consortium"))
    made.popen = subprocess.Popen
    yield made
    made.stop()


def test_the_federation_equals_the_in_process_reference_bit_for_bit(consortium: Consortium) -> None:
    config = consortium.configure()
    port = free_port()
    server = consortium.start_aggregator(port)
    nodes = [consortium.start_node(n, port) for n in range(1, 4)]
    for number, process in enumerate(nodes, start=1):
        assert process.wait(240) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(60) == 0, consortium.log("aggregator")
    reference = consortium.reference(config)
    digests = {consortium.model_card(n)["digest"] for n in range(1, 4)}
    assert digests == {reference.digest()}
    for n in range(1, 4):
        left = [p.name for p in (Path(consortium.work(n)) / "runs" / "run").rglob("*.key")]
        assert left == [], "keys outlived the run"
    ledger = ("--node", 1, "--roster", consortium.kit(1) / "roster.json", "--countersignatures", 2)
    transcript = consortium.root / "aggregator-run" / "transcript.jsonl"
    audit = afml("audit", "verify", consortium.work(1) / "ledger", *ledger, "--transcript", transcript)
    assert audit.returncode == 0, audit.stdout + audit.stderr
