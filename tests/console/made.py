"""Two parties to look at, simulated: an institution with a ledger of several runs, and an aggregator in mid-run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.consortium.card import NodeCard
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.consortium.stage import Stage
from afml.core.config import canonical_json
from afml.ledger.entries import spend_for
from afml.ledger.releases import ReleaseRecord
from afml.ledger.reservation import Limits, reservation_for
from afml.ledger.store import Ledger
from afml.ledger.transcript import Appender, record_for
from afml.masking.chosen import genotypes
from afml.trial.kits import make_kits
from aggregator.run import Folder
from aggregator.standing import NodeStanding, RunStanding
from node.journal import Journal
from node.policy import Lifetime, Policy, RunRules, Trust
from node.policyfile import init
from node.standing import PartStanding
from tests.evaluation.example import EXAMPLE
from tests.masking_runs import masking_run

PEOPLE = [f"s{number}" for number in range(60)]
NODES = 5
LIFETIME = Policy(lifetime=Lifetime(ple_sigma=0.9), run=RunRules(ple_sigma=0.9, approval=True))
_DAY = 86_400.0


class Clock:
    """Unix seconds that are set by hand and tick a second a reading."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def kits(root: Path, nodes: int = NODES) -> Path:
    """Kits of a consortium, node 1 with a policy that asks a person for approval and trusts everybody."""
    make_kits(root / "kits", "lake-study", nodes)
    kit = load_node_kit(root / "kits" / "node-1")
    trust = Trust(signing_keys=tuple(member.signing_key for member in kit.roster.members))
    init(root / "kits" / "node-1", LIFETIME.model_copy(update={"trust": trust}), kit.roster)
    return root / "kits"


def signed(
    root: Path, name: str, sigma: float, *, rounds: int = 8, nodes: int = NODES, seed: int | None = None
) -> RunConfig:
    """A run that comes to `sigma`, signed by the coordinator: NAME.json and NAME.sig in root/signed."""
    phase = Phase(
        name="one", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=math.sqrt(rounds) / sigma,
        learning_rate=0.1,
    )  # fmt: skip
    config = masking_run(
        run=name, consortium="lake-study", sites=9, enrolled=dict.fromkeys(range(1, nodes + 1), len(PEOPLE)),
        quorum=max(1, nodes - 2), reserve_attempts=0, phases=(phase,), budget=Budget(delta=1e-5, ple_sigma=0.9),
        seed=seed,
    )  # fmt: skip
    (root / "signed").mkdir(exist_ok=True)
    write_run(root / "signed" / f"{name}.json", config, load_coordinator_key(root / "kits" / "coordinator"))
    return config


def work_folder(root: Path, name: str = "work") -> Path:
    """As `afml prepare` leaves it, as far as a run is read and approved."""
    work = root / name
    (work / "data").mkdir(parents=True)
    work.chmod(0o700)
    (work / "people.tsv").write_text("sample\trole\tphenotype\n" + "".join(f"{one}\ttrain\t1\n" for one in PEOPLE))
    card = NodeCard(node=1, data=genotypes("00", 9), enrolled=len(PEOPLE))
    (work / "card.json").write_text(card.model_dump_json())
    return work


def play(ledger: Ledger, clock: Clock, config: RunConfig, rounds: int, *, close: bool = True) -> None:
    """What a node enters of a run: its plan, a spend each round, the closing."""
    digest, limits = config.digest().hex(), Limits(config.budget, LIFETIME.lifetime.budget)
    policy = Policy.model_validate(ledger.plans.policy()).digest().hex()
    ledger.plans.approve(config.run, digest)
    ledger.plans.reserve(reservation_for(config, limits, days=30, policy=policy), PEOPLE)
    for number in range(1, rounds + 1):
        clock.now += 40 + 3 * (number % 4)
        cohort = [node for node in config.nodes if (node * 3 + number) % 7]
        ledger.append(spend_for(config, Attempt(number, 1), cohort), PEOPLE, limits)
    if close:
        ledger.plans.close(config.run, digest, "finished")


