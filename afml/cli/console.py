"""`afml console`: a local page about runs, budgets, ledger and releases; it only reads, but for approving a run."""

from __future__ import annotations

from pathlib import Path

import click

from afml.console.serve import Door, serve
from afml.console.view import Named, View

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=_PATH)
@click.option("--kit", type=_PATH, help="The party's start kit: names, certificates, keys for verification, approval.")
@click.option("--ledger", type=_PATH, help="Folder of the institution's one ledger.  [default: FOLDER/ledger]")
@click.option(
    "--run", "runs", type=_PATH, multiple=True, help="Signed run.json that may be approved, or a folder of such files."
)
@click.option("--transcript", "transcripts", type=_PATH, multiple=True, help="An aggregator's, to verify against.")
@click.option("--report", "reports", type=_PATH, multiple=True, help="report.json of `afml evaluate`.")
@click.option("--listen", default="127.0.0.1:8765", show_default=True, help="host:port; this machine's own address.")
@click.option(
    "--host", "names", multiple=True, metavar="NAME[:PORT]",
    help="Name by which a proxy with TLS before it is reached; needed where --listen is not of this machine alone.",
)  # fmt: skip
@click.option(
    "--token-file", type=_PATH, help="File (0600) whose token signs in, made where there is none; no links then."
)
def console(
    folder: Path, kit: Path | None, ledger: Path | None, runs: tuple[Path, ...], transcripts: tuple[Path, ...],
    reports: tuple[Path, ...], listen: str, names: tuple[str, ...], token_file: Path | None,
) -> None:  # fmt: skip
    """Serve a local page about FOLDER: runs as they go, budgets, ledger, releases, quality, certificates.

    FOLDER is as of `afml status`. Sign in by the link that is printed; it is good once, and the next one follows.
    """
    view = View(Named(folder, kit, ledger, runs, transcripts, reports))
    serve(view, Door(listen, names, token_file), click.echo)
