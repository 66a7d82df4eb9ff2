"""A whole consortium on this machine, from Python: the encryption, accounting, ledgers and policies of a real one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import ValidationError

from afml.api.cohort import Cohort
from afml.api.one_process import OneProcess, Place
from afml.api.tasks import anybodys, found
from afml.api.trained import Trained
from afml.consortium.card import NodeCard, read_cards
from afml.consortium.history import load_history
from afml.consortium.kit import load_aggregator_kit, load_roster
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run, write_run
from afml.core.config import complaint, read_settings
from afml.core.errors import ConfigError
from afml.core.files import require_private
from afml.core.progress import Event, Step, Tell, step, text_of, untold
from afml.training.planning import Rounds, Terms, configure
from afml.training.task import TaskKind
from afml.trial.kits import make_kits
from afml.trial.parties import Parties
from afml.trial.processes import Team
from crypto.public.suites import KeyAgreement
from node import policyfile
from node.policy import load as load_policy
from node.prepare import prepare
from node.privacy import PrivacyStatement
from node.workspace import Workspace

if TYPE_CHECKING:
    from typing_extensions import Unpack

NAME = "local"  # of the consortium


class RunOptions(TypedDict, total=False):
    """What `afml configure` may be told of a run beside its task, settings and PLE; see `Rounds` and `Terms`."""

    rounds: int
    epochs: float | None
    sample_rate: float | None
    clip_norm: float | None
    learning_rate: float | None
    further: dict[str, float]
    name: str | None
    budget_sigma: float | None
    delta: float
    noise: Literal["distributed", "local"]
    exact_noise: bool
    quorum: int | None
    max_colluding: int
    max_enrolments: int | None
    reserve_attempts: int
    deadline_s: float
    enrolment_grace_s: float | None
    linger_s: float | None
    backend: str
    key_agreement: KeyAgreement
    start: str
    seed: int | None
    verified_sums: bool


class LocalConsortium:
    """Institutions of one consortium on this machine, for trials, notebooks and tests.

        consortium = LocalConsortium(cohorts, "mine", ple=0.5, rounds=60, sample_rate=0.1)
        trained = consortium.train(progress=True)

    Everybody's keys, ledgers and data lie below one folder of one account: nobody is protected from whoever holds that
    account. What the model reveals is bounded as in a real run.

    Attributes:
        root: Folder of everything.
        nodes: Numbers of the institutions, in the order of the cohorts.
        settings: Of the task, as they were given.
        rounds, terms: Of every run, where nothing else is said.
    """

    def __init__(
        self,
        cohorts: Sequence[Cohort],
        task: str | Path | TaskKind,
        *,
        ple: float = 0.9,
        settings: Mapping[str, Any] | Path | None = None,
        folder: Path | None = None,
        lifetime: float = 100.0,
        **options: Unpack[RunOptions],
    ) -> None:
        """Make keys and policies, prepare everybody's data, agree on nothing yet.

        Args:
            cohorts: The data of every institution.
            task: Name of an installed task, folder of its package, or a task kind itself (in one process alone).
            ple: Target PLE of each run, in sigma.
            settings: The task's, or a TOML or JSON file of them.
            folder: Where everything is kept; made, or gone on with where it is a consortium of the same size. By
                default a new temporary folder, which stays.
            lifetime: PLE that every institution's policy allows its people over all runs.
            options: Of the run, as `afml configure` takes them.

        Raises:
            ConfigError: An option is wrong, or the task is not there.
            InputError: Something is wrong with a cohort's data, or with the folder.
        """
        self._task = found(task)
        self.settings = read_settings(settings) if isinstance(settings, Path) else dict(settings or {})
        self.rounds, self.terms = _asked(ple, options)
        self.root = require_private(folder) if folder else Path(tempfile.mkdtemp(prefix="afml-"))
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.nodes = range(1, len(cohorts) + 1)
        self._provision(lifetime)
        for node, cohort in zip(self.nodes, cohorts, strict=True):
            self._prepare(node, cohort)

    def kit(self, party: int | str) -> Path:
        """Start kit of a node, of "aggregator" or of "coordinator".

        Args:
            party: Number of the node, or one of these words.
        """
        return self.root / "kits" / (f"node-{party}" if isinstance(party, int) else party)

    def work(self, node: int) -> Path:
        """Work folder of a node.

        Args:
            node: Its number.
        """
        return self.root / f"node-{node}"

    def configure(self, **options: Unpack[RunOptions]) -> RunConfig:
        """The next run, signed.

        Args:
            options: Of this run, above those of the consortium.

        Raises:
            ConfigError: No institution would accept it.
        """
        rounds, terms = _asked(self.terms.ple_sigma, {**self.rounds.model_dump(), **_said(self.terms), **options})
        name = terms.name or f"run-{1 + len(list((self.root / 'runs').glob('*')))}"
        roster = load_roster(self.kit("coordinator"))
        cards = read_cards([Workspace(self.work(node)).card for node in self.nodes], roster)
        terms = terms.model_copy(update={"name": name, "roster": roster.digest().hex()})
        run = configure(roster.consortium, cards, self._task, self.settings, rounds, terms)
        path = self._of_run(name) / "run.json"
        if path.exists():
            raise ConfigError(f"has a run {name} already", where=self.root, cure="give another name")
        path.parent.mkdir(parents=True)
        write_run(path, run, load_coordinator_key(self.kit("coordinator")))
        return run

    def train(self, *, progress: bool = False, processes: bool = False, **options: Unpack[RunOptions]) -> Trained:
        """Configure a run and train it.

        Args:
            progress: Show a bar.
            processes: Every party is a process of its own, started by the command that a user would give, and they
                talk over TLS; otherwise all share this process (`afml.api.one_process`).
            options: See `configure`.

        Raises:
            ConfigError: The run, or `processes` with a task that is not installed.
            PolicyError: An institution does not allow it.
            BudgetError: Somebody's budget is used up.
            ChildFailed: A process failed.
        """
        if processes and not anybodys(self._task):
            raise ConfigError(
                f"other processes cannot find the task {self._task.kind}",
                where="LocalConsortium",
                cure="install its package with pip (`afml task new` begins one), or train in one process",
            )
        run = self.configure(**options)
        with _bar(run, progress) as tell:
            if processes:
                self._train_in_processes(run, tell)
            else:
                self._train_here(run, tell)
        return self.trained(run.run)

    def trained(self, name: str) -> Trained:
        """A run that has ended.

        Args:
            name: Its name.

        Raises:
            InputError: It has not.
        """
        run = load_run(self._of_run(name) / "run.json", load_history(self.kit("coordinator")))
        works = {node: self.work(node) for node in self.nodes}
        stated = {node: PrivacyStatement.load(Workspace(work).privacy(name)) for node, work in works.items()}
        transcript = self._of_run(name) / "aggregator" / "transcript.jsonl"
        return Trained(run, works, stated, transcript, self.kit("coordinator") / "roster.json", self._task)

    def _of_run(self, name: str) -> Path:
        return self.root / "runs" / name

    def _provision(self, lifetime: float) -> None:
        kits = self.root / "kits"
        if not kits.exists():
            roster = make_kits(kits, NAME, len(self.nodes))
            for node in self.nodes:
                policyfile.init(self.kit(node), policyfile.trial_policy(roster, ple_sigma=lifetime), roster)
        elif len(load_roster(self.kit("coordinator")).members) != len(self.nodes):
            problem = f"holds a consortium of another size than {len(self.nodes)}"
            raise ConfigError(problem, where=self.root, cure="give another folder")

    def _prepare(self, node: int, cohort: Cohort) -> NodeCard:
        return prepare(load_node_kit(self.kit(node)), Workspace(self.work(node)), cohort.given, Step("", None, None))

    def _train_here(self, run: RunConfig, tell: Tell) -> None:
        places = [Place(self.kit(node), Workspace(self.work(node))) for node in self.nodes]
        trusted = set.intersection(*(set(load_policy(place.kit).run.trusted_code) for place in places))
        kind = self._task.load(places[0].work.prepared(), trusted)
        transcript = self._of_run(run.run) / "aggregator" / "transcript.jsonl"
        OneProcess(run, kind, places, load_aggregator_kit(self.kit("aggregator")), transcript, tell).train()

    def _train_in_processes(self, run: RunConfig, tell: Tell) -> None:
        place = self._of_run(run.run)
        with Team(place / "logs") as team:
            Parties(team, self.root, len(self.nodes), run=place).train(tell)


def _asked(ple: float, options: Mapping[str, Any]) -> tuple[Rounds, Terms]:
    """Options in the models that they belong to."""
    known = {*Rounds.model_fields, *Terms.model_fields} - {"ple_sigma"}
    for name in options:
        if name not in known:
            raise ConfigError(f"a run has no option {name!r}", where="LocalConsortium", cure=f"use {_list(known)}")
    try:
        rounds = Rounds(**{name: value for name, value in options.items() if name in Rounds.model_fields})
        terms = {name: value for name, value in options.items() if name in Terms.model_fields}
        return rounds, Terms(ple_sigma=ple, **terms)
    except ValidationError as error:
        raise ConfigError(complaint(error), where="LocalConsortium") from None


def _said(terms: Terms) -> dict[str, Any]:
    return {name: value for name, value in terms.model_dump().items() if name not in ("ple_sigma", "name", "roster")}


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


@contextmanager
def _bar(run: RunConfig, shown: bool) -> Iterator[Tell]:
    """A bar that moves with every applied round, where one is wanted."""
    if not shown:
        yield untold
        return
    with step(f"training {run.run}", total=run.rounds) as running:

        def tell(event: Event) -> None:
            running.note(text_of(event))
            if event.kind == "applied":
                running.advance()

        yield tell
