"""`afml model`: look at a saved model, list several, and hand one over in formats that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from afml.core.errors import AfmlError, InputError, IntegrityError
from afml.core.files import require_other, staged_file
from afml.core.plain import plain, plain_line
from afml.training.export import FORMATS
from afml.training.model import ArrayModel
from afml.training.modelpage import markdown, model_card
from afml.training.shelf import model_folders

_PATH = click.Path(path_type=Path)
_LISTED = ("run", "digest", "version", "start", "ple_sigma", "numbers")


@click.group()
def model() -> None:
    """Saved models: what they are, what they cost, and out of here."""


@model.command()
@click.argument("folder", metavar="MODEL", type=_PATH)
@click.option("--shelf", type=_PATH, multiple=True, help="Folders of models that it may have begun from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(folder: Path, shelf: tuple[Path, ...], as_json: bool) -> None:
    """The card of MODEL, a folder: what, of whom, at what PLE, from which version; Markdown."""
    card = model_card(folder, shelf)
    click.echo(json.dumps(card, indent=2, allow_nan=False) if as_json else plain(markdown(card)), nl=as_json)


@model.command(name="list")
@click.argument("places", type=_PATH, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(places: tuple[Path, ...], as_json: bool) -> None:
    """One line for each model in PLACES: folders of models, or folders that hold such folders.

    Those that are damaged are named at the end.
    """
    for place in places:
        if not place.is_dir():
            raise InputError("is no folder", where=place, cure="check the path")
    found, damaged = list[dict[str, Any]](), list[Path]()
    for folder in model_folders(places):
        try:
            card = model_card(folder, places)
        except AfmlError:
            damaged.append(folder)
            continue
        found.append({"folder": str(folder), **{name: card.get(name) for name in _LISTED}})
    if as_json:
        told = {"models": found, "damaged": list(map(str, damaged))}
        click.echo(json.dumps(told, indent=2, allow_nan=False))
    else:
        click.echo(
            "\n".join("\t".join(cells) for cells in (_LISTED, *([_cell(one[n]) for n in _LISTED] for one in found)))
        )
    if damaged:
        raise IntegrityError(
            "cannot be read; whatever else there is, is listed",
            where=", ".join(map(str, damaged)),
            cure="`afml model show` says of each why",
        )


@model.command()
@click.argument("folder", metavar="MODEL", type=_PATH)
@click.option("--format", "form", type=click.Choice(tuple(FORMATS)), default="safetensors", show_default=True)
@click.option("--out", type=_PATH, required=True, help="File to write.")
def export(folder: Path, form: str, out: Path) -> None:
    """Write the numbers of MODEL by their names, for torch and others: no code, no person's data."""
    saved = ArrayModel.load(folder)
    require_other(out, folder.iterdir())
    with staged_file(out) as staged:
        FORMATS[form](staged, saved)
    click.echo(f"{out}: {len(saved.arrays)} arrays, {sum(one.size for one in saved.arrays.values())} numbers, {form}")


def _cell(value: object) -> str:
    if value in (None, ""):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else plain_line(str(value))
