"""A cohort prepared by a real cluster of two workers, one of which is ended in the middle, is that of one process."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import distributed
import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.cluster import on_cluster
from afml.genomics import build
from afml.genomics.calls.site_calls import SiteCalls
from afml.genomics.files import GenotypeFiles
from afml.genomics.kind import GENOTYPES
from afml.genomics.options import GenotypeOptions
from afml.genomics.sources.record import Record
from afml.ledger.checkpoint import origin_of
from afml.ledger.store import Ledger
from afml.masking.chosen import masking_settings
from benchmarks import genomes_mask
from benchmarks.configuration import bench_run
from crypto.public.signing import generate_signing_key, public_bytes
from node.release import ReleaseDone, release
from node.released import read_aligned
from node.workspace import Workspace
from tests.simulated import write_records

PEOPLE, PANEL, FILES, SITES = 60, 40, 4, 40


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as there:
        yield there.scheduler_address


class EndsOnce(SiteCalls):
    """Ends its process at the tenth record that any process takes, once."""

    def __init__(self, mark: Path, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._mark = mark

    def take(self, record: Record) -> Iterable[tuple[int, NDArray[np.int8]]]:  # type: ignore[override]
        if self.tally.counts["records"] == 10 and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().take(record)


def genotypes(folder: Path) -> None:
    """A file for each contig, of a cohort and of a panel; every kind of call among them."""
    rng = np.random.default_rng(3)
    for name, people in (("panel", PANEL), ("own", PEOPLE)):
        for contig in range(1, FILES + 1):
            rows = []
            for site in range(SITES):
                pairs = (rng.random((people, 2)) < 0.15 + site / 100).astype(int)
                texts = [f"{a}/{b}" if rng.random() > 0.02 else "./." for a, b in pairs]
                alleles = "C A" if name == "own" and site % 7 == 0 else "A C"
                if alleles == "C A":
                    texts = [text.translate(str.maketrans("01", "10")) for text in texts]
                rows.append(f"{contig} {1000 * (site + 1)} . {alleles} . . . GT {' '.join(texts)}")
            write_records(folder / f"{name}{contig}.vcf.gz", rows, [f"{name}-{n}" for n in range(people)])


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below, but for figures, whose bytes name the time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".html")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_bits_though_a_worker_is_ended(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genotypes(tmp_path)
    monkeypatch.chdir(tmp_path)  # paths are told as they are typed: the workers were started elsewhere
    given = {"vcf": Path("own*.vcf.gz"), "panel_vcf": Path("panel*.vcf.gz"), "sites": 120}
    for name in ("here", "there"):
        Path(name).mkdir()
    alone = GENOTYPES.build(Path("here"), GenotypeOptions.model_validate(given), lambda text: None)
    monkeypatch.setattr(build, "SiteCalls", partial(EndsOnce, tmp_path / "ended"))
    done = GENOTYPES.build(Path("there"), GenotypeOptions.model_validate({**given, "dask": address}), lambda text: None)
    assert (tmp_path / "ended").exists()
    assert done.data == alone.data
    assert done.samples == alone.samples
    assert contents(Path("there")) == contents(Path("here"))
    assert GenotypeFiles(Path("there")).qc.is_file()


def masked(root: Path) -> ReleaseDone:
    run, key = bench_run(60, 700, game_rate=0.01, steps=0), generate_signing_key()
    with Ledger.open(root / "ledger", key, origin=origin_of(public_bytes(key))) as ledger:
        return release(Workspace(root), run, masking_settings(run).release, ledger)


def test_masking_on_a_cluster_is_masking_here(tmp_path: Path, address: str) -> None:
    genomes_mask.prepare(tmp_path / "here", 700, 60)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    alone = masked(tmp_path / "here")
    with on_cluster(address, tmp_path):
        done = masked(tmp_path / "there")
    assert np.array_equal(done.released.patterns, alone.released.patterns)
    assert done.released.retained_fraction == alone.released.retained_fraction
    assert done.plan.to_dict() == alone.plan.to_dict()
    found = [read_aligned(Workspace(tmp_path / name), "bench") for name in ("here", "there")]
    assert np.array_equal(*found)
