"""One folder for a consortium's ethics board: every institution's dossier as it came, and what they say side by side.

    packs/NAME/...   each dossier, byte for byte
    merged.json      who is here and who is not, agreements counted, disagreements with both sides, a row an institution
    merged.html      the same to be read

merged.json and the page are functions of the dossiers alone, so whoever has the folder makes them again and compares.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afml.core.config import canonical_json
from afml.core.errors import AfmlError, InputError
from afml.core.files import require_file, staged_folder
from afml.dossier.compared import KINDS, compare, runs_of
from afml.dossier.institutions import institutions, missing, together, unvouched
from afml.dossier.packs import Pack, name_of, read_pack, require_pack, require_together
from afml.dossier.page import environment, short
from afml.dossier.standalone import Check, sha256
from afml.dossier.verified import verified

MERGED, PAGE, PACKS = "merged.json", "merged.html", "packs"
FORMAT = 1
_OF_ITS_MAKERS = ("other-verifier", "other-page", "other-form")
"""What a dossier of another version of AFML shows, too: its page and verifier are not those that are installed."""


def merge(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Lay dossiers of one consortium side by side in `out`, whole or not at all; what merged.json says.

    Args:
        folders: The dossiers, two or more.
        out: A new folder.

    Raises:
        InputError: One is no dossier, is given twice, is of another consortium or run, or must stay with its
            institution; or `out` is there.
        IntegrityError: One does not verify, or two hold two histories of one ledger.
    """
    if len(folders) < 2:
        raise InputError("is one dossier alone", where=folders[0] if folders else "", cure="name two or more")
    if out.exists():
        raise InputError("is there already", where=out, cure="name a new folder with --out")
    if len({require_pack(folder).resolve() for folder in folders}) < len(folders):
        raise InputError("names one folder twice", where="DOSSIER", cure="name each once")
    ordered = sorted(folders, key=lambda folder: (name_of(folder), sha256((folder / "dossier.json").read_bytes())))
    with staged_folder(out, replace=False) as staged:
        used, packs = Counter[str](), []
        for folder in ordered:
            used[name := name_of(folder)] += 1
            name += f"-{used[name]}" if used[name] > 1 else ""
            shutil.copytree(folder, staged / PACKS / name)
            packs.append(read_pack(staged / PACKS / name, name, folder))
        require_together(packs, ordered)
        made = document(packs)
        (staged / MERGED).write_bytes(_bytes(made))
        (staged / PAGE).write_bytes(page(made))
    return made


def is_merged(folder: Path) -> bool:
    """Whether a folder is one that `merge` wrote."""
    return (folder / MERGED).is_file()


def document(packs: Sequence[Pack]) -> dict[str, Any]:
    """What merged.json says of some packs."""
    packs = sorted(packs, key=lambda pack: pack.name)
    found = compare(packs)
    agreed = Counter(one.kind for one in found if one.agrees)
    rows = institutions(packs)
    made = {
        "format": FORMAT,
        "consortium": packs[0].check.roster["consortium"],
        "runs": sorted(runs_of(packs)),
        "packs": [
            {
                "name": pack.name, "sha256": pack.digest, "signed": pack.check.sealed,
                "statements": len(pack.statements), "run": pack.statements.value("run.name"),
                "ledgers": [ledger.owner for ledger in pack.check.ledgers.values()],
            }
            for pack in packs
        ],
        "institutions": rows,
        "missing": missing(packs),
        "agreements": {kind: agreed[kind] for kind in KINDS if agreed[kind]},
        "disagreements": [
            {"kind": one.kind, "about": one.about, "words": one.words, "said": [side.to_json() for side in one.said]}
            for one in found
            if not one.agrees
        ],
        "unvouched": unvouched(packs),
        "together": together(packs, rows),
    }  # fmt: skip
    parsed: dict[str, Any] = json.loads(_bytes(made))  # as whoever reads it has it
    return parsed


def page(made: dict[str, Any]) -> bytes:
    """merged.html: a function of merged.json."""
    return environment().get_template("merged.html.j2").render(m=made, kinds=KINDS).encode()


