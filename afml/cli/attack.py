"""`afml audit attack`: attack the installed mechanism, and a training run with canaries; compare with the accounts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.table import Table

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.core.progress import console, step

if TYPE_CHECKING:  # they load torch, and `afml audit` has quick subcommands too
    from afml.audit.mechanism import MechanismResult
    from afml.audit.run import AuditResult
    from afml.audit.subject import Subject

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--simulated", is_flag=True, help="Attack a made-up consortium; needs no data.")
@click.option("--run", "run_file", type=_PATH, help="run.json of the run to attack again, with canaries.")
@click.option("--work", "works", type=_PATH, multiple=True, help="Work folders; absent institutions send noise.")
@click.option(
    "--instrument", type=click.Choice(["both", "mechanism", "run"]), default="both", show_default=True,
    help="Single steps in their worst case, a whole run with canaries, or both.",
)  # fmt: skip
@click.option("--canaries", default=1024, show_default=True, help="Made-up people, each enrolled by coin toss.")
@click.option("--trials", default=400, show_default=True, help="Steps with and without the person.")
@click.option("--seed", default=1, show_default=True, help="Of the canaries; never of noise.")
@click.option("--kit", type=_PATH, help="Record the run audit in the ledger of the one --work, signed with this kit.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def attack(
    simulated: bool, run_file: Path | None, works: tuple[Path, ...], instrument: Literal["both", "mechanism", "run"],
    canaries: int, trials: int, seed: int, kit: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Attack training and print the interval [audited, accounted]. Exit code 6 if the attack refutes the accounts.

    Trains anew in this process, with made-up people beside the real ones: it spends no budget, since nothing
    of it leaves, and says what a run with this configuration reveals. Pools the people of all --work folders.
    """
    if simulated == bool(run_file or works) or bool(run_file) != bool(works):
        raise InputError("give either --simulated, or --run and --work", where="afml audit attack")
    if kit and len(works) != 1:
        raise InputError("needs exactly one --work, whose ledger it signs", where="--kit")
    from afml.audit.run import attackable
    from node.inuse import in_use
    from node.workspace import Workspace

    steps: list[MechanismResult] = []
    found: AuditResult | None = None
    with in_use(*map(Workspace, works)):
        inputs = _subject(run_file, works, seed)
        if instrument in ("both", "mechanism"):
            steps = _steps(inputs, trials, quiet=as_json)
        if instrument == "both" and not attackable(inputs.config):  # asked for alone, it is refused
            click.echo("SKIPPED the run with canaries: it attacks risk rounds, and this run has none", err=True)
        elif instrument != "mechanism":
            found = _run(inputs, canaries, seed, quiet=as_json)
    if as_json:
        click.echo(json.dumps({"steps": [asdict(s) for s in steps], "run": asdict(found) if found else None}, indent=2))
    else:
        _print(steps, found)
    if kit and found:
        from afml.trial.auditing import record

        index = record(kit, Workspace(works[0]), inputs.config.run, found)
        console.print(f"recorded as entry {index} of the ledger")
    for one in steps:
        one.require_sound()
    if found:
        found.require_sound()


def _subject(run_file: Path | None, works: tuple[Path, ...], seed: int) -> Subject:
    if run_file is None:
        from afml.audit.simulated import simulate

        return simulate(seed)
    from afml.trial.auditing import subject_of
    from node.workspace import Workspace

    return subject_of(RunConfig.load(run_file), [Workspace(path) for path in works])


def _steps(inputs: Subject, trials: int, *, quiet: bool) -> list[MechanismResult]:
    from afml.audit.mechanism import mechanism_test

    if quiet:
        return mechanism_test(inputs, trials=trials)
    with step("worst-case single steps") as task:
        return mechanism_test(inputs, trials=trials, progress=lambda what, n, of: task.note(f"{what}: {n} of {of}"))


def _run(inputs: Subject, canaries: int, seed: int, *, quiet: bool) -> AuditResult:
    from afml.audit.run import audit_run

    if quiet:
        return audit_run(inputs, seed, canaries=canaries)
    with step("one run with canaries") as task:
        return audit_run(
            inputs, seed, canaries=canaries, progress=lambda done, rounds: task.note(f"round {done} of {rounds}")
        )


def _print(steps: list[MechanismResult], found: AuditResult | None) -> None:
    if steps:
        table = Table(title="Worst-case single steps, noise multiplier 1")
        for heading in ("phase", "case", "[audited, accounted] sigma", "steps", "wrong without", "wrong with"):
            table.add_column(heading, justify="left" if heading in ("phase", "case") else "right")
        for one in steps:
            table.add_row(
                one.phase, one.case, f"[{one.mu_lower:.2f}, {one.mu_accounted:.2f}]",
                str(one.absent + one.present), str(one.false_positives), str(one.false_negatives),
            )  # fmt: skip
        console.print(table)
    if found:
        console.print(
            f"run: PLE in [{found.mu_lower:.3f}, {found.mu_accounted:.3f}] sigma "
            f"({found.confidence:.0%} confidence; {found.mu_attacked:.3f} accounted for the {found.rounds} attacked "
            f"rounds), epsilon at least {found.epsilon_lower:.2f} at {found.delta:g}; {found.canaries} canaries, "
            f"{' and '.join(f'{c} of {g}' for c, g in zip(found.correct, found.guesses, strict=True))} guessed right"
        )
        if found.mu_ceiling <= found.mu_attacked:
            console.print(
                f"so few canaries cannot establish more than {found.mu_ceiling:.2f} sigma: "
                "this audit could not have failed",
                style="yellow",
            )
