"""One cohort in every format gives the same records, whole, by spans and by parts; damage is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bio2zarr.vcf
import numpy as np
import pgenlib
import pysam
import pytest
import zarr

from afml.core.errors import InputError
from afml.genomics.build import build_store
from afml.genomics.calls.account import Sexes
from afml.genomics.sites import SitePanel
from afml.genomics.sources import arrays
from afml.genomics.sources.opening import open_source
from afml.genomics.sources.plink import read_sexes_beside
from afml.genomics.sources.record import CallSource
from tests.genomics.calls.lines import panel_of
from tests.genomics.sources.test_vcf import HEADER
from tests.simulated import write_records

PEOPLE, SITES = 37, 60
NAMES = [f"S{person}" for person in range(PEOPLE)]


@pytest.fixture(scope="module")
def calls() -> np.ndarray:
    """[sites, people, 2]: 0, 1 or both missing; heterozygous calls are 0/1, since a .bed has no order."""
    rng = np.random.default_rng(0)
    found = np.sort(rng.integers(0, 2, (SITES, PEOPLE, 2)), axis=2)
    found[rng.random((SITES, PEOPLE)) < 0.05] = -1
    return found.astype(np.int8)


def site(number: int) -> tuple[str, int, str, str]:
    return ("22" if number < 40 else "X"), 1000 + 100 * number, "A", "G"


def as_vcf(folder: Path, calls: np.ndarray) -> Path:
    rows = []
    for number, row in enumerate(calls):
        chrom, pos, ref, alt = site(number)
        texts = ["/".join("." if one < 0 else str(one) for one in call) for call in row]
        rows.append(" ".join([chrom, str(pos), ".", ref, alt, ". . . GT", *texts]))
    write_records(folder / "c.vcf.gz", rows, NAMES)
    return folder / "c.vcf.gz"


def as_bed(folder: Path, calls: np.ndarray) -> Path:
    """Bit by bit, as the format's page has it."""
    data = bytearray(b"\x6c\x1b\x01")
    for row in calls:
        codes = [0b01 if first < 0 else {0: 0b11, 1: 0b10, 2: 0b00}[int(first + second)] for first, second in row]
        for start in range(0, PEOPLE, 4):
            data.append(sum(code << 2 * place for place, code in enumerate(codes[start : start + 4])))
    (folder / "c.bed").write_bytes(data)
    sites = [site(number) for number in range(SITES)]
    lines = [f"{'23' if chrom == 'X' else chrom}\ts\t0\t{pos}\t{alt}\t{ref}" for chrom, pos, ref, alt in sites]
    (folder / "c.bim").write_text("\n".join(lines) + "\n")
    (folder / "c.fam").write_text("".join(f"F {name} 0 0 0 -9\n" for name in NAMES))
    return folder / "c.bed"


def as_pgen(folder: Path, calls: np.ndarray) -> Path:
    with pgenlib.PgenWriter(bytes(folder / "c.pgen"), PEOPLE, variant_ct=SITES, nonref_flags=False) as out:
        for row in calls:
            out.append_alleles(np.where(row < 0, -9, row).reshape(-1).astype(np.int32))
    lines = ["##contig=<ID=22,length=51304566>", "#CHROM\tPOS\tID\tREF\tALT\tFILTER"]
    lines += ["\t".join((chrom, str(pos), ".", ref, alt, "PASS")) for chrom, pos, ref, alt in map(site, range(SITES))]
    (folder / "c.pvar").write_text("\n".join(lines) + "\n")
    (folder / "c.psam").write_text("#FID\tIID\tSEX\n" + "".join(f"0\t{name}\tNA\n" for name in NAMES))
    return folder / "c.pgen"


def as_zarr(folder: Path, calls: np.ndarray) -> Path:
    group = zarr.open_group(str(folder / "c.vcz"), mode="w", zarr_format=2)
    sites = [site(number) for number in range(SITES)]
    content = {
        "sample_id": np.array(NAMES, dtype=object),
        "contig_id": np.array(["22", "X"], dtype=object),
        "filter_id": np.array(["PASS", "low"], dtype=object),
        "variant_filter": np.array([[True, False]] * SITES),
        "variant_contig": np.array([chrom == "X" for chrom, *_ in sites], dtype=np.int8),
        "variant_position": np.array([pos for _, pos, *_ in sites], dtype=np.int32),
        "variant_allele": np.array([list(one[2:]) for one in sites], dtype=object),
        "variant_AF": np.full((SITES, 1), 0.25, dtype=np.float32),
        "call_genotype": calls,
    }
    for name, values in content.items():
        kind = str if values.dtype == object else values.dtype
        chunks = (7, *values.shape[1:]) if name.startswith(("variant", "call")) else values.shape
        group.create_array(name, shape=values.shape, dtype=kind, chunks=chunks)[...] = values
    return folder / "c.vcz"


FORMATS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "vcf": as_vcf, "bed": as_bed, "pgen": as_pgen, "zarr": as_zarr,
}  # fmt: skip


