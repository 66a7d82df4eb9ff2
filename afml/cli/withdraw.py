"""`afml withdraw`: people take their consent back."""

from __future__ import annotations

from pathlib import Path

import click

from afml.cli.places import PRIVATE
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.data.persons import read_names
from afml.ledger.people import People, load_key
from afml.ledger.schema import require_begun
from afml.ledger.store import Ledger
from afml.operate.words import counted
from node.memory import keep_in_kit
from node.turnover import people_of
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--ledger", "folder", type=_PATH, required=True, help="This institution's ledger.")
@click.option("--kit", type=_PATH, required=True, help="This node's kit.")
@click.option("--person", "named", multiple=True, help="Id of a person, as `afml prepare` knew it; may be repeated.")
@click.option("--file", "listed", type=_PATH, help="A file of ids, one a line.")
@click.option("--work", "works", type=PRIVATE, multiple=True, help="Work folders that the ledger does not lie in.")
@click.option("--force", is_flag=True, help="Also ids that nobody here has: of people who may come under them later.")
def withdraw(
    folder: Path, kit: Path, named: tuple[str, ...], listed: Path | None, works: tuple[Path, ...], force: bool
) -> None:
    """Nobody of these is spent on or released again, from the next spend on, a running node's included.

    What is entered stays for good, so an id that neither the ledger nor a prepared work folder has met is refused:
    the folder that the ledger lies in, and those of --work. Who has been renamed is withdrawn by the former id.
    """
    people = list(dict.fromkeys([*named, *(read_names(listed) if listed else ())]))
    if not people:
        raise InputError("names nobody", where="afml withdraw", cure="give --person or --file")
    for person in people:
        if not person.strip() or not person.isprintable():
            raise InputError(
                f"{person!r} is not the id of a person", where="afml withdraw", cure="check --person and --file"
            )
    require_begun(folder)
    loaded = load_node_kit(kit)
    with Ledger.open(folder, loaded.signing_key, origin=loaded.origin) as ledger:
        if not force:
            _require_met(people, ledger, folder, works)
        new, left = ledger.withdraw(people)
        kept = keep_in_kit(loaded, ledger)
    told = counted(new, "person has", "people have")
    click.echo(f"{told} withdrawn, {len(people) - new} had before; a running node refuses its next spend")
    if left.people < len(people):
        click.echo(
            f"{counted(len(people) - left.people, 'of them was', 'of them were')} never spent on or released here: "
            "check their ids, and give those under which they were enrolled, too, if they have been renamed or sampled "
            "again since"
        )
    if left.runs:
        runs = counted(len(left.runs), "run")
        click.echo(f"cannot be undone: sums and models of {runs} they took part in: {_some(left.runs)}")
    if left.releases:
        entries = [f"#{index}" for index in left.releases]
        by = f"{'entry' if len(entries) == 1 else 'entries'} {_some(entries)}"
        click.echo(f"cannot be undone: {counted(len(entries), 'file')} they are in, released by {by}")
    if not kept:
        click.echo(
            "the kit cannot be written to: copy the ledger now (`afml ledger backup`), an older copy forgets this"
        )
    then = "; release with `afml mask --nested`, which does not tell who left" if left.releases else ""
    click.echo(f"to go on without them: run `afml prepare` again and leave them out with --without FILE{then}")


def _require_met(people: list[str], ledger: Ledger, folder: Path, works: tuple[Path, ...]) -> None:
    """Refuse ids that nobody has, before anything is entered.

    Raises:
        InputError: Some are in no work folder, and the ledger has never met them; says how many. Or a work folder that
            was named is none.
    """
    for work in works:
        require_file(Workspace(work).people, "people table", "name a folder that `afml prepare` made")
    prepared = {name for work in (folder.resolve().parent, *works) for name in people_of(Workspace(work))}
    known = People(ledger.database, load_key(folder, create=False))
    others = {known.token(person) for person in people if person not in prepared} - known.withdrawn()
    if unmet := len(others) - known.traces(others).people:
        whom = "is of nobody whom" if unmet == 1 else "are of nobody whom"
        raise InputError(
            f"{unmet} of {counted(len(people), 'id')} {whom} the ledger or a prepared work folder has met; nothing is "
            "entered",
            where="afml withdraw",
            cure="compare with people.tsv of the work folder (--work names it where the ledger lies elsewhere), or "
            "give --force for people who may still come under these ids",
        )  # fmt: skip


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
