"""Annotation channels of a site: how harmful its ALT allele is thought to be.

Each channel is a number in [0, 1] that grows with the predicted harm, and is 0 (`NEUTRAL`) where the
annotator says nothing: most sites are not missense and have neither score.

    sift      1 - SIFT score        (Ng, Henikoff 2003; deleterious below 0.05)
    polyphen  PolyPhen-2 score      (Adzhubei et al. 2010; benign <= 0.446 < possibly <= 0.908 < probably)
    impact    MODIFIER 0, LOW 1/3, MODERATE 2/3, HIGH 1 (the levels of Ensembl VEP and snpEff)

VEP may write `deleterious(0.02)`, the prediction alone, or the score alone. A prediction alone stands
for the middle of its score range. Over several transcripts, and over VEP and snpEff together, every
channel takes its most severe value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

NEUTRAL = 0.0
"""The value of a channel about which the annotator says nothing."""

# The middle of the score range that each prediction covers, as harm.
_SIFT = {"deleterious": 1 - 0.025, "tolerated": 1 - 0.525}
_POLYPHEN = {"probably_damaging": 0.954, "possibly_damaging": 0.677, "benign": 0.223}

_IMPACT = {"MODIFIER": 0.0, "LOW": 1 / 3, "MODERATE": 2 / 3, "HIGH": 1.0}

# Impact of Sequence Ontology terms, for annotators that give the consequence only (VEP before 77).
_TERMS = {
    "HIGH": """transcript_ablation splice_acceptor_variant splice_donor_variant stop_gained
        frameshift_variant stop_lost start_lost transcript_amplification feature_elongation
        feature_truncation""",
    "MODERATE": "inframe_insertion inframe_deletion missense_variant protein_altering_variant",
    "LOW": """splice_donor_5th_base_variant splice_region_variant splice_donor_region_variant
        splice_polypyrimidine_tract_variant incomplete_terminal_codon_variant initiator_codon_variant
        start_retained_variant stop_retained_variant synonymous_variant""",
}
_CONSEQUENCE = {term: level for level, terms in _TERMS.items() for term in terms.split()}

_SCORED = re.compile(r"^([A-Za-z_]*)\(?([0-9.eE+-]+)?\)?$")


@dataclass(frozen=True)
class Harm:
    """The annotation channels of one ALT allele, each in [0, 1]."""

    sift: float = NEUTRAL
    polyphen: float = NEUTRAL
    impact: float = NEUTRAL

    def worst(self, other: Harm) -> Harm:
        """The more severe of both, channel by channel."""
        return Harm(max(self.sift, other.sift), max(self.polyphen, other.polyphen), max(self.impact, other.impact))


class Annotated(Protocol):
    """A record with alleles and INFO values (see `reader.Record`)."""

    @property
    def alleles(self) -> tuple[str, ...]:
        """REF, then every ALT."""
        ...

    def info(self, key: str) -> str | None:
        """An INFO value as text."""
        ...


def sift_harm(text: str) -> float | None:
    """Harm of a SIFT field, None when it holds neither a prediction nor a score."""
    prediction, score = _scored(text)
    return _SIFT.get(prediction) if score is None else 1.0 - score


def polyphen_harm(text: str) -> float | None:
    """Harm of a PolyPhen field, None when it holds neither a known prediction nor a score."""
    prediction, score = _scored(text)
    if prediction == "unknown":  # written as unknown(0), which is no score
        return None
    return _POLYPHEN.get(prediction) if score is None else score


def impact_harm(level: str) -> float | None:
    """Harm of an impact level, None when it is no level."""
    return _IMPACT.get(level.strip().upper())


def consequence_harm(terms: str) -> float | None:
    """Harm of Sequence Ontology terms joined by `&`; unknown terms count as MODIFIER, no term as None."""
    named = [term for term in terms.split("&") if term]
    return max((_IMPACT[_CONSEQUENCE.get(term, "MODIFIER")] for term in named), default=None)


class Annotator:
    """Reads the channels of a file whose annotation keys and field orders its header declares.

    Args:
        description: INFO key -> Description from the header, None where the key is absent.
    """

    def __init__(self, description: Callable[[str], str | None]) -> None:
        self._vep = {key: fields for key in ("CSQ", "vep") if (fields := _fields(description(key)))}
        self._ann = _fields(description("ANN"))
        self._eff = description("EFF") is not None

    def harm(self, record: Annotated, allele: int) -> Harm:
        """The channels of ALT number `allele` (1-based) of `record`."""
        worst = Harm()
        for key, fields in self._vep.items():
            for entry in _entries(record, key, fields, allele):
                impact = impact_harm(entry.get("impact", ""))
                if impact is None:
                    impact = consequence_harm(entry.get("consequence", ""))
                worst = worst.worst(
                    Harm(
                        sift_harm(entry.get("sift", "")) or NEUTRAL,
                        polyphen_harm(entry.get("polyphen", "")) or NEUTRAL,
                        impact or NEUTRAL,
                    )
                )
        for entry in _entries(record, "ANN", self._ann, allele):
            worst = worst.worst(Harm(impact=impact_harm(entry.get("annotation_impact", "")) or NEUTRAL))
        if self._eff:
            for effect in (record.info("EFF") or "").split(","):
                # MISSENSE(MODERATE|...): the level is the first field inside the parentheses.
                level = effect.partition("(")[2].partition("|")[0]
                worst = worst.worst(Harm(impact=impact_harm(level) or NEUTRAL))
        return worst


def _scored(text: str) -> tuple[str, float | None]:
    """(prediction without confidence, score in [0, 1] or None) of one SIFT or PolyPhen field."""
    # VEP joins several values of one transcript with '&'; the first one is that of the transcript.
    match = _SCORED.match(text.strip().partition("&")[0])
    if not match:
        return "", None
    prediction = match[1].lower().removesuffix("_low_confidence").strip("_")
    try:
        score = float(match[2]) if match[2] else None
    except ValueError:
        score = None
    return prediction, score if score is not None and 0.0 <= score <= 1.0 else None


def _fields(description: str | None) -> list[str]:
    """Lower-case field names from a header Description ('... Format: A|B|C', or quoted 'A | B | C')."""
    if not description or "|" not in description:
        return []
    listing = description.strip().strip('"').rpartition(":")[2]
    return [name.strip(" '\"").lower() for name in listing.split("|")]


def _entries(record: Annotated, key: str, fields: list[str], allele: int) -> Iterator[dict[str, str]]:
    """The transcripts of one ALT allele, as field -> value."""
    text = record.info(key) if fields else None
    if not text:
        return
    entries = [dict(zip(fields, entry.split("|"), strict=False)) for entry in text.split(",")]
    if len(record.alleles) > 2:
        if all(entry.get("allele_num") for entry in entries):
            entries = [entry for entry in entries if entry["allele_num"] == str(allele)]
        elif "allele" in fields:
            spellings = _vep_spellings(record.alleles, allele)
            entries = [entry for entry in entries if entry.get("allele", "").upper() in spellings]
    yield from entries


def _vep_spellings(alleles: tuple[str, ...], allele: int) -> set[str]:
    """How an annotator may write one ALT: as in the VCF, or without the first base that all alleles share."""
    alt = alleles[allele]
    spellings = {alt}
    if len({a[0] for a in alleles}) == 1 and len({len(a) for a in alleles}) > 1:
        spellings.add(alt[1:] or "-")
    return spellings
