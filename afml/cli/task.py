"""`afml task`: begin a task of one's own, and try it on made-up people."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from afml.api.check import Trial
from afml.api.check import check as check_task
from afml.api.template import begin
from afml.core.errors import ConfigError
from afml.core.progress import console

_PATH = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.group()
def task() -> None:
    """Begin a task of one's own; try a task on made-up people."""


@task.command()
@click.argument("folder", type=_PATH)
def new(folder: Path) -> None:
    """Begin a package in FOLDER, whose name is the task's: a module to put a model into, schema.toml, train.toml."""
    module = begin(folder)
    click.echo(f"put your model into {module}, describe your table in {folder / 'schema.toml'}")
    schema = shlex.quote(str(folder / "schema.toml"))
    click.echo(f"try it:       afml task check {shlex.quote(str(folder))} --schema {schema}")
    # A word without a separator pip takes for the name of a package on the network, whatever lies here.
    place = folder if folder.is_absolute() else f"./{folder}"
    click.echo(f"install it:   pip install --no-deps --no-build-isolation {shlex.quote(str(place))}")


@task.command()
@click.argument("which", metavar="PATH|NAME")
@click.option("--settings", type=_PATH, default=None, help="TOML or JSON of the task's settings.")
@click.option("--schema", type=_PATH, default=None, help="What its data are like; by default eight numbers or so.")
@click.option("--ple", type=_POSITIVE, default=0.9, show_default=True, help="Target PLE of the plan, in sigma.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Private rounds of the plan.")
@click.option("--sample-rate", type=click.FloatRange(0, 1, min_open=True), default=None, help="Of its batches.")
@click.option("--clip-norm", type=_POSITIVE, default=None, help="L2 bound of a person's gradient.")
@click.option("--learning-rate", type=_POSITIVE, default=None)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
def check(
    which: str, settings: Path | None, schema: Path | None, ple: float, rounds: int, sample_rate: float | None,
    clip_norm: float | None, learning_rate: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Try a task: gradients, clip, plan, one encrypted round.

    PATH is the folder of its package, NAME an installed task. Its code runs in this process, on made-up people: do not
    check other people's packages where private data are.
    """
    given = {"rounds": rounds, "sample_rate": sample_rate, "clip_norm": clip_norm, "learning_rate": learning_rate}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    wrong = 0
    for one in check_task(which, Trial(settings, schema, options, ple)):
        wrong += not one.ok
        if as_json:
            click.echo(json.dumps({"what": one.what, "ok": one.ok, "told": one.told, "cure": one.cure}))
            continue
        cure = f"; {one.cure}" if one.cure else ""
        told = f"{'ok' if one.ok else 'BAD':<4} {one.what:<10} {one.told}{cure}"
        console.print(told, style="" if one.ok else "bold red", soft_wrap=True)
    if wrong:
        raise ConfigError(f"{wrong} of the things above {'is' if wrong == 1 else 'are'} wrong", where=f"task {which}")
