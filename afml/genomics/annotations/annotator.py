"""Reading the channels of a record's ALT from its INFO.

Read are `CSQ`, `vep` and `VEP` (Ensembl VEP, gnomAD), `ANN` (snpEff, or VEP under that key), `EFF` (snpEff before
4.1), `BCSQ` (bcftools csq) and dbNSFP's SIFT and PolyPhen-2, as fields of any of these or as INFO keys of their own.
Over several transcripts, and over several annotators, a channel takes its most severe value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from afml.genomics.annotations.declared import effect_fields, field_names
from afml.genomics.annotations.harm import (
    NEUTRAL,
    Harm,
    consequence_harm,
    impact_harm,
    polyphen_harm,
    sift_harm,
)
from afml.genomics.annotations.spelling import is_spelled, meanings, read_allele
from afml.genomics.annotations.terms import possible

#: INFO keys with entries of `|`-separated fields; of VEP unless the fields say otherwise.
_KEYS = ("CSQ", "vep", "VEP", "ANN")
_SIFT_SCORES, _SIFT_WORDS = ("sift", "sift_score"), ("sift_pred",)
_POLYPHEN_SCORES = ("polyphen", "polyphen2_hdiv_score", "polyphen2_hvar_score")
_POLYPHEN_WORDS = ("polyphen2_hdiv_pred", "polyphen2_hvar_pred")
_DBNSFP = (*_SIFT_SCORES[1:], *_SIFT_WORDS, *_POLYPHEN_SCORES[1:], *_POLYPHEN_WORDS)
#: How SnpSift and ANNOVAR write these as INFO keys: lower case -> spelled.
_DBNSFP_KEYS = {
    name: [prefix + name.replace("sift", "SIFT").replace("polyphen2_hdiv", "Polyphen2_HDIV")
           .replace("polyphen2_hvar", "Polyphen2_HVAR") for prefix in ("", "dbNSFP_")]
    for name in _DBNSFP
}  # fmt: skip
_UNTOLD = ("", ".", "?")  # as an allele: says nothing
_EFFECT = re.compile(r"^\s*([^(\s]+)\s*\((.*)\)\s*$")
_CHANGE = re.compile(r"(\d+)([ACGTN]+)>([ACGTN]+)")

Entry = Mapping[str, str]
"""One transcript: field -> value."""


class Annotated(Protocol):
    """A record with alleles and INFO values."""

    @property
    def alleles(self) -> tuple[str, ...]:
        """REF, then every ALT."""
        ...

    def info(self, key: str) -> str | None:
        """An INFO value as text."""
        ...


class Annotator:
    """Reads the channels of a file whose annotation keys and field orders its header declares.

    Args:
        description: INFO key -> Description from the header, None where the key is absent.
    """

    def __init__(self, description: Callable[[str], str | None]) -> None:
        self._keys = {key: fields for key in _KEYS if (fields := field_names(description(key)))}
        self._anchored = {key: "annotation_impact" not in (description(key) or "").lower() for key in self._keys}
        self._effects = effect_fields(description("EFF"))
        self._local = field_names(description("BCSQ"))
        self._dbnsfp = [
            (name, key) for name, keys in _DBNSFP_KEYS.items() for key in keys if description(key) is not None
        ]

    def harm(self, record: Annotated, allele: int) -> Harm:
        """The channels of ALT number `allele` (1-based) of `record`."""
        worst = Harm()
        for key, fields in self._keys.items():
            entries = _entries(record.info(key), fields)
            worst = worst.worst(_worst(of_allele(record.alleles, allele, entries, anchored=self._anchored[key])))
        if self._effects is not None:
            entries = _effect_entries(record.info("EFF"), self._effects)
            worst = worst.worst(_worst(of_allele(record.alleles, allele, entries, anchored=False)))
        if self._local:
            entries = _entries(record.info("BCSQ"), self._local)
            worst = worst.worst(_worst(entry for entry in entries if _is_change(entry, record.alleles, allele)))
        if self._dbnsfp:
            worst = worst.worst(entry_harm(self._of_keys(record, allele)))
        return worst

    def _of_keys(self, record: Annotated, allele: int) -> Entry:
        """dbNSFP's own INFO keys: one value per ALT where there are as many, otherwise all of them count."""
        found: dict[str, str] = {}
        for name, key in self._dbnsfp:
            values = re.split(r"[,;|]", re.sub(r"[()'\" ]", "", record.info(key) or ""))
            alts = len(record.alleles) - 1
            mine = values[allele - 1 : allele] if alts == len(values) else values
            found[name] = "&".join([found.get(name, ""), *mine])
        return found


