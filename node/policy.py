"""A site's own policy: what its people may spend and on what, whoever else signs what. It is the last word.

`policy.toml` lies in the node's kit. It is read anew before a run is entered and before every spend; a node without
one refuses to take part. What is in force is an entry of the ledger, and so is every change (`node.loosening`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from afml.consortium.history import Demand
from afml.consortium.nodekit import NodeKit
from afml.consortium.roster import Roster
from afml.consortium.run import Budget, RunConfig
from afml.core.config import FiniteSettings
from afml.core.errors import InputError, PolicyError
from afml.ledger.reservation import Limits
from afml.privacy.noise import honest_nodes
from afml.privacy.ple import mu_from
from crypto.public.suites import CLASSICAL, HYBRID, KeyAgreement
from node.quorum import larger

FILE = "policy.toml"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ANY = "any"


class Lifetime(FiniteSettings):
    """What one of the institution's people may spend, over all runs and all consortia."""

    ple_sigma: float = Field(default=0.9, gt=0)
    delta: float = Field(default=1e-5, gt=0, lt=1, description="at which this site accounts")

    @property
    def budget(self) -> Budget:
        """As a budget."""
        return Budget(delta=self.delta, ple_sigma=self.ple_sigma)


class RunRules(FiniteSettings):
    """What a run must be like."""

    ple_sigma: float = Field(default=0.9, gt=0, description="largest budget that a run may name")
    delta: float = Field(default=1e-5, gt=0, lt=1, description="largest delta that a run may name")
    rounds: int = Field(default=500, ge=1, description="most private rounds")
    tasks: tuple[str, ...] = ("masking",)
    trusted_code: tuple[Digest, ...] = Field(default=(), description="of packages whose tasks run within the node")
    noise: tuple[Literal["distributed", "local"], ...] = ("distributed", "local")
    exact_noise: bool = Field(default=False, description="noise must be proven to be what is accounted")
    key_agreement: tuple[KeyAgreement, ...] = (HYBRID, CLASSICAL)
    quorum: int = Field(default=3, ge=1, description="fewest institutions in a sum")
    site_panels: tuple[str, ...] = Field(default=(ANY,), description="fingerprints of what the data agree on")
    approval: bool = Field(default=False, description="a person must approve each run")
    reservation_days: float = Field(default=30.0, gt=0)
    simulation: bool = Field(default=False, description="seeded runs, which protect nobody")
    verified_sums: bool = Field(default=False, description="every sum must be verified before it is applied")


class Trust(FiniteSettings):
    """Who is trusted to add the noise it should, and not to tell others what it added."""

    signing_keys: tuple[str, ...] = ()
    short_of_trust: Literal["charge", "refuse"] = "charge"


class ReleaseRules(FiniteSettings):
    """What a released file must be like."""

    allowed: bool = True
    min_group_size: int = Field(default=20, ge=1)
    target_rr: float = Field(default=1.0, gt=0, le=1, description="records that attacks may name in what is published")
    target_utility: float = Field(default=0.0, ge=0, description="least utility ratio of what is published")


class OverlapRules(FiniteSettings):
    """Whether others may look for people whom they have enrolled too."""

    allowed: bool = False
    people: int = Field(default=100_000, ge=0, description="most people that others may ask about, over all runs")


class RosterRules(FiniteSettings):
    """Which new versions of the roster this site takes."""

    countersigned: Demand = "majority"


