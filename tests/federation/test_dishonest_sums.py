"""Real processes, real sockets: an aggregator that hands one node another sum is found out before the next spend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from afml.trial.processes import free_port
from tests import warm
from tests.federation.parties import Consortium
from tests.processes import REPOSITORY, environment

NODES = (1, 2, 3, 4)
ROUNDS = 3


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("bent"), nodes=len(NODES), people=40)
    yield made
    made.stop()


def start_dishonest(consortium: Consortium, port: int, name: str, *bend: object) -> subprocess.Popen[bytes]:
    arguments = ["aggregator", "--kit", consortium.kit("aggregator"), "--run", consortium.run_file(name),
                 "--data", consortium.data(name), "--listen", f"127.0.0.1:{port}"]  # fmt: skip
    with (consortium.root / f"{name}.log").open("ab") as out:
        process = warm.Popen(
            [sys.executable, "-m", "tests.federation.dishonest", *map(str, bend), "--", *map(str, arguments)],
            stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=environment(),
        )  # fmt: skip
    consortium.processes.append(process)
    return process


@pytest.mark.parametrize(
    ("how", "victim", "bent", "sides"),
    [
        ("offset", 2, 1, "[1, 3, 4] / [2]"),
        ("offset", 3, ROUNDS, "[1, 2, 4] / [3]"),  # after which nobody is ready for anything
        ("replay", 4, 2, "[1, 2, 3] / [4]"),
    ],
)
def test_everybody_stops_and_names_the_round_and_the_sides(
    consortium: Consortium, how: str, victim: int, bent: int, sides: str
) -> None:
    name = f"{how}-{bent}"
    consortium.configure(name, game=False, quorum=3, deadline_s=600.0)
    port = free_port()
    server = start_dishonest(consortium, port, name, how, victim, bent)
    nodes = {number: consortium.start_node(number, port, name) for number in NODES}
    for number, process in nodes.items():
        assert process.wait(420) == 6, consortium.log(f"node-{number}") + consortium.log(name)
        lines = [line for line in consortium.log(f"node-{number}").splitlines() if line.startswith("afml: ")]
        assert f"nodes hold different models after round {bent}: {sides}" in lines[-1]
        rounds = {round_number for round_number, _ in consortium.spends(number, name)}
        kept_out = {bent - 1, bent} if how == "replay" and number == victim else set()
        assert rounds == set(range(1, bent + 1)) - kept_out, "nothing was spent on what followed"
    server.kill()
