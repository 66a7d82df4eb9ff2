"""Verifier, second half: spends against each other, the transcript, the people tables and the accountant."""

from __future__ import annotations

import functools
import hmac
import sqlite3
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from afml.ledger import independent
from afml.ledger.findings import Agreement, Verification
from afml.ledger.transcript import PublishedRound

AGREEMENT = 0.02
CLOCK_MARGIN_MS = 600_000


@dataclass(frozen=True)
class Copy:
    """A ledger being verified.

    Attributes:
        database: A scratch copy.
        result: Takes the findings.
        bodies: Parsed entries in stored order, {} where unreadable.
        leaves: Recomputed leaf hashes.
    """

    database: sqlite3.Connection
    result: Verification
    bodies: list[dict[str, object]]
    leaves: list[bytes]

    @property
    def node(self) -> int:
        """Node number in the ledger's name; -1 if it has none."""
        tail = self.result.origin.rpartition("node-")[2]
        return int(tail) if tail.isdecimal() else -1

    @functools.cached_property
    def spends(self) -> list[tuple[int, dict[str, object]]]:
        """(position, body) of every spend."""
        return [(i, body) for i, body in enumerate(self.bodies) if body.get("kind") == "spend"]


def check_repeats(copy: Copy) -> None:
    """One entry per attempt."""
    seen: dict[tuple[object, ...], int] = {}
    for position, body in copy.spends:
        attempt = (body.get("run"), body.get("round"), body.get("attempt"))
        if attempt in seen:
            copy.result.add("duplicated-event", f"entry {position}", f"repeats entry {seen[attempt]}")
        seen.setdefault(attempt, position)


def check_transcript(copy: Copy, transcript: Sequence[PublishedRound], node: int) -> None:
    """What the aggregator published against what this node says it spent."""
    spends = {(b.get("run"), b.get("round"), b.get("attempt")): (i, b) for i, b in copy.spends}
    runs = {run for run, _, _ in spends}
    used: dict[int, str] = {}
    count = 0
    for r in transcript:
        where = f"run {r.run}, round {r.round}, attempt {r.attempt}"
        if len(set(r.cohort)) < r.quorum:
            copy.result.add("quorum-broken", where, f"{len(set(r.cohort))} nodes, quorum {r.quorum}")
        if node not in r.cohort:
            continue
        count += 1
        _check_receipt(copy, r, node, where, used)
        if (found := spends.get((r.run, r.round, r.attempt))) is None:
            code = "hidden-round" if r.run in runs else "hidden-run"
            copy.result.add(code, where, "was published, and is not in this node's ledger")
            continue
        _compare(copy, r, *found, where)
    if transcript:
        copy.result.checked.append(f"{count} published rounds of this node against its ledger")


def _check_receipt(copy: Copy, r: PublishedRound, node: int, where: str, used: dict[int, str]) -> None:
    receipt = r.receipts.get(node)
    if receipt is None or receipt.index >= len(copy.bodies):
        return  # a receipt past the end shows as rolled-back
    body = copy.bodies[receipt.index]
    if receipt.index in used:
        problem = f"entry {receipt.index} already paid for {used[receipt.index]}"
        copy.result.add("replayed-receipt", where, problem)
    elif (body.get("run"), body.get("round"), body.get("attempt")) != (r.run, r.round, r.attempt):
        copy.result.add("replayed-receipt", where, f"entry {receipt.index} is a spend of something else")
    if copy.leaves[receipt.index].hex() != receipt.leaf:
        copy.result.add("edited-row", f"entry {receipt.index}", f"is not the entry that paid for {where}")
    used.setdefault(receipt.index, where)


def _compare(copy: Copy, r: PublishedRound, position: int, body: dict[str, object], where: str) -> None:
    mechanism = body.get("mechanism")
    fields = mechanism if isinstance(mechanism, dict) else {}
    if fields.get("noise_multiplier") != r.noise_multiplier:
        problem = f"accounted {fields.get('noise_multiplier')}, published {r.noise_multiplier}"
        copy.result.add("changed-noise-multiplier", f"entry {position}, {where}", problem)
    pairs = {
        "sample rate": (fields.get("sample_rate", 1.0), r.sample_rate),
        "configuration": (body.get("config_digest"), r.config_digest),
        "cohort": (body.get("cohort"), list(r.cohort)),
        "phase": (body.get("phase"), r.phase),
        "noise mode": (body.get("noise"), r.noise),
        "clip norm": (body.get("clip_norm"), r.clip_norm),
    }
    for name, (mine, published) in pairs.items():
        if mine != published:
            problem = f"{name}: {mine}, published {published}"
            copy.result.add("changed-spend", f"entry {position}, {where}", problem)
    spent_ms = body.get("time_ms")
    if isinstance(spent_ms, int) and spent_ms > r.time_ms + CLOCK_MARGIN_MS:
        problem = f"spent {(spent_ms - r.time_ms) / 1000:.0f} s after it was published"
        copy.result.add("clock-set-back", f"entry {position}, {where}", problem)


