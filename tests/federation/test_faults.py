"""Processes die at chosen instructions: no spend goes missing, nothing is counted twice, the bits are the same."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afml.consortium.kit import load_roster
from afml.consortium.run import RunConfig
from afml.ledger import transcript
from afml.ledger.verify import Evidence, verify
from afml.trial.processes import free_port
from tests.federation.parties import Consortium
from tests.processes import alive

KILLED = -9
_LOOKING = "looking for the aggregator"
NODES = 4


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("faults"), nodes=NODES, people=40)
    yield made
    made.stop()


class Supervisor:
    """Starts every process of a run, and starts it again when it dies at its planned instruction."""

    def __init__(self, consortium: Consortium, name: str, crashes: dict[int, list[str]]) -> None:
        """`crashes`: node (0 is the aggregator) -> instructions, one for each of its lives."""
        self.consortium, self.name, self.port = consortium, name, free_port()
        self.left = {party: list(crashes.get(party, [])) for party in range(NODES + 1)}
        self.lost: set[int] = set()
        self.fired: list[str] = []
        earlier = self.looking()
        self.running = {party: self.start(party) for party in range(1, NODES + 1)}
        # Deadlines run from the aggregator's start, and interpreters may take their time to start.
        while any(now == before for now, before in zip(self.looking(), earlier, strict=True)):
            assert all(process.poll() is None for process in self.running.values()), self.logs()
            time.sleep(0.1)
        self.running[0] = self.start(0)

    def looking(self) -> list[int]:
        return [self.consortium.log(f"node-{n}").count(_LOOKING) for n in range(1, NODES + 1)]

    def start(self, party: int) -> subprocess.Popen[bytes]:
        crash = self.left[party][0] if self.left[party] else ""
        if party == 0:
            return self.consortium.start_aggregator(self.port, self.name, crash)
        return self.consortium.start_node(party, self.port, self.name, crash)

    def run(self, on_death: Callable[[int, str], bool] = lambda party, crash: True) -> None:
        """Until everybody ended well; `on_death` says whether a party is started again."""
        deadline = time.monotonic() + 420
        while self.running:
            assert time.monotonic() < deadline, self.logs()
            for party, process in list(self.running.items()):
                code = process.poll()
                if code is None:
                    continue
                del self.running[party]
                if code == KILLED and self.left[party]:
                    self.no_unpaid_byte()
                    crash = self.left[party].pop(0)
                    self.fired.append(crash)
                    if on_death(party, crash):
                        self.running[party] = self.start(party)
                    else:
                        self.lost.add(party)
                else:
                    assert code == 0, f"party {party} ended with {code}\n{self.logs()}"
            time.sleep(0.05)
        assert not any(self.left.values()), f"never reached: {self.left}"

    def no_unpaid_byte(self) -> None:
        """At this instant, every byte that the aggregator holds was paid for at its node."""
        for node in range(1, NODES + 1):
            uploads = self.consortium.uploads(node, self.name)
            if uploads:
                assert uploads <= set(self.consortium.spends(node, self.name)), f"node {node}"

    def logs(self) -> str:
        return "\n".join(
            f"--- {party}\n{self.consortium.log(party)[-1500:]}"
            for party in ["aggregator", *(f"node-{n}" for n in range(1, NODES + 1))]
        )


def _check_books(consortium: Consortium, config: RunConfig, lost: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Ledgers hold against the aggregator's transcript, by the independent verifier."""
    roster = load_roster(consortium.kit(1))
    path = consortium.data(config.run) / "transcript.jsonl"
    rounds = transcript.read(path, bytes.fromhex(roster.aggregator_key))
    assert [one.round for one in rounds] == list(range(1, config.rounds + 1))
    for node in set(config.nodes) - lost:
        spends = consortium.spends(node, config.run)
        assert {(one.round, one.attempt) for one in rounds if node in one.cohort} <= set(spends)
        key = bytes.fromhex(roster.member(node).signing_key)
        result = verify(consortium.work(node) / "ledger", key=key, node=node, evidence=Evidence(transcript=rounds))
        assert result.ok, [vars(finding) for finding in result.findings]


