"""The field lists that annotators declare in the Description of their INFO key.

VEP writes `... from Ensembl VEP. Format: Allele|Consequence|...`, snpEff `... : 'Allele | Annotation | ... '`,
snpEff before 4.1 `... Format: 'Effect ( Effect_Impact | ... [ | ERRORS ] )'`, bcftools csq
`... Format: [*]Consequence|gene|...`. People add text before and after.
"""

from __future__ import annotations

import re

_FORMAT = re.compile(r"format\s*:", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*\|[^']*)'")
# One field name: a word, or words joined by '/' with spaces around ("cDNA.pos / cDNA.length").
_NAME = re.compile(r"\s*([^\s|,;'\"()\[\]/]+(?:\s*/\s*[^\s|,;'\"()\[\]/]+)*)")
_FIRST = re.compile(r"[^\s:'\"\[\]()*]+$")

#: What annotators call the same thing.
_ALIASES = {
    "annotation_impact": "impact",
    "effect_impact": "impact",
    "annotation": "consequence",
    "genotype_number": "allele_num",
    "genotype": "allele_num",
    "polyphen2": "polyphen",
}


def field_names(description: str | None) -> list[str]:
    """Lower-case field names of a Description, under one name each; empty where it declares none."""
    if not description or "|" not in description:
        return []
    text = description.strip().strip('"')
    if named := _FORMAT.search(text):
        text = text[named.end() :]
    if quoted := _QUOTED.search(text):
        return [plain_name(name) for name in quoted[1].split("|")]
    return _run(text)


def effect_fields(description: str | None) -> list[str] | None:
    """Field names inside the parentheses of snpEff's EFF, None where the header lacks the key."""
    if description is None:
        return None
    inside = description.partition("(")[2]
    return [plain_name(name) for name in re.split(r"[|\[\])]", inside) if name.strip(" '\".")]


def _run(text: str) -> list[str]:
    """The names of an unquoted list; it ends where something follows a name that is neither space nor '|'."""
    before, _, rest = text.partition("|")
    first = _FIRST.search(before.rstrip())  # what stands before it is prose
    names = [plain_name(first[0]) if first else ""]
    while True:
        match = _NAME.match(rest)
        names.append(plain_name(match[1]) if match else "")
        after = rest[match.end() if match else 0 :].lstrip()
        if not after.startswith("|") or (match and match[1].endswith(".")):
            return names
        rest = after[1:]


def plain_name(name: str) -> str:
    """A field name as this package calls it, lower case."""
    name = name.strip(" '\".").removeprefix("[*]").lower()
    return _ALIASES.get(name, name)
