"""`afml release`: what to do with a package, for whoever makes it and whoever receives it."""

from __future__ import annotations

from pathlib import Path

import click

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.release.package.card import CARD_FILE
from afml.release.package.recipe import RECIPES
from afml.release.package.traits import PHENOTYPES_FILE
from afml.release.package.verify import Trusted, verify_package

_PATH = click.Path(path_type=Path)


@click.group()
def release() -> None:
    """Released packages: check one, use one."""


@release.command()
@click.argument("package", type=_PATH)
@click.option("--roster", type=_PATH, help="The consortium's roster.json: says whose key is whose.")
@click.option("--key", help="The institution's signing key, hex, instead of a roster.")
def verify(package: Path, roster: Path | None, key: str | None) -> None:
    """Check signature and digests of PACKAGE, a folder; exit code 6 and one line that says what is wrong.

    Roster or key come from the consortium, by another way than the package: whoever could change that could change
    both.
    """
    click.echo(f"{package}: {verify_package(package, Trusted(roster, key)).line()}")


@release.command()
@click.argument("package", type=_PATH)
@click.option("--with", "tool", type=click.Choice(tuple(RECIPES)), default="pandas", show_default=True)
def recipe(package: Path, tool: str) -> None:
    """Print how to reproduce the utility that PACKAGE states; run it with that folder as the current one.

    For example: cd PACKAGE; afml release recipe . | python
    """
    require_file(package / CARD_FILE, "card of the package", "name the folder that `afml mask` wrote")
    if not (package / PHENOTYPES_FILE).is_file():
        raise InputError(
            "tells no trait of anybody, and states no utility", where=package,
            cure="ask the institution for a package with traits (`afml mask --phenotype`)",
        )  # fmt: skip
    click.echo(RECIPES[tool][1], nl=False)