def institution(root: Path) -> Path:
    """An institution with two runs behind it, one under way, one to approve, one that its policy refuses, and a
    release; its work folder.
    """
    made, work = kits(root), work_folder(root)
    kit = load_node_kit(made / "node-1")
    clock = Clock(time.time() - 150 * _DAY)
    runs = [signed(root, "pilot", 0.2), signed(root, "spring", 0.35), signed(root, "summer", 0.4, rounds=30)]
    with Ledger.open(work / "ledger", kit.signing_key, origin=kit.origin, clock=clock) as ledger:
        ledger.plans.record_policy(Policy.load(made / "node-1" / "policy.toml").model_dump(mode="json"), ())
        play(ledger, clock, runs[0], 8)
        clock.now += 70 * _DAY
        play(ledger, clock, runs[1], 8)
        ledger.releases.record(
            ReleaseRecord("spring", "ab" * 32, "cd" * 32, 20), {one: str(i // 20) for i, one in enumerate(PEOPLE)}
        )
        clock.now = time.time() - 600
        play(ledger, clock, runs[2], 11, close=False)
    signed(root, "autumn", 0.3)
    signed(root, "winter", 0.3, rounds=600)
    for name in ("pilot", "spring"):
        (work / "models" / name).mkdir(parents=True)
    under_way(work, kit)
    Journal(work / "runs" / "summer").keep_state(11, bytes(32), b"")
    (root / "report").mkdir()
    report = json.loads(json.dumps(EXAMPLE))
    report["baselines"] += [
        {"name": "static top sites", "matched": "utility", "rr": 0.012, "utility_ratio": 1.01},
        {"name": "binned score", "matched": "utility", "rr": 0.005, "utility_ratio": 1.06},
        {"name": "randomised response", "matched": "utility", "rr": 0.4, "utility_ratio": 0.93},
    ]
    (root / "report" / "report.json").write_bytes(canonical_json(report))
    return work


def under_way(work: Path, kit: NodeKit, doing: str = "round 12 of 30: waits for the others' updates") -> PartStanding:
    """What the process of run summer says of itself just now."""
    folder, now = work / "runs" / "summer", time.time()
    folder.mkdir(parents=True, exist_ok=True)
    part = PartStanding(
        run="summer", consortium="lake-study", version="0", started=now - 600, written=now,
        certificate_expires=kit.tls.expires.timestamp(), node=1, address="aggregator.example.org:7443", kind="sent",
        doing=doing, since=now - 20, round=12, rounds=30,
    )  # fmt: skip
    part.keep(folder)
    return part


def standing(nodes: int, rounds: int, published: int, **changes: object) -> RunStanding:
    """What an aggregator says of itself in mid-run: some have sent, some are waited for."""
    now = time.time()
    states = ("sent", "sending", "ready")
    return RunStanding.model_validate({
        "run": "summer", "consortium": "lake-study", "version": "0", "started": now - 900, "written": now,
        "certificate_expires": now + 40 * _DAY, "address": "aggregator.example.org:7443", "stage": Stage.OPEN,
        "since": now - 12.0, "round": published + 1, "attempt": 1, "rounds": rounds, "phase": "one",
        "published": published, "quorum": max(1, nodes - 2), "reason": "", "round_seconds": 2.4,
        "update_bytes": 1_234_567, "parameters": 300_000,
        "nodes": tuple(
            NodeStanding(node=node, name=f"Institute {node}", state=states[node % 3], awaited=node % 3 == 1)
            for node in range(1, nodes + 1)
        ),
    } | changes)  # fmt: skip


def aggregator(root: Path, *, nodes: int = NODES, rounds: int = 40, published: int = 25) -> Path:
    """An aggregator's data folder in mid-run, with its signed transcript."""
    if not (root / "kits").is_dir():
        make_kits(root / "kits", "lake-study", nodes)
    config = signed(root, "summer", 0.4, rounds=rounds, nodes=nodes)
    data = root / "data"
    data.mkdir()
    publish(root, config, range(1, published + 1))
    standing(nodes, rounds, published).keep(data)
    return data


def publish(root: Path, config: RunConfig, rounds: Sequence[int]) -> None:
    """The aggregator's signed lines of some rounds; now and then a node is missing."""
    appender = Appender(Folder(root / "data").transcript, load_aggregator_kit(root / "kits" / "aggregator").signing_key)
    began = int(time.time() * 1000) - 3_600_000
    for number in rounds:
        cohort = [node for node in config.nodes if (node * 7 + number) % 23]
        at = began + 2400 * number + 37 * (number % 9)
        appender.append(record_for(config, Attempt(number, 1), cohort, time_ms=at))
