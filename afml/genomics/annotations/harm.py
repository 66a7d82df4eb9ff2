"""From what an annotator writes of one transcript to the channels of a site.

    sift      1 - SIFT score        (Ng, Henikoff 2003; deleterious below 0.05)
    polyphen  PolyPhen-2 score      (Adzhubei et al. 2010; benign <= 0.446 < possibly <= 0.908 < probably)
    impact    MODIFIER 0, LOW 1/3, MODERATE 2/3, HIGH 1 (the levels of Ensembl VEP and snpEff)

VEP may write `deleterious(0.02)`, the prediction alone, or the score alone; dbNSFP writes lists of scores and
of letters, one for each transcript. A prediction alone stands for the middle of its score range. Of several
values the most severe counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NEUTRAL = 0.0
"""The value of a channel about which the annotator says nothing."""

# The middle of the score range that each prediction covers, as harm. The letters are dbNSFP's.
_SIFT = {"deleterious": 1 - 0.025, "tolerated": 1 - 0.525, "D": 1 - 0.025, "T": 1 - 0.525}
_POLYPHEN = {"probably_damaging": 0.954, "possibly_damaging": 0.677, "benign": 0.223}
_POLYPHEN |= {"D": 0.954, "P": 0.677, "B": 0.223}

_IMPACT = {"MODIFIER": 0.0, "LOW": 1 / 3, "MODERATE": 2 / 3, "HIGH": 1.0}

# Impact of Sequence Ontology terms, for annotators that give the consequence only (VEP before 77, bcftools csq,
# which also drops "_variant").
_TERMS = {
    "HIGH": """transcript_ablation splice_acceptor_variant splice_donor_variant stop_gained
        frameshift_variant stop_lost start_lost transcript_amplification feature_elongation
        feature_truncation exon_loss_variant rare_amino_acid_variant""",
    "MODERATE": """inframe_insertion inframe_deletion inframe_altering missense_variant protein_altering_variant
        disruptive_inframe_insertion disruptive_inframe_deletion conservative_inframe_insertion
        conservative_inframe_deletion""",
    "LOW": """splice_donor_5th_base_variant splice_region_variant splice_donor_region_variant
        splice_polypyrimidine_tract_variant incomplete_terminal_codon_variant initiator_codon_variant
        start_retained_variant start_retained stop_retained_variant stop_retained synonymous_variant
        5_prime_utr_premature_start_codon_gain_variant""",
}
_CONSEQUENCE = {term: level for level, terms in _TERMS.items() for term in terms.split()}

_SCORED = re.compile(r"^([A-Za-z][A-Za-z _-]*)?(?:\(([^()]*)\))?$")
_CONFIDENCE = re.compile(r"[ _-]*low[ _]confidence$")
_NUMBER = re.compile(r"^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_LISTED = re.compile(r"[&,;]")


@dataclass(frozen=True)
class Harm:
    """The annotation channels of one ALT allele, each in [0, 1]."""

    sift: float = NEUTRAL
    polyphen: float = NEUTRAL
    impact: float = NEUTRAL

    def worst(self, other: Harm) -> Harm:
        """The more severe of both, channel by channel."""
        return Harm(max(self.sift, other.sift), max(self.polyphen, other.polyphen), max(self.impact, other.impact))


def sift_harm(text: str) -> float | None:
    """Harm of a SIFT field or list, None when it holds neither a prediction nor a score."""
    return _worst(text, _SIFT, lambda score: 1.0 - score)


def polyphen_harm(text: str) -> float | None:
    """Harm of a PolyPhen field or list, None when it holds neither a known prediction nor a score."""
    return _worst(text, _POLYPHEN, lambda score: score)


def impact_harm(level: str) -> float | None:
    """Harm of an impact level, None when it is no level."""
    return _IMPACT.get(level.strip().upper())


def consequence_harm(terms: str) -> float | None:
    """Harm of Sequence Ontology terms joined by `&`; unknown terms count as MODIFIER, no term as None."""
    named = [term for term in split_terms(terms) if term != "."]
    return max((_IMPACT[_level(term)] for term in named), default=None)


def split_terms(terms: str) -> list[str]:
    """The terms of one transcript, in lower case; bcftools csq marks those after a stop with `*`."""
    return [term for term in re.split(r"[&+*, ]", terms.lower()) if term]


def _level(term: str) -> str:
    return _CONSEQUENCE.get(term) or _CONSEQUENCE.get(f"{term}_variant", "MODIFIER")


def _worst(text: str, predictions: dict[str, float], harm_of: Callable[[float], float]) -> float | None:
    found = [_one(value, predictions, harm_of) for value in _LISTED.split(text)]
    return max((value for value in found if value is not None), default=None)


def _one(text: str, predictions: dict[str, float], harm_of: Callable[[float], float]) -> float | None:
    """Harm of one value: `word(score)`, `word` or `score`; the score counts where there is one."""
    text = text.strip()
    score = _share(text)
    if score is not None:
        return harm_of(score)
    match = _SCORED.match(text)
    if not match:
        return None
    stated = (match[1] or "").strip()
    word = stated if len(stated) == 1 else re.sub(r"[ _-]+", "_", _CONFIDENCE.sub("", stated.lower()))
    if word == "unknown":  # written as unknown(0), which is no score
        return None
    score = _share(match[2] or "")
    return predictions.get(word) if score is None else harm_of(score)


def _share(text: str) -> float | None:
    """A number in [0, 1], or None."""
    number = float(text) if _NUMBER.match(text) else -1.0
    return number if 0.0 <= number <= 1.0 else None
