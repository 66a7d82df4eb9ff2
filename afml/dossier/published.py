"""What a package was held against before it was published: by the ledger, and by the word that the package bears."""

from __future__ import annotations

from typing import Any

from afml.dossier.collector import Collector, slug

_UNIT = {"re-identification rate": ("share", "at most"), "utility ratio": ("", "at least")}
_GROUPS = "people", "at least"


def published(c: Collector, ledger: str, body: dict[str, Any]) -> None:
    """Statements of one entry of kind "publication", and of the file of its package where that is here."""
    index = body["index"]
    name, file = f"ledger.{ledger}.publication.{index}", f"publications/{ledger}-{index}.json"
    of = f"release of entry {body['release']}, run {body['run']}, as published"
    c.leaf(f"{name}.release", ledger, (index, "/release"), "", "entry of the release that was published")
    c.leaf(f"{name}.manifest", ledger, (index, "/manifest"), "", f"{of}: SHA-256 of its package's manifest")
    for which, words in (
        ("met", "targets that it was held against and met"),
        ("missed", "targets that it missed, which somebody accepted"),
    ):
        each = tuple(f"{name}.{which}.{place}" for place in range(1, len(body[which]) + 1))
        for place, one in enumerate(each):
            c.leaf(one, ledger, (index, f"/{which}/{place}"), "", f"{of}: one of the {words}")
        c.derived(f"{name}.{which}", "joined", each, "", f"{of}: {words}")
    word = c.document(file)
    if word is None:
        return
    c.file(f"{name}.made", file, "/made", "", f"{of}: when, by the package's own word")
    for place, verdict in enumerate(word["verdicts"]):
        unit, words = _UNIT.get(verdict["target"], _GROUPS)
        asked = f"{of}: {verdict['target']} asked, {words}"
        c.file(f"{name}.asked.{slug(verdict['target'])}", file, f"/verdicts/{place}/asked", unit, asked)
