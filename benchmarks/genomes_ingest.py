"""What it takes to read a cohort into its store, beside cyvcf2, bcftools and vcf2zarr on the same file in the same run.

The file is the exome file of AFML_DATA_DIR or ../shared/data (2,548 people, 119,635 sites) where it is, else a drawn
one. Each figure is of processes of its own, which load what they measure and nothing else; CPU seconds are theirs
alone, without the start of the interpreter; peak memory is of the largest process. A store is made of all sites, or of
1,024 drawn ones, by one process unless it says otherwise. `python -m benchmarks.genomes_ingest huge` makes a file of
100,000 people and 20,000 sites (`HUGE="people sites"` for others), reads it into a store, runs `afml prepare` on it,
quality report included, and masks as many people; figures under "genomes".
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from afml.genomics.bgzip import header_lines
from afml.genomics.build import build_store, pack_store
from afml.genomics.calls.account import CallReading
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.sites import SitePanel
from afml.genomics.sources.opening import open_source
from benchmarks.__main__ import OUT, merge

FEW = 1024
HUGE = tuple(map(int, os.environ.get("HUGE", "100000 20000").split()))  # people, sites
BARS = {
    "ingest_vs_cyvcf2": ("<=", 1.25),
    "indexed_vs_bcftools": ("<=", 3.0),
    "ingest_scaling_2": (">=", 1.7),
    "ingest_vs_vcf2zarr": ("<=", 0.8),
    "unsorted_vs_sorted": ("<=", 2.0),
    "peak_mb_few": ("<=", 400.0),
    "peak_mb_few_10x_vs_1x": ("<=", 1.15),
    "peak_mb_all": ("<=", 400.0),
    "batch_read_s": ("<=", 0.3),
}
_EXOMES = "1kg_grch38_exome_chr13_15_18_21_22.2548.vcf.gz"


def simulated(
    path: Path, people: int, sites: int, *, shuffled: bool = False, names: str = "S", common: bool = False
) -> Path:
    """Write a VCF of drawn genotypes, a site a line; sorted ones have an index.

    Args:
        path: Target.
        people: Called `names` and a number; those called alike are the same people in every file.
        sites: Those of one number are as frequent in every file.
        shuffled: Records in no order.
        names: See `people`.
        common: No site is rarer than 5 %.
    """
    order = np.random.default_rng(people).permutation(sites) if shuffled else np.arange(sites)
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(header_lines(["1"], [], [f"{names}{person}" for person in range(people)]))
        for site in order.tolist():
            rng = np.random.default_rng(site)
            frequency = rng.uniform(0.06, 0.5) if common else rng.beta(0.5, 2)
            word = (np.random.default_rng((site + 1, ord(names))).random((people, 2)) < frequency).astype(np.uint8)
            text = np.full((people, 4), ord("|"), np.uint8)
            text[:, ::2] = word + ord("0")
            text[:, 3] = ord("\t")
            text[-1, 3] = ord("\n")
            out.write(f"1\t{1000 + 10 * site}\t.\tA\tG\t.\tPASS\t.\tGT\t".encode() + text.tobytes())
    if not shuffled:
        pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def panel_of(path: Path, few: int | None = None) -> SitePanel:
    """The biallelic first records of a file as a panel, all or some drawn ones."""
    keys = {(r.chrom, r.pos): (r.alleles[0], r.alleles[1]) for r in open_source(path).records() if len(r.alleles) == 2}
    places = list(keys)
    if few is not None:
        places = [places[n] for n in np.sort(np.random.default_rng(0).permutation(len(places))[:few])]
    sites = len(places)
    return SitePanel(
        [chrom for chrom, _ in places],
        np.asarray([pos for _, pos in places], dtype=np.int64),
        [keys[place][0] for place in places],
        [keys[place][1] for place in places],
        np.ones(sites, dtype=np.bool_),
        np.full(sites, 0.25),
        np.zeros((sites, 4), dtype=np.float32),
    )


def build(vcf: Path, panel: SitePanel, out: Path, processes: int) -> None:
    """Make the store."""
    build_store(vcf, panel, out, max_absent=1.0, reading=CallReading(), processes=processes)


def _work(kind: str, vcf: Path, panel: Path, folder: Path) -> Callable[[], object]:
    """What a measured process does; what it needs is loaded before."""
    if kind == "cyvcf2":
        import cyvcf2

        return lambda: deque((record.genotype.array() for record in cyvcf2.VCF(str(vcf))), maxlen=0)
    if kind == "vcf2zarr":
        import bio2zarr.vcf

        return lambda: bio2zarr.vcf.convert([vcf], folder / "vcz", worker_processes=int(os.environ["PROCESSES"]))
    if kind == "prepare":
        return lambda: prepare(folder)
    if kind == "batch":
        store = pack_store(folder / "store")
        people = np.random.default_rng(1).permutation(len(store))[:256]
        store.dosage(people)
        return lambda: store.dosage(people)
    sites = SitePanel.load(panel)
    return lambda: build(vcf, sites, folder / "store", int(os.environ["PROCESSES"]))


def measure(kind: str, vcf: Path, panel: Path, folder: Path, processes: int = 1) -> dict[str, float]:
    """CPU and wall seconds and peak memory of one piece of work in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.genomes_ingest", kind, str(vcf), str(panel), str(folder)]
    env = os.environ | {"PROCESSES": str(processes), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return found


def _measured(work: Callable[[], object]) -> dict[str, float]:
    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    before, began = cpu(), time.perf_counter()
    work()
    wall, spent = time.perf_counter() - began, cpu() - before
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"cpu": spent, "wall": wall, "peak_mb": max(_peak_mb(), children)}


