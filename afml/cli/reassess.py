"""`afml reassess`: attack files again that were released long ago, with what is public today."""

from __future__ import annotations

from pathlib import Path

import click

from afml.api.verbs import reassess as reassess_file
from afml.cli.places import PRIVATE, RUN_FILE
from afml.core.errors import ConfigError, ReleaseError
from afml.core.progress import console, step
from afml.evaluation.reassess_lines import reassessed_lines
from afml.ledger.reassessment import ASKED
from node.reassess import Today

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Work folder that holds the release.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json of the run that was released.")
@click.option(
    "--panel-vcf", "people", type=_PATH, multiple=True, help="Genotypes of people who became public since; repeat it."
)
@click.option("--relatives-vcf", type=_PATH, help="Genotypes of relatives who became public.")
@click.option("--relatives", type=_PATH, help="TSV sample, person, degree: of whom in the release, 1, 2 or 3.")
@click.option("--target-rr", type=click.FloatRange(0, 1, min_open=True), help="Ask for this rate as well; no promise.")
@click.option("--untrained", is_flag=True, help="Leave out the attack that is trained first: minutes become seconds.")
@click.option("--seed", default=1, show_default=True, help="Of reference profiles and made-up people.")
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def reassess(
    kit: Path, work: Path, run_file: Path, people: tuple[Path, ...], relatives_vcf: Path | None,
    relatives: Path | None, target_rr: float | None, untrained: bool, seed: int, ledger: Path | None,
) -> None:  # fmt: skip
    """Attack the released files of a run again; record in the ledger which promises still hold.

    Exit code 7 if not all do, or if attacks reach more than --target-rr asks for.

    What is found is exact, about this institution's people: it stays here, in WORK/reassessments/RUN.json.
    """
    if (relatives_vcf is None) != (relatives is None):
        raise ConfigError("go together", where="--relatives-vcf and --relatives", cure="give both or none")
    kin = None if relatives_vcf is None or relatives is None else (relatives_vcf, relatives)
    today = Today(people, kin, target_rr, not untrained, seed)
    with step("reassess") as running:
        done = reassess_file(kit=kit, work=work, run=run_file, today=today, ledger=ledger, note=running.note)
    for what, value in [*reassessed_lines(done.found), *done.lines()]:
        console.print(f"{what + ':':<34} {value}", markup=False, highlight=False, soft_wrap=True)
    if done.broken:
        promised = " and ".join(name for name in done.broken if name != ASKED)
        told = [f"{promised} not as promised"] if promised else []
        raise ReleaseError(
            ", ".join([*told, f"{ASKED} not as asked"] if ASKED in done.broken else told),
            where=f"release {done.standing.file_digest[:12]}",
            cure="tell whoever holds the file, and nest what is released next with `afml mask --nested`",
        )
