"""The writer's side of plans: set aside whole before the first spend, closed for good, never beyond any limit.

    ledger.plans.reserve(reservation_for(config, limits, days=30), people)
    ledger.append(spend_for(config, attempt, cohort), people, limits)        # only inside an open reservation
    ledger.plans.close("run-7", digest, "finished")

An open reservation charges its whole plan to everybody else's check, so that no plan starts that cannot end. A closing
frees what was set aside and not spent, except what composition keeps (see `afml.privacy.events.charged`), and the run
is refused from then on. The site's policy and a person's approvals of runs are entries as well.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from afml.core.config import canonical_json
from afml.core.errors import BudgetError, IntegrityError
from afml.ledger import simulation, spending
from afml.ledger.entries import Spend
from afml.ledger.log import Log
from afml.ledger.people import People
from afml.ledger.reservation import DAY_MS, Held, Limits, Reason, Reservation, held
from afml.ledger.schema import tell_lost
from afml.ledger.spending import Account
from afml.privacy.budget import balance, check
from afml.privacy.events import Event, covers, reserved

_OF_RUNS = "('spend', 'reservation', 'closing', 'approval')"
_CLOSED = "SELECT body FROM entries WHERE kind = 'closing' AND run = ?"
_RESERVED = "SELECT body, enrolment FROM entries WHERE kind = 'reservation' AND run = ?"
_CURE = "start a new run under another name (`afml configure --run`)"
_LARGER = "have it made with a larger `afml configure --budget`: it bounds earlier runs of these people too"
_TRUST = "name in trust.signing_keys of policy.toml whose noise this site trusts: it counts its own alone"


class Plans:
    """Reservations, closings, approvals and policies of one ledger.

    Args:
        log: The ledger's log; every method is one transaction on it, or reads.
        people: Its tables of people.
    """

    def __init__(self, log: Log, people: People) -> None:
        self._log, self._people, self.spent = log, people, spending.Spent()

    @property
    def _database(self) -> sqlite3.Connection:
        return self._log.database

    # Writing

    def reserve(self, wanted: Reservation, people: Iterable[str]) -> Held:
        """Set a run's whole plan aside, durably; where that is done already, check that it still stands.

        Args:
            wanted: The plan and the limits in force.
            people: Ids of all people enrolled.

        Raises:
            BudgetError: The plan does not fit, now or beside what other runs have reserved; somebody withdrew, or took
                part in a simulation; the run is closed here, or its time is up.
            IntegrityError: The run's name belongs to another configuration, its people or its plan changed, or the
                clock went back.
        """
        tokens = self._people.tokens(people)
        with self._log.transaction():
            self._people.refuse_withdrawn(tokens, wanted.where)
            self.require_name(wanted.run, wanted.config_digest)
            enrolment, commitment = self._people.enrol(tokens)
            self._close_expired(but=wanted.run)
            found = self.held(wanted.run)
            if found is None:
                self._refuse_closed(wanted.run, wanted.where)
                self._refuse_mixed(tokens, wanted)
            else:
                self._require_open(wanted.run, enrolment, wanted.plan, wanted.where)
            accounts = self._accounts(tokens, enrolment)
            self._require_room(wanted.run, wanted.plan, wanted.limits, accounts, own_noise=wanted.own_noise)
            if found is None:
                expires = int(self._log.clock() * 1000 + wanted.days * DAY_MS)
                body = {
                    **wanted.to_json(),
                    "people": len(tokens),
                    "enrolment": commitment.hex(),
                    "expires_ms": expires,
                }
                plan = canonical_json([event.to_json() for event in wanted.plan]).decode()
                self._log.add(body, {"run": wanted.run, "enrolment": enrolment, "plan": plan})
        stands = self.held(wanted.run)
        assert stands is not None
        return stands

    def close(self, run: str, config_digest: str, reason: Reason) -> None:
        """Close a run at this site for good, whether or not anything is reserved for it. Idempotent.

        Args:
            run: Its name.
            config_digest: Hex digest of its configuration.
            reason: Why.

        Raises:
            IntegrityError: The name belongs to another configuration.
        """
        with self._log.transaction():
            self.require_name(run, config_digest)
            if self._database.execute(_CLOSED, (run,)).fetchone() is None:
                self._add_closing(run, config_digest, reason)

    def close_lost(self) -> tuple[str, ...]:
        """Close every open run, charged whole: this ledger is a copy, and what was spent in them since is not in it.

        Returns:
            Their names.
        """
        with self._log.transaction():
            rows = self._database.execute("SELECT run, body FROM entries WHERE kind = 'reservation' ORDER BY idx")
            under_way = {run: json.loads(raw) for run, raw in rows.fetchall() if self.closed(run) is None}
            for run, body in under_way.items():
                self._add_closing(run, str(body["config_digest"]), "lost")
            tell_lost(self._database)
        return tuple(under_way)

    def approve(self, run: str, config_digest: str) -> None:
        """A person at this site approves a run. Idempotent.

        Raises:
            BudgetError: The run is closed here.
            IntegrityError: The name belongs to another configuration.
        """
        with self._log.transaction():
            self.require_name(run, config_digest)
            self._refuse_closed(run, f"run {run}")
            if not self.approved(run, config_digest):
                body = {"kind": "approval", "run": run, "config_digest": config_digest}
                self._log.add(body, {"run": run})

    def record_policy(self, policy: Mapping[str, Any], looser: Sequence[str]) -> None:
        """Write down the policy in force, where it is another one than the last; and in what it is looser."""
        with self._log.transaction():
            if self.policy() != policy:
                self._log.add({"kind": "policy", "policy": dict(policy), "looser": list(looser)}, {})

    # Reading

    def policy(self) -> dict[str, Any] | None:
        """The policy that was last written down; None before the first."""
        query = "SELECT body FROM entries WHERE kind = 'policy' ORDER BY idx DESC LIMIT 1"
        row = self._one(query, ())
        return None if row is None else dict(json.loads(row[0])["policy"])

    def approved(self, run: str, config_digest: str) -> bool:
        """Whether a person at this site has approved this very configuration."""
        with self._log._lock:
            return approved(self._database, run, config_digest)

    def closed(self, run: str) -> Reason | None:
        """Why a run is closed here; None where it is not."""
        row = self._one(_CLOSED, (run,))
        reason: Reason | None = None if row is None else json.loads(row[0])["reason"]
        return reason

    def held(self, run: str) -> Held | None:
        """What is reserved for a run, closed or not; None where nothing ever was."""
        row = self._one(_RESERVED, (run,))
        return None if row is None else held(json.loads(row[0]), int(row[1]), self.closed(run))

    def consider(self, wanted: Reservation, people: Iterable[str], *, begun: bool = False) -> None:
        """Refuse what `reserve` or the next spend would be refused for, and write nothing.

        Args:
            wanted: As of `reserve`.
            people: Ids of all people enrolled.
            begun: Refuse also where nothing is reserved.

        Raises:
            BudgetError, IntegrityError: As `reserve`.
        """
        tokens = self._people.tokens(people)
        with self._log._lock:
            self._people.refuse_withdrawn(tokens, wanted.where)
            self.require_name(wanted.run, wanted.config_digest)
            row = self._one("SELECT enrolment FROM enrolments WHERE commitment = ?", (self._people.commitment(tokens),))
            enrolment = None if row is None else int(row[0])
            if begun or self.held(wanted.run) is not None:
                self._require_open(wanted.run, enrolment, wanted.plan, wanted.where)
            else:
                self._refuse_closed(wanted.run, wanted.where)
                self._refuse_mixed(tokens, wanted)
            accounts = self._accounts(tokens, enrolment)
            self._require_room(wanted.run, wanted.plan, wanted.limits, accounts, own_noise=wanted.own_noise)

    # For the ledger's own transactions

    def allow(self, spend: Spend, tokens: Mapping[bytes, str], enrolment: int, limits: Limits) -> list[Account]:
        """Refuse a spend outside its reservation, or one that the limits in force leave no room for any more.

        Returns:
            The histories of the people, before the spend.

        Raises:
            BudgetError, IntegrityError: As `reserve`; also where nothing is reserved, or the plan is used up.
        """
        self.require_name(spend.run, spend.config_digest)
        self._require_open(spend.run, enrolment, spend.plan, spend.where)
        found = self._accounts(tokens, enrolment)
        for account in found:
            if not covers(spend.plan, [*account.run(spend.run), spend.mechanism]):
                problem = "this step is not in what is left of the reserved plan"
                raise BudgetError(problem, where=spend.where, cure=_CURE)
        own = spend.published_multiplier not in (None, spend.mechanism.noise_multiplier)
        self._require_room(spend.run, spend.plan, limits, found, own_noise=own)
        return found

    def require_name(self, run: str, config_digest: str) -> None:
        """A run's name belongs to one configuration in a ledger for ever.

        Raises:
            IntegrityError: It belongs to another one.
        """
        query = f"SELECT body FROM entries WHERE kind IN {_OF_RUNS} AND run = ? LIMIT 1"
        row = self._one(query, (run,))
        if row is not None and (known := json.loads(row[0])["config_digest"]) != config_digest:
            raise IntegrityError(
                f"this name belongs to the configuration {known[:12]} in this ledger, not to {config_digest[:12]}",
                where=f"run {run}",
                cure=_CURE,
            )

    # Inside

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        with self._log._lock:
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return row

    def _accounts(self, tokens: Mapping[bytes, str], enrolment: int | None) -> list[Account]:
        return spending.accounts(self._database, tokens, plus_enrolment=enrolment, spent=self.spent)

    def _refuse_mixed(self, tokens: Mapping[bytes, str], wanted: Reservation) -> None:
        insecure, where = wanted.insecure, wanted.where
        simulation.refuse_mixed(self._database, tokens, self.spent, insecure=insecure, where=where)

    def _refuse_closed(self, run: str, where: str) -> None:
        if (reason := self.closed(run)) is not None:
            raise BudgetError(f"the run is closed at this site ({reason})", where=where, cure=_CURE)

    def _require_open(self, run: str, enrolment: int | None, plan: tuple[Event, ...], where: str) -> None:
        self._refuse_closed(run, where)
        found = self.held(run)
        if found is None:
            raise BudgetError("nothing is reserved for it at this site", where=where, cure="start `afml node` again")
        if self._log.clock() * 1000 > found.expires_ms:
            problem = "the time that this site's policy gives to a run is up"
            raise BudgetError(problem, where=where, cure=_CURE)
        if found.enrolment != enrolment:
            problem = "the people enrolled are not those that the plan was reserved for"
            raise IntegrityError(problem, where=where, cure=_CURE)
        if found.plan != plan:
            raise IntegrityError("the plan of this run has changed", where=where, cure=_CURE)

    def _require_room(
        self, run: str, plan: Sequence[Event], limits: Limits, found: Sequence[Account], *, own_noise: bool
    ) -> None:
        """The whole plan beside everything else that these people are charged, by everybody's limits."""
        trust = _TRUST if own_noise else ""
        for account in found:
            charge, others = reserved(plan, account.run(run)), account.charged_elsewhere(run)
            room = balance(limits.lifetime, charge, others).within
            rules = [
                (limits.run, "the budget that this run names", trust or (_LARGER if room else "")),
                (limits.lifetime, "this site's lifetime budget", trust),
            ]
            for other, its in account.runs.items():
                if its.budget is not None and other != run:
                    cure = f"wait until run {other} is over, or close it here with `afml run close`"
                    rules.append((its.budget, f"the budget of run {other}, which is under way", cure))
            for budget, whose, cure in rules:
                check(budget, charge, earlier=others, where=f"run {run}", whose=whose, cure=cure)

    def _close_expired(self, *, but: str) -> None:
        now = self._log.clock() * 1000
        query = "SELECT run, body FROM entries WHERE kind = 'reservation' ORDER BY idx"
        for run, raw in self._database.execute(query).fetchall():
            body = json.loads(raw)
            if run != but and int(body["expires_ms"]) < now and self.closed(run) is None:
                self._add_closing(run, str(body["config_digest"]), "expired")

    def _add_closing(self, run: str, config_digest: str, reason: Reason) -> None:
        body = {"kind": "closing", "run": run, "config_digest": config_digest, "reason": reason}
        self._log.add(body, {"run": run})


def approved(database: sqlite3.Connection, run: str, config_digest: str) -> bool:
    """Whether entries hold a person's approval of this very configuration of a run."""
    row = database.execute("SELECT body FROM entries WHERE kind = 'approval' AND run = ?", (run,)).fetchone()
    return row is not None and json.loads(row[0])["config_digest"] == config_digest
