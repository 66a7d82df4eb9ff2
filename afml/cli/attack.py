"""`afml audit attack`: attack the installed mechanism and training runs with canaries; compare with the accounts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.table import Table

from afml.cli.places import RUN_FILE
from afml.consortium.run import RunConfig
from afml.core.bounded import at_least, at_most
from afml.core.errors import InputError
from afml.core.progress import console, step

if TYPE_CHECKING:  # they load torch, and `afml audit` has quick subcommands too
    from afml.audit.declared import DeclaredResult
    from afml.audit.interval import Bound
    from afml.audit.mechanism import MechanismResult
    from afml.audit.run import AuditResult
    from afml.audit.subject import Subject

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--simulated", is_flag=True, help="Attack a made-up consortium; needs no data.")
@click.option("--run", "run_file", type=RUN_FILE, help="run.json of the run to attack again, with canaries.")
@click.option("--work", "works", type=_PATH, multiple=True, help="Work folders; absent institutions send noise.")
@click.option(
    "--instrument", type=click.Choice(["both", "mechanism", "run", "declared"]), default="both", show_default=True,
    help="Single steps in their worst case, a whole run with canaries, or both; or the run again and again with "
    "canaries alone, the tightest bound, which needs no --work.",
)  # fmt: skip
@click.option("--canaries", default=1024, show_default=True, help="Made-up people, each enrolled by coin toss.")
@click.option("--trials", default=400, show_default=True, help="Steps with and without the person.")
@click.option("--repeats", default=256, show_default=True, help="Of the declared audit.")
@click.option("--seed", default=1, show_default=True, help="Of the canaries and their coins; never of noise.")
@click.option("--kit", type=_PATH, help="Record the bound in the ledger of the one --work, signed with this kit.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def attack(
    simulated: bool, run_file: Path | None, works: tuple[Path, ...],
    instrument: Literal["both", "mechanism", "run", "declared"], canaries: int, trials: int, repeats: int, seed: int,
    kit: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Attack training and print the interval [audited, accounted]. Exit code 6 if the attack refutes the accounts.

    Trains anew in this process, with made-up people beside the real ones: it spends no budget, since nothing
    of it leaves, and says what a run with this configuration reveals. Pools the people of all --work folders.
    """
    alone = instrument == "declared"  # with nobody but canaries
    if simulated == bool(run_file or works) or (bool(run_file) != bool(works) and not (alone and run_file)):
        raise InputError("give either --simulated, or --run and --work", where="afml audit attack")
    if kit and len(works) != 1:
        raise InputError("needs exactly one --work, whose ledger it signs", where="--kit")
    from afml.audit.run import attackable
    from node.inuse import in_use
    from node.workspace import Workspace

    steps: list[MechanismResult] = []
    found: AuditResult | None = None
    declared: DeclaredResult | None = None
    with in_use(*map(Workspace, works)):
        if alone:
            config = _config(run_file, works, seed)
            declared = _declared(config, repeats, seed, quiet=as_json)
        else:
            inputs = _subject(run_file, works, seed)
            if instrument in ("both", "mechanism"):
                steps = _steps(inputs, trials, quiet=as_json)
            if instrument == "both" and not attackable(inputs.config):  # asked for alone, it is refused
                click.echo("SKIPPED the run with canaries: it attacks risk rounds, and this run has none", err=True)
            elif instrument != "mechanism":
                found = _run(inputs, canaries, seed, quiet=as_json)
    if as_json:
        whole = {"run": asdict(found) if found else None, "declared": asdict(declared) if declared else None}
        click.echo(json.dumps({"steps": [asdict(s) for s in steps]} | whole, indent=2))
    else:
        _print(steps, found)
        _print_declared(declared)
    bound: Bound | None = found or declared
    if kit and bound:
        from afml.trial.auditing import record

        assert run_file  # there is no --work without it
        index = record(kit, Workspace(works[0]), RunConfig.load(run_file).run, bound)
        console.print(f"recorded as entry {index} of the ledger")
    for one in steps:
        one.require_sound()
    if bound:
        bound.require_sound()


def _subject(run_file: Path | None, works: tuple[Path, ...], seed: int) -> Subject:
    if run_file is None:
        from afml.audit.simulated import simulate

        return simulate(seed)
    from afml.trial.auditing import subject_of
    from node.workspace import Workspace

    return subject_of(RunConfig.load(run_file), [Workspace(path) for path in works])


def _config(run_file: Path | None, works: tuple[Path, ...], seed: int) -> RunConfig:
    """Of the run alone: the work folders have to be this run's, and are not read."""
    if run_file is None:
        return _subject(None, (), seed).config
    from afml.trial.auditing import require_prepared
    from node.workspace import Workspace

    config = RunConfig.load(run_file)
    require_prepared(config, [Workspace(path) for path in works])
    return config


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


def _declared(config: RunConfig, repeats: int, seed: int, *, quiet: bool) -> DeclaredResult:
    from afml.audit.declared import audit_declared

    if quiet:
        return audit_declared(config, seed, repeats=repeats)
    with step("the run with canaries alone, again and again") as task:
        return audit_declared(
            config, seed, repeats=repeats, progress=lambda done, of: task.note(f"repeat {done} of {of}")
        )


def _print_declared(found: DeclaredResult | None) -> None:
    if found is None:
        return
    console.print(
        f"declared audit: PLE in [{at_least(found.mu_lower)}, {at_most(found.mu_accounted)}] sigma "
        f"({found.confidence:.1%} confidence; {at_most(found.mu_attacked)} accounted for the {found.rounds} "
        f"attacked rounds), {found.mu_lower / found.mu_accounted:.0%} of what is accounted; {found.repeats} repeats of "
        f"{found.canaries} canaries, {found.right:.2%} guessed right"
    )
    console.print(
        "for whoever sees the sum of every round and knows all but the coins and the honest nodes' noise; "
        "those who see less may learn less"
    )
    _print_blind(found)


def _print_blind(found: Bound) -> None:
    if found.mu_ceiling <= found.mu_attacked:
        console.print(
            f"so few canaries cannot establish more than {at_most(found.mu_ceiling, 2)} sigma: "
            "this audit could not have failed",
            style="yellow",
        )


def _print(steps: list[MechanismResult], found: AuditResult | None) -> None:
    if steps:
        table = Table(title="Worst-case single steps, noise multiplier 1")
        for heading in ("phase", "case", "[audited, accounted] sigma", "steps", "wrong without", "wrong with"):
            table.add_column(heading, justify="left" if heading in ("phase", "case") else "right")
        for one in steps:
            table.add_row(
                one.phase, one.case, f"[{at_least(one.mu_lower, 2)}, {at_most(one.mu_accounted, 2)}]",
                str(one.absent + one.present), str(one.false_positives), str(one.false_negatives),
            )  # fmt: skip
        console.print(table)
    if found:
        console.print(
            f"run: PLE in [{at_least(found.mu_lower)}, {at_most(found.mu_accounted)}] sigma "
            f"({found.confidence:.0%} confidence; {at_most(found.mu_attacked)} accounted for the {found.rounds} "
            f"attacked rounds), epsilon at least {at_least(found.epsilon_lower, 2)} at {found.delta:g}; "
            f"{found.canaries} canaries, "
            f"{' and '.join(f'{c} of {g}' for c, g in zip(found.correct, found.guesses, strict=True))} guessed right"
        )
        _print_blind(found)
