"""A signed run at one site: read in plain words, and approved by a person, for commands and for the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.bounded import at_least, at_most
from afml.core.errors import BudgetError, ConfigError, InputError, IntegrityError
from afml.ledger.over import Over, over
from afml.ledger.spending import worst, worst_committed
from afml.ledger.store import Ledger
from afml.masking.chosen import NAME, masking_settings, purpose
from afml.privacy.budget import balance
from afml.privacy.events import reserved
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from node.columns import read_by, require_read
from node.guard import enter_policy, looked_into, open_ledger, wanted
from node.journal import progress
from node.memory import keep_in_kit
from node.policy import Policy, load, terms_of
from node.quorum import small_sums
from node.take_part import declared_card
from node.workspace import Workspace


@dataclass(frozen=True)
class Signed:
    """A run as the coordinator signed it, and the site that is asked.

    Attributes:
        config: The run.
        kit: The site's, under the roster that the run was configured under.
        policy: The site's.
    """

    config: RunConfig
    kit: NodeKit
    policy: Policy

    @classmethod
    def read(cls, run_file: Path, kit: Path) -> Signed:
        """Read a run file and the kit of the site that is asked.

        Raises:
            InputError: A file is missing or malformed, or the site has no policy.
            IntegrityError: The coordinator did not sign the run.
            ConfigError: It is another consortium's.
        """
        loaded, policy = load_node_kit(kit), load(kit)
        config = load_run(run_file, loaded.history)
        return cls(config, loaded.under(config), policy)

    def told(self, standing: Standing) -> Iterator[str]:
        """In plain words: what the run would spend of this site's people, or has spent where it is over; what is left.

        Args:
            standing: Of these people (`standing`).
        """
        if standing.over is None:
            yield from consequences(self.policy, self.config, self.kit)
        else:
            yield from _described(self.policy, self.config)
            yield from standing.over.lines(self.config.rounds)
        yield from standing.lines()

    def standing(self, work: Path, ledger: Path | None) -> Standing:
        """Where the people stand, where they would stand after the run, and what stands in its way; writes nothing.

        Args:
            work: Folder that `afml prepare` made.
            ledger: Of the institution, where it is not in the work folder.

        Raises:
            InputError: The folder is not prepared.
            ConfigError: It was drawn by a seed, and the run is no simulation.
            IntegrityError: The ledger knows less than the folder or the kit remembers.
        """
        space = Workspace(work)
        space.require_prepared()
        people = _enrolled(space, self.config)
        space.require_drawn_for(self.config)
        unfit = []
        try:
            _require_fit(space, self.config, self.kit.node)
        except (ConfigError, InputError) as refused:
            unfit = [str(refused)]
        if ended := progress(space.run(self.config.run))[1]:
            unfit.append(f"run {self.config.run}: has ended here for good ({ended}); `afml run close` frees its plan")
        with looked_into(space, self.kit, ledger) as opened:
            return _standing(opened, self, people, unfit)

    def approve(self, work: Path, ledger: Path | None) -> None:
        """A person at this site approves it: signed into the site's ledger, and its head kept in the kit.

        Raises:
            PolicyError: The policy does not allow it; names the first reason.
            BudgetError: The run is closed here, or what it would spend does not fit.
            ConfigError, IntegrityError, InputError: As `standing`; also where the data lack what the run declares.
        """
        for refusal in self.policy.refusals(self.config, self.kit.roster, self.kit.node):
            raise refusal
        space = Workspace(work)
        _require_fit(space, self.config, self.kit.node)
        people = _enrolled(space, self.config)
        with open_ledger(space, self.kit, ledger) as opened:
            opened.plans.consider(wanted(self.config, terms_of(self.policy, self.config, self.kit)), people)
            enter_policy(opened, self.policy)
            opened.plans.approve(self.config.run, self.config.digest().hex())
            keep_in_kit(self.kit, opened)


@dataclass(frozen=True)
class Standing:
    """What a run would mean for the enrolled people of a site; of the one who has spent most, in sigma.

    Attributes:
        enrolled: People.
        spent: Sigma.
        committed: The same with what runs under way have reserved.
        limit: What the policy allows over all runs.
        after: Spent after this run; of one that is over, `committed`.
        left: After this run.
        approval: Whether a person has to approve it, and has.
        problems: What stands in its way; nothing where it is over.
        over: How it ended here; None where it may go on or begin.
    """

    enrolled: int
    spent: float
    committed: float
    limit: float
    after: float
    left: float
    approval: Literal["not asked", "missing", "given"]
    problems: tuple[str, ...]
    over: Over | None = None

    def lines(self) -> Iterator[str]:
        """In plain words."""
        limit = at_least(self.limit)
        yield (
            f"{self.enrolled} people of this site are enrolled. The one who has spent most has spent "
            f"{at_most(self.spent)} of {limit} sigma; {at_most(self.committed)} with what was set aside for runs and "
            "still counts"
        )
        if self.over is not None:
            yield f"{at_least(self.left)} of {limit} sigma left for further runs, since sigmas add as squares"
            return
        yield (
            f"with this run: {at_most(self.after)} of {limit} sigma, {at_least(self.left)} left, since sigmas add "
            "as squares"
        )
        if self.approval != "not asked":
            yield "approved" if self.approval == "given" else "not approved yet: `afml run approve` does it"
        for problem in self.problems:
            yield f"refused: {problem}"
        if not self.problems:
            yield "nothing stands in its way at this site"

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "enrolled": self.enrolled,
            "spent_ple_sigma": self.spent,
            "committed_ple_sigma": self.committed,
            "after_ple_sigma": self.after,
            "limit_ple_sigma": self.limit,
            "left_ple_sigma": self.left,
            "approval": self.approval,
            "refusals": list(self.problems),
            "over": None if self.over is None else self.over.to_json(),
        }


def cost(policy: Policy, config: RunConfig, kit: NodeKit) -> dict[str, Any]:
    """What a run is, and what it costs by itself, as this site counts: `consequences` for programs."""
    own, delta = policy.counts_own_noise(config, kit.roster, kit.node), policy.lifetime.delta
    spent = ple(planned_events(config, own_noise=own), delta)
    return {
        "run": config.run,
        "consortium": config.consortium,
        "configuration": config.digest().hex(),
        "task": config.task.kind,
        "people": config.people,
        "rounds": config.rounds,
        "reserve_attempts": config.reserve_attempts,
        "institutions": len(config.enrolled),
        "quorum": config.quorum,
        "max_colluding": config.max_colluding,
        "noise": config.noise,
        "exact_noise": config.exact_noise,
        "verified_sums": config.verified_sums,
        "key_agreement": config.key_agreement,
        "start": config.start or None,
        "insecure": config.seed is not None,
        "own_noise": own,
        "ple_sigma": spent.sigma,
        "epsilon": spent.epsilon,
        "delta": delta,
    }


def consequences(policy: Policy, config: RunConfig, kit: NodeKit) -> Iterator[str]:
    """What a run is, and what it costs by itself, as this site counts."""
    own = policy.counts_own_noise(config, kit.roster, kit.node)
    plan, delta = planned_events(config, own_noise=own), policy.lifetime.delta
    yield from _described(policy, config)
    cost = ple(plan, delta)
    yield (
        f"by itself it would spend at most {at_most(cost.sigma)} sigma (epsilon {at_most(cost.epsilon)}) at delta "
        f"{delta:g} of each person, {config.reserve_attempts} lost attempts a phase included"
    )
    if own:
        yield f"that counts this site's own noise alone: it {policy.short_of_trust(config, kit.roster, kit.node)}"
    if line := small_sums(config, own_noise=own):
        yield line
    if config.seed is not None:
        yield "insecure: simulation. Its noise follows from a public seed: these numbers say nothing"


def _described(policy: Policy, config: RunConfig) -> Iterator[str]:
    """What a run is."""
    yield (
        f"run {config.run} of consortium {config.consortium}: task {config.task.kind}, {config.rounds} private rounds, "
        f"{len(config.enrolled)} institutions, at least {config.quorum} in a sum, {config.noise} noise"
        f"{' that is proven' if config.exact_noise else ''}, keys by {config.key_agreement}"
        + (", on the people kept out of training" if config.people == "holdout" else "")
    )
    if config.task.kind == NAME:
        risk = masking_settings(config).risk
        yield f"a release by its model may tell: {purpose(risk)}; it shows everybody here, who is held out too"
    if columns := read_by(config):
        yield f"of each person it reads, beside genotypes: {', '.join(columns)}"
    if config.verified_sums:
        yield "nodes verify every sum before they apply it"
    if config.start:
        yield f"it begins at the saved model {config.start[:12]}"
    if config.task.code in policy.run.trusted_code:
        yield "code of the task runs within this site's node, as its policy trusts it (run.trusted_code)"


def _enrolled(space: Workspace, config: RunConfig) -> Sequence[str]:
    """Ids of those whom the run trains on."""
    prepared = space.prepared(config.people)
    return prepared.people.rows(prepared.enrolled).samples


def _require_fit(space: Workspace, config: RunConfig, node: int) -> None:
    """Refuse a folder that is not the one the run was configured from, or lacks a column that the run reads.

    Raises:
        ConfigError, InputError: It is not, or does.
    """
    declared_card(space, config, node, f"run {config.run}")
    if read_by(config):
        require_read(config, space.prepared(config.people))


def _standing(ledger: Ledger, signed: Signed, people: Sequence[str], unfit: Sequence[str]) -> Standing:
    policy, config, kit = signed.policy, signed.config, signed.kit
    lifetime = policy.lifetime.budget
    ended = over(ledger, config.run, config.digest().hex(), lifetime.delta)
    reservation = wanted(config, terms_of(policy, config, kit))
    found = ledger.accounts(people)
    spent, committed = worst(found, lifetime), worst_committed(found, lifetime)
    after = max(
        (
            balance(lifetime, reserved(reservation.plan, one.run(config.run)), one.charged_elsewhere(config.run))
            for one in found
        ),
        key=lambda b: b.spent,
    )
    problems = [*(str(one) for one in policy.refusals(config, kit.roster, kit.node)), *unfit]
    try:
        ledger.plans.consider(reservation, people)
    except (BudgetError, IntegrityError) as refused:
        problems.append(str(refused))
    if ended is not None:  # nothing that is to come can be refused
        after, problems = committed, []
    given = policy.run.approval and ledger.plans.approved(config.run, config.digest().hex())
    return Standing(
        len(people), spent.spent, committed.spent, after.limit, after.spent, after.left,
        "not asked" if not policy.run.approval else "given" if given else "missing", tuple(problems), ended,
    )  # fmt: skip
