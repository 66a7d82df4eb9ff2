"""What an institution keeps beside a model once a run is over: its card, its cost, how it does on people kept out.

All of it is for the institution itself. The exact measures of its held-out people are written to its own disk and to
its own terminal, and nothing of a run depends on them: whoever chooses between models by them has published them.
"""

from __future__ import annotations

import json
from typing import Any

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from afml.core.files import write_bytes
from afml.tasks.evaluation.answers import answers
from afml.tasks.evaluation.exact import measured
from afml.training.foreign.proxy import let_go
from afml.training.modelpage import STATEMENT_FILE, markdown, model_card
from afml.training.task import PredictsNothing
from node.predict import SCHEMA_FILE
from node.privacy import PrivacyStatement
from node.workspace import Holdings, Workspace

PAGE_FILE = "MODEL.md"
_NOTE = "exact, of this institution's held-out people: stays here, and must not steer a run"


def keep_with_model(work: Workspace, run: RunConfig, holdings: Holdings, cost: PrivacyStatement) -> None:
    """Write beside the saved model: the statement of what it cost here, the schema of its data, its card as a page.

    Args:
        work: Where the model is.
        run: That made it.
        holdings: What it was trained on.
        cost: What this institution's people have spent.
    """
    folder = work.model(run.run)
    write_bytes(folder / STATEMENT_FILE, cost.model_dump_json(indent=2).encode())
    schema = holdings.prepared.public / SCHEMA_FILE
    if schema.is_file():
        write_bytes(folder / SCHEMA_FILE, schema.read_bytes())
    write_bytes(folder / PAGE_FILE, markdown(model_card(folder)).encode())


def evaluated_here(work: Workspace, run: RunConfig, holdings: Holdings) -> str:
    """Score the model, as the task stands, on this institution's own held-out people; writes `work.evaluation`.

    Returns:
        One line for the operator; "" where there is nothing to score.
    """
    if run.people != "train" or isinstance(holdings.task, PredictsNothing):
        return ""
    held = holdings.prepared.held_out
    if not len(held.enrolled):
        return ""
    let_go(holdings.enrolled)  # before the process of these people starts: both hold the whole model
    try:
        people = holdings.kind.held_out(run, held)
        found = [measured(one) for one in answers(holdings.task, people, held)]
    except AfmlError as error:  # what was paid for is saved; that it cannot be scored here is only to be said
        return f"not scored on the people kept out here: {error}"
    stored = {"run": run.run, "people": len(held.enrolled), "note": _NOTE, "outcomes": found}
    write_bytes(work.evaluation(run.run), (json.dumps(stored, indent=2, allow_nan=False) + "\n").encode())
    told = "; ".join(_line(one) for one in found)
    return f"on {len(held.enrolled)} people kept out here, exact and for this institution alone: {told}"


def _line(found: dict[str, Any]) -> str:
    name = {"binary": "auc", "categorical": "accuracy", "quantitative": "r2"}[found["outcome"]]
    value, interval = found[name], found.get(f"{name}_95")
    if value is None:
        return f"{found['target']}: {name} not defined"
    spread = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"{found['target']}: {name} {value:.3f}{spread}"
