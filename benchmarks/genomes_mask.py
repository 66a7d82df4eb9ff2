"""What masking a whole cohort takes: peak memory, and CPU beside `bcftools view` of the same file.

`afml mask` from the institution's store to the released files, as `node.release` does it: recognising people, the plan,
everybody's scores, the file with its index, the ledger. The stores hold drawn genotypes (independent sites), the panel
500 people; each figure is made in a process of its own, on one thread. The peak is that of the whole; `mask_vs_copy` is
CPU seconds of all but recognising people, which the ledger does whether or not anything is released, against those of
`bcftools view -Oz` of the released file, in the same run. `recognise_seconds` stands beside it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import node.release
from afml.consortium.card import NodeCard
from afml.consortium.run import RunConfig
from afml.core.files import write_bytes
from afml.data.people import PeopleTable, PersonColumns
from afml.genomics.build import fill_store
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.ledger.checkpoint import origin_of
from afml.ledger.store import Ledger
from afml.masking.chosen import genotypes, masking_settings
from afml.masking.model import TrainedModel
from benchmarks.configuration import bench_run
from benchmarks.peak import peak_gb
from crypto.public.signing import generate_signing_key, public_bytes
from node.privacy import PrivacyStatement
from node.recognise import recognise_people
from node.workspace import Workspace

PANEL = 500
SIZES = {"people_100000_sites_1024": (100_000, 1_024), "people_20000_sites_50000": (20_000, 50_000)}
BARS = {f"mask_peak_mb_{name}": ("<=", 500.0) for name in SIZES} | {
    f"mask_vs_copy_{name}": ("<=", 1.5) for name in SIZES
}
_KNOWN_WEIGHTS = 40


def _panel(sites: int) -> SitePanel:
    rng = np.random.default_rng(1)
    return SitePanel(
        chrom=["1"] * sites,
        pos=np.arange(1, sites + 1, dtype=np.int64) * 100,
        ref=["A"] * sites,
        alt=["G"] * sites,
        minor_is_alt=rng.random(sites) < 0.8,
        maf=rng.uniform(0.05, 0.5, sites),
        annotations=np.full((sites, 4), 0.5, np.float32),
    )


def _drawn(panel: SitePanel, people: int, seed: int, sites: slice) -> NDArray[np.int8]:
    """Dosages at some sites, int8 [people, sites]; a site at a time, so that drawing them sets no peak."""
    rng = np.random.default_rng([seed, sites.start])
    out = np.empty((people, sites.stop - sites.start), np.int8)
    for column, frequency in enumerate(panel.maf[sites]):
        out[:, column] = (rng.random((2, people), dtype=np.float32) < frequency).sum(axis=0)
    return out


def prepare(root: Path, people: int, sites: int) -> None:
    """A work folder as training leaves it, with a model of known weights."""
    work, panel = Workspace(root), _panel(sites)
    files, run = GenotypeFiles(work.data), _run(people, sites)
    panel.save(files.site_panel)
    public = fill_store(
        files.panel_store, panel, [f"panel-{n}" for n in range(PANEL)], lambda at: _drawn(panel, PANEL, 2, at)
    )
    names = [f"person-{n}" for n in range(people)]
    fill_store(files.cohort_store, panel, names, lambda at: _drawn(panel, people, 3, at))
    PeopleTable(tuple(names), PersonColumns((), np.zeros((people, 0))), np.ones(people, np.bool_)).save(work.people)
    card = NodeCard(node=1, data=genotypes(panel.digest(), sites), enrolled=people)
    write_bytes(work.card, card.model_dump_json().encode())
    dosage = public.dosage()
    weights = np.zeros(sites)
    weights[np.random.default_rng(4).choice(sites, _KNOWN_WEIGHTS, replace=False)] = 1.0
    scale = dosage.std(axis=0)
    TrainedModel(
        dosage.mean(axis=0),
        np.where(scale > 0, scale, 1.0),
        panel.annotations,
        weights,
        np.zeros(0),
        {"draws": "bench"},
    ).save(work.model(run.run))
    statement = PrivacyStatement.model_construct(delta=1e-5, accountant="none").of_simulation()
    write_bytes(work.privacy(run.run), statement.model_dump_json().encode())
    write_bytes(root / "signing.key", generate_signing_key().private_bytes_raw())


def _run(people: int, sites: int) -> RunConfig:
    return bench_run(sites, people, game_rate=0.01, steps=0)


def mask(root: Path, people: int, sites: int) -> dict[str, float]:
    """Mask everybody; CPU seconds and the peak of this process."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    run = _run(people, sites)
    key = Ed25519PrivateKey.from_private_bytes((root / "signing.key").read_bytes())
    recognising = 0.0

    def timed(*given: object) -> object:
        nonlocal recognising
        began = time.process_time()
        found = recognise_people(*given)  # type: ignore[arg-type]
        recognising += time.process_time() - began
        return found

    node.release.recognise_people = timed  # type: ignore[assignment]
    started = time.process_time()
    with Ledger.open(root / "ledger", key, origin=origin_of(public_bytes(key))) as ledger:
        done = node.release.release(Workspace(root), run, masking_settings(run).release, ledger)
    cpu = time.process_time() - started - recognising
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["bcftools", "view", "-Oz", "-o", str(root / "copy.vcf.gz"), str(done.files[0])], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    copy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "mask_seconds": cpu,
        "recognise_seconds": recognising,
        "copy_seconds": copy,
        "peak_mb": round(1024 * peak_gb(), 0),
    }


def measure(folder: Path, people: int, sites: int) -> dict[str, float]:
    """What `mask` finds, in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for step in ("prepare", "mask"):
        command = [sys.executable, "-m", "benchmarks.genomes_mask", step, str(folder), str(people), str(sites)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def figures() -> dict[str, object]:
    found: dict[str, object] = {}
    for name, (people, sites) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(Path(folder), people, sites)
        found[f"mask_peak_mb_{name}"] = measured["peak_mb"]
        found[f"recognise_seconds_{name}"] = round(measured["recognise_seconds"], 1)
        found[f"mask_seconds_{name}"] = round(measured["mask_seconds"], 1)
        found[f"mask_vs_copy_{name}"] = round(measured["mask_seconds"] / measured["copy_seconds"], 2)
    return found


if __name__ == "__main__":
    step, place, people, sites = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(prepare(place, people, sites) if step == "prepare" else mask(place, people, sites)))
