"""`afml release`: what to do with a package, for whoever makes it and whoever receives it."""

from __future__ import annotations

from pathlib import Path

import click

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
