"""Published frequencies and regions: tables, names of INFO fields, presets of regions."""

from __future__ import annotations

import gzip
import os
import signal
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.genomics.choice import SiteChoice, choose_sites
from afml.genomics.frequencies import FrequencyTable, is_table
from afml.genomics.presets import CPG, PRESETS, preset_regions, require_build


@pytest.mark.parametrize("between", ["\t", ",", "  "])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_table_gives_sites_whatever_stands_between_its_columns(tmp_path: Path, between: str, zipped: bool) -> None:
    rows = [
        ("alt", "#Chrom", "POS", "ref", "eur"),
        ("c", "chr22", "1000", "A", "0.3"),
        ("G", "chr22", "900", "AT", "x"),
    ]
    rows += [
        ("T", "chr22", "950", "C", "0.8"),
        ("T", "chr22", "970", "C", "1.2"),
        ("<DEL>", "chr22", "980", "C", "0.2"),
    ]
    text = "\n".join(between.join(row) for row in rows).encode()
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(text) if zipped else text)
    assert is_table(path)
    found = choose_sites(path, SiteChoice(10, af_field="EUR"))
    assert [found.panel.key(site) for site in range(2)] == [("22", 950, "C", "T"), ("22", 1000, "A", "C")]
    assert found.panel.maf.tolist() == pytest.approx([0.2, 0.3])
    assert found.panel.minor_is_alt.tolist() == [False, True]
    assert dict(found.waterfall)["without one INFO/EUR in [0, 1] per ALT"] == 2


@given(st.lists(st.text(max_size=30), max_size=5))
def test_whatever_a_table_holds_the_error_is_one_of_ours(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    path.write_text("\n".join(["chrom\tpos\tref\talt\taf", *lines]), encoding="utf-8", errors="replace")
    try:
        with FrequencyTable(path, "af") as table:
            assert all(record.pos > 0 for record in table.records())
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is fine)


def test_presets_are_regions_of_every_chromosome_within_its_length() -> None:
    for name, preset in PRESETS.items():
        assert preset.source
        build, what = name.split("-")
        assert all(0 <= start < end for _, start, end in preset.intervals)
        if what in ("centromeres", "telomeres"):
            assert len({contig for contig, _, _ in preset.intervals}) == 24
        if what == "centromeres":  # telomeres say how long chromosomes are
            ends = {contig: end for contig, _, end in PRESETS[f"{build}-telomeres"].intervals}
            assert all(end < ends[contig] for contig, _, end in preset.intervals)
    assert preset_regions("GRCh38-mhc").overlaps("6", 28510120, 1)
    assert not preset_regions("GRCh38-mhc").overlaps("6", 28510119, 1)
    require_build(("GRCh38-mhc", "rCRS-hypervariable"), "GRCh38", Path("p"))
    require_build(("GRCh38-mhc",), None, Path("p"))
    with pytest.raises(InputError, match="is on GRCh37, and the regions of GRCh38-mhc are on GRCh38"):
        require_build(("GRCh38-mhc",), "GRCh37", Path("p"))
    with pytest.raises(InputError, match="there is no preset 'x'; use GRCh37-centromeres"):
        preset_regions("x")


def test_sites_in_a_preset_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = ["6,28477796,A,C,0.3", "6,28477797,A,C,0.3", "6,33448354,A,C,0.2", "6,33448355,A,C,0.2"]
    (tmp_path / "f.csv").write_text("chrom,pos,ref,alt,af\n" + "\n".join(rows) + "\n")
    found = choose_sites(tmp_path / "f.csv", SiteChoice(10, presets=("GRCh37-mhc", "GRCh37-centromeres")))
    assert found.panel.pos.tolist() == [28477796, 33448355]
    assert dict(found.waterfall)["in GRCh37-mhc"] == 2


def test_transitions_at_cpgs_are_left_out_by_the_reference(tmp_path: Path) -> None:
    sequence = "".join(np.random.default_rng(5).choice(list("ACGT"), 600))
    (tmp_path / "r.fa").write_text(f">chr6\n{sequence}\n")
    pysam.faidx(str(tmp_path / "r.fa"))
    rows = [(at + 1, ref, alt) for at, ref in enumerate(sequence) for alt in "ACGT" if alt != ref]
    table = ["chrom,pos,ref,alt,af", *(f"6,{pos},{ref},{alt},0.3" for pos, ref, alt in rows)]
    (tmp_path / "f.csv").write_text("\n".join(table) + "\n")
    found = choose_sites(tmp_path / "f.csv", SiteChoice(10_000, presets=(CPG,), fasta=tmp_path / "r.fa")).panel
    kept = {found.key(site)[1:] for site in range(len(found))}

    def is_cpg(pos: int, ref: str, alt: str) -> bool:  # by the two sequences that there are
        lies = [sequence[: pos - 1] + base + sequence[pos:] for base in (ref, alt)]
        around = [text[max(0, pos - 2) : pos + 1].count("CG") for text in lies]
        return {ref, alt} in ({"C", "T"}, {"A", "G"}) and around[0] != around[1]

    assert kept == {row for row in rows if not is_cpg(*row)}
    assert len(kept) < len(rows)
    with pytest.raises(InputError, match="needs a reference sequence; give --fasta"):
        choose_sites(tmp_path / "f.csv", SiteChoice(5, presets=(CPG,)))


def test_a_source_that_may_end_the_process_is_read_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.csv").write_text("chrom,pos,ref,alt,af\n" + "".join(f"6,{n},A,C,0.3\n" for n in range(1, 9)))
    here = choose_sites(tmp_path / "f.csv", SiteChoice(5))
    monkeypatch.setattr(FrequencyTable, "fragile", True, raising=False)
    apart = choose_sites(tmp_path / "f.csv", SiteChoice(5))
    assert (apart.panel.digest(), apart.waterfall) == (here.panel.digest(), here.waterfall)
    monkeypatch.setattr(FrequencyTable, "records", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InputError, match=r"f\.csv: reading ended: .*; check the file"):
        choose_sites(tmp_path / "f.csv", SiteChoice(5))
