"""A dossier verified by an installed AFML: what the verifier in it does, and what needs the code that made it."""

from __future__ import annotations

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
    try:
        statements = Statements(map(Statement.from_json, found.json(STATEMENTS) or ()))
        made = collect(folder)
        odd = [name for name in {**made, **statements} if made.get(name) != statements.get(name)]
        where = ", ".join((STATEMENTS, *odd[:3], *(["..."] if odd[3:] else [])))
        found.require(not odd, "other-ground", where, "is not what this folder says, or another AFML wrote it")
        same = (folder / PAGE).is_file() and (folder / PAGE).read_bytes() == page(statements)
        found.require(same, "other-page", PAGE, "does not say what the statements say, or another AFML wrote it")
        for name, document in documents(fill_all(statements)).items():
            written = (folder / name).read_bytes() if (folder / name).is_file() else b""
            where = " ".join((name, *edited(written, document)))
            same = written == document
            found.require(same, "other-form", where, "does not say what the statements say, or another AFML wrote it")
    except (InputError, ValueError, TypeError, LookupError, OSError, AttributeError) as error:
        found.require(False, "other-page", PAGE, f"cannot be made again from the statements: {error}")
    return found
