"""`afml release`: what to do with a package, for whoever makes it and whoever receives it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from afml.api.verbs import publish as publish_package
from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.request import fingerprint
from afml.consortium.roster import Roster
from afml.core.errors import InputError, IntegrityError
from afml.core.files import require_file
from afml.core.plain import plain_line
from afml.release.package.card import CARD_FILE
from afml.release.package.manifest import MANIFEST_FILE, PUBLICATION_FILE
from afml.release.package.publication import Publication, Target
from afml.release.package.recipe import RECIPES
from afml.release.package.traits import PHENOTYPES_FILE
from afml.release.package.verify import Trusted, Verified, verify_package

_PATH = click.Path(path_type=Path)
_COMPARE = "fingerprint of the roster, to compare with an institution on it"
_RUN_WITH = {
    "pandas": ("python", "a Python with pandas and scikit-learn (pip install pandas scikit-learn)"),
    "plink2": ("sh -e", "awk and plink2 on the path"),
    "R": ("Rscript -", "R, nothing beyond base"),
}
"""Tool of a recipe -> what reads it, and what that needs."""
_MOST = 64 << 20
"""Bytes of a signed file of a package at most: one has some thousands, and nobody's memory is filled by another."""
_TARGETS: dict[Target, str] = {
    "group size": "how many people of the file share a pattern, and the traits told with it",
    "joint groups": "how many people are alike in all releases of these people together",
    "re-identification rate": "the share of records for which an attacker names the right person",
    "utility ratio": "what can be learned from the file, as a share of what raw genotypes give",
}
"""What can be asked of a package -> what that is, for somebody who was not there."""


@click.group()
def release() -> None:
    """Released packages: publish one, check one, use one."""


@release.command()
@click.argument("package", type=_PATH)
@click.option("--roster", type=_PATH, help="The consortium's roster.json: says whose key is whose.")
@click.option("--key", help="The institution's signing key, hex, instead of a roster.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(package: Path, roster: Path | None, key: str | None, as_json: bool) -> None:
    """Check signature and digests of PACKAGE, a folder; exit code 6 and one line that says what is wrong.

    Says also which targets it was held against before it was published, who asked, and what nobody asked; or that
    nothing says that it was evaluated.

    Roster or key come from the consortium, by another way than the package: whoever could change that could change
    both. The roster's fingerprint is printed, as `afml keys install` and `afml consortium show` print it there.
    """
    found = _verified(package, Trusted(roster, key))
    if as_json:
        word = None if found.publication is None else found.publication.model_dump(mode="json")
        told = {"signed_by": found.by, "manifest": found.manifest.model_dump(mode="json"), "publication": word}
        click.echo(json.dumps(told, indent=2))
        return
    asked = () if found.publication is None else _asked(found.publication)
    for line in (*found.lines(), *asked):  # what an institution signed is shown as text, in a line
        click.echo(f"{package}: {plain_line(line)}")
    if roster is not None:
        click.echo(f"{roster}: {_COMPARE}: {fingerprint(Roster.load(roster).digest())}")


def _asked(word: Publication) -> Iterator[str]:
    """What a package was held against, target by target, and what nobody asked of it."""
    yield (
        "that is the institution's own word. Who asks is the signed run, the institution's own policy and what its "
        "earlier releases promised; of several the strictest counts:"
    )
    verdicts = {one.target: one for one in word.verdicts}
    for target, words in _TARGETS.items():
        if (one := verdicts.get(target)) is None:
            card = "; release_card.md says what the groups allow at most" if target == "re-identification rate" else ""
            yield f"  asked by nobody, so neither met nor missed: {target} ({words}){card}"
        else:
            yield f"  asked and {'met' if one.met else 'MISSED'}: {one.words()} ({words})"


def _verified(package: Path, trusted: Trusted) -> Verified:
    """As `verify_package`; what stands in a signed file of the package and cannot be read is no mistake of who asks."""
    signed = (package / MANIFEST_FILE, package / PUBLICATION_FILE)
    for path in signed:
        if path.exists() and (not path.is_file() or path.stat().st_size > _MOST):
            raise _damaged(path)
    try:
        return verify_package(package, trusted)
    except InputError as error:
        if not any(os.access(path, os.R_OK) and plain_line(str(path)) == error.where for path in signed):
            raise
        raise _damaged(error.where) from None


def _damaged(where: object) -> IntegrityError:
    return IntegrityError(
        "cannot be read as what an institution signs: it is damaged, or a newer AFML wrote it", where=where,
        cure="ask the institution for the package once more, or update AFML here; do not use this one",
    )  # fmt: skip


@release.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Work folder that holds the package.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json, signed.")
@click.option("--version", type=click.IntRange(1), help="Which release of the run.  [default: the newest]")
@click.option("--force", is_flag=True, help="Publish also where a target is missed; publication.json says so.")
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def publish(
    kit: Path, work: Path, run_file: Path, version: int | None, force: bool, ledger: Path | None
) -> None:  # fmt: skip
    """Say, signed, that a package was evaluated and may leave the house: writes publication.json into it.

    Refused is what `afml evaluate --own` has not seen as it is now, and what misses what the run or this site's
    policy asks (group size, re-identification rate, utility); exit code 7. It is entered in the ledger.
    """
    done = publish_package(kit=kit, work=work, run=run_file, ledger=ledger, version=version, force=force)
    chance = json.loads((done.version.folder / CARD_FILE).read_text()).get("at_chance")
    although = f"; published although {chance}" if chance else ""
    click.echo(f"{done.version.folder}: {done.publication.line()}{although}")


@release.command()
@click.argument("package", type=_PATH)
@click.option(
    "--with", "tool", type=click.Choice(tuple(RECIPES), case_sensitive=False), default="pandas", show_default=True
)
def recipe(package: Path, tool: str) -> None:
    """Print how to reproduce the utility that PACKAGE states.

    It reads the files beside it, so it is run with PACKAGE as the current folder: cd PACKAGE; afml release recipe . |
    python. The program behind the pipe is another than AFML's: a Python with pandas and scikit-learn, `sh -e` with awk
    and plink2 on the path for --with plink2, `Rscript -` for --with R. The first line says so, with the folder's path.
    """
    require_file(package / CARD_FILE, "card of the package", "name the folder that `afml mask` wrote")
    if not (package / PHENOTYPES_FILE).is_file():
        raise InputError(
            "tells no trait of anybody, so it states no utility that could be reproduced", where=package,
            cure="ask the institution to tell traits with the first package of a run (`afml mask --phenotype TRAIT`)",
        )  # fmt: skip
    program, needed = _RUN_WITH[tool]
    # In one line whatever the folder is called: what comes after it is run.
    typed = plain_line(f"cd {shlex.quote(str(package.resolve()))}; afml release recipe . --with {tool} | {program}")
    click.echo(f"# run in the package's folder: {typed}; needs {needed}\n{RECIPES[tool][1]}", nl=False)
