"""`afml demo`: a whole consortium on this machine, every party its own process, nothing mocked."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from afml.cli.processes import Team
from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file, write_bytes
from afml.core.progress import Task, console, step
from afml.evaluation.details import read_details
from afml.evaluation.report import read_json
from afml.evaluation.terminal import print_report
from afml.genomics.partition import check_split, require_people

_PATH = click.Path(path_type=Path)
_MARK = ".afml-demo"
_PEOPLE = 2500
_COUNT = click.IntRange(1)


@click.command()
@click.option("--out", type=_PATH, default=Path("runs/demo"), show_default=True)
@click.option("--vcf", type=_PATH, default=None, help="Real genotypes to split; simulated ones without it.")
@click.option("--panel", "people", type=_PATH, default=None, help="TSV of the people in --vcf.")
@click.option("--nodes", default=5, show_default=True)
@click.option("--panel-people", type=_COUNT, default=500, show_default=True, help="People of the public panel.")
@click.option("--sites", type=_COUNT, default=1024, show_default=True)
@click.option(
    "--rounds", type=_COUNT, default=20, show_default=True, help="Private rounds of the risk model."
)
@click.option(
    "--game-rounds", type=click.IntRange(0), default=4, show_default=True,
    help="Private rounds of masker and identifier.",
)
@click.option(
    "--game-steps", type=click.IntRange(0), default=300, show_default=True, help="Steps of the game on the panel."
)
@click.option(
    "--ple", type=click.FloatRange(0, min_open=True), default=0.9, show_default=True, help="Target PLE, in sigma."
)
@click.option(
    "--causal", type=_COUNT, default=10, show_default=True, help="Causal sites of each simulated phenotype."
)
@click.option(
    "--phenotypes", type=click.IntRange(0, 16), default=1, show_default=True, help="Binary phenotypes in one release."
)
@click.option(
    "--quantitative", type=click.IntRange(0, 16), default=0, show_default=True, help="Quantitative ones beside them."
)
@click.option("--heritability", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True)
@click.option(
    "--noise", type=click.Choice(["distributed", "local"]), default="distributed", show_default=True
)
@click.option("--seed", default=1, show_default=True, help="Of data and attacks; of all with --simulation.")
@click.option(
    "--simulation", is_flag=True,
    help="Seed noise, held-out people and column order, too: the same figures each time, and no protection.",
)
def demo(
    out: Path, vcf: Path | None, people: Path | None, nodes: int, panel_people: int, sites: int, rounds: int,
    game_rounds: int, game_steps: int, ple: float, causal: int, phenotypes: int, quantitative: int,
    heritability: float, noise: str, seed: int, simulation: bool,
) -> None:  # fmt: skip
    """Run five institutions and an aggregator end to end and write the report."""
    if (vcf is None) != (people is None):
        raise InputError(
            "--vcf and --panel go together", where="demo", cure="give both, or neither to simulate"
        )
    if nodes < 3:
        raise ConfigError(f"{nodes} nodes cannot share noise", where="--nodes", cure="use 3 or more")
    if not 1 <= phenotypes + quantitative <= 16:
        raise ConfigError(
            f"a release cannot serve {phenotypes + quantitative} phenotypes", where="--phenotypes and --quantitative",
            cure="ask for 1 to 16 in all",
        )  # fmt: skip
    # Whatever can be refused is refused before the last demo goes.
    if vcf and people:
        require_file(vcf, "VCF", "correct VCF=")
        require_file(people, "people table", "correct PANEL=")
        check_split(vcf, people, nodes=nodes, panel_people=panel_people)
    else:
        require_people(_PEOPLE, nodes=nodes, panel_people=panel_people, where="simulated cohort")
    _clean(out)
    seeded: tuple[object, ...] = ("--seed", seed) if simulation else ()
    if simulation:
        console.print("[bold red]simulation: noise comes from --seed and can be replayed; nobody is protected[/]")
    seconds: dict[str, float] = {}
    with Team(out / "logs") as team:
        _data(team, out / "data", vcf, people, nodes, panel_people, sites, seed, seconds)
        _phenotypes(team, out / "data", nodes, sites, causal, heritability, phenotypes, quantitative, seed, seconds)
        _prepare(team, out, nodes, sites, seeded, seconds)
        traits = () if (phenotypes, quantitative) == (1, 0) else ("--risk", out / "data" / "phenotypes.risk.json")
        run = _federate(team, out, nodes, rounds, game_rounds, game_steps, ple, noise, (*traits, *seeded), seconds)
        _audit(team, out, nodes, seconds)
        _release(team, out, nodes, run, seconds)
        write_bytes(out / "seconds.json", canonical_json(seconds))
        with step("evaluate", seconds=seconds):
            team.run("evaluate", [
                "evaluate", "--run", run, "--out", out, "--data-kind", "vcf" if vcf else "simulated",
                "--phenotype", out / "data" / "phenotypes.json", "--seed", seed,
                "--aggregator", out / "aggregator", "--seconds", out / "seconds.json",
                *[option for n in range(1, nodes + 1) for option in ("--work", out / f"node-{n}")],
            ])  # fmt: skip
    report = read_json(out / "report.json")
    print_report(report, report.release.method, console, read_details(out / "details.json"))
    console.print(f"report: {out / 'report.html'} and {out / 'report.json'}", markup=False)


def _clean(out: Path) -> None:
    """Start from nothing; only a folder that a demo made is removed."""
    if out.exists():
        if not out.is_dir():
            raise InputError("is not a folder", where=out, cure="choose another --out")
        if any(out.iterdir()) and not (out / _MARK).exists():
            raise InputError("exists and was not made by a demo", where=out, cure="choose another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / _MARK).touch()


def _data(
    team: Team, data: Path, vcf: Path | None, people: Path | None, nodes: int, panel_people: int, sites: int,
    seed: int, seconds: dict[str, float],
) -> None:  # fmt: skip
    with step("data", seconds=seconds) as task:
        if vcf and people:
            task.note("splitting the VCF into a public panel and institutions")
            team.run("split", [
                "split", vcf, "--people", people, "--out", data, "--nodes", nodes,
                "--panel-people", panel_people, "--seed", seed,
            ])  # fmt: skip
        else:
            task.note("simulating an out-of-Africa cohort with msprime")
            script = Path(__file__).parents[2] / "tools" / "simulate_cohorts.py"
            require_file(script, "simulator", "run the demo from a checkout, or give --vcf and --panel")
            team.wait([team.start_command("simulate", [
                sys.executable, str(script), "--out", str(data), "--people", str(_PEOPLE), "--nodes", str(nodes),
                "--panel", str(panel_people), "--sites", str(max(2000, sites)), "--seed", str(seed),
            ])])  # fmt: skip


def _phenotypes(
    team: Team, data: Path, nodes: int, sites: int, causal: int, heritability: float, binary: int,
    quantitative: int, seed: int, seconds: dict[str, float],
) -> None:  # fmt: skip
    with step("phenotypes", seconds=seconds):
        team.run("phenotypes", [
            "phenotypes", *[data / f"node-{n}.vcf.gz" for n in range(1, nodes + 1)],
            "--panel-vcf", data / "panel.vcf.gz", "--out", data / "phenotypes.tsv", "--sites", sites,
            "--causal", causal, "--heritability", heritability, "--seed", seed,
            "--phenotypes", binary, "--quantitative", quantitative,
        ])  # fmt: skip


def _prepare(
    team: Team, out: Path, nodes: int, sites: int, seeded: Sequence[object], seconds: dict[str, float]
) -> None:
    with step("provision", seconds=seconds):
        team.run("provision", ["provision", "--out", out / "kits", "--consortium", "demo", "--nodes", nodes])
    with step("prepare", seconds=seconds):

        def jobs() -> Iterator[tuple[str, list[object]]]:
            for n in range(1, nodes + 1):
                yield f"prepare-{n}", [
                    "prepare", "--kit", out / "kits" / f"node-{n}", "--work", out / f"node-{n}",
                    "--vcf", out / "data" / f"node-{n}.vcf.gz", "--panel-vcf", out / "data" / "panel.vcf.gz",
                    "--phenotypes", out / "data" / "phenotypes.tsv", "--sites", sites, *seeded,
                ]  # fmt: skip

        team.run_each(jobs(), at_once=os.cpu_count() or 2)


def _federate(
    team: Team, out: Path, nodes: int, rounds: int, game_rounds: int, game_steps: int, ple: float, noise: str,
    further: Sequence[object], seconds: dict[str, float],
) -> Path:  # fmt: skip
    run = out / "run.json"
    with step("configure", seconds=seconds):
        team.run("configure", [
            "configure", *[out / f"node-{n}" / "card.json" for n in range(1, nodes + 1)],
            "--kit", out / "kits" / "coordinator", "--out", run, "--run", "demo", "--ple", ple,
            "--rounds", rounds, "--game-rounds", game_rounds, "--game-steps", game_steps, "--noise", noise,
            *further,
        ])  # fmt: skip
    address = f"127.0.0.1:{_free_port()}"
    with step("federate", total=rounds + game_rounds, seconds=seconds) as task:
        server = team.start("aggregator", [
            "aggregator", "--kit", out / "kits" / "aggregator", "--run", run, "--data", out / "aggregator",
            "--listen", address,
        ])  # fmt: skip
        members = [
            team.start(f"node-{n}", [
                "node", "--kit", out / "kits" / f"node-{n}", "--work", out / f"node-{n}", "--run", run,
                "--aggregator", address,
            ])
            for n in range(1, nodes + 1)
        ]  # fmt: skip
        watcher = _Follower(members[0].log, task)
        team.wait([server, *members], tick=watcher.look)
    return run


def _audit(team: Team, out: Path, nodes: int, seconds: dict[str, float]) -> None:
    """Verify every ledger against its countersigned head and the aggregator's transcript."""
    with step("audit", seconds=seconds):
        jobs = (
            (f"verify-{n}", [
                "audit", "verify", out / f"node-{n}" / "ledger", "--roster", out / "kits" / f"node-{n}" / "roster.json",
                "--node", n, "--transcript", out / "aggregator" / "transcript.jsonl", "--countersignatures", nodes - 1,
            ])
            for n in range(1, nodes + 1)
        )  # fmt: skip
        team.run_each(jobs, at_once=os.cpu_count() or 2)


def _release(team: Team, out: Path, nodes: int, run: Path, seconds: dict[str, float]) -> None:
    with step("release", seconds=seconds):
        jobs = (
            (
                f"mask-{n}",
                ["mask", "--kit", out / "kits" / f"node-{n}", "--work", out / f"node-{n}", "--run", run],
            )
            for n in range(1, nodes + 1)
        )
        team.run_each(jobs, at_once=os.cpu_count() or 2)


class _Follower:
    """Turns the first node's own words into the bar of the federation."""

    def __init__(self, log: Path, task: Task) -> None:
        self._log, self._task, self._read = log, task, 0

    def look(self) -> None:
        """Read what is new."""
        with self._log.open("rb") as source:
            source.seek(self._read)
            data = source.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith("node "):
                text = line.partition(": ")[2]
                self._task.note(text)
                if text.endswith("applied"):
                    self._task.advance()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
