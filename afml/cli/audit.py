"""`afml audit`: look at a ledger, verify it independently, hand it over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from afml.cli.attack import attack
from afml.cli.dossier import dossier, is_dossier, merge, verify_dossier
from afml.core.bounded import at_least, at_most
from afml.core.errors import InputError
from afml.core.progress import console
from afml.core.simulation import SIMULATION
from afml.ledger.checkpoint import Checkpoint
from afml.ledger.export import export as export_files
from afml.ledger.export import to_json
from afml.ledger.findings import Verification, require_ok
from afml.ledger.outside import Files, KeyOptions, name_of, verify_with
from afml.ledger.schema import FILE, none_in
from afml.ledger.summary import EnrolmentSummary, Summary, summarise
from afml.ledger.told import iso
from afml.operate.words import counted
from afml.privacy.budget import Balance
from afml.privacy.ple import Ple

_PATH = click.Path(path_type=Path)
_INFINITE = "infinite"
_WHOLE = ("enrolment", "since", "until", "state", "noise")  # columns that a narrow terminal does not fold


_HEADS = click.option(
    "--head", "heads", type=_PATH, multiple=True,
    help="A signed head that others have kept, or the folder that their `afml ledger heads` wrote.",
)  # fmt: skip
_COUNTERSIGNATURES = click.option(
    "--countersignatures",
    default=0,
    show_default=True,
    help="Institutions that vouch for its runs to their last entry.",
)


@click.group()
def audit() -> None:
    """Show, verify and export an institution's privacy ledger; attack the training it accounts for."""


audit.add_command(attack)
audit.add_command(dossier)
audit.add_command(merge)


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--rounds", is_flag=True, help="Every round, not only every run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(ledger: Path, rounds: bool, as_json: bool) -> None:
    """What the people of each enrolment have spent and have left, run by run. LEDGER is a ledger folder."""
    _require_there(ledger)
    summary = summarise(ledger)
    if as_json:
        document = to_json(summary, Verification(origin=summary.origin, entries=summary.entries))
        del document["verification"]
        click.echo(json.dumps(document, indent=2))
        return
    entries, releases = counted(summary.entries, "entry", "entries"), counted(len(summary.releases), "release")
    withdrawn = counted(summary.withdrawals, "person", "people")
    console.print(f"{summary.origin}: {entries}, {withdrawn} withdrawn, {releases}")
    if summary.head:
        console.print(f"last signed head, to compare with what others keep of it: {summary.head}", soft_wrap=True)
    if summary.insecure:
        told = f"{SIMULATION}. Noise of some runs comes from a seed: they protect nobody, and their PLE is infinite"
        console.print(told, style="bold red")
    _policies(summary)
    for enrolment in summary.enrolments:
        console.print(f"enrolment {enrolment.name}: {enrolment.told}", soft_wrap=True)
        if enrolment.balance is not None:
            console.print(_bar(enrolment.balance), soft_wrap=True)
    _enrolments(summary)
    _plans(summary)
    for body in summary.bodies:
        if body["kind"] == "import":
            proof = "by its old key's word" if body["signature"] else "its key being lost, by heads that others keep"
            console.print(f"#{body['index']} {iso(body['time_ms'])}: what is before it is all of ", end="")
            console.print(f"{body['origin']}, {proof}", soft_wrap=True)
        if body["kind"] == "withdrawal":
            console.print(f"#{body['index']} {iso(body['time_ms'])}: {body['people']} people withdrew consent")
    for line in summary.lines("release", "publication", "reassessment", "overlap", "overlap-answer"):
        console.print(line, soft_wrap=True)
    for enrolment in summary.enrolments:
        _runs(enrolment, rounds)


def _require_there(folder: Path) -> None:
    """Refuse a folder in which no ledger is, which before a first run is as it should be.

    Raises:
        InputError: None is.
    """
    if (folder / FILE).is_file():
        return
    within = folder / "ledger"
    if (within / FILE).is_file():
        raise InputError(
            "is a work folder, with the ledger in a folder of its own", where=folder, cure=f"give {within}"
        )
    raise none_in(folder)