class Policy(FiniteSettings):
    """The whole policy of a site."""

    lifetime: Lifetime = Lifetime()
    run: RunRules = RunRules()
    trust: Trust = Trust()
    release: ReleaseRules = ReleaseRules()
    roster: RosterRules = RosterRules()
    overlap: OverlapRules = OverlapRules()

    def require_overlap(self) -> None:
        """Refuse a query for shared people that this site does not allow.

        Raises:
            PolicyError: Likewise.
        """
        if not self.overlap.allowed:
            raise PolicyError(
                "this site's policy does not allow to look for people enrolled elsewhere too",
                where="overlap.allowed",
                cure=f"allow it in {FILE}, if this site wants it (docs/design/overlap.md)",
            )

    def require_release(self, min_group_size: int) -> None:
        """Refuse a release that this site does not allow.

        Args:
            min_group_size: k of the release.

        Raises:
            PolicyError: Releases are not allowed, or k is too small.
        """
        if not self.release.allowed:
            raise PolicyError("releases are not allowed by this site's policy", where="release.allowed")
        if min_group_size < self.release.min_group_size:
            least, cure = self.release.min_group_size, "release with a larger `afml mask --min-group-size`"
            problem = f"groups of {min_group_size} people, this site's policy demands {least} at least"
            raise PolicyError(problem, where="release.min_group_size", cure=cure)

    def refusals(self, run: RunConfig, roster: Roster, node: int) -> Iterator[PolicyError]:
        """Everything in a run that this policy does not allow, in plain words.

        Args:
            run: The run.
            roster: The consortium's members.
            node: Which of them this site is.
        """
        rules, named = self.run, _named(run.budget)
        if node not in run.enrolled:
            problem = f"does not enrol node {node}, which this site is"
            yield _refusal(run, problem, "have it made from this site's card too (`afml configure`)")
        if named > rules.ple_sigma:
            problem = f"names a budget of {named:.4g} sigma, this site's policy allows {rules.ple_sigma:.4g} at most"
            yield _refusal(run, problem, "have it made with a smaller `afml configure --budget`", "run.ple_sigma")
        if run.budget.delta > rules.delta:
            problem = f"names a delta of {run.budget.delta:g}, this site's policy allows {rules.delta:g} at most"
            yield _refusal(run, problem, "have it made with a smaller `afml configure --delta`", "run.delta")
        if run.rounds > rules.rounds:
            problem = f"has {run.rounds} rounds, this site's policy allows {rules.rounds} at most"
            yield _refusal(run, problem, "have it made with fewer `afml configure --rounds`", "run.rounds")
        if ANY not in rules.tasks and run.task.kind not in rules.tasks:
            problem = f"trains the task {run.task.kind}, this site's policy allows {_and(rules.tasks)}"
            yield _refusal(run, problem, "add it there, if this site wants it", "run.tasks")
        if run.noise not in rules.noise:
            problem = f"has {run.noise} noise, this site's policy allows {_and(rules.noise)}"
            yield _refusal(run, problem, "have it made with another `afml configure --noise`", "run.noise")
        if rules.exact_noise and not run.exact_noise:
            problem = "draws noise as float64 has it, this site's policy demands noise that is proven"
            yield _refusal(run, problem, "have it made with `afml configure --exact-noise`", "run.exact_noise")
        if run.key_agreement not in rules.key_agreement:
            problem = f"agrees on keys by {run.key_agreement}, this site's policy allows {_and(rules.key_agreement)}"
            yield _refusal(run, problem, "another `afml configure --key-agreement` would do", "run.key_agreement")
        if run.quorum < rules.quorum:
            problem = f"goes ahead with {run.quorum} institutions, this site's policy demands {rules.quorum} at least"
            yield _refusal(run, problem, larger(run, rules.quorum, FILE), "run.quorum")
        if ANY not in rules.site_panels and run.data.fingerprint not in rules.site_panels:
            problem = f"is about the data {run.data.fingerprint[:12]}, which this site's policy does not list"
            yield _refusal(run, problem, "add the fingerprint there, if this site wants it", "run.site_panels")
        if run.seed is not None and not rules.simulation:
            problem = "is a simulation: its noise follows from a public seed and protects nobody"
            yield _refusal(run, problem, "have it made without `afml configure --seed`", "run.simulation")
        if rules.verified_sums and not run.verified_sums:
            problem = "believes the aggregator's sums, this site's policy demands that nodes verify them"
            yield _refusal(run, problem, "have it made with `afml configure --verified-sums`", "run.verified_sums")
        if self.trust.short_of_trust == "refuse" and self.counts_own_noise(run, roster, node):
            problem = self.short_of_trust(run, roster, node)
            yield _refusal(run, problem, "have it made with `afml configure --noise local`", "trust.short_of_trust")

    def trusted_at_least(self, run: RunConfig, roster: Roster, node: int) -> int:
        """Trusted institutions, this one included, in any cohort that may go ahead.

        Whoever made the roster could list one institution's key twice, and this site's own key for another node: a key
        counts once.
        """
        trusted, keys = {node}, {key.lower() for key in self.trust.signing_keys} - {roster.member(node).signing_key}
        for member in roster.members:
            if member.node in run.enrolled and member.signing_key in keys:
                trusted.add(member.node)
                keys.discard(member.signing_key)
        return run.quorum - (len(run.enrolled) - len(trusted))

    def counts_own_noise(self, run: RunConfig, roster: Roster, node: int) -> bool:
        """Whether too few of the noise shares that a run counts on come from institutions that this site trusts."""
        return run.noise == "distributed" and self.trusted_at_least(run, roster, node) < honest_nodes(run)

    def short_of_trust(self, run: RunConfig, roster: Roster, node: int) -> str:
        """Why `counts_own_noise`, in words."""
        least = max(0, self.trusted_at_least(run, roster, node))
        return (
            f"counts on the noise of {honest_nodes(run)} institutions, and of those that this site trusts "
            f"a cohort of {run.quorum} may hold no more than {least}"
        )


