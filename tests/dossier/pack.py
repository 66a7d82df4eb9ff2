"""A small consortium with everything that a dossier is made of, by the product's own code; and hands to tamper."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase
from afml.consortium.runfile import write_run
from afml.core.config import canonical_json
from afml.dossier.build import Signer, seal
from afml.dossier.evidence import Sources
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import documents
from afml.dossier.standalone import STATEMENTS
from afml.dossier.statements import Statement, Statements
from afml.evaluation.details import Details, write_details
from afml.evaluation.ran import DataSection, PrivacySection
from afml.evaluation.report import OverlapSection, PhenotypeSection, ReleaseSection, Report, write_json
from afml.ledger import transcript
from afml.ledger.checkpoint import origin_of
from afml.ledger.entries import spend_for
from afml.ledger.overlaps import Asked, OverlapQuery
from afml.ledger.publication import PublicationRecord
from afml.ledger.releases import ReleaseRecord
from afml.ledger.reservation import Limits, reservation_for
from afml.ledger.store import Ledger
from afml.ledger.witness import NEVER, Witness
from afml.release.package.publication import Publication, Verdict
from afml.training.registry import stated_code
from afml.trial.kits import make_kits
from crypto.public.signing import public_bytes
from node.policy import Policy
from tests.evaluation.example import DETAILS
from tests.ledger.helpers import Clock, config

NODES = (1, 2, 3)
LIFETIME = Budget(delta=1e-5, ple_sigma=3.0)
MODEL, FILE = "ab" * 32, "cd" * 32
RUN = "first"
PHASES = (
    Phase(name="risk", rounds=3, sample_rate=1.0, clip_norm=1.0, noise_multiplier=8.0, learning_rate=0.1),
    Phase(name="game", rounds=2, sample_rate=0.1, clip_norm=1.0, noise_multiplier=2.0, learning_rate=0.1),
)


class Built:
    """Kits, work folders, run, transcript and report of a run that is over; `sources` leads to all of it.

    Args:
        root: Folder for all of it.
        nodes: Institutions.
        phases: Of the run.
        asked: They looked for people at two institutions before it, and entered their policies after it.
    """

    def __init__(
        self, root: Path, nodes: tuple[int, ...] = NODES, phases: tuple[Phase, ...] = PHASES, *, asked: bool = False
    ) -> None:
        self.root, self.clock, self.nodes, self.phases, self.asked = root, Clock(), nodes, phases, asked
        make_kits(root / "kits", "walk", len(nodes))
        self.kits = {node: load_node_kit(root / "kits" / f"node-{node}") for node in nodes}
        self.run = self._configured()
        self._trained()
        self._reported()
        works = tuple(root / f"work-{node}" for node in nodes)
        self.sources = Sources(
            works, root / "kits" / "node-1", root / "run.json", (root / "transcript.jsonl",), (),
            root / "report.json",
        )  # fmt: skip

    @property
    def signer(self) -> Signer:
        return Signer(1, self.kits[1].signing_key)

    def _configured(self) -> Any:
        enrolled = dict.fromkeys(self.nodes, 12)
        given = {"enrolled": enrolled, "quorum": len(self.nodes)} if self.nodes != NODES else {}
        run = config(RUN, consortium="walk", phases=self.phases, reserve_attempts=0, **given)
        write_run(self.root / "run.json", run, load_coordinator_key(self.root / "kits" / "coordinator"))
        return run

    def _trained(self) -> None:
        run, aggregator = self.run, load_aggregator_kit(self.root / "kits" / "aggregator")
        appender = transcript.Appender(self.root / "transcript.jsonl", aggregator.signing_key)
        limits = Limits(run.budget, LIFETIME)
        people = {node: [f"person-{node}-{i}" for i in range(12)] for node in self.nodes}
        ledgers = {node: self.ledger(node) for node in self.nodes}
        if self.asked:
            self._asked(ledgers, people)
        for node, ledger in ledgers.items():
            plan = replace(reservation_for(run, limits, days=30.0), code=stated_code())
            ledger.plans.reserve(plan, people[node])
        for number in range(1, run.rounds + 1):
            spend, receipts = spend_for(run, Attempt(number, 1), self.nodes), {}
            for node, ledger in ledgers.items():
                receipts[node] = ledger.append(spend, people[node], limits).to_json()
            now = int(self.clock() * 1000)
            appender.append(transcript.record_for(run, spend.attempt, self.nodes, time_ms=now, receipts=receipts))
        for node, ledger in ledgers.items():
            ledger.plans.close(run.run, run.digest().hex(), "finished")
            ledger.releases.record(
                ReleaseRecord(RUN, FILE, MODEL, 4), {p: str(i % 3) for i, p in enumerate(people[node])}
            )
            ledger.record_audit(RUN, 0.1, confidence=0.95, instrument="one-run canaries (f-DP)")
            self._published(node, ledger)
            if self.asked:
                ledger.plans.record_policy(Policy().model_dump(mode="json"), [])
        self._vouched(ledgers)
        for node, ledger in ledgers.items():
            model = self.root / f"work-{node}" / "models" / RUN / "model.json"
            model.parent.mkdir(parents=True)
            card = {"config_digest": run.digest().hex(), "task": {"code": run.task.code}, "trained_on": 36}
            model.write_bytes(canonical_json({"digest": MODEL, "card": card}))
            ledger.close()

    def _asked(self, ledgers: dict[int, Ledger], people: dict[int, list[str]]) -> None:
        """Each node asks those before it, which is what these answer."""
        digest = "ef" * 32
        for node, ledger in ledgers.items():
            asks, answers = (
                tuple(n for n in ledgers if n != node and (n < node) == earlier) for earlier in (True, False)
            )
            query = OverlapQuery("asking", digest, b"own", b"ask %d" % node if asks else b"", asks, answers)
            ledger.overlaps.begin(query, people[node])
        for node, ledger in ledgers.items():
            for other in (n for n in ledgers if n > node):
                it = Asked("asking", digest, other, ledgers[other].origin, 12, b"ask %d" % other)
                ledger.overlaps.answer(it, 100)

    def _published(self, node: int, ledger: Ledger) -> None:
        """Every institution publishes its file; it met its group size, and missed the rate that somebody accepted."""
        ledger.releases.record_publication(
            PublicationRecord(FILE, "12" * 32, "34" * 32, ("group size", "joint groups"), ("re-identification rate",))
        )
        asked = (("group size", 4.0, True), ("joint groups", 4.0, True), ("re-identification rate", 0.01, False))
        word = Publication(
            consortium="walk", origin=ledger.origin, key="00" * 32, run=RUN, version=1, release=FILE,
            manifest="12" * 32, assessment="34" * 32, made="2026-11-27",
            verdicts=tuple(Verdict(target=target, asked=value, met=met) for target, value, met in asked),
        )  # fmt: skip
        folder = self.root / f"work-{node}" / "releases" / RUN / "1"
        folder.mkdir(parents=True)
        word.signed(self.kits[node].signing_key).save(folder)

    def _vouched(self, ledgers: dict[int, Ledger]) -> None:
        """Each institution countersigns the others' heads, as after the last round of a run."""
        for node, ledger in ledgers.items():
            note, own = ledger.checkpoint(), Witness(ledger)
            for other, theirs in ledgers.items():
                if other != node:
                    key = self.kits[node].signing_key
                    line = Witness(theirs).countersign(ledger.origin, note, [], public_bytes(key), NEVER)
                    assert line is not None
                    by = self.kits[other]
                    own.accept(note, line, by.origin, public_bytes(by.signing_key))

    def ledger(self, node: int) -> Ledger:
        key = self.kits[node].signing_key
        return Ledger.open(
            self.root / f"work-{node}" / "ledger", key, origin=origin_of(public_bytes(key)), clock=self.clock
        )

    def _reported(self) -> None:
        report = Report(
            data=DataSection(kind="simulated", people=36, panel=40, sites=10, nodes=3),
            privacy=PrivacySection(
                epsilon=3.0, delta=1e-5, ple_sigma=0.6, ple_at_delta=0.6, noise="distributed",
                epsilon_if_aggregation_broken=6.0, audited_ple_lower=0.1,
            ),
            federation=None,
            release=ReleaseSection(
                rr=0.25, rr_ci95=(0.1, 0.4), rr_by_attack={"likelihood": 0.25, "hidden Markov": 0.1},
                rr_known_institution=0.3, rr_known_institution_ci95=(0.2, 0.5), chance_known_institution=1 / 12,
                candidates=36, chance=1 / 36, utility_auc=0.8, raw_auc=0.8, utility_ratio=1.0,
                utility_ratio_ci95=(0.9, 1.1),
                utility_ratio_chance_corrected=1.0, utility_ratio_vs_best_raw=1.0, min_group_size=4, patterns=3,
                entropy_bits=1.5, retained_fraction=0.1,
            ),
            baselines=(), rr_reduction_vs_random=0.5,
            phenotype=PhenotypeSection(simulated=True, causal_sites=3, heritability=0.5, seed=1),
            seconds={}, versions={}, overlap=OverlapSection(queries=1, found=3, left_out=2) if self.asked else None,
        )  # fmt: skip
        write_json(report, self.root / "report.json")
        write_details(Details.model_validate(DETAILS | {"harder": _harder()}), self.root / "details.json")