def check_people(copy: Copy, person_key: bytes | None) -> None:
    """Tables of people against the commitments in the entries; needs the node's own key."""
    if person_key is None:
        return
    members: dict[int, list[bytes]] = {}
    for person, enrolment in copy.database.execute("SELECT person, enrolment FROM enrolled"):
        members.setdefault(enrolment, []).append(person)
    numbers = {row[0]: row[1] for row in copy.database.execute("SELECT idx, enrolment FROM entries")}
    good: dict[int, str] = {}
    for enrolment, people in members.items():
        message = b"enrolment\x00" + b"".join(sorted(people))
        good[enrolment] = hmac.digest(person_key, message, "sha256").hex()
    for position, body in copy.spends:
        enrolment = numbers.get(position, -1)
        if good.get(enrolment) != body.get("enrolment") or len(members[enrolment]) != body.get("people"):
            problem = "other people are listed than were enrolled"
            copy.result.add("edited-enrolment", f"entry {position}", problem)
    copy.result.checked.append(f"{len(members)} enrolments against their commitments")


def check_accounting(copy: Copy) -> None:
    """The last recorded spend of each run and enrolment, recomputed by the second accountant."""
    last: dict[tuple[object, object], int] = {}
    for position, body in copy.spends:
        if body.get("claim"):
            last[body.get("run"), body.get("enrolment")] = position
    wanted = set(last.values())
    histories = _histories(copy)
    counts: dict[str, Tally[tuple[float, float]]] = {}
    for position, body in copy.spends:
        enrolment, mechanism = str(body.get("enrolment")), body.get("mechanism")
        if isinstance(mechanism, dict):
            rate, steps = float(mechanism.get("sample_rate", 1.0)), int(mechanism.get("steps", 1))
            tally = counts.setdefault(enrolment, Tally())
            tally[rate, float(mechanism.get("noise_multiplier", 0.0))] += steps
        if position in wanted:
            _recompute(copy, position, body, histories.get(enrolment, {frozenset([enrolment])}), counts)
    if wanted:
        copy.result.checked.append(f"{len(wanted)} recorded spends with dp-accounting")
    for position, body in enumerate(copy.bodies):
        if body.get("kind") == "audit":
            _check_audit(copy, position, body)


def _check_audit(copy: Copy, position: int, body: dict[str, object]) -> None:
    bounds = [a.ple_sigma_recomputed for a in copy.result.agreements if a.run == body.get("run")]
    lower = float(str(body.get("mu_lower")))
    if bounds and lower > max(bounds) * (1 + AGREEMENT):
        problem = f"at least {lower:.3f} sigma by attack, {max(bounds):.3f} accounted"
        copy.result.add("audit-exceeds-accounting", f"entry {position}, run {body.get('run')}", problem)


def _histories(copy: Copy) -> dict[str, set[frozenset[str]]]:
    """enrolment -> the different sets of enrolments its people have been in, by commitment."""
    query = "SELECT enrolment, commitment FROM enrolments"
    names = {row[0]: row[1].hex() for row in copy.database.execute(query)}
    by_person: dict[bytes, set[str]] = {}
    for person, enrolment in copy.database.execute("SELECT person, enrolment FROM enrolled"):
        by_person.setdefault(person, set()).add(names[enrolment])
    found: dict[str, set[frozenset[str]]] = {}
    for history in {frozenset(history) for history in by_person.values()}:
        for enrolment in history:
            found.setdefault(enrolment, set()).add(history)
    return found


def _recompute(
    copy: Copy,
    position: int,
    body: dict[str, object],
    histories: set[frozenset[str]],
    counts: Mapping[str, Tally[tuple[float, float]]],
) -> None:
    claim, budget = body.get("claim"), body.get("budget")
    if not isinstance(claim, dict):
        return
    totals = set()
    for history in histories:
        total: Tally[tuple[float, float]] = Tally()
        for enrolment in history:
            total.update(counts.get(enrolment, {}))
        totals.add(tuple(sorted(total.items())))
    delta = float(claim["delta"])
    worst = max((independent.spend(dict(total), delta) for total in totals), key=lambda s: s.ple_sigma)
    run, people = str(body.get("run")), body.get("people")
    agreement = Agreement(
        run, people if isinstance(people, int) else 0, delta,
        float(claim["epsilon"]), worst.epsilon, float(claim["ple_sigma"]), worst.ple_sigma,
    )  # fmt: skip
    copy.result.agreements.append(agreement)
    for name, mine, theirs in (
        ("epsilon", agreement.epsilon, agreement.epsilon_recomputed),
        ("PLE", agreement.ple_sigma, agreement.ple_sigma_recomputed),
    ):
        margin = max(AGREEMENT, AGREEMENT * theirs)
        loose = claim.get("accountant") == "RDP"  # a bound, known to be above: only "too small" is wrong
        if mine < theirs - margin or (mine > theirs + margin and not loose):
            problem = f"{name} recorded {mine:.4f}, recomputed {theirs:.4f}"
            copy.result.add("accounting-disagrees", f"entry {position}, run {run}", problem)
    if isinstance(budget, dict):
        for name, value in (("epsilon", worst.epsilon), ("ple_sigma", worst.ple_sigma)):
            limit = budget.get(name)
            if limit is not None and value > float(limit) + max(AGREEMENT, AGREEMENT * float(limit)):
                problem = f"{name} {value:.4f} of {limit}"
                copy.result.add("over-budget", f"entry {position}, run {run}", problem)