def _digests(consortium: Consortium, config: RunConfig, nodes: set[int]) -> set[str]:
    return {consortium.model_card(node, config.run)["digest"] for node in nodes}


def test_nodes_killed_at_every_stage_end_with_the_same_bits(consortium: Consortium) -> None:
    config = consortium.configure("nodes-die", reserve_attempts=8)
    supervisor = Supervisor(
        consortium,
        "nodes-die",
        {
            1: [  # makes the run's key and the panel part
                "after node.mailbox:Mailbox.send_sealed 1",
                "after afml.ledger.store:Ledger.append 1",
                "after node.journal:Journal.keep_public_model 1",
                "before node.journal:Journal.forget_keys 1",
            ],
            2: [
                "before node.outbox:write_records 1",
                "before node.client:Client.submit 1",
                "after node.client:Client.submit 1",
                "before node.journal:Journal.keep_state 1",
            ],
            3: [
                "after node.client:Client.ready 1",
                "after node.journal:Journal.keep_state 1",
            ],
        },
    )
    supervisor.run()
    assert _digests(consortium, config, {1, 2, 3, 4}) == {consortium.reference(config).digest()}
    _check_books(consortium, config)
    # Attempts died with their nodes: both halves of each are in the books, paid for and not published.
    assert len(consortium.spends(1, "nodes-die")) > config.rounds
    assert alive(consortium.root) == []


def test_an_aggregator_killed_at_every_stage_ends_with_the_same_bits(consortium: Consortium) -> None:
    config = consortium.configure("aggregator-dies", game=False)
    supervisor = Supervisor(
        consortium,
        "aggregator-dies",
        {
            0: [
                "before aggregator.store.sql:_Letters.add 2",
                f"after aggregator.engine:Engine.ready {NODES}",  # the cohort is fixed
                "after aggregator.store.sql:_Attempts.add_upload 2",  # in the middle of a decision
                "after aggregator.engine:Engine.uploaded 2",
                "after aggregator.summing:Summer.sum 1",
                "after aggregator.transcript:Transcript.add 1",
                "after aggregator.store.sql:_Rounds.publish 1",  # in the middle of a decision
                "after aggregator.engine:Engine.summed 1",
                "after aggregator.store.sql:_Attempts.fix_cohort 1",  # in the middle of a decision
            ]
        },
    )
    supervisor.run()
    assert _digests(consortium, config, {1, 2, 3, 4}) == {consortium.reference(config).digest()}
    _check_books(consortium, config)
    for node in config.nodes:
        assert len(consortium.spends(node, "aggregator-dies")) == config.rounds, "no attempt was lost"
    assert alive(consortium.root) == [], "adding processes outlived their aggregator"


def test_a_lost_node_and_lost_ciphertexts_cost_an_attempt_and_nothing_else(consortium: Consortium) -> None:
    config = consortium.configure("losses", game=False, quorum=3, deadline_s=30.0, reserve_attempts=2)

    def on_death(party: int, crash: str) -> bool:
        if party == 2:  # its disk came back without what it had not sent yet
            for path in (consortium.work(2) / "runs" / "losses" / "outbox").glob("*.chunks"):
                path.unlink()
        return party != 4

    supervisor = Supervisor(
        consortium,
        "losses",
        {
            2: ["before node.client:Client.submit 1"],
            4: ["before node.client:Client.submit 1"],
        },
    )
    supervisor.run(on_death)
    assert supervisor.lost == {4}
    assert len(_digests(consortium, config, {1, 2, 3})) == 1
    _check_books(consortium, config, lost={4})
    for node in (1, 2, 3):
        spends = consortium.spends(node, "losses")
        assert spends[1, 1] == [1, 2, 3, 4], "the lost attempt is paid for"
        assert set(map(tuple, list(spends.values())[1:])) == {(1, 2, 3)}
        assert len(spends) == config.rounds + 1
    assert "attempt declined" in consortium.log("node-2")
    assert set(consortium.spends(4, "losses")) == {(1, 1)}
    assert not Path(consortium.work(4) / "models" / "losses").exists()
