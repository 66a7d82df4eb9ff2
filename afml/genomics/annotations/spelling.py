"""Which ALT of a record an annotator means by the allele that it writes.

Annotators spell alleles by conventions of their own, and a record may have been split, merged or trimmed since:

    as in the VCF           snpEff; VEP where REF and the ALTs do not all begin with the same base
    without the anchor      VEP: the first base that REF and all ALTs share is left out, nothing left is `-`
    minimal                 VEP --minimal, older snpEff, records merged later: each ALT trimmed against REF alone

The convention that explains every allele of a record is taken, one that gives every ALT something first. Where
none does (`bcftools norm -m-` keeps the entries of all ALTs in the record of each), an allele may be an ALT when it
is that ALT with bases of REF around it. `*` and symbolic alleles are nobody's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

_GAP = "-"


def is_spelled(text: str) -> bool:
    """Whether an annotator's allele is one that can be compared: bases, or `-` for none."""
    return text == _GAP or (text.isalpha() and set(text) <= set("ACGTN"))


def read_allele(text: str) -> str:
    """An annotator's allele, upper case, without what snpEff adds: `A-C` (against C), `T-chr1:5_A>G` (with another)."""
    text = text.strip().upper()
    head, mark, _ = text.partition(_GAP)
    return head if mark and is_spelled(head) else text


def meanings(alleles: Sequence[str], texts: Collection[str], *, anchored: bool) -> dict[int, set[str]]:
    """The allele texts that may stand for each ALT.

    Args:
        alleles: REF, then every ALT.
        texts: The distinct spelled alleles of a record's entries.
        anchored: Whether the annotator leaves out the anchor base (VEP), or writes ALTs as they are (snpEff).

    Returns:
        ALT number (1-based) -> texts; several where they cannot be told apart, none where none fits.
    """
    ref = alleles[0]
    alts = {number: alt for number, alt in enumerate(alleles) if number and alt.isalpha()}
    conventions = [dict(alts), _without_anchor(ref, alts), _minimal(ref, alts)]
    if anchored:
        conventions[:2] = conventions[1::-1]
    fitting = [one for one in conventions if set(texts) <= set(one.values())]
    complete = [one for one in fitting if set(one.values()) <= set(texts)]
    for one in (*complete, *fitting):
        return {number: {spelled} & set(texts) for number, spelled in one.items()}
    return _mixed(conventions, texts) or {
        number: {text for text in texts if _may_be(ref, alt, text, texts)} for number, alt in alts.items()
    }


def _without_anchor(ref: str, alts: dict[int, str]) -> dict[int, str]:
    """As VEP's reader of VCF does, for all ALTs together."""
    lengths = {len(ref), *(len(alt) for alt in alts.values())}
    if len(lengths) == 1 or any(alt[0] != ref[0] for alt in alts.values()):
        return dict(alts)
    return {number: alt[1:] or _GAP for number, alt in alts.items()}


def _minimal(ref: str, alts: dict[int, str]) -> dict[int, str]:
    return {number: _core(ref, alt)[1] or _GAP for number, alt in alts.items()}


def _mixed(conventions: list[dict[int, str]], texts: Collection[str]) -> dict[int, set[str]] | None:
    """Each text by whatever convention fits it; None where some text is left over, or two are one ALT's."""
    may = {
        text: {number for one in conventions for number, spelled in one.items() if spelled == text} for text in texts
    }
    settled: set[str] = set()
    while single := next((text for text in may if len(may[text]) == 1 and text not in settled), None):
        settled.add(single)
        for text in may:
            if text != single:
                may[text] = may[text] - may[single]
    if not all(may.values()):
        return None
    return {number: {text for text in texts if number in may[text]} for number in conventions[0]}


def _may_be(ref: str, alt: str, text: str, texts: Collection[str]) -> bool:
    """Whether `text` is this ALT inside a longer REF, which then is none of `texts`."""
    if text == alt:
        return True
    bases = "" if text == _GAP else text
    others = {"" if other == _GAP else other for other in texts}
    for removed, added in (_core(ref, alt), _core(ref, alt, suffix_first=True)):
        for start in range(len(bases) - len(added) + 1):
            stop = start + len(added)
            if bases[start:stop] == added and bases[:start] + removed + bases[stop:] not in others:
                return True
    return False


def _core(ref: str, alt: str, *, suffix_first: bool = False) -> tuple[str, str]:
    """What is removed and what is added: REF and ALT without the bases that they share at either end."""
    for suffix in (suffix_first, not suffix_first):
        while ref and alt and ref[-1 if suffix else 0] == alt[-1 if suffix else 0]:
            ref, alt = (ref[:-1], alt[:-1]) if suffix else (ref[1:], alt[1:])
    return ref, alt
