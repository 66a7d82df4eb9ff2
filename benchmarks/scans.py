"""`python -m benchmarks.scans --data DATA`: association scans with differential privacy beside the exact scan.

Writes `gwas` of results/examples.json. A quantitative trait is simulated on everybody (10 causal sites, heritability
0.5); the exact scan pools everybody, and adjusts for the same components of the public panel. Arms, paired by seed:

    federated     the task `gwas`, PLE 0.9 sigma for the whole scan, no reserved attempt
    local_noise   the same, each institution adding noise that protects its people by itself

Hits are clumps (r^2 0.1, 1 Mb, linkage from the panel) at p <= 5e-8, at most the ten strongest of the exact scan. One
is recalled where a clump of the arm has a lead within 1 Mb and r^2 >= 0.1 of its lead. A clump is false where no causal
site lies so near its lead. The federation is the in-process reference, which ends with the bits of the encrypted one
(tests/tasks/gwas/test_federation.py). Settings were chosen on seeds 1 to 4; none of them is reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement, NodeCard
from afml.consortium.run import RunConfig
from afml.core.files import write_bytes
from afml.genomics.liability import simulate_liability
from afml.study.data import DataSettings, StudyData, exomes, file_digest, load
from afml.tasks.gwas.clumps import Clump, Places, clumped
from afml.tasks.gwas.files import places_of
from afml.tasks.gwas.kind import GWAS
from afml.tasks.gwas.people import DosageArray, ScanPeople
from afml.tasks.gwas.results import Scan
from afml.tasks.gwas.settings import GwasSettings
from afml.tasks.gwas.task import GwasTask
from afml.training.inprocess import train_in_process
from afml.training.planning import Rounds, Terms, configure
from afml.training.registry import find

PLE, DELTA, CAUSAL, HERITABILITY, STRONGEST = 0.9, 1e-5, 10, 0.5, 10
OUT, CACHE = Path("results/examples.json"), Path("build/scans")
SETTINGS: Mapping[str, Any] = {"trait": {"name": "trait", "kind": "quantitative"}}
FIRST_SEED = 101
#: Bases between simulated sites: linkage of `simulate_dosage` ends within 50 of them.
SPACING = 20_000
Noise = Literal["distributed", "local"]
_AT_ONCE = 2000


@dataclass(frozen=True)
class Found:
    """One arm of one seed.

    Attributes:
        hits: Of the exact scan, at most the ten strongest.
        recalled: Of these.
        clumps: Of the arm.
        false: Of these, without a causal site.
        noise_share: Mean share of noise in a score's variance.
    """

    hits: int
    recalled: int
    clumps: int
    false: int
    noise_share: float


def run_of(data: StudyData, seed: int, noise: Noise) -> RunConfig:
    """The run that `afml configure --task gwas --reserve-attempts 0` makes of these institutions."""
    agreed = DataAgreement(kind="genotypes", fingerprint=data.panel.digest(), features=len(data.panel))
    cards = [NodeCard(node=node, data=agreed, enrolled=len(file)) for node, file in enumerate(data.files, start=1)]
    terms = Terms(name="scan", ple_sigma=PLE, delta=DELTA, reserve_attempts=0, noise=noise, seed=seed)
    return configure("examples", cards, find("gwas"), SETTINGS, Rounds(), terms)


def scan(data: StudyData, trait: NDArray[np.float64], seed: int, noise: Noise) -> tuple[Scan, GwasTask]:
    """A scan of everybody."""
    run = run_of(data, seed, noise)
    settings = GWAS.settings(run.task.settings)
    assert isinstance(settings, GwasSettings)
    task = GwasTask(run, settings, data.panel, data.panel_dosage)
    parts = np.split(trait, np.cumsum([len(file) for file in data.files])[:-1])
    people = {
        node: ScanPeople(
            DosageArray(file), np.arange(len(file)), settings.trait.scaled(part), np.zeros((len(file), 0)),
            len(data.panel),
        )
        for node, (file, part) in enumerate(zip(data.files, parts, strict=True), start=1)
    }  # fmt: skip
    train_in_process(run, task, people)
    return task.scan(), task


def exact(data: StudyData, trait: NDArray[np.float64], task: GwasTask) -> NDArray[np.float64]:
    """The scan that pools everybody and adds no noise: score of every site by linear regression, [S]."""
    every = [file[start : start + _AT_ONCE] for file in data.files for start in range(0, len(file), _AT_ONCE)]
    covariates = np.concatenate(
        [task.public.ancestry.scores(task.public.centring.standardised(rows)) for rows in every]
    )
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(trait)), covariates]))
    residual = trait - basis @ (basis.T @ trait)
    sites = len(data.panel)
    score, square, along, start = np.zeros(sites), np.zeros(sites), np.zeros((basis.shape[1], sites)), 0
    for rows in every:
        values, here = task.public.centring.standardised(rows), slice(start, start + len(rows))
        score, square = score + values.T @ residual[here], square + np.square(values).sum(axis=0)
        along, start = along + basis[here].T @ values, start + len(rows)
    left = square - np.square(along).sum(axis=0)
    effect = score / left
    variance = (np.square(residual).sum() - effect * score) / (len(trait) - basis.shape[1] - 1) / left
    return np.asarray(effect / np.sqrt(variance))


def linked(places: Places, first: int, second: int) -> bool:
    """Whether two sites are within 1 Mb and of r^2 0.1 on the panel."""
    near = places.near(first)
    if not near.start <= second < near.stop:
        return False
    return bool(places.correlation(first, near)[second - near.start] ** 2 >= 0.1)


def compared(hits: Sequence[Clump], found: Scan, causal: NDArray[np.int64]) -> Found:
    """An arm beside the exact scan."""
    places, clumps = places_of(found), clumped(found.score, places_of(found))
    recalled = sum(any(linked(places, hit.lead, clump.lead) for clump in clumps) for hit in hits)
    false = sum(not any(linked(places, clump.lead, int(site)) for site in causal) for clump in clumps)
    return Found(len(hits), recalled, len(clumps), false, float(found.noise_share.mean()))


def measured(data: StudyData, seeds: Sequence[int]) -> dict[str, Any]:
    """Both arms over all seeds."""
    dosage = np.concatenate(data.files)
    arms: dict[Noise, list[Found]] = {"distributed": [], "local": []}
    seconds, exact_false, exact_clumps = [], 0, 0
    for seed in seeds:
        trait, causal = simulate_liability(dosage, causal=CAUSAL, heritability=HERITABILITY, seed=seed)
        for noise, kept in arms.items():
            start = time.perf_counter()
            found, task = scan(data, trait, seed, noise)
            seconds.append(time.perf_counter() - start)
            if noise == "distributed":
                truth = replace(found, score=exact(data, trait, task), standard_error=np.ones(len(data.panel)))
                every = clumped(truth.score, places_of(truth))
                exact_clumps += len(every)
                exact_false += compared(every, truth, causal).false
            kept.append(compared(every[:STRONGEST], found, causal))
        told = "  ".join(f"{noise}: {kept[-1]}" for noise, kept in arms.items())
        print(f"seed {seed}: {told}", flush=True)
    return {
        "people": len(dosage), "institutions": len(data.files), "sites": len(data.panel), "seeds": list(seeds),
        "exact": {"clumps": exact_clumps, "false_clumps": exact_false},
        "federated": summary(arms["distributed"]), "local_noise": summary(arms["local"]),
        "seconds_of_one_scan_in_process": statistics.median(seconds),
    }  # fmt: skip


def summary(found: Sequence[Found]) -> dict[str, Any]:
    """Recall over all hits of all seeds, and false clumps."""
    hits = sum(one.hits for one in found)
    return {
        "hits": hits, "recall": sum(one.recalled for one in found) / max(1, hits),
        "clumps": sum(one.clumps for one in found), "false_clumps": sum(one.false for one in found),
        "noise_share": statistics.fmean(one.noise_share for one in found),
    }  # fmt: skip


def entry(parts: Mapping[str, Any]) -> dict[str, Any]:
    """What results/examples.json says.

    Args:
        parts: `real_exomes` and `simulated`, as far as they are measured.
    """
    found: dict[str, Any] = {
        "metric": "recall of the exact scan's ten strongest clumps (p <= 5e-8, r^2 0.1, 1 Mb), real exomes",
        "non_private": 1.0, "central_dp": None, "ple_sigma": PLE, "delta": DELTA, "causal_sites": CAUSAL,
        "heritability": HERITABILITY, "bars": {}, **parts,
    }  # fmt: skip
    if real := parts.get("real_exomes"):
        found |= {arm: real[arm]["recall"] for arm in ("federated", "local_noise")} | {"seeds": real["seeds"]}
    if made := parts.get("simulated"):
        found["bars"] = {
            "simulated, 5 x 20,000 people: recall at least 0.95": made["federated"]["recall"] >= 0.95,
            "simulated, 5 x 20,000 people: no false clump": made["federated"]["false_clumps"] == 0,
        }
    return found


def simulated(sites: int, people: int) -> StudyData:
    """Five institutions of simulated people; sites are spread out so that linkage ends within 1 Mb."""
    wanted = DataSettings(kind="simulated", sites=sites, people=people)
    made = load(wanted, source=None, cache=CACHE, note=print)
    return replace(made, panel=replace(made.panel, pos=SPACING * np.arange(1, sites + 1, dtype=np.int64)))


def real(data: Path, cache: Path) -> StudyData:
    """Five institutions of real exomes at all sites."""
    vcf, _ = exomes(data)
    cache.mkdir(parents=True, exist_ok=True)
    return load(DataSettings(kind="vcf", source=file_digest(vcf), sites=0), source=data, cache=cache, note=print)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scans")
    parser.add_argument("--data", type=Path, required=True, help="folder with the 1000 Genomes exomes")
    parser.add_argument("--part", choices=["real_exomes", "simulated"], help="measure this alone, keep the other")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--simulated-seeds", type=int, default=5)
    parser.add_argument("--simulated-people", type=int, default=100_000)
    parser.add_argument("--simulated-sites", type=int, default=2000)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    whole = json.loads(given.out.read_text()) if given.out.exists() else {}
    parts = {name: whole["gwas"][name] for name in ("real_exomes", "simulated") if name in whole.get("gwas", {})}
    if given.part != "simulated":
        parts["real_exomes"] = measured(real(given.data, given.cache), range(FIRST_SEED, FIRST_SEED + given.seeds))
    if given.part != "real_exomes":
        people = simulated(given.simulated_sites, given.simulated_people)
        parts["simulated"] = measured(people, range(FIRST_SEED, FIRST_SEED + given.simulated_seeds))
    whole = json.loads(given.out.read_text()) if given.out.exists() else {}  # others write there, too
    whole["gwas"] = entry(parts)
    write_bytes(given.out, (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode())
    for bar, met in whole["gwas"]["bars"].items():
        print(f"gwas: {bar}: {'met' if met else 'MISSED'}", flush=True)


if __name__ == "__main__":
    main()
