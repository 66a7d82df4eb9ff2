"""`afml run pause` and its like: orders of the coordinator or of the aggregator's operator about a run under way."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.history import load_history
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.orders import FOLDER, LONGEST_S, Giver, Order, What
from afml.consortium.provision import load_coordinator_key
from afml.consortium.request import REQUEST, read_request
from afml.consortium.runfile import load_run
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.core.standing import FILE
from aggregator.run import RUNS, Folder
from aggregator.standing import RunStanding

_PATH = click.Path(path_type=Path)
_HELP = {
    What.CLOSE_ENROLMENT: "Begin the run in FILE with the nodes that have enrolled: a quorum must have.",
    What.PAUSE: "Hold the run in FILE; an attempt under way is finished first. Nothing is lost.",
    What.RESUME: "Let a held run in FILE go on.",
    What.EXTEND: "Let the present stage of the run in FILE last longer.",
    What.ABORT: "End the run in FILE for everybody and for good. What was spent stays spent; there will be no model.",
}


def add_orders(group: click.Group) -> None:
    """Add a verb for each order."""
    for what in What:
        group.add_command(_verb(what))


def _verb(what: What) -> click.Command:
    def give(run_file: Path, kit: Path, data: Path, seconds: float = 0.0) -> None:
        by, key = _giver(kit)
        require_file(run_file, "run", "give the signed run.json")
        config = load_run(run_file, load_history(kit))
        data = _folder_of(data, config.run)
        order = Order.signed_by(key, by, config, what, number=time.time_ns() // 1_000_000, seconds=seconds)
        path = order.lay(data)
        click.echo(
            f"run {config.run}: the order to {what} lies in {path}; the aggregator with this folder follows it at "
            "once, or when it is started"
        )

    options: list[click.Parameter] = [
        click.Argument(["run_file"], metavar="FILE", type=RUN_FILE),
        click.Option(["--kit"], type=_PATH, required=True, help="Start kit of the coordinator or the aggregator."),
        click.Option(["--data"], type=PRIVATE, required=True, help="The aggregator's folder."),
    ]
    if what is What.EXTEND:
        longest = click.FloatRange(0, LONGEST_S, min_open=True)
        options.append(click.Option(["--seconds"], type=longest, required=True, help="How much longer."))
    return click.Command(what.value, callback=give, params=options, help=_HELP[what])


def _folder_of(data: Path, run: str) -> Path:
    """The folder of a run: `data`, or the one below it where `data` is of an aggregator of many runs.

    Raises:
        InputError: It is of another run or of no aggregator, its aggregator has many and not this one, or the run is
            over.
    """
    if (data / RUNS).is_dir():
        if not (data / RUNS / run).is_dir():
            raise InputError(f"has no run {run}", where=data, cure="name the folder of the aggregator that serves it")
        data = data / RUNS / run
    if not (data / FILE).exists():
        _require_empty(data)
        return data
    found = RunStanding.found(data)
    if found.run != run:
        raise InputError(f"is the folder of run {found.run}, not of {run}", where=data, cure="correct --data")
    if found.stage.over:
        problem = f"run {run} is over ({found.stage}): nobody would follow an order about it"
        raise InputError(problem, where=data, cure=f"see how it ended with `afml status {shlex.quote(str(data))}`")
    return data


def _require_empty(data: Path) -> None:
    """Refuse what is no folder of an aggregator and holds something: nobody would look there for an order.

    Raises:
        InputError: Likewise; names the aggregator's folder where it is one level down.
    """
    if not data.is_dir() or all(path.name == FOLDER for path in data.iterdir()) or Folder(data).store.exists():
        return
    below = [path for path in sorted(data.iterdir()) if (path / RUNS).is_dir() or (path / FILE).exists()]
    cure = f"give --data {shlex.quote(str(below[0]))}" if below else "give that one, or an empty folder to carry over"
    raise InputError("is not the folder of an aggregator, and not empty", where=data, cure=cure)


def _giver(kit: Path) -> tuple[Giver, Ed25519PrivateKey]:
    """Who gives an order with this kit, and the key.

    Raises:
        InputError, IntegrityError: It is neither the coordinator's nor the aggregator's.
    """
    role = read_request(kit / REQUEST).role
    if role == "node":
        cure = "give that of the coordinator or of the aggregator"
        raise InputError("is the kit of a node, which orders nothing", where=kit, cure=cure)
    if role == "coordinator":
        return "coordinator", load_coordinator_key(kit)
    return "aggregator", load_aggregator_kit(kit).signing_key