def verified_merged(folder: Path, roster: Path | None = None) -> Check:
    """Verify the dossiers in a merged folder, and make its comparison and its page again.

    Args:
        folder: It.
        roster: The roster as the institutions tell it; None: not compared.

    Raises:
        InputError: There is no such folder, or no such roster.
    """
    written = require_file(folder / MERGED, "merged dossier").read_bytes()
    result, packs = Check(folder), list[Pack]()
    places = sorted((place for place in (folder / PACKS).glob("*") if place.is_dir()), key=lambda place: place.name)
    for place in places:
        found, name = verified(place, roster), f"{PACKS}/{place.name}"
        for one in found.findings:
            if one.code in _OF_ITS_MAKERS:
                result.unchecked.append(f"{name}: {one.where} {one.problem}")
            else:
                result.require(False, one.code, f"{name}: {one.where}", one.problem)
        result.checked.append(f"{name}: {len(found.said)} statements, {found.sealed}")
    if result.findings:
        return result
    try:
        packs = [read_pack(place, place.name, place) for place in places]
        if result.require(len(packs) > 1, "missing-file", PACKS, "holds fewer than two dossiers"):
            require_together(packs, places)
            _made_again(result, folder, written, document(packs))
    except AfmlError as error:
        result.require(False, "not-together", PACKS, str(error))
    others = {path for path in folder.rglob("*") if path.is_file() and folder / PACKS not in path.parents}
    for path in sorted(others - {folder / MERGED, folder / PAGE}):
        result.require(False, "added-file", path.relative_to(folder).as_posix(), "is no part of a merged dossier")
    return result


def _made_again(result: Check, folder: Path, written: bytes, made: dict[str, Any]) -> None:
    for where in edited(written, made):
        result.require(False, "changed-comparison", f"{MERGED}, {where}", "is not what the dossiers in it say")
    same = (folder / PAGE).is_file() and (folder / PAGE).read_bytes() == page(made)
    result.require(same, "other-page", PAGE, f"does not say what {MERGED} says, or another AFML wrote it")
    told = f"{sum(made['agreements'].values())} agreements and {len(made['disagreements'])} disagreements of "
    result.checked.append(f"{told}{len(made['packs'])} dossiers, made again")


def edited(written: bytes, made: dict[str, Any]) -> list[str]:
    """Which parts of a merged.json are not what they were made as."""
    if written == _bytes(made):
        return []
    try:
        found = json.loads(written)
        parts = [name for name in sorted({*found, *made}) if found.get(name) != made.get(name)]
    except (ValueError, TypeError, AttributeError):
        return ["which is no JSON object"]
    return parts or ["its form"]


def told(made: dict[str, Any]) -> list[str]:
    """What was found, for the terminal: who is missing, and each disagreement with its sides."""
    lines = [f"{sum(made['agreements'].values())} agreements: {_counted(made['agreements'])}"]
    lines += [f"missing: {one['name']} (node {one['node']}) {one['problem']}" for one in made["missing"]]
    for one in made["unvouched"]:
        lines.append(f"not vouched for: {one['told']}")
    for one in made["disagreements"]:
        who: dict[str, list[str]] = {}
        for side in one["said"]:
            who.setdefault(_brief(short(side["value"])), []).append(side["pack"])
        sides = "; ".join(f"{value} ({', '.join(dict.fromkeys(packs))})" for value, packs in who.items())
        lines.append(f"disagreement, {one['kind']}, {one['about']}: {sides}")
    return [*lines, f"{len(made['disagreements'])} disagreements"]


def _brief(value: str) -> str:
    """A digest by its first digits."""
    return value[:16] if re.fullmatch(r"[0-9a-f]{64}", value) else value


def _counted(agreements: dict[str, int]) -> str:
    return ", ".join(f"{count} of {kind}" for kind, count in agreements.items()) or "none"


def _bytes(made: dict[str, Any]) -> bytes:
    return canonical_json(made) + b"\n"
