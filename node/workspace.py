"""What an institution keeps on its own disk, and where.

work/
  data/             what the data kind stored      people.tsv    sample, the table's columns, role (train | holdout)
  refused/          whom the last `afml prepare` refused, by name, where it did (related.tsv), and why the last
                    `afml mask` of a run refused (release-<run>.txt): stays here
  card.json         what it declares in public     ledger/       every spend, of all runs
  runs/<run>/       keys and progress of one run; keys go when it ends
  overlap/<run>/    who is enrolled elsewhere too (`afml overlap`): stays here
  models/<run>/     the trained model, its card and what the run cost (privacy.json); public but for that
  privacy/<run>.json  what the run cost            evaluation/<run>.json  how it does on held-out people: stays here
  releases/<run>/<n>/   versions of a release   columns/<run>/<n>.json  whose each column of theirs is: stays here
  assessments/<run>/<n>.json  the evaluation of a version, before it is published: stays here
  reassessments/<run>.json  what attacks of today reached on them: stays here
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from afml.consortium.card import NodeCard, Role
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.data.prepared import Prepared
from afml.release.versions import Versions
from afml.training.registry import agreed
from afml.training.start import begin
from afml.training.task import Enrolled, Task, TaskKind
from node.policy import ANY, RunRules


@dataclass(frozen=True)
class Workspace:
    """Paths inside one node's work folder."""

    root: Path

    @property
    def data(self) -> Path:
        """What the data kind stored."""
        return self.root / "data"

    @property
    def seeded(self) -> Path:
        """There where `afml prepare --seed` drew who is held out: for simulations alone."""
        return self.data / "seeded"

    @property
    def people(self) -> Path:
        """Sample, columns of the phenotype table, role."""
        return self.root / "people.tsv"

    @property
    def card(self) -> Path:
        """The public card."""
        return self.root / "card.json"

    @property
    def ledger(self) -> Path:
        """The ledger of this node."""
        return self.root / "ledger"

    def run(self, run: str) -> Path:
        """Progress and keys of a run."""
        return self.root / "runs" / run

    @property
    def models(self) -> Path:
        """The trained models of all runs, a folder each."""
        return self.root / "models"

    def model(self, run: str) -> Path:
        """The trained model of a run."""
        return self.models / run

    def privacy(self, run: str) -> Path:
        """What a run cost."""
        return self.root / "privacy" / f"{run}.json"

    def release(self, run: str) -> Path:
        """The folder of the newest release of a run."""
        return self.releases(run).newest().folder

    def releases(self, run: str) -> Versions:
        """What was released by a run's model, every version of it."""
        return Versions(self.root / "releases", self.root / "columns", run)

    def evaluation(self, run: str) -> Path:
        """How a run's model does on this institution's own held-out people; never leaves it."""
        return self.root / "evaluation" / f"{run}.json"

    def prepared(self, role: Role = "train") -> Prepared:
        """What a task opens.

        Args:
            role: Which people take part.
        """
        data = NodeCard.load(self.card).data
        return Prepared(
            self.data, self.people, data, role, (self.models,), self.root / "releases", self.root / "columns"
        )  # fmt: skip

    def require_prepared(self) -> None:
        """Refuse a folder that `afml prepare` has not finished.

        Raises:
            InputError: Something is missing.
        """
        for path in (self.data, self.people, self.card):
            if not path.exists():
                raise InputError("work folder is not prepared", where=path, cure="run `afml prepare` first")

    def require_drawn_for(self, run: RunConfig) -> None:
        """Refuse a real run on people of whom a seed says who is held out: whoever knows it knows who is enrolled.

        Raises:
            ConfigError: Likewise.
        """
        if run.seed is None and self.seeded.exists():
            raise ConfigError(
                "was prepared with --seed, which is for simulations, and this run is none",
                where=self.root,
                cure="run `afml prepare` again without --seed, and have the run configured from that card",
            )


def refusal(work: Workspace, run: str) -> Path:
    """Why the last `afml mask` of a run refused, in one line; not there where it did not."""
    return work.root / "refused" / f"release-{run}.txt"


@dataclass(frozen=True)
class Holdings:
    """What a node loads to train.

    Attributes:
        task: Over the institution's data.
        enrolled: Its people who take part.
        names: Theirs, in that order.
        kind: Of the task.
        prepared: The data.
    """

    task: Task
    enrolled: Enrolled
    names: tuple[str, ...]
    kind: TaskKind
    prepared: Prepared


def load_holdings(
    work: Workspace,
    run: RunConfig,
    *,
    bf16: bool = False,
    start_model: Path | None = None,
    rules: RunRules | None = None,
) -> Holdings:
    """Open a prepared work folder for a run.

    Args:
        work: The folder.
        run: Says which task trains on it.
        bf16: See `TaskKind.open`.
        start_model: Where the model is that the run begins at, or evaluates, if it is not among the work folder's.
        rules: The site's: whose code runs within the node, and of which tasks a model may be that is evaluated.

    Raises:
        InputError: The folder is not prepared, or its data lack what the run declares.
        ConfigError: The task, the data or the model to begin at are not those of the run.
    """
    work.require_prepared()
    prepared = work.prepared(run.people)
    if rules is not None and ANY not in rules.tasks:
        prepared = replace(prepared, tasks=rules.tasks)
    if start_model is not None:
        prepared = replace(prepared, models=(start_model, *prepared.models))
    kind = agreed(run.task, where=f"run {run.run}").load(prepared, () if rules is None else rules.trusted_code)
    kind.check(run)
    task = kind.task(run, prepared.public, bf16=bf16)
    begin(task, run, prepared.models)
    names = prepared.people.rows(prepared.enrolled).samples
    return Holdings(task, kind.enrolled(run, prepared), names, kind, prepared)
