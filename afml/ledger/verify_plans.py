"""Verifier, third part: plans set aside before their spends, closings, approvals, policies; and the filter.

Like its siblings it shares no accounting code with the writer. It goes through the entries in order and keeps, for
each enrolment, what every run of it is charged: the whole plan while the run may go on, and what composition keeps of
it afterwards.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from afml.core.config import canonical_json
from afml.ledger import filtering
from afml.ledger.verify_lost import LOST, Mechanisms, tally
from afml.ledger.verify_records import renamed
from afml.ledger.verify_spends import AGREEMENT, Copy


@dataclass
class _Run:
    """What the entries so far say of one run."""

    config_digest: object
    enrolment: str = ""
    insecure: bool = False
    exact_noise: bool = False
    expires_ms: int = 0
    plan: Mechanisms = field(default_factory=Tally)
    spent: Mechanisms = field(default_factory=Tally)
    budget: Mapping[str, Any] | None = None
    reserved: bool = False
    closed: bool = False
    lost: bool = False
    approved: bool = False

    @property
    def open(self) -> bool:
        return self.reserved and not self.closed

    def charge(self) -> Mechanisms:
        """What other runs must leave room for."""
        charged = Mechanisms()
        if not (self.open or self.lost or self.spent):
            return charged
        for kind in self.plan | self.spent:
            full_batch = kind[0] == 1.0
            planned = self.plan[kind] if self.open or self.lost or not full_batch else 0
            charged[kind] = max(planned, self.spent[kind])
        return charged


def check_plans(copy: Copy) -> None:
    """Every entry that has to do with plans, in order."""
    runs: dict[str, _Run] = {}
    policy: dict[str, Any] | None = None
    members = _members(copy, 0)
    wanted = set({body.get("enrolment"): position for position, body in copy.spends}.values())
    reservations = 0
    for position, body in enumerate(copy.bodies):
        kind, name = body.get("kind"), str(body.get("run"))
        where = f"entry {position}, run {name}"
        if kind == "policy":
            policy = _check_policy(copy, position, body, policy)
        if kind == "records":
            members = _members(copy, position + 1)
        if kind not in ("spend", "reservation", "closing", "approval"):
            continue
        run = runs.setdefault(name, _Run(body.get("config_digest")))
        if run.config_digest != body.get("config_digest"):
            copy.result.add("renamed-run", where, f"configuration {str(body.get('config_digest'))[:12]}")
        if kind == "approval":
            run.approved = True
        elif kind == "closing":
            run.closed, run.lost = True, body.get("reason") == LOST
        elif kind == "reservation":
            reservations += 1
            _begin(run, body)
            _check_rules(copy, where, body, run, policy)
            _check_room(copy, where, name, runs, members)
        else:
            _check_spend(copy, where, body, run)
            if position in wanted:
                _check_claim(copy, where, body, runs, members)
    copy.result.checked.append(f"{reservations} plans set aside, and every spend against its plan")


def _begin(run: _Run, body: Mapping[str, Any]) -> None:
    run.reserved, run.enrolment, run.insecure = True, str(body.get("enrolment")), bool(body.get("insecure"))
    run.expires_ms, run.plan, run.budget = int(body.get("expires_ms", 0)), tally(body.get("plan", ())), body
    run.exact_noise = body.get("exact_noise") is True


def _check_policy(copy: Copy, position: int, body: Mapping[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """The entry's list of what got looser, against the two policies; returns the new one."""
    now = body.get("policy")
    if not isinstance(now, dict):
        copy.result.add("edited-row", f"entry {position}", "a policy without rules")
        return before or {}
    told = [str(line).split(":")[0] for line in body.get("looser", ())]
    for table, fields in (before or {}).items():
        for name, old in fields.items():
            if _allows_more(name, old, now.get(table, {}).get(name)) and f"{table}.{name}" not in told:
                copy.result.add("unnamed-loosening", f"entry {position}", f"{table}.{name}: {old} before")
    return now


def _allows_more(name: str, old: Any, new: Any) -> bool:
    if isinstance(old, bool):
        return bool(old != new and (name in ("approval", "verified_sums", "exact_noise")) is old)
    if isinstance(old, list):
        return "any" not in old and bool(set(new or ()) - set(old))
    if isinstance(old, str):
        return bool(old != new and new == "charge")
    least = name in ("quorum", "min_group_size", "target_utility")
    return bool(new < old) if least else bool(new > old)


def _check_rules(copy: Copy, where: str, body: Mapping[str, Any], run: _Run, policy: dict[str, Any] | None) -> None:
    """A reservation against the policy in force; a ledger without any (a test's) has nothing to compare with."""
    if policy is None:
        if body.get("policy"):
            copy.result.add("policy-broken", where, "its policy is not in the ledger")
        return
    if body.get("policy") != hashlib.sha256(canonical_json(policy)).hexdigest():
        copy.result.add("policy-broken", where, "was made under another policy than the last in the ledger")
    lifetime, rules = policy.get("lifetime", {}), policy.get("run", {})
    own = body.get("lifetime")
    if not isinstance(own, dict) or (own.get("ple_sigma"), own.get("delta")) != (
        lifetime.get("ple_sigma"), lifetime.get("delta"),
    ):  # fmt: skip
        copy.result.add("policy-broken", where, f"lifetime budget {own}, in force {lifetime}")
    budget = body.get("budget")
    if isinstance(budget, dict):
        for name, most in (("ple_sigma", rules.get("ple_sigma")), ("delta", rules.get("delta"))):
            if isinstance(budget.get(name), float) and isinstance(most, float) and budget[name] > most:
                copy.result.add("policy-broken", where, f"{name} {budget[name]:g}, in force {most:g}")
    if run.insecure and not rules.get("simulation"):
        copy.result.add("policy-broken", where, "is a simulation, which the policy in force does not allow")
    if rules.get("exact_noise") and not run.exact_noise:
        copy.result.add("policy-broken", where, "its noise is float64's, the policy in force demands exact noise")
    if rules.get("approval") and not run.approved:
        copy.result.add("unapproved-run", where, "no approval stands before it")


