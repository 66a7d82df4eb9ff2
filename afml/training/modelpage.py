"""The card of a saved model, for people and for programs: what it is, of whom, what it cost, what it began from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from afml.consortium.run import RunConfig
from afml.core.bounded import at_most
from afml.core.errors import ConfigError
from afml.core.simulation import SIMULATION
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.training.model import ArrayModel
from afml.training.shelf import claimed_digest, config_of, model_folders

STATEMENT_FILE = "privacy.json"
"""What the model cost an institution's people, in that institution's copy of the folder; not part of the digest."""


def model_card(folder: Path, shelf: Iterable[Path] = ()) -> dict[str, Any]:
    """Everything that is to be said of a saved model.

    Args:
        folder: Of the model.
        shelf: Where the models are that it may have begun from; the folder's neighbours are looked at too.

    Returns:
        JSON values. `ple_sigma` is of the run by itself as it was planned, lost attempts included; `version` and
        `ple_sigma_with_ancestors` count the models that it began from.

    Raises:
        InputError: There is no model.
        IntegrityError: It is damaged.
    """
    model = ArrayModel.load(folder)
    shapes = {name: list(array.shape) for name, array in model.arrays.items()}
    told: dict[str, Any] = {
        "digest": model.digest(),
        "run": model.card.get("run"),
        "numbers": sum(array.size for array in model.arrays.values()),
        "arrays": shapes,
    }
    statement = _stored(folder / STATEMENT_FILE)
    if statement is not None:
        told["statement"] = statement
    try:
        run = config_of(model.card)
    except ConfigError:  # of a task that does not say what run it is of
        return told | {"card": model.card}
    ancestors, whole = _ancestors(model.card, [folder.resolve().parent, *shelf])
    return told | _of_run(run) | {
        "start": str(model.card.get("start", "")),
        "version": 1 + len(ancestors) if whole else None,
        "ple_sigma_with_ancestors": _together(run, ancestors) if whole and ancestors else None,
    }  # fmt: skip


def markdown(card: Mapping[str, Any]) -> str:
    """The card as a page."""
    task, data, people = card.get("task", {}), card.get("data", {}), card.get("people", {})
    lines = [f"# Model {card['run']}", "", "| | |", "|---|---|", f"| digest | `{card['digest']}` |"]
    if task:
        lines += [
            f"| task | {task['kind']} {task['version']}, code `{task['code'][:12]}` |",
            f"| settings | `{json.dumps(task['settings'], sort_keys=True)}` |",
            f"| data | {data['kind']}, {data['features']} features, `{data['fingerprint'][:12]}` |",
            f"| people | {sum(people.values())}, {_by_node(people)} |",
            f"| rounds | {card['rounds']}, at least {card['quorum']} institutions in a sum, {card['noise']} noise |",
            f"| privacy | {_privacy(card)} |",
            f"| version | {_version(card)} |",
        ]
    statement = card.get("statement")
    if statement:
        lines.append(f"| at this institution | {_statement(statement)} |")
    lines += ["", f"{card['numbers']} numbers:", "", "| array | shape |", "|---|---|"]
    lines += [f"| {name} | {' x '.join(map(str, shape)) or 'one number'} |" for name, shape in card["arrays"].items()]
    return "\n".join(lines) + "\n"


def _of_run(run: RunConfig) -> dict[str, Any]:
    cost = None if run.seed is not None else ple(planned_events(run), run.budget.delta)
    return {
        "consortium": run.consortium,
        "config_digest": run.digest().hex(),
        "task": run.task.model_dump(mode="json"),
        "data": run.data.model_dump(mode="json"),
        "people": {str(node): count for node, count in sorted(run.enrolled.items())},
        "rounds": run.rounds,
        "quorum": run.quorum,
        "noise": run.noise,
        "delta": run.budget.delta,
        "insecure": cost is None,
        "ple_sigma": None if cost is None else cost.sigma,
        "epsilon": None if cost is None else cost.epsilon,
    }


def _ancestors(card: Mapping[str, Any], places: list[Path]) -> tuple[list[RunConfig], bool]:
    """(runs of the models that one began from, latest first; whether the line reaches a model that began from none)."""
    by_digest = {claimed_digest(folder): folder for folder in model_folders(places)}
    found: list[RunConfig] = []
    start = str(card.get("start", ""))
    while start:
        if start not in by_digest or len(found) > len(by_digest):
            return found, False
        earlier = ArrayModel.load(by_digest[start]).card
        found.append(config_of(earlier))
        start = str(earlier.get("start", ""))
    return found, True


def _together(run: RunConfig, ancestors: list[RunConfig]) -> float | None:
    if any(one.seed is not None for one in (run, *ancestors)):
        return None
    events = [event for one in (run, *ancestors) for event in planned_events(one)]
    return ple(events, run.budget.delta).sigma


def _privacy(card: Mapping[str, Any]) -> str:
    if card["insecure"]:
        return f"insecure: {SIMULATION}"
    return (
        f"PLE {at_most(card['ple_sigma'])} sigma at delta {card['delta']:g} at most "
        f"(epsilon {at_most(card['epsilon'])}), as planned, lost attempts included"
    )


def _version(card: Mapping[str, Any]) -> str:
    if not card["start"]:
        return "1, began from no model"
    told = f"began from `{card['start'][:12]}`"
    if card["version"] is None:
        return f"{told}; a model before it is not here"
    both = card["ple_sigma_with_ancestors"]
    cost = "" if both is None else f"; with those before it PLE {at_most(both)} sigma of somebody who was in all"
    return f"{card['version']}, {told}{cost}"


def _statement(statement: Mapping[str, Any]) -> str:
    if statement.get("insecure") or statement.get("ple_sigma") is None:
        return f"insecure: {SIMULATION}"
    return (
        f"its people have spent PLE {at_most(statement['ple_sigma'])} sigma at delta {statement['delta']:g} at most, "
        "over all runs until this one ended"
    )


def _by_node(people: Mapping[str, int]) -> str:
    return ", ".join(f"{count} at institution {node}" for node, count in people.items())


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
