"""A run that evaluates a model on people kept out here is held against the ledger, as `afml evaluate --own` is."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from afml.consortium.run import RunConfig, TaskChoice
from afml.core.errors import InputError
from afml.release.evaluation.kind import ReleaseEvaluationKind
from afml.tasks.evaluation.kind import EvaluationKind
from afml.training.shelf import claimed_digest
from afml.training.task import Enrolled, Task, TaskKind
from node.keptout import require_evaluated_on_others
from node.workspace import Holdings, Workspace
from tests.cli.packages import Institution, copy
from tests.cli.test_publish import prepared


@pytest.mark.parametrize("kind", [EvaluationKind(), ReleaseEvaluationKind()], ids=lambda kind: type(kind).__name__)
def test_a_model_is_evaluated_on_nobody_whom_it_was_trained_on(
    trained: Institution, tmp_path: Path, kind: TaskKind
) -> None:
    own = copy(trained, tmp_path / "root")
    work = Workspace(own.work)
    run = RunConfig.load(own.root / "consortium" / "runs" / "two" / "run.json")

    def asked(digest: str, ledger: Path = work.ledger) -> None:
        task = TaskChoice(kind="evaluation", version="0", code="", settings={"model": digest})
        given = work.prepared("holdout")
        people = given.people.rows(given.enrolled).samples
        holdings = Holdings(cast(Task, None), cast(Enrolled, None), people, kind, given)
        require_evaluated_on_others(work, run.model_copy(update={"task": task}), holdings, ledger)

    model = claimed_digest(work.model("two"))
    asked(model)
    prepared(own, 0.5)
    with pytest.raises(InputError, match="people kept out of training whom run two was trained on, by the ledger"):
        asked(model)
    asked("0" * 64)  # another model, which this institution has no part in
    asked(model, tmp_path / "none")  # a first run: nobody was trained on
    (tmp_path / "none").mkdir()
    asked(model, tmp_path / "none")
