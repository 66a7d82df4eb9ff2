"""What a verification can find, by name, and how it is reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from afml.core.errors import IntegrityError

CODES = {
    "truncated-file": "the database file is damaged or cut off",
    "edited-row": "an entry is not what was signed or handed out",
    "malformed-entry": "an entry lacks what one of its kind says, or has something that is no number in its place",
    "gap": "an entry is missing between others",
    "reordered": "entries stand in another order than they were written in",
    "deleted-tail": "the last entries, which the ledger's own head covers, are gone",
    "unsigned-tail": "the last entries are covered by no signed head",
    "rolled-back": "others hold a later head: an older copy was put back",
    "forked-head": "others hold a head of another history",
    "wrong-key": "a head is not signed by this node's key",
    "unvouched-succession": "a key was succeeded without the old key's word or a majority of the others'",
    "unproven-import": "entries of an earlier ledger were taken over without proof that they are all of it",
    "bad-countersignature": "a countersignature does not verify",
    "missing-countersignature": "not enough institutions have countersigned all that a run has them countersign",
    "duplicated-event": "one attempt is entered twice",
    "hidden-run": "the aggregator published a run of which this ledger knows nothing",
    "hidden-round": "the aggregator published a round that this ledger does not hold",
    "cut-transcript": "the transcript ends before the last round that was spent on and must have been published",
    "changed-noise-multiplier": "the accounted noise is not that of the published round",
    "changed-spend": "another part of a spend is not that of the published round",
    "replayed-receipt": "one spend was used for two rounds, or for another round",
    "quorum-broken": "a round was published below its quorum",
    "clock-set-back": "time runs backwards",
    "edited-enrolment": "the tables of people do not match the commitments in the entries",
    "edited-records": "the tables that recognise renamed people do not match the commitments in the entries",
    "edited-withdrawal": "other people are marked as withdrawn than have withdrawn by the entries",
    "edited-release": "the table of released people does not match the commitment in its entry",
    "wrong-joint-group": "a release made other joint groups than its entry says",
    "small-joint-group": "a release made a joint group that is smaller than was promised",
    "wrong-reassessment": "a reassessment tells something else of its release than the tables do",
    "wrong-publication": "a publication is of no release before it, or accepts what it says was met",
    "wrong-overlap": "a query for shared people was answered without inputs committed to first, or twice",
    "edited-peer": "what is remembered of another institution is not what that institution signed",
    "edited-meta": "the ledger's name or key is not the one that its entries and heads have",
    "withdrawn-person": "somebody was spent on or released after withdrawing",
    "accounting-disagrees": "a recorded spend is not what the second accountant finds",
    "mixed-simulation": "people of a simulation, which protects nobody, are in a real run",
    "audit-exceeds-accounting": "an attack established more than the accountant admits",
    "over-budget": "more was spent or set aside than the recorded budgets allow",
    "unreserved-spend": "something was spent of which no plan was set aside before",
    "beyond-plan": "more was spent in a run than its plan held",
    "spend-after-closing": "something was spent in a run that was closed, or whose time was up",
    "renamed-run": "one name stands for two run configurations",
    "policy-broken": "a plan was set aside under other rules than the policy in force",
    "unapproved-run": "the policy in force demanded that a person approve the run, and nobody did",
    "unnamed-loosening": "a policy allows more than the one before it, and its entry does not say so",
}


@dataclass(frozen=True)
class Finding:
    """One disagreement: a code from CODES, where it is, and what it is."""

    code: str
    where: str
    problem: str


@dataclass(frozen=True)
class Agreement:
    """A recorded spend beside the verifier's own; epsilon at delta, PLE in sigma."""

    run: str
    people: int
    delta: float
    epsilon: float
    epsilon_recomputed: float
    ple_sigma: float
    ple_sigma_recomputed: float


@dataclass
class Verification:
    """Outcome of a verification."""

    origin: str = ""
    entries: int = 0
    root: str = ""
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def has(self, *codes: str) -> bool:
        """Whether any of these codes was found."""
        return any(finding.code in codes for finding in self.findings)

    def add(self, code: str, where: object, problem: str) -> None:
        """Record a finding."""
        self.findings.append(Finding(code, str(where), problem))


def require_ok(result: Verification) -> None:
    """Turn findings into one error.

    Raises:
        IntegrityError: There are findings; names the first code and their number.
    """
    if result.findings:
        first = result.findings[0]
        more = f" and {len(result.findings) - 1} more" if len(result.findings) > 1 else ""
        raise IntegrityError(
            f"{first.code} at {first.where}: {first.problem}{more}",
            where=result.origin or "ledger",
            cure="keep the folder as it is and take it to the auditor",
        )
