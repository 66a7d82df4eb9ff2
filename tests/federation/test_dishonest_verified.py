"""Real processes, real sockets: where sums are verified every node refuses a bent one, and nothing of it is applied.

An aggregator that cheats hears of it and says nothing; an honest one, whose member sends a check value that is not its
update's, writes down what nodes say, and ends the run for all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afml.consortium.kit import load_roster
from afml.consortium.refusal import Refusal
from afml.ledger import transcript
from afml.trial.processes import free_port
from node.journal import REFUSED, progress
from tests import warm
from tests.federation.parties import Consortium
from tests.federation.test_dishonest_sums import start_dishonest
from tests.processes import REPOSITORY, afml, environment

NODES = (1, 2, 3, 4)
ROUNDS = 3


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("verified"), nodes=len(NODES), people=40)
    yield made
    made.stop()


def start_lying(consortium: Consortium, node: int, port: int, name: str, bent: int) -> subprocess.Popen[bytes]:
    arguments = ["node", "--kit", consortium.kit(node), "--work", consortium.work(node), "--run",
                 consortium.run_file(name), "--aggregator", f"127.0.0.1:{port}", "--simulation"]  # fmt: skip
    with (consortium.root / f"node-{node}.log").open("ab") as out:
        process = warm.Popen(
            [sys.executable, "-m", "tests.federation.lying", str(bent), "--", *map(str, arguments)],
            stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=environment(),
        )  # fmt: skip
    consortium.processes.append(process)
    return process


def last_line(consortium: Consortium, node: int) -> str:
    return [line for line in consortium.log(f"node-{node}").splitlines() if line.startswith("afml: ")][-1]


def run_folder(consortium: Consortium, node: int, name: str) -> Path:
    return consortium.work(node) / "runs" / name


def aggregator_key(consortium: Consortium) -> bytes:
    return bytes.fromhex(load_roster(consortium.kit(1)).aggregator_key)


def published(consortium: Consortium, name: str) -> dict[int, str]:
    """round -> SHA-256 of its sum, as the aggregator signed it."""
    records = transcript.read(consortium.data(name) / "transcript.jsonl", aggregator_key(consortium))
    return {one.round: one.sum for one in records}


@pytest.mark.parametrize(
    ("how", "bent"),
    [("common", 2), ("common", ROUNDS), ("each", 1), ("left-out", 2)],  # nobody is ready for anything after ROUNDS
)
def test_every_node_stops_with_one_line_and_applies_nothing(consortium: Consortium, how: str, bent: int) -> None:
    name = f"{how}-{bent}"
    config = consortium.configure(name, game=False, quorum=3, deadline_s=600.0, verified_sums=True)
    port = free_port()
    server = start_dishonest(consortium, port, name, how, 2, bent)
    nodes = {number: consortium.start_node(number, port, name) for number in NODES}
    for number, process in nodes.items():
        assert process.wait(420) == 6, consortium.log(f"node-{number}") + consortium.log(name)
        applied, why = progress(run_folder(consortium, number, name))
        assert applied == bent - 1
        assert why
        assert {round_number for round_number, _ in consortium.spends(number, name)} == set(range(1, bent + 1))
        assert not (consortium.work(number) / "models" / name).exists()
        if how == "left-out":  # it does not open
            assert "from an integer, above 0.3; sum refused" in last_line(consortium, number)
            continue
        told = f"sum of round {bent}, attempt 1: is not the sum of what its nodes encrypted; it was not applied"
        assert told in last_line(consortium, number)
        refusal = Refusal.model_validate_json((run_folder(consortium, number, name) / "letters" / REFUSED).read_bytes())
        refusal.check(config, load_roster(consortium.kit(1)))
        assert (refusal.node, refusal.round, refusal.attempt) == (number, bent, 1)
        assert refusal.sum != published(consortium, name)[bent], "it was given another sum than was written down"
    server.kill()


def test_what_nodes_say_of_a_sum_stands_in_the_transcript_and_ends_the_run(consortium: Consortium) -> None:
    """A member lies, the aggregator is honest."""
    name, bent = "lying", 2
    config = consortium.configure(name, game=False, quorum=3, deadline_s=600.0, verified_sums=True)
    port = free_port()
    server = consortium.start_aggregator(port, name)
    nodes = {number: consortium.start_node(number, port, name) for number in NODES[:-1]}
    nodes[4] = start_lying(consortium, 4, port, name, bent)
    ends = {number: process.wait(420) for number, process in nodes.items()}
    assert set(ends.values()) <= {5, 6}, ends  # who heard of it before it looked, and who saw it
    assert server.wait(120) == 5
    found = f"found that the sum of round {bent} is not that of what its nodes encrypted"
    assert found in consortium.log("aggregator")
    path, roster = consortium.data(name) / "transcript.jsonl", load_roster(consortium.kit(1))
    refusals = [one.refusal for one in transcript.read_refusals(path, aggregator_key(consortium))]
    assert refusals
    assert {one.node for one in refusals} == {number for number, code in ends.items() if code == 6}
    for number, code in ends.items():
        assert progress(run_folder(consortium, number, name))[0] == bent - 1
        assert (found if code == 5 else "is not the sum of what its nodes encrypted") in last_line(consortium, number)
    told = afml(
        "audit", "verify", consortium.work(1) / "ledger", "--roster", consortium.kit(1) / "roster.json",
        "--transcript", path,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    for refusal in refusals:
        refusal.check(config, roster)
        assert refusal.sum == published(consortium, name)[bent], "the aggregator gave out what it wrote down"
        place = f"who bent the sum of run {name}, round {bent}, attempt 1: node {refusal.node} refused it"
        assert f"{place}, as it was published" in told.stdout


def test_an_honest_run_is_the_same_to_the_bit(consortium: Consortium) -> None:
    """With exact noise as well."""
    name = "honest"
    config = consortium.configure(name, game=False, verified_sums=True, exact_noise=True)
    port = free_port()
    server = consortium.start_aggregator(port, name)
    nodes = {number: consortium.start_node(number, port, name) for number in NODES}
    for number, process in nodes.items():
        assert process.wait(420) == 0, consortium.log(f"node-{number}")
    assert server.wait(120) == 0
    digest = consortium.reference(config).digest()
    assert {consortium.model_card(number, name)["digest"] for number in NODES} == {digest}
    assert [len(one) for one in published(consortium, name).values()] == [64] * ROUNDS
