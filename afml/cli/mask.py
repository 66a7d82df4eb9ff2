"""`afml mask`: write an institution's de-identified VCF."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from afml.cli.places import PRIVATE
from afml.consortium.nodekit import load_node_kit
from afml.consortium.runfile import load_run
from afml.core.progress import step
from afml.masking.kind import masking_settings
from afml.release.method import AUTO, METHODS
from node.guard import enter_policy, open_ledger
from node.policy import load as load_policy
from node.release import release
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Work folder with the trained model.")
@click.option("--run", "run_file", type=_PATH, required=True, help="run.json, signed.")
@click.option("--method", type=click.Choice([AUTO, *METHODS.names()]), default=None, help="Default: the run's.")
@click.option("--min-group-size", type=int, default=None, help="People per released pattern; default: the run's.")
@click.option("--fill", type=click.Choice(["major", "missing"]), default=None, help="What a masked genotype shows.")
@click.option(
    "--target-rr",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="Fewer patterns until attacks on panel people name at most this share; default: the run's, if it has one.",
)
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def mask(
    kit: Path, work: Path, run_file: Path, method: str | None, min_group_size: int | None,
    fill: Literal["major", "missing"] | None, target_rr: float | None, ledger: Path | None,
) -> None:  # fmt: skip
    """Mask everybody in this institution's store and write releases/RUN/release.vcf.gz, indexed."""
    loaded = load_node_kit(kit)
    config = load_run(run_file, loaded.roster)
    wanted = {"method": method, "min_group_size": min_group_size, "fill": fill, "target_rr": target_rr}
    changes = {key: value for key, value in wanted.items() if value is not None}
    agreed = masking_settings(config).release
    settings = type(agreed).model_validate(agreed.model_dump() | changes)
    space = Workspace(work)
    space.require_prepared()
    policy = load_policy(kit)
    policy.require_release(settings.min_group_size)
    with step(f"masking node {loaded.node}"), open_ledger(space, loaded, ledger) as opened:
        enter_policy(opened, policy)
        done = release(space, config, settings, opened)
    result = done.released
    click.echo(f"node {loaded.node}: method {done.plan.reason}")
    for patterns, rr in done.plan.verified:
        click.echo(f"node {loaded.node}: attacked on panel people: {patterns} patterns, RR {100 * rr:.2g} %")
    click.echo(
        f"node {loaded.node}: {result.patterns_used} patterns, smallest group {result.min_group_size}, "
        f"{100 * result.retained_fraction:.2f} % of non-major genotypes shown: {done.path}"
    )
