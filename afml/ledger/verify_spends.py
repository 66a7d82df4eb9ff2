"""Verifier, second part: spends against each other, the transcript and the accountant."""

from __future__ import annotations

import functools
import math
import sqlite3
from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from afml.ledger import independent
from afml.ledger.findings import Agreement, Verification
from afml.ledger.transcript import PublishedRound
from afml.ledger.verify_lost import Lost, tally
from afml.ledger.verify_records import renamed

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

    @functools.cached_property
    def spends(self) -> list[tuple[int, dict[str, object]]]:
        """(position, body) of every spend."""
        return [(i, body) for i, body in enumerate(self.bodies) if body.get("kind") == "spend"]

    @functools.cached_property
    def names(self) -> list[str]:
        """Its name, and those before an import."""
        imports = [str(body.get("origin")) for body in self.bodies if body.get("kind") == "import"]
        return [self.result.origin, *imports]

    @functools.cached_property
    def lost(self) -> Lost:
        """Runs that were open in a backup which was put back."""
        return Lost(self.bodies)


def check_repeats(copy: Copy) -> None:
    """One entry per attempt."""
    seen: dict[tuple[object, ...], int] = {}
    for position, body in copy.spends:
        attempt = (body.get("run"), body.get("round"), body.get("attempt"))
        if attempt in seen:
            copy.result.add("duplicated-event", f"entry {position}", f"repeats entry {seen[attempt]}")
        seen.setdefault(attempt, position)


def node_in(r: PublishedRound, names: Collection[str], node: int | None) -> int | None:
    """Which node of a published round this ledger belongs to: by its receipt there, else the number given."""
    by_name = [n for n, receipt in r.receipts.items() if receipt.checkpoint.split("\n", 1)[0] in names]
    return by_name[0] if by_name else node


def check_transcript(copy: Copy, transcript: Sequence[PublishedRound], given: int | None) -> None:
    """What the aggregator published against what this node says it spent."""
    spends = {(b.get("run"), b.get("round"), b.get("attempt")): (i, b) for i, b in copy.spends}
    runs = {run for run, _, _ in spends}
    used: dict[int, str] = {}
    count = unknown = 0
    for r in transcript:
        where = f"run {r.run}, round {r.round}, attempt {r.attempt}"
        if len(set(r.cohort)) < r.quorum:
            copy.result.add("quorum-broken", where, f"{len(set(r.cohort))} nodes, quorum {r.quorum}")
        node = node_in(r, copy.names, given)
        if node is None:
            unknown += 1
        if node is None or node not in r.cohort:
            continue
        count += 1
        if (r.run, r.round, r.attempt) not in spends and copy.lost.excuses(r, node):
            continue
        _check_receipt(copy, r, node, where, used)
        if (found := spends.get((r.run, r.round, r.attempt))) is None:
            code = "hidden-round" if r.run in runs else "hidden-run"
            copy.result.add(code, where, "was published, and is not in this node's ledger")
            continue
        _compare(copy, r, *found, where)
    if unknown:
        problem = f"{unknown} published rounds without a receipt of this ledger: its number in them is not known"
        copy.result.unchecked.append(problem)
    for run, rounds in copy.lost.excused.items():
        problem = f"{rounds} rounds of run {run} are in no entry since a backup was put back: its whole plan is charged"
        copy.result.unchecked.append(problem)
    if transcript:
        _check_ends(copy, transcript)
        copy.result.checked.append(f"{count} published rounds of this node against its ledger")