_WIDTH = 40  # of a bar, in characters


def _bar(kept: Balance) -> str:
    """What is used of a budget, where it adds up."""
    full = round(kept.used * _WIDTH)
    how = "" if kept.budget.epsilon is not None else ", in squares: that is how sigmas add"
    return f"  [{'#' * full}{'.' * (_WIDTH - full)}] {100 * kept.used:.0f} % used{how}"


def _policies(summary: Summary) -> None:
    for entry in summary.policies:
        policy, looser = entry["policy"], entry["looser"]
        assert isinstance(policy, dict)
        assert isinstance(looser, list)
        rule = f"{policy['lifetime']['ple_sigma']:g} sigma for a person at delta {policy['lifetime']['delta']:g}"
        console.print(f"policy since {iso(entry['time_ms'])}: {rule}, over all runs", soft_wrap=True)
        if looser:
            console.print(f"  looser than the one before it: {', '.join(map(str, looser))}", soft_wrap=True)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """Columns as narrow as they can be: a figure that a terminal cuts off is a wrong one."""
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for heading in left:
        table.add_column(heading, overflow="fold", no_wrap=heading in _WHOLE)
    for heading in right:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _enrolments(summary: Summary) -> None:
    figures = ("people", "epsilon", "PLE", "if fixed", "epsilon if broken", "reserved", "limit", "left")
    table = _table("Enrolments", ("enrolment",), figures)
    for enrolment in summary.enrolments:
        balance, total = enrolment.balance, enrolment.total
        table.add_row(
            enrolment.name, str(enrolment.people),
            _INFINITE if total is None else at_most(total.epsilon),
            f"{_INFINITE}, {SIMULATION}" if total is None else at_most(total.sigma),
            _INFINITE if enrolment.fixed_plan is None else at_most(enrolment.fixed_plan.sigma),
            _epsilon(enrolment.broken),
            *(("", "", "") if balance is None else
              (at_most(balance.spent), f"{balance.limit:.4g}", at_least(balance.left))),
        )  # fmt: skip
    console.print(table)


def _epsilon(spent: Ple | None) -> str:
    return _INFINITE if spent is None else at_most(spent.epsilon)


def _plans(summary: Summary) -> None:
    table = _table("Plans set aside", ("run", "since", "until", "state", "approved"), ("people", "PLE by itself"))
    for plan in summary.plans:
        approved = "by a person" if plan.approved else ""
        planned = f"{_INFINITE}, {SIMULATION}" if plan.planned is None else at_most(plan.planned.sigma)
        table.add_row(plan.run, plan.time, plan.expires[:10], plan.state, approved, str(plan.people), planned)
    if summary.plans:
        console.print(table)


def _runs(enrolment: EnrolmentSummary, rounds: bool) -> None:
    figures = ("spends", "epsilon", "PLE [audited, accounted]", "epsilon if broken")
    table = _table(f"Enrolment {enrolment.name}", ("run", "noise"), figures)
    for run in enrolment.runs:
        accounted = _INFINITE if run.own is None else at_most(run.own.sigma)
        audited = "not audited" if run.audited is None else at_least(run.audited)
        table.add_row(
            run.run + (f" ({SIMULATION})" if run.insecure else ""), run.noise, str(len(run.rounds)),
            _epsilon(run.own), f"[{audited}, {accounted}]", _epsilon(run.broken),
        )  # fmt: skip
        if rounds:
            for line in run.rounds:
                after = _after(line.epsilon, line.ple_sigma)
                table.add_row(
                    f"  round {line.attempt.round}.{line.attempt.number} {line.phase}", line.time, f"#{line.index}",
                    f"z {line.mechanism.noise_multiplier:g}", after, f"z {line.broken_multiplier:.4g}",
                )  # fmt: skip
    console.print(table)


