"""A dossier verified by an installed AFML: what the verifier in it does, and what needs the code that made it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.dossier.build import VERIFIER, own_verifier
from afml.dossier.facts import collect
from afml.dossier.forms.fill import fill_all
from afml.dossier.forms.output import documents, edited
from afml.dossier.page import PAGE, page
from afml.dossier.standalone import MANIFEST, STATEMENTS, Check, sha256
from afml.dossier.statements import Statement, Statements

#: What a dossier may hold beside its forms. Whatever else somebody signs with it passes for a part of it.
_PARTS = re.compile(
    r"(roster|run)\.(json|sig)|(accounting|details|model|proofs|report|sbom|software|statements|verification)\.json"
    r"|manifest\.sha256|history\.jsonl|dossier\.(html|pdf)|verify\.py|transcripts/\d+\.jsonl|publications/\w+-\d+\.json"
    r"|ledgers/\w+/(entries\.jsonl|head\.txt|kept/\d+\.txt)",
    re.ASCII,
)


def verified(folder: Path, roster: Path | None = None) -> Check:
    """Verify the dossier in `folder`.

    Args:
        folder: It.
        roster: The roster as the institutions tell it; None: not compared.

    Raises:
        InputError: There is no dossier, or no such roster.
    """
    require_file(folder / MANIFEST, "dossier", "name the folder that `afml audit dossier` wrote")
    pinned = None if roster is None else sha256(require_file(roster, "roster").read_bytes())
    found = Check(folder, pinned).run()
    # Somebody may run the verifier in the dossier, and most people read the page alone.
    carried = folder / VERIFIER
    same = carried.is_file() and carried.read_bytes() == own_verifier()
    found.require(same, "other-verifier", VERIFIER, "is not the verifier of the AFML that is installed here")
    for name in sorted(found.listed):
        once = not name.endswith((".json", ".jsonl")) or _keys_once((folder / name).read_bytes().split(b"\n"))
        found.require(once, "changed-file", name, "has a key twice: others may read another value than is checked here")
    try:
        statements = Statements(map(Statement.from_json, found.json(STATEMENTS) or ()))
        made = collect(folder)
        odd = [name for name in {**made, **statements} if made.get(name) != statements.get(name)]
        where = ", ".join((STATEMENTS, *odd[:3], *(["..."] if odd[3:] else [])))
        found.require(not odd, "other-ground", where, "is not what this folder says, or another AFML wrote it")
        same = (folder / PAGE).is_file() and (folder / PAGE).read_bytes() == page(statements)
        found.require(same, "other-page", PAGE, "does not say what the statements say, or another AFML wrote it")
        forms = documents(fill_all(statements))
        for name in sorted(one for one in found.listed - {*forms} if not _PARTS.fullmatch(one)):
            found.require(False, "added-file", name, "is signed with the dossier and no part of one")
        for name, document in forms.items():
            written = (folder / name).read_bytes() if (folder / name).is_file() else b""
            where = " ".join((name, *edited(written, document)))
            same = written == document
            found.require(same, "other-form", where, "does not say what the statements say, or another AFML wrote it")
    except (InputError, ValueError, TypeError, LookupError, OSError, AttributeError, ArithmeticError) as error:
        found.require(False, "other-page", PAGE, f"cannot be made again from the statements: {error}")
    return found


class _Twice(ValueError):
    """A key stands twice in an object."""


def _keys_once(lines: Sequence[bytes]) -> bool:
    """Whether no object in a file of JSON, or of JSON lines, has a key twice."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise _Twice
        return dict(pairs)

    for text in (*lines, b"\n".join(lines)):
        try:
            json.loads(text, object_pairs_hook=once)
        except _Twice:
            return False
        except (ValueError, RecursionError):
            continue  # no JSON, which is found where it is read; a line of a file of several lines
    return True
