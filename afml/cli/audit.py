"""`afml audit`: look at a ledger, verify it independently, hand it over."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table

from afml.cli.attack import attack
from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.core.progress import console
from afml.core.run import Roster
from afml.ledger import transcript as transcripts
from afml.ledger.checkpoint import origin_of
from afml.ledger.export import export as export_files
from afml.ledger.export import to_json
from afml.ledger.findings import Verification, require_ok
from afml.ledger.summary import CohortSummary, Summary, summarise
from afml.ledger.verify import verify as verify_ledger

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
    """What each cohort has spent and has left, run by run. LEDGER is a ledger folder."""
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
    _cohorts(summary)
    for cohort in summary.cohorts:
        _runs(cohort, rounds)


def _cohorts(summary: Summary) -> None:
    table = Table(title="Cohorts")
    for heading in ("cohort", "people", "epsilon", "PLE", "epsilon if broken", "limit", "left"):
        table.add_column(heading, justify="left" if heading == "cohort" else "right")
    for cohort in summary.cohorts:
        standing = cohort.standing
        unit = "" if standing is None else "epsilon" if standing.budget.epsilon is not None else "sigma"
        table.add_row(
            cohort.name, str(cohort.people), f"{cohort.total.epsilon:.3f} at {cohort.total.delta:g}",
            f"{cohort.total.sigma:.3f}", f"{cohort.broken.epsilon:.3f}",
            "" if standing is None else f"{standing.limit:.4g} {unit}",
            "" if standing is None else f"{standing.left:.4g}",
        )  # fmt: skip
    console.print(table)


def _runs(cohort: CohortSummary, rounds: bool) -> None:
    table = Table(title=f"Cohort {cohort.name}")
    for heading in ("run", "spends", "noise", "epsilon", "PLE [audited, accounted]", "epsilon if broken"):
        table.add_column(heading, justify="left" if heading in ("run", "noise") else "right")
    for run in cohort.runs:
        audited = "not audited" if run.audited is None else f"{run.audited:.3f}"
        table.add_row(
            run.run + (" (insecure)" if run.insecure else ""), str(len(run.rounds)), run.noise,
            f"{run.own.epsilon:.3f}", f"\\[{audited}, {run.own.sigma:.3f}]", f"{run.broken.epsilon:.3f}",
        )  # fmt: skip
        if rounds:
            for line in run.rounds:
                after = "" if line.ple_sigma is None else f"{line.epsilon:.3f}, PLE {line.ple_sigma:.3f}"
                table.add_row(
                    f"  round {line.round}.{line.attempt} {line.phase}", f"#{line.index}", line.time,
                    f"z {line.mechanism.noise_multiplier:g}", after, f"z {line.broken_multiplier:.4g}",
                )  # fmt: skip
    console.print(table)


class _Inputs(Settings):
    """Where the verifier's outside knowledge comes from."""

    key: bytes
    node: int | None
    aggregator_key: bytes | None
    peers: dict[str, bytes]


def _inputs(
    ledger: Path, key: str | None, roster: Path | None, node: int | None, aggregator_key: str | None
) -> _Inputs:
    peers: dict[str, bytes] = {}
    signer, summing = _hex(key, "--key"), _hex(aggregator_key, "--aggregator-key")
    if roster is not None:
        members = Roster.load(roster)
        if node is None:
            raise InputError("needs --node to pick the institution", where="--roster")
        try:
            signer = signer or bytes.fromhex(members.member(node).signing_key)
        except KeyError:
            raise InputError(f"has no node {node}", where=roster) from None
        summing = summing or bytes.fromhex(members.aggregator_key)
        peers = {
            origin_of(members.consortium, member.node): bytes.fromhex(member.signing_key)
            for member in members.members
            if member.node != node
        }
    if signer is None:
        raise InputError(
            "the node's public key must come from outside the ledger",
            where=ledger,
            cure="give --roster and --node, or --key",
        )
    return _Inputs(key=signer, node=node, aggregator_key=summing, peers=peers)


def _hex(text: str | None, option: str) -> bytes | None:
    if text is None:
        return None
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise InputError("is not the hex of a 32-byte public key", where=option)
    return value


def _verify(
    ledger: Path,
    inputs: _Inputs,
    transcript: tuple[Path, ...],
    heads: tuple[Path, ...],
    countersignatures: int,
) -> Verification:
    rounds: list[transcripts.PublishedRound] = []
    for path in transcript:
        if inputs.aggregator_key is None:
            raise InputError(
                "needs the aggregator's key", where=path, cure="give --roster or --aggregator-key"
            )
        rounds += transcripts.read(path, inputs.aggregator_key)
    notes = [require_file(path, "signed head").read_text(encoding="utf-8") for path in heads]
    return verify_ledger(
        ledger, key=inputs.key, node=inputs.node, transcript=rounds, heads=notes, peers=inputs.peers,
        require_countersignatures=countersignatures,
    )  # fmt: skip


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
    inputs = _inputs(ledger, key, roster, node, aggregator_key)
    result = _verify(ledger, inputs, transcript, heads, countersignatures)
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
    inputs = _inputs(ledger, key, roster, node, aggregator_key)
    result = _verify(ledger, inputs, transcript, (), 0)
    summary: Summary = summarise(ledger)
    for path in export_files(summary, result, out):
        console.print(str(path))
    require_ok(result)
