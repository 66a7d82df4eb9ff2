"""A site's own policy is the last word: what is refused whoever signed it, whom it trusts, what got looser."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.roster import Member, Roster
from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import BudgetError, InputError, PolicyError
from afml.ledger.reservation import Limits
from afml.ledger.store import Ledger
from crypto.public.suites import CLASSICAL, HYBRID
from node.guard import Guard
from node.loosening import looser
from node.policy import FILE, Lifetime, Policy, ReleaseRules, RunRules, Site, Terms, Trust, load
from node.policyfile import init, text, trial_policy
from tests.ledger.helpers import Clock, open_ledger
from tests.masking_runs import masking_run

PEOPLE = [f"p{i}" for i in range(12)]
KEYS = {node: f"{node:02d}" * 32 for node in range(1, 8)}


def roster(keys: Sequence[str]) -> Roster:
    members = [Member(node=n, name=f"site {n}", signing_key=key, sealing_key="00") for n, key in enumerate(keys, 1)]
    return Roster(consortium="test", coordinator_key="00", aggregator_key="00", members=tuple(members))


FIVE = roster([KEYS[n] for n in (1, 2, 3, 4, 5)])


def run(name: str = "run", *, sigma: float = 0.5, nodes: int = 5, **changes: Any) -> RunConfig:
    """Four full batches, reserve included, that come to `sigma`."""
    phase = Phase(name="one", rounds=3, sample_rate=1.0, clip_norm=1.0, noise_multiplier=2 / sigma, learning_rate=1.0)
    fields: dict[str, Any] = {
        "run": name, "consortium": "test", "sites": 9, "enrolled": dict.fromkeys(range(1, nodes + 1), 12),
        "quorum": 5, "max_colluding": 1, "phases": (phase,), "budget": Budget(delta=1e-5, ple_sigma=0.9),
    }  # fmt: skip
    return masking_run(**{**fields, "key_agreement": HYBRID, **changes})


def trusting(*nodes: int, **changes: Any) -> Policy:
    keys = tuple(KEYS[node] for node in nodes)
    return Policy(trust=Trust(signing_keys=keys, **changes.pop("trust", {})), **changes)


def refusals(policy: Policy, config: RunConfig, members: Roster = FIVE) -> list[str]:
    return [str(one) for one in policy.refusals(config, members, 1)]


def test_a_larger_budget_than_the_sites_is_refused_in_one_line_that_names_both() -> None:
    (line,) = refusals(trusting(2, 3, 4, 5), run(budget=Budget(delta=1e-5, ple_sigma=60.0)))
    assert "\n" not in line
    assert "run run: names a budget of 60 sigma, this site's policy allows 0.9 at most" in line


@pytest.mark.filterwarnings("error")
def test_the_largest_epsilon_is_a_budget_like_any_other() -> None:
    (line,) = refusals(trusting(2, 3, 4, 5), run(budget=Budget(delta=1e-5, epsilon=1e308)))
    assert "names a budget of 1.414e+154 sigma" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": Budget(delta=1e-3, ple_sigma=0.9)}, "names a delta of 0.001"),
        ({"budget": Budget(delta=1e-5, epsilon=9.0)}, "names a budget of 1.8"),
        ({"noise": "local"}, "has local noise"),
        ({"key_agreement": "x25519"}, "agrees on keys by x25519, this site's policy allows x25519-mlkem768"),
        ({"quorum": 3}, "goes ahead with 3 institutions"),
        ({"seed": 7}, "is a simulation"),
        ({"site_panel": "ff"}, "is about the data"),
        ({"phases": (run().phases[0].model_copy(update={"rounds": 9}),)}, "has 9 rounds"),
    ],
)  # fmt: skip
def test_everything_a_policy_can_forbid(changes: dict[str, Any], said: str) -> None:
    known = run().data.fingerprint
    rules = RunRules(rounds=4, noise=("distributed",), key_agreement=(HYBRID,), quorum=4, site_panels=(known,))
    strict = trusting(2, 3, 4, 5, run=rules)
    assert refusals(strict, run()) == []
    (line,) = refusals(strict, run(**changes))
    assert (said in line, "\n" in line) == (True, False)
    (line,) = refusals(trusting(2, 3, 4, 5, run=rules.model_copy(update={"tasks": ("other",)})), run())
    assert "trains the task masking" in line


# -- trust


def test_members_that_the_coordinator_made_up_do_not_count() -> None:
    config = run()  # quorum 5, one may collude: noise of four is counted on
    assert trusting(2, 3, 4).trusted_at_least(config, FIVE, 1) == 4
    assert not trusting(2, 3, 4).counts_own_noise(config, FIVE, 1)
    assert trusting(2, 3).counts_own_noise(config, FIVE, 1)
    assert Policy().counts_own_noise(config, FIVE, 1)
    assert not Policy().counts_own_noise(run(noise="local"), FIVE, 1)
    # Five of seven may form a cohort: all the untrusted may be in it.
    seven = roster([KEYS[n] for n in range(1, 8)])
    wide = run(nodes=7)
    assert trusting(2, 3, 4, 5, 6).trusted_at_least(wide, seven, 1) == 4
    assert trusting(2, 3, 4, 5).counts_own_noise(wide, seven, 1)


def test_a_key_counts_once_however_often_the_roster_lists_it() -> None:
    twice = roster([KEYS[1], KEYS[2], KEYS[2], KEYS[2], KEYS[2]])
    assert trusting(2).trusted_at_least(run(), twice, 1) == 2
    mine = roster([KEYS[1], KEYS[1], KEYS[1], KEYS[1], KEYS[2]])
    assert trusting(1, 2).trusted_at_least(run(), mine, 1) == 2


@given(st.sets(st.integers(1, 7)), st.integers(3, 7), st.integers(0, 3), st.permutations(range(1, 8)))
def test_trust_against_every_cohort(trusted: set[int], quorum: int, colluding: int, order: list[int]) -> None:
    """The slow reference: the worst cohort of quorum members or more, over all of them."""
    if quorum < colluding + 2:
        return
    config = run(nodes=7, quorum=quorum, max_colluding=colluding)
    seven = roster([KEYS[n] for n in range(1, 8)])
    honest = trusted | {1}
    worst = min(
        len(honest & set(cohort))
        for size in range(quorum, 8)
        for cohort in itertools.combinations(order, size)
        if 1 in cohort
    )
    policy = trusting(*sorted(trusted))
    assert max(1, policy.trusted_at_least(config, seven, 1)) == worst
    assert policy.counts_own_noise(config, seven, 1) == (policy.trusted_at_least(config, seven, 1) < quorum - colluding)


def test_too_little_trust_is_charged_or_refused(tmp_path: Path) -> None:
    config = run(sigma=0.5)
    with pytest.raises(PolicyError, match="counts on the noise of 4 institutions, and of those that this site trusts"):
        raise next(iter(trusting(2, trust={"short_of_trust": "refuse"}).refusals(config, FIVE, 1)))
    with open_ledger(tmp_path) as ledger:
        guard = Guard(ledger, config, PEOPLE, terms(trusting(2)))
        with pytest.raises(BudgetError, match=r"to 1 of 0\.9 sigma"):  # 0.5 sqrt(4): this node's own share alone
            guard.reserve()
        quiet = run("quiet", sigma=0.4)
        guard = Guard(ledger, quiet, PEOPLE, terms(trusting(2)))
        guard.reserve()
        guard.spend(Binding(quiet.run, quiet.digest(), Attempt(1, 1), (1, 2, 3, 4, 5)))
        body: Any = list(ledger.entries())[-1].body
        assert body["mechanism"]["noise_multiplier"] == pytest.approx(5.0 / 2)
        assert body["published_multiplier"] == 5.0


# -- the guard


def terms(policy: Policy) -> Any:
    kit = SimpleNamespace(roster=FIVE, node=1)

    def told(config: RunConfig) -> Terms:
        from node.policy import terms_of

        return terms_of(policy, config, kit)  # type: ignore[arg-type]

    return told


ALL = trusting(2, 3, 4, 5)


def test_the_policy_is_read_anew_before_every_spend(tmp_path: Path) -> None:
    site = Site(SimpleNamespace(roster=FIVE, node=1), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no policy, so nothing is allowed; write one with `afml policy init`"):
        site.terms(run())
    init(tmp_path, ALL, FIVE)
    with open_ledger(tmp_path / "ledger") as ledger:
        config = run(sigma=0.8)
        guard = Guard(ledger, config, PEOPLE, site.terms)
        guard.reserve()
        guard.check(1)
        guard.spend(Binding(config.run, config.digest(), Attempt(1, 1), (1, 2, 3, 4, 5)))
        (tmp_path / FILE).write_text(text(ALL.model_copy(update={"lifetime": Lifetime(ple_sigma=0.7)})))
        for refused in (
            lambda: guard.check(2),
            lambda: guard.spend(Binding(config.run, config.digest(), Attempt(2, 1), (1, 2, 3, 4, 5))),
            guard.reserve,
        ):
            with pytest.raises(BudgetError, match=r"to 0\.8 of 0\.7 sigma .* this site's lifetime budget"):
                refused()
        (tmp_path / FILE).write_text(text(trusting(2, lifetime=Lifetime(ple_sigma=5.0))))
        with pytest.raises(PolicyError, match="withdrawn its trust from institutions that the run counts on"):
            guard.check(2)
        (tmp_path / FILE).write_text("lifetime = 3\n")
        with pytest.raises(InputError, match=r"policy\.toml"):
            guard.check(2)
        told = [entry.body for entry in ledger.entries() if entry.kind == "policy"]
        assert [body["looser"] for body in told] == [[], [], ["lifetime.ple_sigma: 0.7 -> 5.0"]]


def test_a_person_approves_the_very_configuration(tmp_path: Path) -> None:
    policy = trusting(2, 3, 4, 5, run=RunRules(approval=True))
    with open_ledger(tmp_path) as ledger:
        guard = Guard(ledger, config := run(), PEOPLE, terms(policy))
        with pytest.raises(PolicyError, match="nobody at this site has approved it; read it with `afml run show`"):
            guard.reserve()
        ledger.plans.approve(config.run, config.digest().hex())
        guard.reserve()
        ledger.plans.approve("later", "00" * 32)
        with pytest.raises(PolicyError, match="nobody at this site"):
            Guard(ledger, run("later"), PEOPLE, terms(policy)).reserve()


def test_people_carry_their_spends_through_any_order_of_runs(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path, clock=clock) as ledger:
        for name, sigma, fits in (("a", 0.6, True), ("b", 0.6, True), ("c", 0.6, False), ("d", 0.5, True)):
            _whole_run(ledger, run(name, sigma=sigma), fits=fits)
        assert [name for name in "abcd" if ledger.plans.closed(name) == "finished"] == ["a", "b", "d"]


def _whole_run(ledger: Ledger, config: RunConfig, *, fits: bool) -> None:
    guard = Guard(ledger, config, PEOPLE, terms(ALL))
    if not fits:
        with pytest.raises(BudgetError, match="left"):
            guard.reserve()
        return
    guard.reserve()
    for number in range(1, config.rounds + 1):
        guard.spend(Binding(config.run, config.digest(), Attempt(number, 1), (1, 2, 3, 4, 5)))
    guard.close("finished")


def test_a_seeded_run_needs_the_operators_word_too(tmp_path: Path) -> None:
    init(tmp_path, trial_policy(FIVE), FIVE)
    site = Site(SimpleNamespace(roster=FIVE, node=1), tmp_path)  # type: ignore[arg-type]
    assert site.terms(run())
    with pytest.raises(PolicyError, match="say that it is meant with `afml node --simulation`"):
        site.terms(run(seed=3))
    assert isinstance(replace(site, simulation=True).terms(run(seed=3)).limits, Limits)


# -- releases, files


def test_releases_are_allowed_from_the_sites_own_k_on() -> None:
    Policy().require_release(20)
    with pytest.raises(PolicyError, match="groups of 19 people, this site's policy demands 20 at least"):
        Policy().require_release(19)
    with pytest.raises(PolicyError, match="releases are not allowed"):
        Policy(release=ReleaseRules(allowed=False)).require_release(1000)


policies = st.builds(
    Policy,
    lifetime=st.builds(Lifetime, ple_sigma=st.floats(0.01, 9), delta=st.floats(1e-9, 0.5)),
    run=st.builds(
        RunRules, ple_sigma=st.floats(0.01, 9), rounds=st.integers(1, 99), quorum=st.integers(1, 9),
        tasks=st.lists(st.sampled_from(["any", "masking", "other"]), unique=True).map(tuple), approval=st.booleans(),
        noise=st.lists(st.sampled_from(["distributed", "local"]), unique=True).map(tuple), exact_noise=st.booleans(),
        key_agreement=st.lists(st.sampled_from([HYBRID, CLASSICAL]), unique=True).map(tuple), simulation=st.booleans(),
    ),
    trust=st.builds(
        Trust, signing_keys=st.lists(st.sampled_from(sorted(KEYS.values())), unique=True).map(tuple),
        short_of_trust=st.sampled_from(["charge", "refuse"]),
    ),
    release=st.builds(ReleaseRules, allowed=st.booleans(), min_group_size=st.integers(1, 99)),
)  # fmt: skip


@given(policies, st.booleans())
def test_a_written_policy_reads_back_and_explains_every_line(policy: Policy, named: bool) -> None:
    written = text(policy, FIVE if named else None)
    assert Policy.model_validate(tomllib.loads(written)) == policy
    lines = written.splitlines()
    for before, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith(("#", " ")):
            assert before.startswith("# ")


@given(policies, policies)
def test_looser_is_one_sided(one: Policy, other: Policy) -> None:
    first, second = one.model_dump(mode="json"), other.model_dump(mode="json")
    there, back = ({line.split(":")[0] for line in looser(*pair)} for pair in ((first, second), (second, first)))
    assert looser(first, first) == looser(None, first) == []
    lists = {"run.tasks", "run.noise", "run.key_agreement", "run.site_panels", "trust.signing_keys"}
    assert there & back <= lists  # two lists may each hold what the other does not
    del first["run"]["trusted_code"]  # of a policy that is older than the rule, whose default it then meant
    trusting = Policy(run=RunRules(trusted_code=("ab" * 32,))).model_dump(mode="json")
    assert "run.trusted_code: 0 listed -> 1 listed" in looser(first, trusting)


def test_a_second_policy_does_not_replace_the_first(tmp_path: Path) -> None:
    init(tmp_path, Policy())
    with pytest.raises(InputError, match="a policy is there already"):
        init(tmp_path, trial_policy(FIVE))
    assert load(tmp_path) == Policy()