def _check_ends(copy: Copy, transcript: Sequence[PublishedRound]) -> None:
    """Whether the transcript goes as far as this ledger has spent: no line says that it is the last one.

    A node spends on a round after the one before it was published, and closes a run as finished after its last one. So
    of a run that is not finished the last round that was spent on, and no other, may have remained unpublished.
    """
    spent, published = dict[str, set[int]](), dict[str, set[int]]()
    for _, body in copy.spends:
        if isinstance(number := body.get("round"), int):
            spent.setdefault(str(body.get("run")), set()).add(number)
    for r in transcript:
        published.setdefault(r.run, set()).add(r.round)
    finished = {b.get("run") for b in copy.bodies if b.get("kind") == "closing" and b.get("reason") == "finished"}
    for run, rounds in spent.items():
        last, absent = max(rounds), rounds - published.get(run, set())
        if run not in published:
            copy.result.unchecked.append(f"run {run}: none of its rounds is in a transcript that was given")
        elif absent - ({last} if run not in finished else set()):
            ends = max(published[run])
            problem = f"ends at round {ends}, and {len(absent)} rounds to {last} were spent on: ask for the whole of it"
            copy.result.add("cut-transcript", f"transcript of run {run}", problem)
        elif absent:
            told = f"run {run}: whether round {last} was published. The transcript ends before it, and no closing here"
            copy.result.unchecked.append(f"{told} says that the run is finished")


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
    counted = fields.get("noise_multiplier")
    # The entry has the run's multiplier, the transcript that of each node of a person (`effective_multiplier`).
    run, nodes = body.get("published_multiplier"), body.get("enrolments_per_person")
    nodes = nodes if type(nodes) is int and nodes > 0 else 0
    run = run * math.sqrt(nodes) if isinstance(run, int | float) and nodes else None
    # A site that trusts too few counts its own noise alone: what is left to its people if updates are read.
    left = body.get("broken_multiplier")
    if run != r.noise_multiplier or counted not in (r.noise_multiplier, left):
        problem = f"accounted {counted}, published {r.noise_multiplier}"
        copy.result.add("changed-noise-multiplier", f"entry {position}, {where}", problem)
    elif not isinstance(left, int | float) or not left <= _most_left(r, nodes) * (1 + 1e-9):
        problem = f"{left} left if updates are read, published {r.noise_multiplier}"
        copy.result.add("changed-noise-multiplier", f"entry {position}, {where}", problem)
    pairs = {
        "steps": (fields.get("steps", 1), nodes),
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


def _most_left(r: PublishedRound, nodes: int) -> float:
    """Most noise that a node of a published round can have added itself, as a multiplier.

    Where each adds a share it is z m / sqrt(honest nodes), of which there are two at least; z sqrt(m) was published.
    """
    return r.noise_multiplier * (1.0 if r.noise == "local" else math.sqrt(nodes / 2))


def check_accounting(copy: Copy) -> None:
    """The last recorded spend of each run and enrolment, recomputed by the second accountant (as a fixed plan)."""
    last: dict[tuple[object, object], int] = {}
    for position, body in copy.spends:
        claim = body.get("claim")
        if isinstance(claim, dict) and claim.get("ple_sigma") is not None and body.get("insecure") is not True:
            last[body.get("run"), body.get("enrolment")] = position
    wanted = set(last.values())
    histories, known = _histories(copy, 0), 0
    renamings = {row[0] for row in copy.database.execute("SELECT idx FROM same")}
    counts: dict[str, Tally[tuple[float, float]]] = {}
    for position, body in copy.spends:
        enrolment, mechanism = str(body.get("enrolment")), body.get("mechanism")
        if known < sum(index < position for index in renamings):  # more names were one person's by then
            histories, known = _histories(copy, position), sum(index < position for index in renamings)
        if isinstance(mechanism, dict):
            counts.setdefault(enrolment, Tally()).update(tally([mechanism]))
        if position in wanted:
            charged = {name: Tally(its) for name, its in counts.items()}
            for other, whole in copy.lost.charged(position):
                charged.setdefault(other, Tally()).update(whole)
            _recompute(copy, position, body, histories.get(enrolment, {frozenset([enrolment])}), charged)
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


def _histories(copy: Copy, before: int) -> dict[str, set[frozenset[str]]]:
    """enrolment -> the different sets of enrolments its people have been in, by commitment; as known at an entry."""
    query = "SELECT enrolment, commitment FROM enrolments"
    names = {row[0]: row[1].hex() for row in copy.database.execute(query)}
    by_person: dict[bytes, set[str]] = {}
    same = renamed(copy.database, before)
    for person, enrolment in copy.database.execute("SELECT person, enrolment FROM enrolled"):
        by_person.setdefault(same.get(person, person), set()).add(names.get(enrolment, ""))
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
    if not isinstance(claim, dict) or not isinstance(fixed := claim.get("fixed_plan"), dict):
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
        float(fixed["epsilon"]), worst.epsilon, float(fixed["ple_sigma"]), worst.ple_sigma,
    )  # fmt: skip
    copy.result.agreements.append(agreement)
    for name, mine, theirs in (
        ("epsilon", agreement.epsilon, agreement.epsilon_recomputed),
        ("PLE", agreement.ple_sigma, agreement.ple_sigma_recomputed),
    ):
        margin = max(AGREEMENT, AGREEMENT * theirs)
        loose = fixed.get("accountant") == "RDP"  # a bound, known to be above: only "too small" is wrong
        if mine < theirs - margin or (mine > theirs + margin and not loose):
            problem = f"{name} recorded {mine:.4f}, recomputed {theirs:.4f}"
            copy.result.add("accounting-disagrees", f"entry {position}, run {run}", problem)
    if isinstance(budget, dict):
        for name, value in (("epsilon", worst.epsilon), ("ple_sigma", worst.ple_sigma)):
            limit = budget.get(name)
            if limit is not None and value > float(limit) + max(AGREEMENT, AGREEMENT * float(limit)):
                problem = f"{name} {value:.4f} of {limit}"
                copy.result.add("over-budget", f"entry {position}, run {run}", problem)
