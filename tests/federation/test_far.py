"""Over 200 ms and 1 % of loss: updates and rounds go by as ever, no attempt is given up, no connection made again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from afml.trial.processes import free_port
from node.client import Client
from tests.federation.far import FarLink
from tests.federation.parties import Consortium
from tests.federation.test_resumed import CUT, CuttingLink, Scene

NODES = 3


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("far"), nodes=NODES, people=40)
    yield made
    made.stop()


def test_a_run_over_a_far_link_is_the_same_run(consortium: Consortium) -> None:
    config, port = consortium.configure("far", game=False), free_port()
    server = consortium.start_aggregator(port, "far")
    with closing(FarLink(port)) as link:
        nodes = [consortium.start_node(n, link.port, "far") for n in config.nodes]
        for number, process in enumerate(nodes, start=1):
            assert process.wait(600) == 0, consortium.log(f"node-{number}") + consortium.log("aggregator")
    assert server.wait(120) == 0, consortium.log("aggregator")
    assert {consortium.model_card(n, "far")["digest"] for n in config.nodes} == {consortium.reference(config).digest()}
    for node in config.nodes:
        spends = {(round, 1): list(config.nodes) for round in range(1, config.rounds + 1)}
        assert consortium.spends(node, "far") == spends, "no attempt was given up for it"
    assert link.lost > link.passed / 500 > 0
    assert not any("is back" in consortium.log(f"node-{node}") for node in config.nodes)


def test_an_update_over_a_far_link_that_is_cut_arrives_once(tmp_path: Path) -> None:
    """Less has arrived when it is cut than was sent: the next stream begins where the aggregator stands."""
    scene, firsts = Scene(tmp_path), list[int]()

    def chunks(first: int) -> Iterator:  # type: ignore[type-arg]
        firsts.append(first)
        return scene.chunks(1, first)

    with closing(FarLink(scene.served.port)) as far, closing(CuttingLink(far.port, CUT, 2)) as link:
        client = Client(f"127.0.0.1:{link.port}", scene.served.kits[1], scene.served.config)
        with closing(client):
            client.submit(scene.header(1), chunks)
    assert link.cuts == 2
    assert far.lost > 0
    assert firsts == sorted(firsts)
    assert firsts[-1] > 0, "it is not sent from the beginning each time"
    assert scene.stored(1) == [scene.payload] * scene.count
    scene.served.close()