def _harder() -> dict[str, Any]:
    """The example's, with what random groups of these sizes and equal records give."""
    by = DETAILS["harder"]["groups"]
    groups = [one | {"rr_among_equals": 0.004} for one in by["groups"]]
    chance = {"groups": groups, "ratio_by_chance": 3.1, "mean_among_equals": 0.005}
    return DETAILS["harder"] | {"groups": by | chance}


class Hands:
    """What somebody can do to a dossier. `sealed` makes the manifest anew, as one who has a signing key can."""

    def __init__(self, folder: Path, built: Built) -> None:
        self.folder, self.built = folder, built

    @property
    def ledger(self) -> Path:
        """Folder of the first institution's ledger."""
        return self.folder / "ledgers" / self.built.kits[1].origin.rpartition("/")[2]

    def edit(self, file: str | Path, change: Callable[[Any], Any]) -> None:
        """Change a JSON file."""
        path = self.folder / file
        document = json.loads(path.read_bytes())
        changed = change(document)
        path.write_bytes(canonical_json(document if changed is None else changed) + b"\n")

    def line(self, file: Path, number: int, change: Callable[[Any], Any]) -> None:
        """Change a line of a JSON-lines file; a change that returns None drops it."""
        lines = file.read_bytes().splitlines()
        document = change(json.loads(lines[number]))
        lines[number : number + 1] = [] if document is None else [canonical_json(document)]
        file.write_bytes(b"".join(line + b"\n" for line in lines))

    def say(self, name: str, value: Any) -> None:
        """Change the value of a statement."""
        self.edit(STATEMENTS, lambda said: next(one for one in said if one["id"] == name).update(value=value))

    def point(self, name: str, **changes: Any) -> None:
        """Change what a statement stands on."""
        self.edit(STATEMENTS, lambda said: next(one for one in said if one["id"] == name)["pointer"].update(changes))

    def repoint(self, file: str) -> None:
        """Make all statements on a file name its digest of now."""
        digest = hashlib.sha256((self.folder / file).read_bytes()).hexdigest()
        for one in json.loads((self.folder / STATEMENTS).read_bytes()):
            if one["pointer"].get("file") == file:
                self.point(one["id"], sha256=digest)
                if one["pointer"]["at"] == "":
                    self.say(one["id"], digest)

    def forms(self) -> None:
        """Make the forms anew, of the statements as they are now."""
        said = Statements(map(Statement.from_json, json.loads((self.folder / STATEMENTS).read_bytes())))
        for name, form in documents(fill_all(said)).items():
            (self.folder / name).write_bytes(form)

    def sealed(self, key: Ed25519PrivateKey | None = None) -> None:
        """Make the manifest anew, signed by institution 1, or by another key in its name."""
        seal(self.folder, Signer(1, key or self.built.kits[1].signing_key))


def enrolment(built: Built, kit: NodeKit) -> str:
    """Short name of an institution's only enrolment that was spent on."""
    with built.ledger(kit.node) as ledger:
        return next(str(entry.body["enrolment"])[:12] for entry in ledger.entries() if entry.kind == "spend")