@dataclass(frozen=True)
class Terms:
    """On what a site takes part in one run.

    Attributes:
        limits: The run's budget and the site's.
        own_noise: It charges its people what would hold if aggregation were broken.
        approval: A person must have approved the run.
        days: How long its reservation lasts.
        policy: In force.
    """

    limits: Limits
    own_noise: bool
    approval: bool
    days: float
    policy: Policy


@dataclass(frozen=True)
class Site:
    """A site with its policy file, which is read anew whenever it is asked.

    Attributes:
        kit: Its start kit.
        folder: Of the kit.
        simulation: The operator has said that seeded runs are meant.
    """

    kit: NodeKit
    folder: Path
    simulation: bool = False

    def policy(self) -> Policy:
        """The policy as it stands.

        Raises:
            InputError: There is none, or something in it is wrong.
        """
        return load(self.folder)

    def terms(self, run: RunConfig) -> Terms:
        """On what this site takes part in `run`.

        Raises:
            InputError: As `policy`.
            PolicyError: It does not; names the first reason.
        """
        policy = self.policy()
        for refusal in policy.refusals(run, self.kit.roster, self.kit.node):
            raise refusal
        if run.seed is not None and not self.simulation:
            problem = "is a simulation: its noise follows from a public seed and protects nobody"
            raise _refusal(run, problem, "say that it is meant with `afml node --simulation`")
        return terms_of(policy, run, self.kit)


def terms_of(policy: Policy, run: RunConfig, kit: NodeKit) -> Terms:
    """The terms of a policy for a run, whether or not it allows it."""
    return Terms(
        limits=Limits(run.budget, policy.lifetime.budget),
        own_noise=policy.counts_own_noise(run, kit.roster, kit.node),
        approval=policy.run.approval,
        days=policy.run.reservation_days,
        policy=policy,
    )


def load(kit: Path) -> Policy:
    """The policy in a kit.

    Raises:
        InputError: There is none, or something in it is wrong.
    """
    if not (kit / FILE).is_file():
        problem, cure = "this site has no policy, so nothing is allowed", "write one with `afml policy init`"
        raise InputError(problem, where=kit / FILE, cure=cure)
    return Policy.load(kit / FILE)


def _named(budget: Budget) -> float:
    """A run's budget in sigma; of one in epsilon, the mu whose curve passes through it."""
    if budget.ple_sigma is not None:
        return budget.ple_sigma
    return float(mu_from(budget.epsilon or 0.0, budget.delta))


def _and(words: Sequence[str]) -> str:
    return " and ".join(words) or "none"


def _refusal(run: RunConfig, problem: str, cure: str, setting: str = "") -> PolicyError:
    named = f"{problem} ({setting} of {FILE})" if setting else problem
    return PolicyError(named, where=f"run {run.run}", cure=cure)
