"""Verifier: simulations bound nothing, and their people are in no real run."""

from __future__ import annotations

from afml.ledger.verify_spends import Copy


def check_simulations(copy: Copy) -> None:
    """Claims of simulations hold no number; nobody of one has a real spend."""
    enrolment_of = dict(copy.database.execute("SELECT idx, enrolment FROM entries WHERE kind = 'spend'"))
    marks: dict[object, set[bool]] = {}
    runs: dict[object, set[bool]] = {}
    count = 0
    for position, body in copy.spends:
        insecure = body.get("insecure") is True
        count += insecure
        runs.setdefault(body.get("run"), set()).add(insecure)
        marks.setdefault(enrolment_of.get(position), set()).add(insecure)
        claim = body.get("claim")
        if insecure and isinstance(claim, dict) and (claim.get("epsilon"), claim.get("ple_sigma")) != (None, None):
            copy.result.add("accounting-disagrees", f"entry {position}", "a simulation states a privacy loss")
        if not insecure and isinstance(claim, dict) and claim.get("ple_sigma") is None:
            copy.result.add("accounting-disagrees", f"entry {position}", "a real spend states no privacy loss")
    if not count:
        return
    for run, found in runs.items():
        if len(found) > 1:
            copy.result.add("mixed-simulation", f"run {run}", "some of its spends are marked insecure, others are not")
    sides: dict[bytes, set[bool]] = {}
    for person, enrolment in copy.database.execute("SELECT person, enrolment FROM enrolled"):
        sides.setdefault(person, set()).update(marks.get(enrolment, ()))
    if mixed := sum(len(found) > 1 for found in sides.values()):
        copy.result.add("mixed-simulation", "people", f"{mixed} of a simulation have spends in real runs too")
    copy.result.checked.append(f"{count} spends of simulations: they state no privacy loss, and their people no other")
