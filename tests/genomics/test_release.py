"""The release: what goes in comes back, nothing else goes out, never a half-written file."""

from __future__ import annotations

import gzip
import inspect
from pathlib import Path

import numpy as np
import pysam.bcftools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afml.core.errors import ConfigError, InputError
from afml.genomics.bgzip import staged_vcf
from afml.genomics.build import build_store
from afml.genomics.release import write_release
from afml.genomics.released import read_release
from afml.genomics.sites import SitePanel
from afml.genomics.sources.vcf import VariantFile
from tests.simulated import simulate_csq, simulate_dosage, simulate_panel, write_vcf

HEADER = ["##afml_model=0123abcd", "##afml_dp=false", '##afml_note=masked, "0/0" is not a call']


@pytest.fixture
def panel() -> SitePanel:
    return simulate_panel(simulate_dosage(80, 40, seed=1))


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 6), st.just(9)), elements=st.integers(-1, 2)),
    st.integers(0, 2**32),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_vcf_to_store_to_release_and_back(tmp_path: Path, dosage: np.ndarray, seed: int) -> None:
    panel = simulate_panel(simulate_dosage(20, 9, seed=2), seed=seed)
    write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel)
    stored = build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store").dosage()
    assert np.array_equal(stored, dosage)
    order = write_release(tmp_path / "r", panel, stored, header=[])
    assert sorted(order) == list(range(len(dosage)))
    assert np.array_equal(read_release(tmp_path / "r", panel), dosage[order])


def test_columns_are_permuted_and_named_afresh(tmp_path: Path, panel: SitePanel) -> None:
    dosage = simulate_dosage(80, 40, seed=1)
    path = tmp_path / "r" / "release.vcf.gz"
    np.random.seed(1)  # noqa: NPY002 - no generator that somebody else could seed has a part in it
    first = write_release(path.parent, panel, dosage, header=HEADER)
    np.random.seed(1)  # noqa: NPY002
    again = write_release(tmp_path / "again", panel, dosage, header=HEADER)
    assert first != again
    assert first != sorted(first)
    with VariantFile(path) as variants, VariantFile(tmp_path / "again" / "release.vcf.gz") as others:
        names, other_names = variants.samples, others.samples
    assert len({*names, *other_names}) == 160
    assert names != sorted(names)


def test_no_seed_can_be_handed_to_a_release() -> None:
    """Whoever knows a simulation's seed must not learn from it which column is whose."""
    known = {"folder", "panel", "released", "header", "shows", "output"}
    assert set(inspect.signature(write_release).parameters) == known


def test_nothing_but_genotypes_leaves(tmp_path: Path, panel: SitePanel) -> None:
    dosage = simulate_dosage(80, 40, seed=1)
    secret = [f"PATIENT{person}" for person in range(80)]
    write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel, samples=secret,
              csq=simulate_csq(40, 1, panel.alt))  # fmt: skip
    store = build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store")
    path = tmp_path / "release.vcf.gz"
    write_release(tmp_path, panel, store.dosage(), header=HEADER)
    text = gzip.decompress(path.read_bytes()).decode()
    assert "PATIENT" not in text
    header = [line for line in text.splitlines() if line.startswith("##")]
    assert [line for line in header if line.startswith("##FORMAT")] == [
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'
    ]
    assert not [line for line in header if line.startswith("##INFO")]
    assert set(HEADER) <= set(header)
    for line in text.splitlines()[len(header) + 1 :]:
        fields = line.split("\t")
        assert fields[2] == fields[5] == fields[6] == fields[7] == "."
        assert fields[8] == "GT"
        assert set(fields[9:]) <= {"0/0", "0/1", "1/1", "./."}


def test_bcftools_reads_and_queries_it(tmp_path: Path, panel: SitePanel) -> None:
    dosage = simulate_dosage(80, 40, seed=1)
    path = tmp_path / "release.vcf.gz"
    order = write_release(tmp_path, panel, dosage, header=HEADER)
    chrom, pos, _, _ = panel.key(7)
    listed = pysam.bcftools.query("-r", f"{chrom}:{pos}-{pos}", "-f", "[%GT ]", str(path)).split()
    expected = panel.to_minor(dosage)[order, 7]
    assert [genotype.count("1") for genotype in listed] == expected.tolist()


def test_wrong_input_is_refused(tmp_path: Path, panel: SitePanel) -> None:
    path = tmp_path / "release.vcf.gz"
    good = np.zeros((3, 40), dtype=np.int8)
    for released, header, message in (
        (good[:, :39], [], "39 released sites, but the panel has 40"),
        (good + 3, [], "not all in"),
        (good, ["##INFO=<ID=AC>"], "header line"),
        (good, ["##afml_x=1\n##INFO=<ID=AC>"], "header line"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_release(tmp_path, panel, released, header=header)
    for shows in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(ConfigError, match="a record that there is not"):
            write_release(tmp_path, panel, good, header=[], shows=shows)
    assert not path.exists()
    with pytest.raises(InputError, match="holds no release"):
        read_release(tmp_path, panel)
    write_release(tmp_path, panel, good, header=[])
    with pytest.raises(InputError, match="lacks"):
        read_release(tmp_path, simulate_panel(simulate_dosage(80, 41, seed=1), seed=5))


def test_a_failure_leaves_the_old_release_whole(tmp_path: Path, panel: SitePanel) -> None:
    path, index = tmp_path / "release.vcf.gz", tmp_path / "release.vcf.gz.tbi"
    write_release(tmp_path, panel, np.zeros((3, 40), dtype=np.int8), header=[])
    before = path.read_bytes(), index.read_bytes()

    def write_half() -> None:
        with staged_vcf(path) as sink:
            sink.write(b"##fileformat=VCFv4.3\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (path.read_bytes(), index.read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["release.vcf.gz", "release.vcf.gz.tbi"]
