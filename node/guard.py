"""The node's guard over its people's budget: reserve before a run, ask before a round, record before a byte leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import BudgetError, InputError, PolicyError
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.reservation import Reason, Reservation, reservation_for
from afml.ledger.schema import begun
from afml.ledger.store import Ledger
from afml.training.registry import stated_code
from node.loosening import looser
from node.memory import require_grown, require_none_in_kit, require_remembered
from node.policy import Policy, Terms
from node.workspace import Workspace


def open_ledger(work: Workspace, kit: NodeKit, folder: Path | None = None) -> Ledger:
    """This institution's ledger, one for all its runs; begun where none is in the work folder yet.

    Args:
        work: Where it is by default.
        kit: Signs.
        folder: Where it is instead: an institution with several work folders has one ledger all the same.

    Raises:
        InputError: There is no ledger in `folder`: a wrong name must not begin one.
        IntegrityError: It is gone, or knows less than this work folder or the kit remembers.
    """
    place = folder or work.ledger
    require_remembered(work, place)
    require_none_in_kit(kit, place)
    require_named(folder)
    ledger = Ledger.open(place, kit.signing_key, origin=kit.origin)
    try:
        require_grown(work.root, ledger, kit)
    except BaseException:
        ledger.close()
        raise
    return ledger


def require_named(folder: Path | None) -> None:
    """Refuse the folder of --ledger where no ledger is; None: that of the work folder, which may be begun.

    Raises:
        InputError: There is none.
    """
    if folder is not None and not begun(folder):
        cure = "correct --ledger, or begin the institution's first ledger with `afml ledger begin`"
        raise InputError("holds no ledger", where=folder, cure=cure)


@contextmanager
def looked_into(work: Workspace, kit: NodeKit, folder: Path | None = None) -> Iterator[Ledger]:
    """The ledger of `open_ledger`, for who only reads: where none was begun, an empty one that is gone afterwards."""
    if folder is not None or begun(work.ledger):
        with open_ledger(work, kit, folder) as ledger:
            yield ledger
        return
    require_remembered(work, work.ledger)
    require_none_in_kit(kit, work.ledger)
    with (
        tempfile.TemporaryDirectory() as passing,
        Ledger.open(Path(passing), kit.signing_key, origin=kit.origin) as one,
    ):
        yield one


def begin_ledger(folder: Path, kit: NodeKit) -> None:
    """Begin an institution's first ledger.

    Raises:
        InputError: There is one.
        IntegrityError: The kit remembers another one, or its key is not the one that the institution began with.
    """
    if begun(folder):
        raise InputError("holds a ledger already", where=folder, cure="go on with it")
    require_none_in_kit(kit, folder)
    Ledger.open(folder, kit.signing_key, origin=kit.origin).close()


def enter_policy(ledger: Ledger, policy: Policy) -> None:
    """Write the policy in force into the ledger, where it is another one than the last."""
    now, before = policy.model_dump(mode="json"), ledger.plans.policy()
    if now != before:
        ledger.plans.record_policy(now, looser(before, now))


def wanted(config: RunConfig, terms: Terms, *, own_noise: bool | None = None) -> Reservation:
    """What a site would set aside for a run on these terms."""
    own = terms.own_noise if own_noise is None else own_noise
    digest = terms.policy.digest().hex()
    plan = reservation_for(config, terms.limits, days=terms.days, own_noise=own, policy=digest)
    return replace(plan, code=stated_code())


class Guard:
    """Budget checks and spends of one run for the people enrolled at this node.

    Args:
        ledger: The institution's.
        config: The run.
        people: Everybody enrolled.
        terms: On what this site takes part, asked anew before every decision; raises where it does not.
    """

    def __init__(
        self, ledger: Ledger, config: RunConfig, people: Sequence[str], terms: Callable[[RunConfig], Terms]
    ) -> None:
        self._ledger, self._config, self._people, self._terms = ledger, config, people, terms
        self._digest = config.digest().hex()

    def consider(self) -> None:
        """Refuse what `reserve` would refuse, and set nothing aside; errors as there."""
        self._ledger.plans.consider(self._wanted(), self._people)

    def reserve(self) -> None:
        """Set the whole plan aside before this node enrols; after a restart, check that it still stands.

        Raises:
            PolicyError: This site does not allow the run, or nobody has approved it.
            BudgetError: The plan does not fit, or the run is closed at this site.
        """
        self._ledger.plans.reserve(self._wanted(), self._people)

    def spends(self, round_number: int) -> dict[Attempt, tuple[int, ...]]:
        """Cohort of every attempt of a round that this node has spent."""
        return self._ledger.spends(self._config.run, range(round_number, round_number + 1))

    def check(self, round_number: int) -> None:
        """Refuse a round that policy or budget do not allow any more, or that the signed plan does not hold.

        An aggregator could call attempt after attempt; the plan's reserve bounds what that costs.

        Raises:
            BudgetError: Says what is left and what would fit.
        """
        self._require_planned(round_number)
        self._ledger.plans.consider(self._wanted(), self._people, begun=True)

    def spend(self, binding: Binding) -> Receipt:
        """Record an attempt's spend durably.

        Raises:
            BudgetError: It would pass the policy, the budget or the plan; nothing is recorded.
        """
        self._require_planned(binding.round)
        reservation = self._wanted()
        spend = spend_for(self._config, binding.attempt, binding.cohort, own_noise=reservation.own_noise)
        return self._ledger.append(spend, self._people, reservation.limits)

    @property
    def begun(self) -> bool:
        """Whether anything was ever spent on the run here."""
        return bool(self._ledger.spends(self._config.run, range(1, self._config.rounds + 1)))

    def receipt(self, binding: Binding) -> Receipt | None:
        """The receipt of a spend recorded before a restart, None where this attempt was not spent."""
        return self._ledger.receipt(binding.run, binding.attempt)

    def close(self, reason: Reason) -> None:
        """Close the run at this site for good: what it reserved and did not spend is free again."""
        self._ledger.plans.close(self._config.run, self._digest, reason)

    def _wanted(self) -> Reservation:
        """The reservation on today's terms. What a run charges is fixed when it starts; trust may grow meanwhile."""
        terms, config = self._terms(self._config), self._config
        enter_policy(self._ledger, terms.policy)
        if terms.approval and not self._ledger.plans.approved(config.run, self._digest):
            raise PolicyError(
                "nobody at this site has approved it",
                where=f"run {config.run}",
                cure="read it with `afml run show`, then `afml run approve`",
            )
        held = self._ledger.plans.held(config.run)
        if held is None or held.config_digest != self._digest:
            return wanted(config, terms)
        if terms.own_noise and not held.own_noise:
            raise PolicyError(
                "this site has withdrawn its trust from institutions that the run counts on",
                where=f"run {config.run}",
                cure="end it here with `afml run close`",
            )
        return wanted(config, terms, own_noise=held.own_noise)

    def _require_planned(self, round_number: int) -> None:
        index, phase = self._config.phase_of(round_number)
        first = 1 + sum(earlier.rounds for earlier in self._config.phases[:index])
        planned = phase.rounds + self._config.reserve_attempts
        if self._ledger.attempts(self._config.run, range(first, first + phase.rounds)) >= planned:
            raise BudgetError(
                f"phase {phase.name} has used the {planned} attempts of its plan ({phase.rounds} rounds, "
                f"{self._config.reserve_attempts} in reserve)",
                where=f"run {self._config.run}",
                cure="start a new run, with more --reserve-attempts",
            )
