"""Verifier, fifth part: releases and what was found of them later, against the table of who shows what.

Joint groups are counted again here, by listing for everybody what every file shows of them.
"""

from __future__ import annotations

import hmac
from collections import Counter as Tally
from collections import defaultdict

from afml.ledger.verify_records import renamed
from afml.ledger.verify_spends import Copy

Files = dict[int, dict[bytes, int]]
PROMISES = ("joint groups", "group size", "target RR")
_ROUNDED = 1e-6


def check_released(copy: Copy, person_key: bytes | None) -> dict[int, set[bytes]]:
    """The released against the entries; position of a release -> its people.

    Args:
        copy: The ledger.
        person_key: The institution's, where the auditor has it.
    """
    released: Files = defaultdict(dict)
    for person, index, pattern in copy.database.execute("SELECT person, idx, pattern FROM released ORDER BY 1, 2"):
        released[index][person] = pattern
    entries = {i: body for i, body in enumerate(copy.bodies) if body.get("kind") == "release"}
    for index in sorted(released.keys() | entries.keys()):
        body, rows = entries.get(index, {}), released.get(index, {})
        # Of nobody there is no joint group to count, nor anything to release.
        wrong = not rows or (len(rows), len(set(rows.values()))) != (body.get("people"), body.get("patterns"))
        if not wrong and person_key is not None:
            shown = sorted(person + pattern.to_bytes(4, "big") for person, pattern in rows.items())
            made = hmac.digest(person_key, b"released\x00" + b"".join(shown), "sha256")
            wrong = made.hex() != body.get("assignment")
        if wrong:
            others = "other people, or other patterns of theirs, are listed than were released"
            problem = others if rows else "nobody is listed who would be in it"
            copy.result.add("edited-release", f"entry {index}", problem)
        else:
            _check_joint(copy, index, released)
    copy.result.checked.append(f"{len(entries)} releases against the people they are about, and their joint groups")
    _check_reassessments(copy, released, entries)
    _check_publications(copy, entries)
    return {index: set(rows) for index, rows in released.items()}


def _check_joint(copy: Copy, index: int, released: Files) -> None:
    """The groups that a release made together with those before it."""
    smallest, promised = _joint(copy, index, released, index + 1)
    if smallest != copy.bodies[index].get("smallest_joint_group"):
        problem = f"its smallest joint group has {smallest} people, and it says another number"
        copy.result.add("wrong-joint-group", f"entry {index}", problem)
    if smallest < promised:
        problem = f"it made a joint group of {smallest} people, of whom some were promised {promised}"
        copy.result.add("small-joint-group", f"entry {index}", problem)


def _check_reassessments(copy: Copy, released: Files, entries: dict[int, dict[str, object]]) -> None:
    """What they say of groups is what the tables say as of then, and a promise that is broken is named."""
    found = [(i, body) for i, body in enumerate(copy.bodies) if body.get("kind") == "reassessment"]
    for index, body in found:
        release = body.get("release")
        of = entries.get(release, {}) if isinstance(release, int) and release < index else {}
        if not isinstance(release, int) or not of or of.get("run") != body.get("run"):
            copy.result.add("wrong-reassessment", f"entry {index}", "is about no release before it")
            continue
        if not released.get(release):
            continue  # the release's own finding says it
        smallest, promised = _joint(copy, release, released, index)
        attacked, rr, target = (body.get(name) for name in ("attacked", "rr", "target_rr"))
        if not isinstance(attacked, int) or not 0 < attacked <= _number(of, "people"):
            copy.result.add("wrong-reassessment", f"entry {index}", "attacked other records than there are")
            continue
        bound = min(1.0, _number(of, "patterns") / attacked)
        told = (body.get("smallest_joint_group"), body.get("promised"), body.get("rr_bound"), body.get("insecure"))
        if told != (smallest, promised, round(bound, 6), of.get("insecure")):
            copy.result.add("wrong-reassessment", f"entry {index}", "tells other groups than the tables have")
            continue
        rate = float(str(rr)) if isinstance(rr, int | float) else 1.0
        most = float(str(target)) if isinstance(target, int | float) else 1.0
        missed = (smallest < promised, rate > bound + _ROUNDED, rate > most + _ROUNDED)
        if body.get("broken") != [name for name, one in zip(PROMISES, missed, strict=True) if one]:
            copy.result.add("wrong-reassessment", f"entry {index}", "says of a promise what its figures do not")
    copy.result.checked.append(f"{len(found)} reassessments against the releases they are about")


def _check_publications(copy: Copy, entries: dict[int, dict[str, object]]) -> None:
    """Each is of a release before it, and no target is both met and missed."""
    found = [(i, body) for i, body in enumerate(copy.bodies) if body.get("kind") == "publication"]
    for index, body in found:
        release, met, missed = (body.get(name) for name in ("release", "met", "missed"))
        of = entries.get(release, {}) if isinstance(release, int) and release < index else {}
        if not of or (of.get("run"), of.get("insecure")) != (body.get("run"), body.get("insecure")):
            copy.result.add("wrong-publication", f"entry {index}", "is of no release before it")
        elif not isinstance(met, list) or not isinstance(missed, list) or set(map(str, met)) & set(map(str, missed)):
            copy.result.add("wrong-publication", f"entry {index}", "says of a target that it was met and missed")
    copy.result.checked.append(f"{len(found)} publications against the releases that they are of")


def _joint(copy: Copy, own: int, released: Files, before: int) -> tuple[int, int]:
    """The smallest group that the people of a release, and whoever it parts from them, are in: (people, promised).

    Args:
        copy: The ledger.
        own: The release.
        released: Who shows what in each.
        before: Only releases and renamings before this entry count.
    """
    same = renamed(copy.database, before)
    known = [i for i in sorted(released) if i < before and copy.bodies[i].get("kind") == "release"]
    told: dict[bytes, dict[int, int]] = defaultdict(dict)
    for index in known:
        for person, pattern in released[index].items():
            told[same.get(person, person)][index] = pattern
    lines = {person: tuple(shown.get(index) for index in known) for person, shown in told.items()}
    at = known.index(own)
    touched = {line[:at] + line[at + 1 :] for line in lines.values() if line[at] is not None}
    sizes = Tally(line for line in lines.values() if line[:at] + line[at + 1 :] in touched)
    promise = [_number(copy.bodies[index], "min_group_size") for index in known]
    kept = [
        (people, max(k for k, shown in zip(promise, line, strict=True) if shown is not None))
        for line, people in sizes.items()
    ]
    return min(kept, key=lambda one: (one[0] >= one[1], *one))


def _number(body: dict[str, object], name: str) -> int:
    """A whole number of an entry; 0 where there is none, which other findings say."""
    value = body.get(name)
    return value if isinstance(value, int) else 0
