"""`afml predict`: what a saved model says of people, for the institution whose people they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from afml.cli.places import PRIVATE
from afml.core.errors import InputError
from afml.core.files import require_other
from afml.core.progress import step
from afml.data.array import ArrayOptions
from afml.data.images import ImageOptions
from afml.data.rows import TableOptions
from afml.data.schema import Schema
from afml.data.unlabelled import unlabelled
from afml.training.model import ArrayModel
from node.inuse import in_use
from node.predict import SCHEMA_FILE, predictions, write_predictions
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folder", metavar="MODEL", type=_PATH)
@click.option("--data", "work", type=PRIVATE, default=None, help="Work folder that `afml prepare` made.")
@click.option(
    "--people",
    type=click.Choice(["train", "holdout", "all"]),
    default="holdout",
    show_default=True,
    help="With --data: of whom.",
)
@click.option("--table", "--csv", "table", type=_PATH, default=None, help="Instead: CSV, TSV or Parquet of new people.")
@click.option("--schema", type=_PATH, default=None, help="With --table.  [default: the one in MODEL]")
@click.option("--features", type=_PATH, default=None, help="With --table: npy file or zarr array, one item a row.")
@click.option("--images", type=_PATH, default=None, help="With --table: folder of images.")
@click.option("--delimiter", default=None, help="With --table: between cells, where the suffix does not say; or tab.")
@click.option("--out", type=_PATH, required=True, help="TSV to write: person, row, and the model's numbers.")
def predict(
    folder: Path, work: Path | None, people: Literal["train", "holdout", "all"], table: Path | None,
    schema: Path | None, features: Path | None, images: Path | None, delimiter: str | None, out: Path,
) -> None:  # fmt: skip
    """Predict with MODEL, a folder. Exact, of single people: the file is as private as the data it is made of."""
    if (work is None) == (table is None):
        raise InputError("give one of them", where="--data and --table")
    beside = {"--schema": schema, "--features": features, "--images": images, "--delimiter": delimiter}
    given = [name for name, value in beside.items() if value is not None]
    if table is None and given:
        raise InputError("goes with --table", where=given[0], cure="leave it out")
    model = ArrayModel.load(folder)
    require_other(out, [path for path in (table, schema, features) if path is not None] + list(folder.iterdir()))
    if work is not None:
        space = Workspace(work)
        with in_use(space):
            require_other(out, work.iterdir())
            found = predictions(model, space.prepared(), people)
    else:
        assert table is not None
        schema_file = schema or folder / SCHEMA_FILE
        meant = Schema.load(schema_file)
        common = {"table": table, "schema_file": schema_file, "delimiter": delimiter}
        options: TableOptions = TableOptions.model_validate(common)
        if meant.form != "table":
            options = _with_items(meant.form, common, features, images)
        elif features or images:
            raise InputError("does not go with data of the kind table", where=given[-1], cure="leave it out")
        with step("predicting") as running, unlabelled(options, meant, running.note) as prepared:
            found = predictions(model, prepared, "train")
    write_predictions(out, found)
    rows, numbers = found.said.shape
    each = "one number" if numbers == 1 else f"{numbers} numbers"
    click.echo(f"{out}: {len(set(found.people))} people, {rows} rows, {each} each")


def _with_items(form: str, common: Mapping[str, object], features: Path | None, images: Path | None) -> TableOptions:
    """Options of data whose features stand beside the table."""
    wanted, value, other = ("features", features, images) if form == "array" else ("images", images, features)
    if value is None or other is not None:
        raise InputError(f"the model is of data of the kind {form}", where="--table", cure=f"give --{wanted} with it")
    kind = ArrayOptions if form == "array" else ImageOptions
    return kind.model_validate({**common, wanted: value})