def _peak_mb() -> float:
    """Of this process alone; `ru_maxrss` would begin with its parent's."""
    told = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in told if line.startswith("VmHWM:"))


def _bcftools(vcf: Path, panel: SitePanel, folder: Path) -> float:
    """CPU seconds of `bcftools view -R` of the panel's places."""
    regions = folder / "regions.tsv"
    spelled = {name.removeprefix("chr"): name for name in open_source(vcf).contigs}
    rows = [f"{spelled[chrom]}\t{pos}" for chrom, pos in zip(panel.chrom, panel.pos, strict=True)]
    regions.write_text("\n".join(rows) + "\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["bcftools", "view", "-R", regions, "-Ob", "-o", folder / "few.bcf", vcf], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def figures() -> dict[str, object]:
    """All figures but those of `huge`."""
    data = Path(os.environ.get("AFML_DATA_DIR", "../shared/data")) / _EXOMES
    found: dict[str, object] = {"file": "exomes" if data.exists() else "simulated"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        vcf = data if data.exists() else simulated(folder / "big.vcf.gz", 2548, 119_635)
        everything, few = folder / "all.panel", folder / "few.panel"
        panel_of(vcf).save(everything)
        some = panel_of(vcf, FEW)
        some.save(few)
        bare = measure("cyvcf2", vcf, few, folder)
        one = measure("build", vcf, everything, folder)
        two = measure("build", vcf, everything, folder, 2)
        other = measure("vcf2zarr", vcf, few, folder, 2)
        indexed = measure("build", vcf, few, folder)
        found |= {
            "ingest_cpu_s": one["cpu"],
            "ingest_vs_cyvcf2": one["cpu"] / bare["cpu"],
            "ingest_scaling_2": one["wall"] / two["wall"],
            "ingest_vs_vcf2zarr": two["wall"] / other["wall"],
            "indexed_cpu_s": indexed["cpu"],
            "indexed_vs_bcftools": indexed["cpu"] / _bcftools(vcf, some, folder),
            "peak_mb_all": one["peak_mb"],
        }
        found |= _simulated_figures(folder)
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def _simulated_figures(folder: Path) -> dict[str, object]:
    """Order of the input, length of the file, batches."""
    sorted_, shuffled = simulated(folder / "s.vcf.gz", 500, 20_000), folder / "u.vcf.gz"
    simulated(shuffled, 500, 20_000, shuffled=True)
    panel = folder / "s.panel"
    panel_of(sorted_).save(panel)
    unsorted = measure("build", shuffled, panel, folder)["cpu"] / measure("build", sorted_, panel, folder)["cpu"]
    long, short = simulated(folder / "long.vcf.gz", 100, 1_000_000), simulated(folder / "short.vcf.gz", 100, 100_000)
    panel_of(short, FEW).save(panel)
    one, ten = (measure("build", path, panel, folder)["peak_mb"] for path in (short, long))
    wide = simulated(folder / "wide.vcf.gz", 2_000, 100_000)
    panel_of(wide).save(panel)
    measure("build", wide, panel, folder)
    batch = measure("batch", wide, panel, folder)
    return {
        "unsorted_vs_sorted": unsorted,
        "peak_mb_few": ten,
        "peak_mb_few_10x_vs_1x": ten / one,
        "batch_read_s": batch["wall"],
    }


def prepare(folder: Path) -> None:
    """`afml prepare` of the files that `_huge` has laid into a folder."""
    from afml.cli.main import cli

    given = {
        "kit": folder / "kits" / "node-1", "vcf": folder / "huge.vcf.gz", "panel-vcf": folder / "public.vcf.gz",
        "phenotypes": folder / "people.tsv", "sites": HUGE[1], "min-maf": 0.01, "work": folder / "work",
    }  # fmt: skip
    cli.main(
        ["prepare", *[word for name, one in given.items() for word in (f"--{name}", str(one))]], standalone_mode=False
    )


def _huge() -> dict[str, object]:
    from afml.trial.kits import make_kits
    from benchmarks import genomes_mask

    people, sites = HUGE
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        vcf = simulated(folder / "huge.vcf.gz", people, sites, common=True)
        panel_of(vcf).save(folder / "panel")
        found = {"store": measure("build", vcf, folder / "panel", folder, 2)}
        simulated(folder / "public.vcf.gz", 500, sites, names="P", common=True)
        names = [f"S{person}" for person in range(people)]
        write_phenotypes(folder / "people.tsv", names, np.arange(people, dtype=np.int8) % 2)
        make_kits(folder / "kits", "huge", 2)
        found["prepare"] = measure("prepare", vcf, folder / "panel", folder)
    with tempfile.TemporaryDirectory() as scratch:
        found["mask"] = genomes_mask.measure(Path(scratch), people, sites)
    name = f"people_{people}_sites_{sites}"
    return {f"{step}_{what}_{name}": round(value, 1) for step, all_ in found.items() for what, value in all_.items()}


if __name__ == "__main__":
    if sys.argv[1:] == ["huge"]:
        merge(OUT, "genomes", made := _huge())
        print(json.dumps(made, indent=2))
    else:
        given: list[Any] = [Path(one) for one in sys.argv[2:]]
        print(json.dumps(_measured(_work(sys.argv[1], *given))))
