"""The consortium of the drill: who takes part, where their kits are, and how roster, keys and certificates change."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from afml.consortium.history import load_roster
from afml.consortium.request import REQUEST
from afml.consortium.roster import Roster
from benchmarks.drill.machines import Machines
from benchmarks.drill.people import PANEL, SITES, write_people

AGGREGATOR, COORDINATOR = "aggregator", "coordinator"
LIFETIME = 2.0
"""PLE that every site allows a person over all runs, sigma."""
Party = int | str


class Consortium:
    """Parties and their folders.

    Attributes:
        names: Node -> its institution.
        homes: Party -> the folder of its machine, which holds `kit` and, at a node, `work`.
    """

    def __init__(self, machines: Machines) -> None:
        self.machines, self.names, self.homes = machines, dict[int, str](), dict[Party, Path]()
        self.panel = write_people(machines.root, "panel", 1, PANEL)
        self._proposals = 0

    def kit(self, party: Party) -> Path:
        return self.homes[party] / "kit"

    def work(self, node: int) -> Path:
        return self.homes[node] / "work"

    def roster(self) -> Roster:
        """The present version, as the coordinator has it."""
        return load_roster(self.kit(COORDINATOR))

    def found(self, names: Sequence[str]) -> str:
        """Everybody makes keys, the coordinator answers with the first roster, everybody installs it."""
        for node, name in enumerate(names, start=1):
            self.ask(node, name)
        for role in (AGGREGATOR, COORDINATOR):
            self.homes[role] = self._machine(role)
            self.machines.do("keys", "init", "--out", self.kit(role), "--role", role)
        everybody: tuple[Party, ...] = (*self.names, AGGREGATOR)
        requests = [self.kit(party) / REQUEST for party in everybody]
        answers = self.machines.root / "answers-1"
        told = self.machines.do("consortium", "found", *requests, "--kit", self.kit(COORDINATOR), "--out", answers,
                                "--consortium", "north")  # fmt: skip
        self.install(answers, everybody)
        for node in self.names:
            self.settle(node)
        return told.splitlines()[-2]

    def ask(self, node: int, name: str) -> str:
        """An institution makes its keys."""
        self.names[node], self.homes[node] = name, self._machine(name.lower())
        return self.machines.do("keys", "init", "--out", self.kit(node), "--name", name)

    def settle(self, node: int) -> None:
        """An institution that is on the roster says what it allows, and prepares its people."""
        self.allow(node)
        write_people(self.homes[node], self.names[node].lower(), 10 + node)
        self.prepare(node)

    def prepare(self, node: int) -> None:
        """Its data, and a card that its signing key signs."""
        name = self.names[node].lower()
        own = self.homes[node] / f"{name}.vcf.gz"
        self.machines.do(
            "prepare", "--kit", self.kit(node), "--work", self.work(node), "--vcf", own, "--panel-vcf", self.panel,
            "--phenotypes", own.with_name(f"{name}.tsv"), "--sites", SITES,
        )  # fmt: skip

    def allow(self, node: int) -> None:
        """policy.toml, which trusts everybody on the roster; written anew where the roster has new keys."""
        (self.kit(node) / "policy.toml").unlink(missing_ok=True)
        self.machines.do(
            "policy", "init", "--kit", self.kit(node), "--lifetime", LIFETIME, "--quorum", 2, "--rounds", 100_000,
            "--trust-roster",
        )  # fmt: skip

    def version(self, request: Path, by: Iterable[int]) -> tuple[str, Path]:
        """A new version of the roster: proposed, countersigned, published; what `publish` says of it, and answers."""
        self._proposals += 1
        proposal, answers = (self.machines.root / f"{what}-{self._proposals + 1}" for what in ("proposal", "answers"))
        coordinator, words = ("--kit", self.kit(COORDINATOR)), list[object]()
        self.machines.do("consortium", "add", request, *coordinator, "--out", proposal)
        for node in by:
            word = proposal.with_name(f"{proposal.name}-node-{node}.json")
            self.machines.do("consortium", "countersign", proposal, "--kit", self.kit(node), "--out", word)
            words += ["--countersigned", word]
        told = self.machines.do("consortium", "publish", proposal, *words, *coordinator, "--out", answers)
        return "; ".join(line.strip() for line in told.splitlines()[:-1]), answers

    def renew(self, parties: Iterable[Party]) -> None:
        """New TLS keys and certificates."""
        requests, self._proposals = [], self._proposals + 1
        for party in (renewed := list(parties)):
            self.machines.do("keys", "renew", "--kit", self.kit(party))
            requests.append(self.kit(party) / REQUEST)
        answers = self.machines.root / f"renewed-{self._proposals}"
        self.machines.do("consortium", "rotate", *requests, "--kit", self.kit(COORDINATOR), "--out", answers)
        self.install(answers, renewed)

    def revoke(self, node: int) -> None:
        """The coordinator's word that no certificate of a node counts, installed at the aggregator."""
        out = self.machines.root / f"revoked-{node}"
        self.machines.do("consortium", "revoke", f"node/{node}", "--kit", self.kit(COORDINATOR), "--out", out)
        self.machines.do("keys", "install", out / "others", "--kit", self.kit(AGGREGATOR))

    def install(self, answers: Path, parties: Iterable[Party]) -> None:
        for party in parties:
            folder = answers / (f"node-{party}" if isinstance(party, int) else party)
            self.machines.do("keys", "install", folder, "--kit", self.kit(party))

    def move(self, node: int, saved: Path) -> None:
        """Another machine for a node, with what was kept of the old one: kit and prepared data; no ledger, no run."""
        self.homes[node] = self._machine(f"{self.names[node].lower()}-2")
        shutil.copytree(saved / "kit", self.kit(node))
        shutil.copytree(saved / "work", self.work(node))

    def keep(self, node: int) -> Path:
        """What an institution keeps of a machine elsewhere, beside its ledger's backup."""
        saved = self._machine(f"{self.names[node].lower()}-kept")
        shutil.copytree(self.kit(node), saved / "kit")
        ignored = shutil.ignore_patterns("runs", "ledger", "models", ".*")
        shutil.copytree(self.work(node), saved / "work", ignore=ignored)
        return saved

    def _machine(self, name: str) -> Path:
        folder = self.machines.root / name
        folder.mkdir(mode=0o700)
        return folder
