"""`afml audit dossier` and `merge`: the auditor's pack of a run, those of many side by side, and their verification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from afml.consortium.history import ROSTER
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import InputError, IntegrityError
from afml.core.progress import console
from afml.dossier.build import Signer, make
from afml.dossier.evidence import Sources
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import told
from afml.dossier.merged import PAGE as MERGED_PAGE
from afml.dossier.merged import is_merged, verified_merged
from afml.dossier.merged import merge as merge_dossiers
from afml.dossier.merged import told as told_merged
from afml.dossier.standalone import MANIFEST, STATEMENTS, Check, lines
from afml.dossier.statements import Statement, Statements
from afml.dossier.verified import verified
from afml.ledger.findings import require_ok
from afml.ledger.outside import KeyOptions
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--work", "works", type=_PATH, multiple=True, required=True, help="Work folder; one an institution.")
@click.option("--kit", type=_PATH, required=True, help="Start kit: its roster, and the key that signs the dossier.")
@click.option("--run", type=_PATH, help="The run's run.json, run.sig beside it.")
@click.option("--transcript", "transcripts", type=_PATH, multiple=True, help="The aggregator's transcript.")
@click.option(
    "--head", "heads", type=_PATH, multiple=True,
    help="A signed head that others have kept, or the folder that their `afml ledger heads` wrote.",
)  # fmt: skip
@click.option("--report", type=_PATH, help="report.json of `afml evaluate`, details.json beside it.")
@click.option(
    "--sbom", type=_PATH, help="Bill of materials of the release (CycloneDX JSON), to compare with what is here."
)
@click.option("--manifest", type=_PATH, help="Manifest of the release (sha256sum's format), likewise.")
@click.option("--out", type=_PATH, required=True, help="Folder of the dossier, a new one.")
@click.option("--force", is_flag=True, help="Write over another dossier that lies in --out.")
def dossier(
    works: tuple[Path, ...], kit: Path, run: Path | None, transcripts: tuple[Path, ...], heads: tuple[Path, ...],
    report: Path | None, sbom: Path | None, manifest: Path | None, out: Path, force: bool,
) -> None:  # fmt: skip
    """Write everything that is said about a run, each number with what it stands on, and a verifier of it all."""
    _require_free(out, force=force)
    own = load_node_kit(kit)
    _require_own(own.node, kit, works)
    sources = Sources(works, kit, run, transcripts, heads, report, sbom, manifest)
    found = make(sources, out, Signer(own.node, own.signing_key))
    console.print(f"dossier in {out}; to be read: {out / 'dossier.html'}", soft_wrap=True, markup=False)
    console.print(f"checked without us by: python {out / 'verify.py'}", soft_wrap=True, markup=False)
    said = Statements(map(Statement.from_json, json.loads((out / STATEMENTS).read_bytes())))
    if said.value("report.scope") == "own":
        stays = (
            "its report is exact about this institution's own people: it stays here; one to hand over is made without"
        )
        console.print(f"{stays} --report", soft_wrap=True, markup=False)
    for line in told(fill_all(said)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    for result in found:
        require_ok(result)


def _require_free(out: Path, *, force: bool) -> None:
    """Refuse a folder in which something lies that would go: a dossier unless it is meant to, and all else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise InputError("holds something else than a dossier", where=out, cure="name a new folder with --out")
    if not force:
        cure = "name a new folder with --out, or --force to write over it"
        raise InputError("is a dossier already, which may have been handed over", where=out, cure=cure)


def _require_own(node: int, kit: Path, works: Sequence[Path]) -> None:
    """Refuse the kit of an institution of which no work folder is given: it would sign for what others' ledgers say."""
    whose = {KeyOptions(kit / ROSTER).resolve(Workspace(work).ledger).node for work in works}
    if node not in whose:
        raise InputError(
            f"is the kit of node {node}, and --work is of node {', '.join(map(str, sorted(whose, key=str)))}",
            where=kit, cure="give --kit of an institution whose --work folder is given",
        )  # fmt: skip


@click.command()
@click.argument("dossiers", type=_PATH, nargs=-1, required=True)
@click.option("--out", type=_PATH, required=True, help="A new folder; the dossiers are copied into it.")
def merge(dossiers: tuple[Path, ...], out: Path) -> None:
    """Lay DOSSIERS of one consortium's institutions side by side: what they agree on, and both sides where they do not.

    Each is verified first. For an ethics board: who is missing is said, and nothing is added up that may not be.
    """
    made = merge_dossiers(dossiers, out)
    console.print(f"merged in {out}; to be read: {out / MERGED_PAGE}", soft_wrap=True, markup=False)
    for line in told_merged(made):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def is_dossier(folder: Path) -> bool:
    """Whether a folder is a dossier, or many merged ones, and not a ledger."""
    return (folder / MANIFEST).is_file() or is_merged(folder)


def verify_dossier(folder: Path, roster: Path | None, *, as_json: bool) -> None:
    """Verify a dossier and print which statement stands on what; of merged ones each, and the comparison.

    Raises:
        IntegrityError: Something was found.
    """
    found: Check = verified_merged(folder, roster) if is_merged(folder) else verified(folder, roster)
    if as_json:
        document = {
            "findings": [one._asdict() for one in found.findings], "checked": found.checked,
            "unchecked": found.unchecked, "statements": [list(one) for one in found.stands],
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        for line in lines(found):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    if found.findings:
        first = found.findings[0]
        raise IntegrityError(
            f"{first.code} at {first.where}: {first.problem}; {len(found.findings)} findings",
            where=folder,
            cure="ask its makers for another copy, and keep this one",
        )
