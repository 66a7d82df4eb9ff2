"""The result files of a scan, beside the model: GWAS-SSF with its metadata, the clumps, and a page with figures.

GWAS-SSF is the format of the GWAS Catalog (Hayhurst et al. 2022). What it has no field for stands in the metadata under
`afml`: that frequencies are the public panel's, and how much of each standard error is noise.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from afml import __version__
from afml.core.files import write_bytes
from afml.tasks.gwas.clumps import GENOME_WIDE, Clump, Places, clumped
from afml.tasks.gwas.page import page
from afml.tasks.gwas.pvalues import p_text
from afml.tasks.gwas.results import Scan

TABLE, METADATA, CLUMPS, PAGE = "gwas.tsv", "gwas.tsv-meta.yaml", "clumps.tsv", "gwas.html"
COLUMNS = (
    "chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "standard_error",
    "effect_allele_frequency", "p_value", "variant_id", "ref_allele", "n", "noise_share", "followed",
)  # fmt: skip
_CLUMP_COLUMNS = (
    "lead", "chromosome", "base_pair_location", "effect_allele", "beta", "standard_error", "p_value",
    "score_beside_leads", "members", "first", "last",
)  # fmt: skip
#: GWAS-SSF numbers the contigs that are no autosomes.
_NUMBERS = {"X": "23", "Y": "24", "MT": "25", "M": "25"}


def write_results(scan: Scan, folder: Path) -> None:
    """Write all result files of a scan, each whole or not at all.

    Args:
        scan: What was found.
        folder: Of the model.
    """
    clumps = clumps_of(scan)
    table = _tsv(COLUMNS, _rows(scan))
    write_bytes(folder / TABLE, table)
    write_bytes(folder / METADATA, metadata(scan, table).encode())
    write_bytes(folder / CLUMPS, _tsv(_CLUMP_COLUMNS, _clump_rows(scan, clumps)))
    write_bytes(folder / PAGE, page(scan, clumps).encode())


def clumps_of(scan: Scan, threshold: float = GENOME_WIDE) -> list[Clump]:
    """Clumps at genome-wide significance, the strongest first."""
    return clumped(scan.score, places_of(scan), threshold=threshold)


def places_of(scan: Scan) -> Places:
    """Where the scan's sites are, and how they are linked on the panel; not at all on one without people."""
    genotypes = scan.genotypes[:0] if scan.sites.drawn_people else scan.genotypes
    return Places(scan.sites.chrom, scan.sites.pos, genotypes, scan.standard_error)


def alleles(scan: Scan, site: int) -> tuple[str, str, str]:
    """(effect allele, other allele, which of the two is REF: EA or OA) of a site; effects are of the panel's minor."""
    ref, alt = scan.sites.ref[site], scan.sites.alt[site]
    return (alt, ref, "OA") if scan.sites.minor_is_alt[site] else (ref, alt, "EA")


def chromosome(name: str) -> str:
    """A contig as GWAS-SSF writes it."""
    bare = name.removeprefix("chr")
    return _NUMBERS.get(bare, bare)


def variant(scan: Scan, site: int) -> str:
    """contig_position_REF_ALT."""
    return "_".join(map(str, scan.sites.key(site)))


def metadata(scan: Scan, table: bytes) -> str:
    """The YAML beside the table; values are JSON, which YAML contains.

    Args:
        scan: What was found.
        table: The table's bytes.
    """
    trait = scan.settings.trait
    unit = "probability of being a case" if trait.kind == "binary" else "the trait's own unit"
    fields: dict[str, object] = {
        "date_metadata_last_modified": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "genome_assembly": scan.settings.assembly or None,
        "coordinate_system": "1-based",
        "data_file_name": TABLE,
        "file_type": "GWAS-SSF v1.0",
        "data_file_md5sum": hashlib.md5(table, usedforsecurity=False).hexdigest(),
        "is_harmonised": False,
        "is_sorted": True,
        "trait_description": [trait.name],
        "samples": [{"sample_size": scan.people}],
        "adjusted_covariates": [
            *(column.name for column in scan.settings.covariates),
            *(f"panel component {number}" for number in range(1, scan.settings.components + 1)),
        ],
        "minor_allele_freq_lower_limit": float(scan.sites.maf.min()),
        "analysis_software": f"AFML {__version__}",
    }
    ours: dict[str, object] = {
        "run": scan.run,
        "effect": f"of one copy of the effect allele on {unit}, by a linear model",
        "effect_allele": "the panel's minor allele",
        "effect_allele_frequency": "of the public panel, not of the people scanned",
        "n": "declared enrolment; a missing call counts as what is expected of the person's ancestry",
        "standard_error": "of sampling people and of the differential privacy noise; noise_share is the noise's part "
        "of its square",
        "followed": "1 where the last release, with less noise, looked again; of these sites it alone speaks",
        "ple_sigma": scan.ple_sigma if scan.ple_sigma is not None else "insecure: simulation",
        "inflation": round(scan.inflation, 4),
        **scan.about,
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items() if value is not None]
    lines += ["afml:", *(f"  {name}: {json.dumps(value)}" for name, value in ours.items())]
    return "\n".join(lines) + "\n"


def _rows(scan: Scan) -> Iterator[tuple[str, ...]]:
    strength = scan.neg_log10_p
    for site in _order(scan):
        effect, other, ref = alleles(scan, site)
        yield (
            chromosome(scan.sites.chrom[site]), str(scan.sites.pos[site]), effect, other,
            f"{scan.beta[site]:.6g}", f"{scan.error[site]:.6g}", f"{scan.sites.maf[site]:.6g}",
            p_text(float(strength[site])), variant(scan, site), ref, str(scan.people), f"{scan.noise_share[site]:.4f}",
            str(int(scan.followed[site])),
        )  # fmt: skip


def _order(scan: Scan) -> list[int]:
    """Sites by the number of their chromosome and their position; named contigs after numbered ones."""
    names = [chromosome(name) for name in scan.sites.chrom]
    place = [
        (int(name) if name.isdecimal() else math.inf, name, int(scan.sites.pos[i])) for i, name in enumerate(names)
    ]
    return sorted(range(len(place)), key=place.__getitem__)


def _clump_rows(scan: Scan, clumps: Sequence[Clump]) -> Iterator[tuple[str, ...]]:
    strength = scan.neg_log10_p
    for clump in clumps:
        lead, pos = clump.lead, scan.sites.pos
        yield (
            variant(scan, lead), chromosome(scan.sites.chrom[lead]), str(pos[lead]), alleles(scan, lead)[0],
            f"{scan.beta[lead]:.6g}", f"{scan.error[lead]:.6g}", p_text(float(strength[lead])), f"{clump.score:.4g}",
            str(len(clump.members)), str(pos[clump.members[0]]), str(pos[clump.members[-1]]),
        )  # fmt: skip


def _tsv(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> bytes:
    return ("\n".join("\t".join(row) for row in (columns, *rows)) + "\n").encode()
