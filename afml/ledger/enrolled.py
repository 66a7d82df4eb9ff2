"""Who took part in a run, as the ledger has it: for whoever has to know whom a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError, IntegrityError
from afml.ledger.people import People, load_key
from afml.ledger.snapshot import readable

_ENROLMENTS = (
    "SELECT DISTINCT enrolment, commitment FROM entries JOIN enrolments USING (enrolment) "
    "WHERE kind IN ('spend', 'reservation') AND run = ?"
)


def took_part(folder: Path, run: str) -> bool:
    """Whether people of this ledger were reserved for a run or spent on it.

    Raises:
        InputError: There is no ledger.
        IntegrityError: It cannot be read.
    """
    with readable(folder) as database:
        return database.execute(_ENROLMENTS, (run,)).fetchone() is not None


def enrolled_in(folder: Path, run: str, people: Sequence[str]) -> NDArray[np.bool_]:
    """Which of these people a run was entered for: whoever it was reserved for or spent on, withdrawn since or not.

    A person who was renamed, and whom the ledger has recognised, counts by either name. The members of an enrolment
    stand outside the tree of entries; they are held against the commitment that stands in it.

    Args:
        folder: The ledger's; only read.
        run: Name of the run.
        people: Ids of people, in any order.

    Returns:
        bool [people].

    Raises:
        InputError: There is no ledger, its person key is missing, or the run is not in it.
        IntegrityError: It cannot be read, or its members of an enrolment are not those that it committed to.
    """
    with readable(folder) as database:
        known = People(database, load_key(folder, create=False))
        members: set[bytes] = set()
        enrolments = database.execute(_ENROLMENTS, (run,)).fetchall()
        for number, commitment in enrolments:
            rows = database.execute("SELECT person FROM enrolled WHERE enrolment = ?", (number,))
            tokens = [bytes(row[0]) for row in rows]
            if known.commitment(tokens) != commitment:
                problem = f"the people of run {run} are not those that its entries commit to"
                raise IntegrityError(problem, where=folder, cure="run `afml audit verify`")
            members.update(known.account(token) for token in tokens)
        if not enrolments:
            cure = "name the folder of the institution's one ledger (--ledger)"
            raise InputError(f"knows nothing of run {run}", where=folder, cure=cure)
        return np.array([known.token(person) in members for person in people], dtype=np.bool_)