def _after(epsilon: float | None, sigma: float | None) -> str:
    return "" if epsilon is None or sigma is None else f"{at_most(epsilon)}, PLE {at_most(sigma)}"


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--roster", type=_PATH, help="The consortium's roster; gives all public keys.")
@click.option("--node", type=int, help="Whose ledger it is; default: whom it is named after.")
@click.option("--key", help="The node's public key, hex, instead of a roster.")
@click.option("--aggregator-key", help="The aggregator's public key, hex, instead of a roster.")
@click.option("--transcript", type=_PATH, multiple=True, help="The aggregator's transcript.")
@_HEADS
@_COUNTERSIGNATURES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    ledger: Path, roster: Path | None, node: int | None, key: str | None, aggregator_key: str | None,
    transcript: tuple[Path, ...], heads: tuple[Path, ...], countersignatures: int, as_json: bool,
) -> None:  # fmt: skip
    """Recompute everything LEDGER claims, with other code than wrote it. Exit code 6 on any finding.

    A folder that `afml audit dossier` or `afml audit merge` wrote is verified as one; the institutions' word on its
    roster is --roster.
    """
    if is_dossier(ledger):
        verify_dossier(ledger, roster, as_json=as_json)
        return
    keys = KeyOptions(roster, node, key, aggregator_key)
    result = verify_with(ledger, keys, Files(transcript, heads, countersignatures))
    if as_json:
        document = {
            "ok": result.ok, "origin": result.origin, "entries": result.entries, "root": result.root,
            "checked": result.checked, "unchecked": result.unchecked,
            "findings": [vars(finding) for finding in result.findings],
            "agreements": [vars(agreement) for agreement in result.agreements],
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        _print(result)
    require_ok(result)


def _print(result: Verification) -> None:
    for line in result.checked:
        console.print(f"checked {line}", soft_wrap=True)
    for line in result.unchecked:
        console.print(f"not checked: {line}", style="yellow", soft_wrap=True)
    for agreement in result.agreements:
        console.print(
            f"run {agreement.run}: recorded epsilon {agreement.epsilon:.4f}, PLE {agreement.ple_sigma:.4f}; "
            f"recomputed {agreement.epsilon_recomputed:.4f}, {agreement.ple_sigma_recomputed:.4f}",
            soft_wrap=True,
        )
    for finding in result.findings:
        console.print(f"{finding.code} {finding.where}: {finding.problem}", style="bold red", soft_wrap=True)
    if result.root:
        head = Checkpoint(result.origin, result.entries, bytes.fromhex(result.root))
        console.print(f"recomputed head, to compare with what others keep: {head.told}", soft_wrap=True)
    if result.ok:
        console.print("nothing found", style="green")
    else:
        console.print(f"{len(result.findings)} findings", style="bold red")


@audit.command()
@click.argument("ledger", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder for ledger.json, ledger.csv and ledger.html.")
@click.option("--roster", type=_PATH, help="The consortium's roster; gives all public keys.")
@click.option("--node", type=int, help="Whose ledger it is; default: whom it is named after.")
@click.option("--key", help="The node's public key, hex, instead of a roster.")
@click.option("--aggregator-key", help="The aggregator's public key, hex, instead of a roster.")
@click.option("--transcript", type=_PATH, multiple=True, help="The aggregator's transcript.")
@_HEADS
@_COUNTERSIGNATURES
def export(
    ledger: Path, out: Path, roster: Path | None, node: int | None, key: str | None,
    aggregator_key: str | None, transcript: tuple[Path, ...], heads: tuple[Path, ...], countersignatures: int,
) -> None:  # fmt: skip
    """Verify LEDGER and write it as JSON, CSV and a one-page HTML, findings included."""
    keys = KeyOptions(roster, node, key, aggregator_key)
    result = verify_with(ledger, keys, Files(transcript, heads, countersignatures))
    summary: Summary = summarise(ledger)
    for path in export_files(summary, result, out, name_of(ledger, roster)):
        console.print(str(path))
    require_ok(result)
