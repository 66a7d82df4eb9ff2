"""What VEP writes beside a VCF: --json, --tab and the default table give what CSQ of the same transcripts gives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.genomics.annotations import Annotator, Harm
from afml.genomics.annotations.vep_output import changes, read_vep_output
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.sites import SiteKey, trimmed
from tests.simulated import write_vcf

FIELDS = ("Allele", "Consequence", "IMPACT", "SIFT", "PolyPhen")

#: pos, REF, ALTs, transcripts of `FIELDS`, alleles as VEP writes them.
RECORDS: list[tuple[int, str, str, list[str]]] = [
    (100, "A", "C", ["C|missense_variant|MODERATE|tolerated(0.3)|benign(0.1)", "C|intron_variant|MODIFIER||"]),
    (200, "A", "G,T", ["G|synonymous_variant|LOW||", "T|stop_gained|HIGH||probably_damaging(0.99)"]),
    (300, "CA", "C", ["-|frameshift_variant|HIGH||"]),
    (400, "C", "CT", ["T|frameshift_variant|HIGH||", "T|upstream_gene_variant|MODIFIER||"]),
    (500, "CAAGCC", "CAGCC,CA", ["AGCC|frameshift_variant|HIGH||", "A|splice_region_variant&intron_variant|LOW||"]),
    (600, "AC", "GT", ["GT|missense_variant|MODERATE|deleterious_low_confidence(0.01)|unknown(0)"]),
    (700, "G", "C", ["C|intergenic_variant|MODIFIER||"]),
]


class Record:
    def __init__(self, alleles: tuple[str, ...], csq: str) -> None:
        self.alleles, self._csq = alleles, csq

    def info(self, key: str) -> str | None:
        return self._csq if key == "CSQ" else None


def expected() -> dict[SiteKey, Harm]:
    reads = Annotator({"CSQ": f"Format: {'|'.join(FIELDS)}"}.get)
    found: dict[SiteKey, Harm] = {}
    for pos, ref, alts, entries in RECORDS:
        alleles = (ref, *alts.split(","))
        for allele in range(1, len(alleles)):
            site = ("22", *trimmed(pos, ref, alleles[allele]))
            found[site] = reads.harm(Record(alleles, ",".join(entries)), allele)
    return found


def vep_place(pos: int, ref: str, alts: list[str]) -> tuple[int, int, str, list[str]]:
    """Start, end and alleles as VEP has them: without the first base where all share it and lengths differ."""
    if len({len(ref), *map(len, alts)}) > 1 and all(alt[0] == ref[0] for alt in alts):
        pos, ref, alts = pos + 1, ref[1:], [alt[1:] for alt in alts]
    return pos, pos + len(ref) - 1, ref or "-", [alt or "-" for alt in alts]


def as_json() -> str:
    lines = []
    for pos, ref, alts, entries in RECORDS:
        start, end, short, shorter = vep_place(pos, ref, alts.split(","))
        told: list[dict[str, Any]] = []
        for allele, terms, impact, sift, polyphen in (entry.split("|") for entry in entries):
            one: dict[str, Any] = {"variant_allele": allele, "consequence_terms": terms.split("&"), "impact": impact}
            for name, value in (("sift", sift), ("polyphen", polyphen)):
                if value:
                    one[f"{name}_prediction"], score = value.rstrip(")").split("(")
                    one[f"{name}_score"] = float(score)
            told.append(one)
        lines.append(
            json.dumps({
                "input": f"chr22\t{pos}\t.\t{ref}\t{alts}\t.\tPASS\t.", "seq_region_name": "chr22", "start": start,
                "end": end, "allele_string": "/".join([short, *shorter]), "most_severe_consequence": "x",
                "transcript_consequences" if pos != 700 else "intergenic_consequences": told,
            })
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def as_table(*, named: bool, extra: bool) -> str:
    columns = ["Uploaded_variation", "Location", "Allele", "Gene", "Consequence"]
    lines = ["## ENSEMBL VARIANT EFFECT PREDICTOR v115.2", "## Column descriptions:"]
    lines.append(
        "#" + "\t".join([*columns, "Extra"] if extra else [*columns, "IMPACT", "SIFT", "PolyPhen", "REF_ALLELE"])
    )
    for pos, ref, alts, entries in RECORDS:
        start, end, short, shorter = vep_place(pos, ref, alts.split(","))
        place = f"22:{start}" if start == end else f"22:{min(start, end)}-{max(start, end)}"
        name = f"22_{start}_{'/'.join([short, *shorter])}" if named else "rs1"
        for allele, terms, *values in (entry.split("|") for entry in entries):
            cells = [name, place, allele, "-", terms.replace("&", ",")]
            if extra:
                pairs = zip(FIELDS[2:], values, strict=True)
                cells.append(";".join(f"{key}={value}" for key, value in pairs if value))
            else:
                cells += [*(value or "-" for value in values), "-" if named else short]
            lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        as_json(),
        as_table(named=True, extra=True),
        as_table(named=True, extra=False),
        as_table(named=False, extra=False),
    ],
    ids=["json", "default table", "tab", "tab with REF_ALLELE"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_same_as_csq(tmp_path: Path, text: str, zipped: bool) -> None:
    path = tmp_path / "vep"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    harms = expected()
    found = read_vep_output([path], [*harms, ("22", 900, "A", "C")])
    assert {site: found.get(site, Harm()) for site in harms} == harms
    assert ("22", 900, "A", "C") not in found


def test_a_table_without_ref_places_what_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "vep"
    path.write_text(as_table(named=False, extra=True))
    harms = expected()
    found = read_vep_output([path], list(harms))
    alone = {site: harm for site, harm in harms.items() if not 500 <= site[1] < 510}
    assert {site: found.get(site, Harm()) for site in alone} == alone


def test_a_change_in_a_repeat_is_met_wherever_it_is_written() -> None:
    first, other = changes("1", 10, "CAAA", "CA"), changes("1", 12, "AA", "-")
    assert set(first) & set(other)
    assert changes("1", 5, "A", "C") == [("1", 5, "A", "C")]
    assert changes("1", 5, "-", "GG") == [("1", 5, "", "GG")]


def test_two_files_and_the_panel_s_own_info_add_up(tmp_path: Path) -> None:
    dosage = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.int8)
    panel = tmp_path / "p.vcf.gz"
    write_vcf(panel, dosage, csq=["G|LOW|0.4|", None, None], csq_fields="Allele|IMPACT|SIFT|PolyPhen")
    files = []
    for number, (pos, impact) in enumerate(((1000, "HIGH"), (1100, "MODERATE"))):
        entry = {"variant_allele": "G", "consequence_terms": ["x"], "impact": impact, "sift_score": 0.9}
        line = {"input": f"22 {pos} . A G . . .", "transcript_consequences": [entry]}
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(line) + "\n")
    sites = build_site_panel(panel, SiteChoice(3, 0.01, annotations=files))
    assert sites.annotations[:, 1:].tolist() == pytest.approx(
        np.array([[0.6, 0, 1], [0.1, 0, 2 / 3], [0, 0, 0]]), rel=1e-6
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has none of the 1 sites"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n22\t100\n", "line 2 is no line of VEP output"),
        (b"22\t100\tA\tC\n", "line 1 is no line of"),
        (b"{\"input\": \"22 100 . A C\"\n", "line 1 is no line of"),
        (b"{\"start\": 7}\n", "line 1 is no line of"),
        (b"#Uploaded_variation\tLocation\tAllele\nrs1\twhere\tA\n", "line 2 is no line of"),
        (b"#Uploaded_variation\tLocation\tAllele\nrs1\t22:77\tA\n", "has none of the 1 sites"),
        (b"\xff\xfe{", "is no text after line 0"),
        (gzip.compress(b"{}" * 5000, mtime=0)[:-20], "is damaged"),
    ],
)  # fmt: skip
def test_something_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "vep"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_vep_output([path], [("22", 100, "A", "C")])
