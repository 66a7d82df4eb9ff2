"""The node that makes something for all is lost: the next in line takes over, and the run ends well."""

from __future__ import annotations

import signal
from pathlib import Path

from afml.trial.processes import free_port
from tests.federation.parties import Consortium
from tests.processes import until

KILLED = -signal.SIGKILL


def test_no_single_node_costs_the_run(tmp_path: Path) -> None:
    consortium = Consortium.build(tmp_path, people=40)
    config = consortium.configure("heirs", game=False, deadline_s=10.0, public_deadline_s=10.0, reserve_attempts=20)
    port = free_port()
    server = consortium.start_aggregator(port, "heirs")
    try:
        # Node 1 has made the key and dies before it is said.
        nodes = {n: consortium.start_node(n, port, "heirs") for n in (2, 3)}
        nodes[1] = consortium.start_node(1, port, "heirs", crash="before node.mailbox:Mailbox.send_sealed 1")
        assert nodes[1].wait(120) == KILLED
        until(lambda: '"next in line"' in consortium.log("aggregator"))
        # It comes back as one of many, and dies again when it has just made the public part.
        crash = "before node.journal:Journal.keep_public_model 1"
        nodes[1] = consortium.start_node(1, port, "heirs", crash=crash)
        assert nodes[1].wait(240) == KILLED, consortium.log("node-1")
        until(lambda: consortium.log("aggregator").count('"next in line"') > 1)
        nodes[1] = consortium.start_node(1, port, "heirs")
        for n in nodes:
            assert nodes[n].wait(240) == 0, consortium.log(f"node-{n}") + consortium.log("aggregator")
        assert server.wait(120) == 0, consortium.log("aggregator")
    finally:
        consortium.stop()
    digests = {consortium.model_card(n, "heirs")["digest"] for n in (1, 2, 3)}
    assert digests == {consortium.reference(config).digest()}
