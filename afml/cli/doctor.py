"""`afml doctor`: what would keep a party from taking part, looked at before a run is; it only reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from afml.cli.places import RUN_FILE
from afml.core.errors import ConfigError
from afml.core.plain import plain_line
from afml.operate.checked import Checked
from afml.operate.doctor import examine
from afml.operate.papers import Subject

_PATH = click.Path(path_type=Path)
_WIDTH = 13
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@click.command()
@click.option("--kit", type=_PATH, required=True, help="The party's start kit: a node's or the aggregator's.")
@click.option("--run", "run_file", type=RUN_FILE, help="run.json, signed: what it needs of this machine and this site.")
@click.option("--work", type=_PATH, help="Node: folder that `afml prepare` made.")
@click.option("--ledger", type=_PATH, help="Node: folder of the institution's one ledger.  [default: WORK/ledger]")
@click.option(
    "--aggregator",
    "address",
    default="",
    help="Node: the aggregator's host:port, or several behind commas, to go all the way there.",
)
@click.option("--data", type=_PATH, help="Aggregator: folder for the run's state.")
@click.option("--listen", default="", help="Aggregator: host:port where it is to be served.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    kit: Path, run_file: Path | None, work: Path | None, ledger: Path | None, address: str, data: Path | None,
    listen: str, as_json: bool,
) -> None:  # fmt: skip
    """Look at certificates, clock, name, port, proxy, disk, memory, GPU, versions, permissions and policy.

    Each failure has its cure. Exit code 2 where something failed; a warning alone is none.
    """
    found: list[Checked] = []
    for checked in examine(Subject(kit, address or listen, work, data, ledger, run_file)):
        found.append(checked)
        if not as_json:
            _say(checked)
    if as_json:
        click.echo(json.dumps([asdict(checked) for checked in found], indent=2))
    count = sum(checked.state == "failed" for checked in found)
    if count:
        raise ConfigError(f"{count} of {len(found)} looks failed", where=kit, cure="follow the cures above")


def _say(checked: Checked) -> None:
    state = click.style(f"{checked.state:8}", fg=_COLOURS[checked.state])
    click.echo(f"{state} {checked.what:{_WIDTH}} {plain_line(checked.told)}")
    if checked.cure:
        click.echo(f"{'':8} {'':{_WIDTH}} cure: {plain_line(checked.cure)}")
