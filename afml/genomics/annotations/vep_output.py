"""Annotations in a file beside the panel: what Ensembl VEP writes with --json, --tab, or by default.

One line of JSON is a variant with all its transcripts; one line of the tables is one transcript. Only the sites
asked for are kept, so memory grows with these alone. VEP leaves out the anchor base of insertions and deletions, and
may have been run before a record was trimmed: a site is met by what the change removes and adds, wherever in a
repeat it is written.

A table names REF in `Uploaded_variation` (`22_1100_C/T`) or with --show_ref_allele; without it a change that is
spelled together with others (an indel of a multi-allelic record) cannot be placed, and is not met.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.annotations.annotator import Entry, entry_harm, of_allele
from afml.genomics.annotations.declared import plain_name
from afml.genomics.annotations.harm import Harm
from afml.genomics.contigs import canonical
from afml.genomics.sites import SiteKey

_WHAT = "VEP output"
_CURE = "give what VEP writes with --json or --tab"
_UPLOADED = re.compile(r"^(.+)_(\d+)_([ACGTN-]+)/([ACGTN*/-]+)$", re.IGNORECASE)
_LOCATION = re.compile(r"^(.+):(\d+)(?:-(\d+))?$")
_REFS = ("ref_allele", "used_ref", "given_ref")
_CONSEQUENCES = re.compile(r"_consequences$")

Change = tuple[str, int, str, str]
"""(contig, first removed base or the one after the insertion, removed, added): no base in common at either end."""


def read_vep_output(paths: Iterable[Path], sites: Sequence[SiteKey]) -> dict[SiteKey, Harm]:
    """The channels of those sites that the files annotate.

    Args:
        paths: Files of VEP's, plain or gzipped.
        sites: Sites, trimmed.

    Raises:
        InputError: A file is missing, damaged or something else; or it annotates none of the sites.
    """
    wanted = _Wanted(sites)
    found: dict[SiteKey, Harm] = {}
    for path in paths:
        met = 0
        for site, harm in _read(path, wanted):
            found[site] = found.get(site, Harm()).worst(harm)
            met += 1
        if not met:
            raise InputError(
                f"{_WHAT} has none of the {len(sites)} sites",
                where=path,
                cure="annotate the panel itself, on its assembly",
            )
    return found


class _Wanted:
    """Sites by every way to write their change."""

    def __init__(self, sites: Sequence[SiteKey]) -> None:
        self._changes: dict[Change, SiteKey] = {}
        self._places: dict[tuple[str, int, int, str], set[SiteKey]] = {}
        for site in sites:
            for change in changes(*site):
                self._changes[change] = site
                chrom, start, removed, added = change
                place = (chrom, start, start + len(removed) - 1, added or "-")
                self._places.setdefault(place, set()).add(site)

    def site(self, chrom: str, pos: int, ref: str, alt: str) -> SiteKey | None:
        """The site that is this change."""
        for change in changes(chrom, pos, ref, alt):
            if site := self._changes.get(change):
                return site
        return None

    def at(self, chrom: str, first: int, last: int, allele: str) -> set[SiteKey]:
        """The sites at which `allele` takes the place of these bases, or, of two, comes between them."""
        found = self._places.get((chrom, first, last, allele), set())
        return found | (self._places.get((chrom, last, first, allele), set()) if last == first + 1 else set())


def changes(chrom: str, pos: int, ref: str, alt: str) -> list[Change]:
    """Every way to leave out what REF and ALT share: one but for insertions and deletions in repeats."""
    ref, alt = ref.upper().replace("-", ""), alt.upper().replace("-", "")
    shorter = min(len(ref), len(alt))
    found, shared = [], 0
    ends = 0
    while ends < shorter and ref[-1 - ends] == alt[-1 - ends]:
        ends += 1
    while True:
        end = min(ends, shorter - shared)
        found.append((chrom, pos + shared, ref[shared : len(ref) - end], alt[shared : len(alt) - end]))
        if shared == shorter or ref[shared] != alt[shared]:
            break
        shared += 1
    least = min(len(removed) + len(added) for _, _, removed, added in found)
    return [change for change in found if len(change[2]) + len(change[3]) == least]


def _read(path: Path, wanted: _Wanted) -> Iterator[tuple[SiteKey, Harm]]:
    columns: list[str] | None = None
    number = 0
    lines = _lines(path)
    try:
        while (line := next(lines, None)) is not None:
            number += 1
            if line.startswith("{"):
                yield from _of_variant(json.loads(line), wanted)
            elif line.startswith("#") and not line.startswith("##"):
                columns = _columns(line)
            elif line and not line.startswith("##"):
                if columns is None:
                    raise ValueError
                yield from _of_row(dict(zip(columns, line.split("\t"), strict=False)), wanted)
    except UnicodeDecodeError:
        raise InputError(f"{_WHAT} is no text after line {number}", where=path, cure=_CURE) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"line {number} is no line of {_WHAT}", where=path, cure=_CURE) from None


def _columns(line: str) -> list[str]:
    """The names of a table's columns.

    Raises:
        ValueError: It is no table of VEP's.
    """
    columns = [plain_name(name) for name in line[1:].split("\t")]
    if not {"uploaded_variation", "location", "allele"} <= set(columns):
        raise ValueError
    return columns


def _lines(path: Path) -> Iterator[str]:
    require_file(path, _WHAT)
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8") as text:
            for line in text:
                yield line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{_WHAT} is damaged", where=path, cure="restore the file from its source") from None


# -- JSON ----------------------------------------------------------------------------------------------


def _of_variant(variant: dict[str, Any], wanted: _Wanted) -> Iterator[tuple[SiteKey, Harm]]:
    entries = [
        _entry(one, variant)
        for name, listed in variant.items()
        if _CONSEQUENCES.search(name) and isinstance(listed, list)
        for one in listed
    ]
    entries = entries or [{"consequence": str(variant.get("most_severe_consequence", ""))}]
    chrom, pos, alleles = _uploaded(variant)
    for allele in range(1, len(alleles)):
        if site := wanted.site(chrom, pos, alleles[0], alleles[allele]):
            for entry in of_allele(alleles, allele, entries, anchored=True):
                yield site, entry_harm(entry)


def _uploaded(variant: dict[str, Any]) -> tuple[str, int, tuple[str, ...]]:
    """(contig, position, alleles): of the VCF line that VEP was given, else as VEP writes them."""
    fields = str(variant.get("input", "")).split()
    if len(fields) >= 5 and fields[1].isdigit():
        return canonical(fields[0]), int(fields[1]), (fields[3].upper(), *fields[4].upper().split(","))
    alleles = tuple(str(variant["allele_string"]).upper().split("/"))
    return canonical(str(variant["seq_region_name"])), int(variant["start"]), alleles


def _entry(told: dict[str, Any], variant: dict[str, Any]) -> Entry:
    values = {plain_name(name): _text(value) for name, value in told.items()}
    values["allele"] = values.get("variant_allele", "")
    values["consequence"] = values.get("consequence_terms", "")
    values["variant_class"] = str(variant.get("variant_class", ""))
    for name in ("sift", "polyphen"):
        values[name] = values.get(f"{name}_score") or values.get(f"{name}_prediction", "")
        if values.get(f"{name}_prediction") == "unknown":
            values[name] = ""
    return values


def _text(value: object) -> str:
    return "&".join(map(str, value)) if isinstance(value, list) else str(value)


# -- tables --------------------------------------------------------------------------------------------


def _of_row(row: dict[str, str], wanted: _Wanted) -> Iterator[tuple[SiteKey, Harm]]:
    extra = (pair.partition("=") for pair in row.pop("extra", "").split(";"))
    row |= {plain_name(name): value for name, _, value in extra if name}
    entry = {name: "" if value == "-" else value for name, value in row.items()}
    allele = row["allele"].upper()
    if match := _UPLOADED.match(row["uploaded_variation"]):
        chrom, start, alts = canonical(match[1]), int(match[2]), match[4].upper().split("/")
        alleles = (match[3].upper(), *alts)
        # Written without the anchor base, as VEP's own allele is: the two are compared as they are.
        if allele in alts and (site := wanted.site(chrom, start, alleles[0], allele)):
            yield site, entry_harm(entry)
        elif allele not in alts:  # --minimal: any of them that comes down to it
            for alt in alts:
                if (site := wanted.site(chrom, start, alleles[0], alt)) and _reduced(alleles[0], alt) == allele:
                    yield site, entry_harm(entry)
        return
    place = _LOCATION.match(row["location"])
    if place is None:
        raise ValueError
    chrom, first = canonical(place[1]), int(place[2])
    last = int(place[3] or first)
    ref = next((row[name].upper() for name in _REFS if row.get(name)), None)
    if ref is None:
        sites = wanted.at(chrom, first, last, allele)
    else:
        site = wanted.site(chrom, last if ref == "-" else first, ref, allele)
        sites = {site} if site else set()
    for site in sites:
        yield site, entry_harm(entry)


def _reduced(ref: str, alt: str) -> str:
    return changes("", 0, ref, alt)[-1][3] or "-"