def told(source: CallSource, **how: object) -> list[tuple[object, ...]]:
    return [(r.place, r.alleles, r.end, r.filters, r.calls().tolist()) for r in source.records(**how)]  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_records(
    tmp_path: Path, calls: np.ndarray, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_SMALLEST_PART", 1)
    monkeypatch.setattr(arrays, "_BLOCK_BYTES", 4 * PEOPLE * 8)
    source = open_source(FORMATS[form](tmp_path, calls))
    sites = [site(number) for number in range(SITES)]
    wanted = [
        (f"{chrom}:{pos}", (ref, alt), pos, (), row.tolist())
        for (chrom, pos, ref, alt), row in zip(sites, calls, strict=True)
    ]
    assert source.samples == NAMES
    assert told(source) == wanted
    spans = [("22", 1450, 1700), ("X", 6900, 9999), ("7", 1, 9)]
    assert told(source, spans=spans) == [*wanted[5:8], *wanted[59:]]
    parts = source.parts(3)
    assert [record for part in parts for record in told(source, part=part)] == wanted
    assert set(source.contigs) in ({"22", "X"}, {"22", "23"})
    some = open_source(FORMATS[form](tmp_path, calls), keep=["S36", "S2"])
    assert some.samples == ["S36", "S2"]
    assert [record.calls().tolist() for record in some.records()] == calls[:, [36, 2]].tolist()


def test_pgenlib_reads_a_bed_as_we_do(tmp_path: Path, calls: np.ndarray) -> None:
    """Another reader of the same bytes."""
    row = np.empty(2 * PEOPLE, dtype=np.int32)
    with pgenlib.PgenReader(bytes(as_bed(tmp_path, calls)), raw_sample_ct=PEOPLE) as reader:
        for number, record in enumerate(open_source(tmp_path / "c.bed").records()):
            reader.read_alleles(number, row)
            assert np.array_equal(np.where(row == -9, -1, row).reshape(-1, 2), record.calls())


def test_several_alleles_and_dosages_of_a_pgen(tmp_path: Path) -> None:
    with pgenlib.PgenWriter(
        bytes(tmp_path / "d.pgen"), 3, variant_ct=2, nonref_flags=False, dosage_present=True, allele_ct_limit=3
    ) as out:
        out.append_alleles(np.array([0, 2, 1, 2, -9, -9], dtype=np.int32), allele_ct=3)
        out.append_dosages(np.array([0.0, 0.9, 2.0], dtype=np.float32))
    (tmp_path / "d.pvar").write_text("#CHROM POS ID REF ALT\n1 5 . A C,G\n1 6 . A C\n".replace(" ", "\t"))
    (tmp_path / "d.psam").write_text("#IID\na\nb\nc\n")
    first, second = list(open_source(tmp_path / "d.pgen").records())
    assert (first.alleles, first.numbers("DS")) == (("A", "C", "G"), None)
    assert first.calls().tolist() == [[0, 2], [1, 2], [-1, -1]]
    dosages = second.numbers("DS")
    assert dosages is not None
    assert np.allclose(dosages[:, 0], [0, 0.9, 2], atol=1e-3)


def test_what_a_zarr_store_says_beside_calls(tmp_path: Path, calls: np.ndarray) -> None:
    record = next(iter(open_source(as_zarr(tmp_path, calls)).records()))
    assert (record.info("AF"), record.stated("AF"), record.info("XY")) == ("0.25", [0.25], None)


def test_what_vcf2zarr_makes_is_read_as_the_vcf(tmp_path: Path) -> None:
    rows = [
        "X 10 . A G,T . LowQual DP=7;AF=0.25,1e-3 GT:GQ:DS 0/1:9:0.5,1 1:.:. ./.:3:1,.",
        "X 20 . ACGT A . PASS END=900;AF=0.5 GT:GQ 0/0:1 .:2 1/1:3",
        "X 1000 . A . . PASS . GT 0/0 0/0 ./.",
    ]
    write_records(tmp_path / "a.vcf.gz", rows, ["a", "b", "c"], HEADER)
    pysam.tabix_index(str(tmp_path / "a.vcf.gz"), preset="vcf", force=True)
    bio2zarr.vcf.convert([tmp_path / "a.vcf.gz"], tmp_path / "a.vcz", worker_processes=0)
    left, right = open_source(tmp_path / "a.vcf.gz"), open_source(tmp_path / "a.vcz")
    assert left.samples == right.samples
    for ours, theirs in zip(left.records(), right.records(), strict=True):
        assert (ours.place, ours.alleles, ours.end) == (theirs.place, theirs.alleles, theirs.end)
        assert (ours.filters, ours.calls().tolist()) == (theirs.filters, theirs.calls().tolist())
        assert (ours.stated("AF"), ours.info("DP")) == (theirs.stated("AF"), theirs.info("DP"))
        one, other = ours.numbers("GQ"), theirs.numbers("GQ")
        assert other is not None
        assert np.array_equal(np.full_like(other, np.nan) if one is None else one, other, equal_nan=True)


@pytest.mark.parametrize(
    ("form", "name", "damage", "message"),
    [
        ("bed", "c.bed", lambda data: data[:-1], r"c.bed: has 602 bytes, not the 603 of 60 sites and 37 people"),
        ("bed", "c.bed", lambda data: b"\x6c\x1b\x00" + data[3:], "person by person"),
        ("bed", "c.bim", lambda data: data[:-2], "c.bim: line 60 is no site"),
        ("bed", "c.fam", lambda data: data + data[:14], "names sample S0 more than once"),
        ("bed", "c.bim", lambda data: None, "PLINK's .bim does not exist; put it beside c.bed"),
        ("pgen", "c.pgen", lambda data: data[: len(data) // 2], "c.pgen: "),
        ("pgen", "c.psam", lambda data: data[:-9], "c.pgen: "),
        ("zarr", "c.vcz/sample_id/.zarray", lambda data: None, "no array 'sample_id'"),
    ],
)
def test_damage_is_one_line(
    tmp_path: Path, calls: np.ndarray, form: str, name: str, damage: Callable[[bytes], bytes | None], message: str
) -> None:
    path = FORMATS[form](tmp_path, calls)
    damaged = damage((tmp_path / name).read_bytes())
    if damaged is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(damaged)
    with pytest.raises(InputError, match=message) as caught:
        list(open_source(path).records())
    assert "\n" not in str(caught.value)


def test_a_file_of_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.bed").write_bytes(b"\x6c\x1b\x01")
    (tmp_path / "c.bim").write_text("22\ts\t0\t100\tC\tA\n")
    (tmp_path / "c.fam").write_text("\n")
    with pytest.raises(InputError, match=r"c\.bed: holds no people"):
        open_source(tmp_path / "c.bed")
    assert open_source(tmp_path / "c.bed", need_samples=False).samples == []


def test_files_of_several_formats_are_one(tmp_path: Path, calls: np.ndarray) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = as_bed(tmp_path / "a", calls), as_vcf(tmp_path / "b", calls)
    both = open_source([one, other])
    assert told(both) == told(open_source(one)) + told(open_source(other))
    listed = tmp_path / "files.txt"
    listed.write_text("# two of them\na/c.bed\nb/c.vcf.gz\n")
    assert told(open_source(Path(f"@{listed}"))) == told(both)
    assert told(open_source(tmp_path / "b" / "*.vcf.gz")) == told(open_source(other))
    with pytest.raises(InputError, match="is named twice"):
        open_source([one, one])
    with pytest.raises(InputError, match="matches no file"):
        open_source(tmp_path / "*.bcf")
    write_records(tmp_path / "x.vcf.gz", ["1 5 . A C . . . GT 0/0 0/1"], ["S0", "somebody"])
    with pytest.raises(InputError, match="holds other people than c"):
        open_source([one, tmp_path / "x.vcf.gz"])


def test_the_sex_of_people_stands_beside_plink_files(tmp_path: Path) -> None:
    (tmp_path / "c.fam").write_text("F a 0 0 1 -9\nF b 0 0 2 -9\nF c 0 0 0 -9\nF d 0 0 -9 -9\n")
    (tmp_path / "c.psam").write_text("#IID\tPHENO1\tSEX\na\t1\tM\nb\t2\t2\nc\t1\tNA\n")
    (tmp_path / "d.psam").write_text("#IID\na\n")
    assert read_sexes_beside(tmp_path / "c.bed") == read_sexes_beside(tmp_path / "c.pgen") == {"a": 1, "b": 2}
    assert read_sexes_beside(tmp_path / "d.pgen") == read_sexes_beside(tmp_path / "c.vcf.gz") == {}
    panel = panel_of("X 5000000 A C")
    (tmp_path / "ph.tsv").write_text("sample\tsex\na\tF\nc\tM\n")
    stated = {"a": 1, "b": 2}
    found = [Sexes(table, stated=stated).of("abcd", panel) for table in (None, tmp_path / "ph.tsv")]
    assert [list(one) for one in found if one is not None] == [[1, 2, 0, 0], [2, 2, 1, 0]]  # the table goes first


@pytest.mark.parametrize("form", FORMATS)
def test_a_store_of_every_format_holds_the_same(tmp_path: Path, calls: np.ndarray, form: str) -> None:
    autosomal = range(40)
    panel = SitePanel(
        chrom=["22"] * 40,
        pos=np.array([site(number)[1] for number in autosomal]),
        ref=["A"] * 40,
        alt=["G"] * 40,
        minor_is_alt=np.ones(40, dtype=np.bool_),
        maf=np.full(40, 0.4),
        annotations=np.zeros((40, 4), dtype=np.float32),
    )
    store = build_store(FORMATS[form](tmp_path, calls), panel, tmp_path / "store")
    wanted = np.where(calls[:40, :, 0] < 0, -1, calls[:40].sum(axis=2))
    assert np.array_equal(store.dosage(), wanted.T)
    assert not list(tmp_path.glob(".store*"))