def entry_harm(entry: Entry) -> Harm:
    """The channels of one transcript."""
    impact = impact_harm(entry.get("impact", ""))
    if impact is None:
        impact = consequence_harm(entry.get("consequence", ""))
    return Harm(
        _first(sift_harm, entry, _SIFT_SCORES, _SIFT_WORDS),
        _first(polyphen_harm, entry, _POLYPHEN_SCORES, _POLYPHEN_WORDS),
        impact or NEUTRAL,
    )


def of_allele(alleles: tuple[str, ...], allele: int, entries: list[Entry], *, anchored: bool) -> list[Entry]:
    """The entries of one ALT: by the number that they state, else by how they spell it.

    An entry that does not say counts for every ALT. Where spelling leaves several ALTs, those that the
    consequence rules out (a frameshift of a single base) are left out.

    Args:
        alleles: REF, then every ALT.
        allele: The ALT, 1-based.
        entries: The transcripts of all ALTs.
        anchored: As in `spelling.meanings`.
    """
    alts = len(alleles) - 1
    numbers = {entry.get("allele_num", "").partition("-")[0] for entry in entries}
    numbered = all(number.isascii() and number.isdigit() and 1 <= int(number) <= alts for number in numbers)
    if numbered and alts > 1:
        return [entry for entry in entries if entry["allele_num"].partition("-")[0] == str(allele)]
    written = [read_allele(entry.get("allele", "")) for entry in entries]
    told = meanings(alleles, {text for text in written if is_spelled(text)}, anchored=anchored)
    sure: list[Entry] = []
    maybe: list[Entry] = []
    for entry, text in zip(entries, written, strict=True):
        rivals = [number for number, texts in told.items() if text in texts]
        fits = [number for number in rivals if possible(entry, alleles[0], alleles[number])]
        if text in _UNTOLD or (len(rivals) > 1 and (allele in (fits or rivals))):
            sure.append(entry)
        elif rivals == [allele]:
            (maybe if len(told[allele]) > 1 else sure).append(entry)
    fitting = [entry for entry in maybe if possible(entry, alleles[0], alleles[allele])]
    return sure + (fitting or maybe)


def _worst(entries: Iterable[Entry]) -> Harm:
    worst = Harm()
    for entry in entries:
        worst = worst.worst(entry_harm(entry))
    return worst


def _first(
    harm_of: Callable[[str], float | None], entry: Entry, scores: tuple[str, ...], words: tuple[str, ...]
) -> float:
    """The most severe score, or, where there is none, the most severe prediction."""
    for names in (scores, words):
        found = [harm for name in names if (harm := harm_of(entry.get(name, ""))) is not None]
        if found:
            return max(found)
    return NEUTRAL


def _entries(text: str | None, fields: list[str]) -> list[Entry]:
    if not text or text == ".":
        return []
    return [dict(zip(fields, entry.split("|"), strict=False)) for entry in text.split(",")]


def _effect_entries(text: str | None, fields: list[str]) -> list[Entry]:
    """The effects of EFF: MISSENSE(MODERATE|...|1)."""
    entries: list[Entry] = []
    for effect in (text or "").split(","):
        if match := _EFFECT.match(effect):
            values = dict(zip(fields, match[2].split("|"), strict=False))
            values.setdefault("impact", match[2].partition("|")[0])
            entries.append(values)
    return entries


def _is_change(entry: Entry, alleles: tuple[str, ...], allele: int) -> bool:
    """Whether a BCSQ entry is of this ALT: it names the change, or no change, which then is anybody's."""
    changes = _CHANGE.findall(entry.get("dna_change", "").upper())
    return not changes or any((ref, alt) == (alleles[0], alleles[allele]) for _, ref, alt in changes)
