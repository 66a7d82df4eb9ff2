"""`afml prepare`: an institution's data become a work folder and a public card."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import click
import numpy as np
from pydantic import ValidationError

from afml.cli.examples import PREPARE
from afml.cli.fields import flag, options_of
from afml.cli.places import PRIVATE
from afml.consortium.nodekit import load_node_kit
from afml.core.config import Settings, complaint
from afml.core.errors import AfmlError, ConfigError, InputError
from afml.core.progress import step
from afml.data.holdout import HoldoutDraw
from afml.data.kind import DATA_KINDS
from afml.data.people import PeopleTable, PersonColumns
from node.prepare import Given
from node.prepare import prepare as prepare_work
from node.turnover import Turnover, people_of
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)
_DEFAULT = "genotypes"


@cache
def _kind_options() -> list[click.Option]:
    return options_of({name: DATA_KINDS.get(name).options for name in DATA_KINDS.names()})


class _Prepare(click.Command):
    """Takes what any kind of data must be told, beside what is declared below."""

    def example(self, ctx: click.Context) -> str:
        """What somebody types who prepares the kind of data that was named, or that what was given belongs to."""
        given = {name for name, value in ctx.params.items() if value not in (None, ())}
        told = given & {option.name for option in _kind_options()}
        kind, task = ctx.params.get("data"), ctx.params.get("task")
        if kind is None and task is not None:
            with suppress(AfmlError):  # what is wrong with it is told once everything is given
                kind = _kind(None, task)
        return PREPARE.get(kind or next(iter(_kinds_with(told)), _DEFAULT), "")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*own[:-1], *_kind_options(), *own[-1:]]  # --help stays last


@click.command(cls=_Prepare)
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Folder to prepare.")
@click.option(
    "--data",
    type=click.Choice(DATA_KINDS.names()),
    default=None,
    help="Kind of data; says which of the options below are given.  [default: that of --task, else genotypes]",
)
@click.option("--task", default=None, help="An installed task that will train on the data; says which kind it takes.")
@click.option("--holdout", default=0.25, show_default=True, help="Fraction of people kept out of training.")
@click.option(
    "--max-enrolments",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Institutions of a run, this one included, that one of these people may be enrolled at: your signed word.",
)
@click.option(
    "--declare-held-out", is_flag=True, help="Say on the card how many those are: runs may then evaluate on them."
)
@click.option("--force", is_flag=True, help="Also into a folder from which runs have enrolled other people.")
@click.option("--seed", default=None, type=int, help="Simulation only: a real run refuses what was prepared with it.")
def prepare(
    kit: Path, work: Path, data: str | None, task: str | None, holdout: float, max_enrolments: int,
    declare_held_out: bool, force: bool, seed: int | None, **given: object,
) -> None:  # fmt: skip
    """Check and store this institution's data, declare the enrolment on a signed card."""
    data = click.get_current_context().params["data"] = _kind(data, task)
    options = _options(data, {name: value for name, value in given.items() if value not in (None, ())})
    draw = HoldoutDraw(holdout, seed)
    loaded = load_node_kit(kit)
    space = Workspace(work)
    before = people_of(space)
    with step(f"preparing node {loaded.node}") as running:
        card = prepare_work(loaded, space, Given(data, options, draw, max_enrolments, declare_held_out, force), running)
    if changed := Turnover.of(before, people_of(space)).line:
        click.echo(changed)
    kind = DATA_KINDS.get(data)
    most = card.max_enrolments
    click.echo(
        "the card says: nobody here is enrolled at another institution of a run (--max-enrolments)"
        if most == 1
        else f"the card says: a person here is enrolled at {most} institutions of a run at most (--max-enrolments)"
    )
    people = PeopleTable.load(space.people)
    for line in (*kind.remarks(space.data), *_single(people.columns)):
        click.echo(line)
    if people.enrolled.all():
        click.echo(
            f"nobody is kept out of training (--holdout {holdout:g}): nothing can be evaluated on these people, and no "
            "release of theirs published"
        )
    click.echo(
        f"node {card.node}: {card.data.features} {kind.unit}, {card.enrolled} people enrolled"
        f"{'' if card.held_out is None else f', {card.held_out} kept out'}; "
        f"card in {work / 'card.json'}"
    )


def _single(columns: PersonColumns) -> Iterator[str]:
    """Of columns in which all who have a number have the same one."""
    for name, values in zip(columns.names, columns.values.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known) and (known == known[0]).all():
            yield f"column '{name}' holds the same number for everybody: look at how it is coded"


def _kinds_with(names: Collection[str | None]) -> list[str]:
    """Kinds of data that take all of these options, genotypes first."""
    first = sorted(DATA_KINDS.names(), key=lambda name: name != _DEFAULT)
    return [name for name in first if set(names) <= DATA_KINDS.get(name).options.model_fields.keys()]


def _kind(data: str | None, task: str | None) -> str:
    """The kind of data that is prepared.

    Raises:
        ConfigError: The task is not installed, takes other kinds, or takes several and none is named.
    """
    if task is None:
        return data or _DEFAULT
    from afml.training.registry import find

    kinds = find(task, where="--task").load().data
    if data is None and len(kinds) == 1:
        return kinds[0]
    if data is None and _DEFAULT in kinds:
        return _DEFAULT
    if data not in kinds:
        problem = "takes several kinds of data" if data is None else f"does not train on {data}"
        raise ConfigError(problem, where=f"task {task}", cure=f"give --data {' or --data '.join(kinds)}")
    return data


def _options(data: str, given: dict[str, object]) -> Settings:
    """What the kind of data is told.

    Raises:
        InputError: An option belongs to another kind, or is not one that this kind takes.
        click.MissingParameter: An option is missing.
    """
    model = DATA_KINDS.get(data).options
    for name in given:
        if name not in model.model_fields:
            others = " or ".join(f"--data {kind}" for kind in _kinds_with(given))
            cure = f"leave it out, or give {others}" if others else "leave it out"
            raise InputError(f"does not go with --data {data}", where=flag(name), cure=cure)
    for name, field in model.model_fields.items():
        if field.is_required() and name not in given:
            missing = next(option for option in _kind_options() if option.name == name)
            raise click.MissingParameter(ctx=click.get_current_context(), param=missing)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(complaint(error), where="afml prepare", cure="correct this option") from None
