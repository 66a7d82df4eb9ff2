"""`afml audit`: look at a ledger, verify it independently, hand it over."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table

from afml.cli.attack import attack
from afml.core.progress import console
from afml.ledger.export import export as export_files
from afml.ledger.export import to_json
from afml.ledger.findings import Verification, require_ok
from afml.ledger.outside import Files, KeyOptions, verify_with
from afml.ledger.summary import EnrolmentSummary, Summary, summarise

_PATH = click.Path(path_type=Path)


@click.group()
def audit() -> None:
    """Show, verify and export an institution's privacy ledger; attack the training it accounts for."""


audit.add_command(attack)


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--rounds", is_flag=True, help="Every round, not only every run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(ledger: Path, rounds: bool, as_json: bool) -> None:
    """What the people of each enrolment have spent and have left, run by run. LEDGER is a ledger folder."""
    summary = summarise(ledger)
    if as_json:
        document = to_json(summary, Verification(origin=summary.origin, entries=summary.entries))
        del document["verification"]
        click.echo(json.dumps(document, indent=2))
        return
    console.print(f"{summary.origin}: {summary.entries} entries, {summary.withdrawals} withdrawals, ", end="")
    console.print(f"{len(summary.releases)} releases")
    if summary.insecure:
        console.print("[bold red]some entries come from seeded simulations and protect nobody[/]")
    _enrolments(summary)
    for enrolment in summary.enrolments:
        _runs(enrolment, rounds)


def _enrolments(summary: Summary) -> None:
    table = Table(title="Enrolments")
    for heading in ("enrolment", "people", "epsilon", "PLE", "epsilon if broken", "limit", "left"):
        table.add_column(heading, justify="left" if heading == "enrolment" else "right")
    for enrolment in summary.enrolments:
        balance, total = enrolment.balance, enrolment.total
        unit = "" if balance is None else "epsilon" if balance.budget.epsilon is not None else "sigma"
        table.add_row(
            enrolment.name, str(enrolment.people), f"{total.epsilon:.3f} at {total.delta:g}",
            f"{total.sigma:.3f}", f"{enrolment.broken.epsilon:.3f}",
            "" if balance is None else f"{balance.limit:.4g} {unit}",
            "" if balance is None else f"{balance.left:.4g}",
        )  # fmt: skip
    console.print(table)


def _runs(enrolment: EnrolmentSummary, rounds: bool) -> None:
    table = Table(title=f"Enrolment {enrolment.name}")
    for heading in ("run", "spends", "noise", "epsilon", "PLE [audited, accounted]", "epsilon if broken"):
        table.add_column(heading, justify="left" if heading in ("run", "noise") else "right")
    for run in enrolment.runs:
        audited = "not audited" if run.audited is None else f"{run.audited:.3f}"
        table.add_row(
            run.run + (" (insecure)" if run.insecure else ""), str(len(run.rounds)), run.noise,
            f"{run.own.epsilon:.3f}", f"\\[{audited}, {run.own.sigma:.3f}]", f"{run.broken.epsilon:.3f}",
        )  # fmt: skip
        if rounds:
            for line in run.rounds:
                after = "" if line.ple_sigma is None else f"{line.epsilon:.3f}, PLE {line.ple_sigma:.3f}"
                table.add_row(
                    f"  round {line.attempt.round}.{line.attempt.number} {line.phase}", f"#{line.index}", line.time,
                    f"z {line.mechanism.noise_multiplier:g}", after, f"z {line.broken_multiplier:.4g}",
                )  # fmt: skip
    console.print(table)


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--roster", type=_PATH, help="The consortium's roster; gives all public keys.")
@click.option("--node", type=int, help="Whose ledger it is; default: from its name.")
@click.option("--key", help="The node's public key, hex, instead of a roster.")
@click.option("--aggregator-key", help="The aggregator's public key, hex, instead of a roster.")
@click.option("--transcript", type=_PATH, multiple=True, help="The aggregator's transcript.")
@click.option("--head", "heads", type=_PATH, multiple=True, help="A signed head that others have kept.")
@click.option("--countersignatures", default=0, show_default=True, help="Institutions that must vouch.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    ledger: Path, roster: Path | None, node: int | None, key: str | None, aggregator_key: str | None,
    transcript: tuple[Path, ...], heads: tuple[Path, ...], countersignatures: int, as_json: bool,
) -> None:  # fmt: skip
    """Recompute everything LEDGER claims, with other code than wrote it. Exit code 6 on any finding."""
    keys = KeyOptions(roster, node, key, aggregator_key)
    result = verify_with(ledger, keys, Files(transcript, heads, countersignatures))
    if as_json:
        document = {
            "ok": result.ok, "origin": result.origin, "entries": result.entries, "root": result.root,
            "checked": result.checked, "findings": [vars(finding) for finding in result.findings],
            "agreements": [vars(agreement) for agreement in result.agreements],
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        _print(result, with_transcript=bool(transcript))
    require_ok(result)


def _print(result: Verification, *, with_transcript: bool) -> None:
    for line in result.checked:
        console.print(f"checked {line}")
    if not with_transcript:
        console.print("[yellow]no transcript given: rollback, forks and hidden runs cannot be seen[/]")
    for agreement in result.agreements:
        console.print(
            f"run {agreement.run}: recorded epsilon {agreement.epsilon:.4f}, PLE {agreement.ple_sigma:.4f}; "
            f"recomputed {agreement.epsilon_recomputed:.4f}, {agreement.ple_sigma_recomputed:.4f}"
        )
    for finding in result.findings:
        console.print(f"[bold red]{finding.code}[/] {finding.where}: {finding.problem}")
    console.print("[green]nothing found[/]" if result.ok else f"[bold red]{len(result.findings)} findings[/]")


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder for ledger.json, ledger.csv and ledger.html.")
@click.option("--roster", type=_PATH, help="The consortium's roster; gives all public keys.")
@click.option("--node", type=int, help="Whose ledger it is; default: from its name.")
@click.option("--key", help="The node's public key, hex, instead of a roster.")
@click.option("--aggregator-key", help="The aggregator's public key, hex, instead of a roster.")
@click.option("--transcript", type=_PATH, multiple=True, help="The aggregator's transcript.")
def export(
    ledger: Path, out: Path, roster: Path | None, node: int | None, key: str | None,
    aggregator_key: str | None, transcript: tuple[Path, ...],
) -> None:  # fmt: skip
    """Verify LEDGER and write it as JSON, CSV and a one-page HTML, findings included."""
    result = verify_with(ledger, KeyOptions(roster, node, key, aggregator_key), Files(transcript))
    summary: Summary = summarise(ledger)
    for path in export_files(summary, result, out):
        console.print(str(path))
    require_ok(result)
