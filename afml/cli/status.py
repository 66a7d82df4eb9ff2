"""`afml status`: where runs stand, at an aggregator or at a node; it only reads."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from afml.core.progress import console
from afml.operate.shown import AggregatorStatus, ManyStatus, ServeStatus, Status
from afml.operate.status import status_of
from afml.operate.told import lines

_PATH = click.Path(path_type=Path)
LOOK_S = 2.0
"""Seconds between two looks of --watch."""


@click.command()
@click.argument("folder", type=_PATH)
@click.option("--kit", type=_PATH, help="A node's start kit: how many days its certificate has left.")
@click.option("--ledger", type=_PATH, help="Folder of the institution's one ledger.  [default: FOLDER/ledger]")
@click.option("--watch", is_flag=True, help="Look again every two seconds until the run is over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch one line whenever something changed.")
def status(folder: Path, kit: Path | None, ledger: Path | None, watch: bool, as_json: bool) -> None:
    """Where runs stand: stage, round, who is awaited since when, pace, budgets, certificates' days.

    FOLDER is the --data of `afml aggregator`, the --work of `afml node` or the --state of `afml node serve`.
    """
    found = status_of(folder, kit=kit, ledger=ledger)
    shown = _show(found, "", watch, as_json)
    with contextlib.suppress(KeyboardInterrupt):
        while watch and not _over(found):
            time.sleep(LOOK_S)
            found = status_of(folder, kit=kit, ledger=ledger)
            shown = _show(found, shown, watch, as_json)


def _show(found: Status, shown: str, watch: bool, as_json: bool) -> str:
    """Print it, unless the same stands there already; returns what stands there."""
    text = found.model_dump_json(indent=None if watch else 2) if as_json else "\n".join(lines(found))
    if text == shown:
        return shown
    if watch and not as_json:
        if console.is_terminal:
            console.clear()
        elif shown:
            console.print()
    if as_json:
        click.echo(text)
    else:
        console.print(text, soft_wrap=True)
    return text


def _over(found: Status) -> bool:
    if isinstance(found, AggregatorStatus):
        return found.standing.stage.over and found.state != "running"
    if isinstance(found, ManyStatus | ServeStatus):
        return False  # it waits for more
    return bool(found.parts) and not found.running
