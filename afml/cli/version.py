"""`afml version`: which version is installed, and with --evidence whether it is what was released."""

from __future__ import annotations

import json
from pathlib import Path

import click

from afml import __version__
from afml.core.errors import IntegrityError
from afml.operate.installed import PACKAGES, Evidence, evidence

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--evidence", "wanted", is_flag=True, help="Digests of the code that runs, and what differs.")
@click.option(
    "--manifest", type=_PATH, help="Of the release (sha256sum's format); default: the installed wheel's record."
)
@click.option("--sbom", type=_PATH, help="Of the release (CycloneDX JSON): compare the versions of dependencies, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every file's digest included.")
def version(wanted: bool, manifest: Path | None, sbom: Path | None, as_json: bool) -> None:
    """Which version is installed. With --evidence: digests of files against the release; exit code 6 if one differs.

    It is the installed code that looks at itself. `sha256sum --check MANIFEST`, in the folder that holds the
    packages, needs none of it.
    """
    if not (wanted or manifest or sbom or as_json):
        click.echo(f"afml {__version__}")
        return
    found = evidence(manifest, sbom)
    click.echo(json.dumps(_document(found), indent=2) if as_json else _told(found))
    if found.differences:
        raise IntegrityError(
            f"{len(found.differences)} differences from what was released",
            where="installation",
            cure="install the release again",
        )


def _document(found: Evidence) -> dict[str, object]:
    return {
        "version": found.version,
        "places": {name: str(folder) for name, folder in found.places.items()},
        "packages": {name: found.digest(name) for name in PACKAGES},
        "files": dict(found.files),
        "bytecode_not_compared": found.cached,
        "compared": list(found.compared),
        "differences": [vars(one) for one in found.differences],
    }


def _told(found: Evidence) -> str:
    lines = [f"afml {found.version}"]
    for name in PACKAGES:
        files = sum(path.startswith(f"{name}/") for path in found.files)
        lines.append(f"{name:<11} {files:>4} files  sha256 {found.digest(name)}  {found.places[name]}")
    lines += [f"compared with {what}" for what in found.compared]
    if not any("files" in what for what in found.compared):
        lines.append("files not compared: no wheel is installed here; give the release's --manifest")
    if found.cached:
        lines.append(
            f"not compared: {found.cached} files of compiled bytecode, which Python may run in place of these; "
            "delete the __pycache__ folders where that is to be shown"
        )
    lines += [f"{one.how}: {one.what}" for one in found.differences]
    if found.compared and not found.differences:
        lines.append("nothing differs")
    return "\n".join(lines)