def _check_room(copy: Copy, where: str, name: str, runs: Mapping[str, _Run], members: Mapping[str, set[bytes]]) -> None:
    """The whole plan beside everything else that any of its people is charged, by the verifier's own filter."""
    run = runs[name]
    for history in _histories(run, runs, members):
        blocks = [charge for one in history if (charge := runs[one].charge())]
        for one in history:
            its = runs[one]
            if not its.open or its.budget is None:
                continue
            for what in ("budget", "lifetime"):
                if what == "lifetime" and one != name:
                    continue
                limit = its.budget.get(what)
                if isinstance(limit, dict):
                    _check_limit(copy, f"{where}, {what} of {one}", blocks, limit)


def _check_limit(copy: Copy, where: str, blocks: list[Mechanisms], limit: Mapping[str, Any]) -> None:
    found = filtering.spend([dict(block) for block in blocks], float(limit["delta"]))
    for name, value in (("epsilon", found.epsilon), ("ple_sigma", found.ple_sigma)):
        most = limit.get(name)
        if most is not None and value > float(most) + max(AGREEMENT, AGREEMENT * float(most)):
            copy.result.add("over-budget", where, f"{name} {value:.4f} of {most}")


def _check_spend(copy: Copy, where: str, body: Mapping[str, Any], run: _Run) -> None:
    run.spent.update(tally([body.get("mechanism")]))
    if not run.reserved:
        copy.result.add("unreserved-spend", where, "no plan was set aside for it")
        return
    if run.closed or int(body.get("time_ms", 0)) > run.expires_ms:
        copy.result.add("spend-after-closing", where, "the run was over at this site")
    if run.enrolment != body.get("enrolment"):
        copy.result.add("unreserved-spend", where, "its plan was set aside for other people")
    if run.exact_noise != (body.get("exact_noise") is True):
        copy.result.add("unreserved-spend", where, "its plan was set aside for another kind of noise")
    planned, spent = _full_batch(run.plan), _full_batch(run.spent)
    if spent > planned * (1 + 1e-9) or any(n > run.plan[kind] for kind, n in run.spent.items() if kind[0] != 1.0):
        copy.result.add("beyond-plan", where, "the plan of the run was used up before")


def _check_claim(
    copy: Copy, where: str, body: Mapping[str, Any], runs: Mapping[str, _Run], members: Mapping[str, set[bytes]]
) -> None:
    """What the writer says has been spent may not be below what the filter says."""
    claim, current = body.get("claim"), runs[str(body.get("run"))]
    if not isinstance(claim, dict) or body.get("insecure"):
        return
    fixed = claim.get("fixed_plan")  # all runs as if fixed in advance, which no filter is below
    worst = float(fixed["ple_sigma"]) if isinstance(fixed, dict) else 0.0
    for history in _histories(current, runs, members):
        spent = [runs[one] for one in history if runs[one].spent or runs[one].lost]
        blocks = [dict(_stated(one, current=one is current)) for one in spent]
        if len(blocks) > 1:  # one alone is composed as fixed, which is checked with the fixed plans
            worst = max(worst, filtering.spend(blocks, float(claim["delta"])).ple_sigma)
    recorded = float(claim["ple_sigma"])
    if recorded < worst - max(AGREEMENT, AGREEMENT * worst):
        copy.result.add("accounting-disagrees", where, f"PLE recorded {recorded:.4f}, by the filter {worst:.4f}")


def _stated(run: _Run, *, current: bool) -> Mechanisms:
    """What a run counts in a statement of what is spent: full batches as taken, the others as planned, all if lost."""
    if current:
        return run.spent
    if run.lost:
        return run.charge()
    return Mechanisms({kind: n if kind[0] == 1.0 else max(n, run.plan[kind]) for kind, n in run.spent.items()})


def _members(copy: Copy, before: int) -> dict[str, set[bytes]]:
    """enrolment, by commitment -> its people's accounts, as known at an entry."""
    same = renamed(copy.database, before)
    found: dict[str, set[bytes]] = {}
    query = "SELECT commitment, person FROM enrolled JOIN enrolments USING (enrolment)"
    for commitment, person in copy.database.execute(query):
        found.setdefault(commitment.hex(), set()).add(same.get(person, person))
    return found


def _histories(run: _Run, runs: Mapping[str, _Run], members: Mapping[str, set[bytes]]) -> set[frozenset[str]]:
    """The different sets of runs, this one included, that its people have been in so far."""
    people = members.get(run.enrolment, set())
    names: dict[bytes, set[str]] = {person: set() for person in people}
    for name, other in runs.items():
        if other is run or other.charge():
            for person in people & members.get(other.enrolment, set()):
                names[person].add(name)
    return {frozenset(found) for found in names.values()}


def _full_batch(mechanisms: Mechanisms) -> float:
    """mu^2 of the full-batch steps."""
    return math.fsum(steps / z**2 for (q, z), steps in mechanisms.items() if q == 1.0)
