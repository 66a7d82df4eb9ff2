"""What a consequence says of the length of the change: enough to tell ALTs apart that are spelled alike."""

from __future__ import annotations

from collections.abc import Mapping

from afml.genomics.annotations.harm import split_terms

_SAME_LENGTH = {"missense_variant", "missense", "synonymous_variant", "synonymous", "snv", "substitution"}
_LONGER = {"inframe_insertion", "disruptive_inframe_insertion", "conservative_inframe_insertion", "insertion"}
_SHORTER = {"inframe_deletion", "disruptive_inframe_deletion", "conservative_inframe_deletion", "deletion"}
_SHIFTED = {"frameshift_variant", "frameshift"}


def possible(entry: Mapping[str, str], ref: str, alt: str) -> bool:
    """Whether REF to ALT can have the consequence and the variant class that an entry states."""
    change = len(alt) - len(ref)
    stated = {*split_terms(entry.get("consequence", "")), *split_terms(entry.get("variant_class", ""))}
    return not (
        (stated & _SAME_LENGTH and change != 0)
        or (stated & _LONGER and change <= 0)
        or (stated & _SHORTER and change >= 0)
        or (stated & _SHIFTED and change % 3 == 0)
    )
