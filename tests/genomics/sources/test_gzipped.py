"""gzip that is not bgzip: read as one stream that proves its end, refused where it cannot."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.sources.opening import open_source
from tests.simulated import simulate_dosage, write_vcf


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.vcf.gz"
    write_vcf(path, simulate_dosage(30, 400, seed=3))
    return gzip.decompress(path.read_bytes())


def write(folder: Path, data: bytes) -> Path:
    path = folder / "a.vcf.gz"
    path.write_bytes(data)
    return path


def said(path: Path) -> list[tuple[str, int, list[list[int]]]]:
    with open_source(path) as source:
        return [(record.chrom, record.pos, record.calls().tolist()) for record in source.records()]


def test_it_says_what_the_bgzipped_file_says(tmp_path: Path, text: bytes) -> None:
    path = write(tmp_path, gzip.compress(text))
    bgzipped = tmp_path / "b.vcf.gz"
    write_vcf(bgzipped, simulate_dosage(30, 400, seed=3))
    assert said(path) == said(bgzipped)
    with open_source(path, keep=["S7", "S2"]) as kept, open_source(bgzipped, keep=["S7", "S2"]) as same:
        assert kept.samples == same.samples == ["S7", "S2"]
        spans = [("22", 1100, 1300), ("22", 5000, 5000)]
        ours = [(record.pos, record.calls().tolist()) for record in kept.records(spans)]
        assert ours == [(record.pos, record.calls().tolist()) for record in same.records(spans)]
        assert len(ours) == 4
        assert dict(kept.contigs) == dict(same.contigs)
    panels = [build_site_panel(one, SiteChoice(100)) for one in (path, bgzipped)]
    assert panels[0].digest() == panels[1].digest()
    stores = [build_store(one, panels[0], tmp_path / name) for one, name in ((path, "1"), (bgzipped, "2"))]
    assert np.array_equal(stores[0].dosage(), stores[1].dosage())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: data[:-4], "is truncated"),
        (lambda data: data[:-8] + bytes(8), "is not what its checksum says"),
        (lambda data: data[: len(data) // 2] + bytes(40) + data[len(data) // 2 + 40 :], "checksum|malformed|columns"),
        (lambda data: data + data, "gzipped in several parts"),
        (lambda data: data + bytes(20), "bytes after the end of its gzip stream"),
        (lambda data: gzip.compress(b"hello\n" * 9), "has no #CHROM line"),
    ],
)
def test_damage_is_an_error(tmp_path: Path, text: bytes, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, damage(gzip.compress(text)))
    with pytest.raises(InputError, match=message) as caught:
        said(path)
    assert str(path) in str(caught.value)


def test_a_bad_line_is_named(tmp_path: Path, text: bytes) -> None:
    lines = text.split(b"\n")
    lines.insert(20, b"")
    with pytest.raises(InputError, match="line 21 is blank"):
        said(write(tmp_path, gzip.compress(b"\n".join(lines))))


def test_sites_without_people(tmp_path: Path) -> None:
    header = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\tAF=0.3\n"
    path = write(tmp_path, gzip.compress(header))
    with pytest.raises(InputError, match="holds no samples"):
        open_source(path)
    assert len(build_site_panel(path, SiteChoice(3))) == 1
