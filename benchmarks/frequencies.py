"""`python -m benchmarks.frequencies --data DATA`: allele frequencies of all sites at PLE 0.5, and what else there is.

Writes `statistics` of results/examples.json. The federation is the in-process reference, which ends with the bits of
the encrypted one (tests/tasks/statistics/test_federation.py). Errors are mean absolute errors over sites against the
exact pooled frequency of the same people, and means over seeds of the noise:

    panel                       the public panel alone
    federated                   the task `statistics`, allele frequencies alone, no reserved attempt
    federated_with_panel        its combined column
    federated_all_figures       the same when genotypes and missing calls are asked for, too; and combined
    local_noise                 each institution adds noise that protects its people by itself; and combined
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from afml.core.files import write_bytes
from afml.study.data import DataSettings, StudyData, exomes, file_digest, load
from afml.study.uses import ALLELES, DELTA, frequencies_run, released_frequencies
from afml.training.model import ArrayModel
from afml.trial.parties import Parties, Traffic
from afml.trial.processes import Team

PLE = 0.5
OUT, CACHE = Path("results/examples.json"), Path("build/frequencies")
NAMES = ("frequency", "combined")
#: Mean absolute error at most: real exomes, combined with the panel, below the panel's alone; simulated people.
SIMULATED_BAR = 0.001


def measured(data: StudyData, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean absolute errors over sites, means over seeds, and how far seeds are apart."""
    people = sum(len(file) for file in data.files)
    counts = np.zeros(len(data.panel))
    called = np.zeros(len(data.panel))
    for file in data.files:
        counts += np.where(file < 0, 0, file).sum(axis=0)
        called += 2 * (file >= 0).sum(axis=0)
    truth = counts / called
    arms: dict[str, list[float]] = {}
    seconds = []
    for seed in seeds:
        for name, settings, noise in (
            ("federated", ALLELES, "distributed"),
            ("federated_all_figures", {}, "distributed"),
            ("local_noise", ALLELES, "local"),
        ):
            start = time.perf_counter()
            alone, combined = released_frequencies(data, frequencies_run(data, settings, seed, PLE, noise))  # type: ignore[arg-type]
            seconds.append(time.perf_counter() - start)
            arms.setdefault(name, []).append(float(np.abs(alone - truth).mean()))
            arms.setdefault(f"{name}_with_panel", []).append(float(np.abs(combined - truth).mean()))
        told = "  ".join(f"{name} {values[-1]:.5f}" for name, values in arms.items())
        print(f"seed {seed}: {told}", flush=True)
    errors = {name: statistics.fmean(values) for name, values in arms.items()}
    spread = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in arms.items()}
    return {
        "seeds": list(seeds), "people": people, "institutions": len(data.files), "sites": len(data.panel),
        "panel": float(np.abs(data.panel.maf - truth).mean()), **errors, "sd_over_seeds": spread,
        "seconds_of_one_release_in_process": statistics.median(seconds),
    }  # fmt: skip


def deployed(data: StudyData, root: Path, seed: int) -> dict[str, Any]:
    """The same run by real processes, from each institution's VCF to its figures; and that these are the same bits.

    Raises:
        RuntimeError: A node ended with other figures than the in-process reference.
    """
    assert data.folder is not None
    shutil.rmtree(root, ignore_errors=True)
    settings = root.with_suffix(".json")
    settings.write_text(json.dumps(ALLELES))
    with Team(root / "logs") as team:
        parties = Parties(team, root, len(data.files))
        parties.provision("examples")
        own = [["--vcf", data.folder / f"node-{node}.vcf.gz"] for node in parties.nodes]
        panel = ["--panel-vcf", data.folder / "panel.vcf.gz", "--sites", len(data.panel)]
        parties.prepare(own, [*panel, "--holdout", 0])
        run = parties.configure([
            "--task", "statistics", "--settings", settings, "--ple", PLE, "--delta", DELTA, "--reserve-attempts", 0,
            "--run", "frequencies", "--seed", seed,
        ])  # fmt: skip
        parties.train()
        parties.verify()
    wanted = released_frequencies(data, run)
    for node in parties.nodes:
        arrays = ArrayModel.load(parties.work(node).model(run.run)).arrays
        if not all(np.array_equal(arrays[f"sites.{name}"], array) for name, array in zip(NAMES, wanted, strict=True)):
            raise RuntimeError(f"node {node} ended with other figures than the reference")
    traffic = Traffic.load(parties.aggregator)
    return {"seed": seed, "same_bits": True, "bytes_up_per_coordinate": traffic.bytes_up / traffic.parameters,
            "seconds_per_round": traffic.seconds_per_round}  # fmt: skip


def entry(real: Mapping[str, Any], simulated: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """What results/examples.json says."""
    return {
        "metric": "mean absolute error of allele frequencies over all sites, real exomes, combined with the panel",
        "non_private": 0.0,
        "central_dp": None,
        "federated": real["federated_with_panel"],
        "local_noise": real["local_noise_with_panel"],
        "panel_alone": real["panel"],
        "command": "python -m benchmarks.frequencies --data DATA",
        "ple_sigma": PLE,
        "delta": DELTA,
        "seeds": list(seeds),
        "real_exomes": dict(real),
        "simulated": dict(simulated),
        "bars": {
            "real exomes, combined with the panel: below the panel's alone": real["federated_with_panel"]
            < real["panel"],
            f"simulated, 5 x 20,000 people: at most {SIMULATED_BAR}": simulated["federated"] <= SIMULATED_BAR,
        },
    }


def put(path: Path, found: Mapping[str, Any]) -> None:
    """Put the entry into the results; the others stay."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    write_bytes(path, (json.dumps(whole | {"statistics": dict(found)}, indent=1, sort_keys=True) + "\n").encode())


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frequencies")
    parser.add_argument("--data", type=Path, required=True, help="folder with the 1000 Genomes exomes")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--simulated-people", type=int, default=100_000)
    parser.add_argument("--simulated-sites", type=int, default=1024)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--no-processes", action="store_true", help="leave out the run of real processes")
    given = parser.parse_args()
    seeds = range(1, given.seeds + 1)
    vcf, _ = exomes(given.data)
    given.cache.mkdir(parents=True, exist_ok=True)
    wanted = DataSettings(kind="vcf", source=file_digest(vcf), sites=0)
    exome = load(wanted, source=given.data, cache=given.cache, note=print)
    real = measured(exome, seeds)
    made = DataSettings(kind="simulated", sites=given.simulated_sites, people=given.simulated_people)
    simulated = measured(load(made, source=None, cache=given.cache, note=print), seeds[:3])
    found = entry(real, simulated, seeds)
    put(given.out, found)
    if not given.no_processes:
        found["processes"] = deployed(exome, given.cache / "processes", seeds[0])
        put(given.out, found)
    for bar, met in found["bars"].items():
        print(f"statistics: {bar}: {'met' if met else 'MISSED'}", flush=True)


if __name__ == "__main__":
    main()
