"""`afml policy` and `afml run`: an officer writes what is allowed, reads a signed run, approves it, closes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from afml.cli.ledger import ledger as ledger_verb
from afml.cli.node import node
from afml.cli.policy import policy
from afml.consortium.run import Budget, RunConfig
from afml.core.errors import AfmlError, BudgetError, ConfigError, InputError, IntegrityError, PolicyError
from crypto.public.suites import CLASSICAL
from node.guard import open_ledger
from node.policy import Policy, RunRules, load
from node.signed import consequences
from node.take_part import Part, checked_holdings
from node.workspace import Workspace
from tests.cli.officer import call, desk, kit, loaded, on, shown, signed
from tests.masking_runs import masking_run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return desk(tmp_path)


def test_a_policy_is_written_explained_and_checked(place: Path) -> None:
    with pytest.raises(InputError, match="no policy, so nothing is allowed"):
        call(policy, "check", "--kit", kit(place))
    told = call(policy, "init", "--kit", kit(place), "--lifetime", 0.8, "--trust", 2, "--approval")
    assert "a person may spend 0.8 sigma at delta 1e-05 over all runs" in told
    written = (kit(place) / "policy.toml").read_text()
    roster = loaded(place).roster
    assert f'"{roster.member(2).signing_key}",  # node 2' in written
    assert f'# "{roster.member(3).signing_key}",  # node 3' in written
    assert load(kit(place)).run.ple_sigma == 0.8
    checked = call(policy, "check", "--kit", kit(place))
    assert "trusted on this roster: node 2\n" in checked
    name = roster.member(3).name
    assert f"not trusted, so that this site does not count on its noise: node 3 ({name})\n" in checked
    with pytest.raises(InputError, match="a policy is there already"):
        call(policy, "init", "--kit", kit(place))
    (kit(place) / "policy.toml").write_text(written.replace("quorum = 3", "quorum = three"))
    with pytest.raises(InputError, match=r"policy\.toml"):
        call(policy, "check", "--kit", kit(place))


def test_a_policy_that_allows_more_than_the_one_in_force_is_told_before_it_is(place: Path) -> None:
    check = ("check", "--kit", kit(place))
    at = ("--work", place / "work")
    call(policy, "init", "--kit", kit(place), "--lifetime", 0.9, "--trust-roster", "--approval")
    assert "not trusted" not in call(policy, *check)
    assert "not compared with the policy before it" in call(policy, *check)
    assert "the ledger holds no policy yet" in call(policy, *check, *at)
    assert not (place / "work" / "ledger").exists()
    on(place, "approve", signed(place))
    assert "the same as the ledger has in force" in call(policy, *check, *at)
    path = kit(place) / "policy.toml"
    written = path.read_text()
    path.write_text(
        written.replace("ple_sigma = 0.9", "ple_sigma = 2.0", 1).replace("approval = true", "approval = false")
    )
    told = "LOOSER than the policy that the ledger has in force, and will be entered as that: "
    changed = ["lifetime.ple_sigma: 0.9 -> 2.0", "run.approval: True -> False"]
    assert told + ", ".join(changed) in call(policy, *check, *at)
    assert json.loads(call(policy, *check, *at, "--json"))["looser"] == changed
    assert json.loads(call(policy, *check, "--json"))["looser"] is None
    path.write_text(written.replace("ple_sigma = 0.9", "ple_sigma = 0.5"))
    assert "in nothing looser" in call(policy, *check, *at)
    with pytest.raises(IntegrityError, match="holds no ledger"):
        call(policy, *check, *at, "--ledger", place / "boks")
    with pytest.raises(ConfigError, match="--ledger: goes with --work"):
        call(policy, *check, "--ledger", place / "work" / "ledger")


def test_a_policy_demands_verified_sums(place: Path) -> None:
    told = call(policy, "init", "--kit", kit(place), "--trust-roster", "--verified-sums")
    assert "with verified sums" in told
    assert load(kit(place)).run.verified_sums
    with pytest.raises(PolicyError, match=r"does not allow it, for 1 reason$"):
        call(policy, "check", "--kit", kit(place), "--run", signed(place))
    allowed = signed(place, "verified", verified_sums=True)
    shown = call(policy, "check", "--kit", kit(place), "--run", allowed)
    assert "nodes verify every sum before they apply it" in shown
    assert "run verified: allowed by this policy" in shown


def test_a_policy_demands_noise_that_is_proven(place: Path) -> None:
    told = call(policy, "init", "--kit", kit(place), "--trust-roster", "--exact-noise")
    assert "noise: distributed, local, exact, keys" in told
    assert load(kit(place)).run.exact_noise
    with pytest.raises(PolicyError, match=r"does not allow it, for 1 reason$"):
        call(policy, "check", "--kit", kit(place), "--run", signed(place))
    allowed = signed(place, "proven", exact_noise=True)
    shown = call(policy, "check", "--kit", kit(place), "--run", allowed)
    assert "distributed noise that is proven, keys by" in shown
    assert "run proven: allowed by this policy" in shown


def test_a_policy_says_what_a_file_must_reach_before_it_is_published(place: Path) -> None:
    told = call(policy, "init", "--kit", kit(place), "--target-rr", 0.01, "--target-utility", 0.8)
    assert "published at RR 1 % or less, published at utility ratio 0.8 or more" in told
    release = load(kit(place)).release
    assert (release.target_rr, release.target_utility) == (0.01, 0.8)


def test_what_no_policy_can_say(place: Path) -> None:
    with pytest.raises(InputError, match="node 9 is not on the roster"):
        call(policy, "init", "--kit", kit(place), "--trust", 9)
    with pytest.raises(ConfigError, match="policy"):
        call(policy, "init", "--kit", kit(place), "--lifetime", "inf")
    with pytest.raises(ConfigError, match="policy"):
        call(policy, "init", "--kit", kit(place), "--target-utility", "inf")
    assert not (kit(place) / "policy.toml").exists()


def test_a_run_is_read_before_anybody_approves_it(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster", "--approval")
    told = shown(place, signed(place))
    assert "task masking, 3 private rounds, 3 institutions, at least 3 in a sum, distributed noise" in told
    assert "a release by its model may tell: one declared phenotype" in told
    assert "by itself it would spend at most 0.500 sigma" in told
    assert "12 people of this site are enrolled. The one who has spent most has spent 0.000 of 0.900 sigma" in told
    assert "with this run: 0.500 of 0.900 sigma, 0.748 left, since sigmas add as squares" in told
    assert "not approved yet" in told
    assert "nothing stands in its way at this site" in told
    assert "is approved" in on(place, "approve", place / "run.json")
    assert "not approved" not in shown(place, place / "run.json")
    with open_ledger(Workspace(place / "work"), loaded(place)) as ledger:
        assert [entry.kind for entry in ledger.entries()] == ["policy", "approval"]


def test_a_run_above_the_policy_is_shown_with_every_reason_and_not_approved(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    file = signed(place, "wide", sigma=40.0, budget=60.0, seed=1)
    told = shown(place, file)
    assert "names a budget of 60 sigma, this site's policy allows 0.9 at most" in told
    assert "insecure: simulation" in told
    assert "to 40 of 0.9 sigma at delta 1e-05, this site's lifetime budget" in told
    with pytest.raises(PolicyError, match="names a budget of 60 sigma") as refused:
        on(place, "approve", file)
    assert "\n" not in str(refused.value)
    with pytest.raises(PolicyError, match="for 2 reasons"):
        call(policy, "check", "--kit", kit(place), "--run", file)
    call(policy, "check", "--kit", kit(place), "--run", signed(place))


def test_too_little_trust_is_told_with_what_it_costs(place: Path) -> None:
    call(policy, "init", "--kit", kit(place))
    told = shown(place, signed(place))
    assert "by itself it would spend at most 0.708 sigma" in told
    assert "it counts on the noise of 2 institutions, and of those that this site trusts" in told


def test_a_closed_run_stays_closed_and_a_ledger_may_lie_elsewhere(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    file, elsewhere = signed(place), ("--ledger", place / "books")
    call(ledger_verb, "begin", place / "books", "--kit", kit(place))
    assert "will be refused from now on" in on(place, "close", file, *elsewhere)
    with pytest.raises(BudgetError, match=r"the run is closed at this site \(by-hand\)"):
        on(place, "approve", file, *elsewhere)
    assert "before its first round: somebody here closed it" in shown(place, file, *elsewhere)
    with pytest.raises(IntegrityError, match=r"holds no ledger, and the kit .* knows of one; name .*--ledger"):
        shown(place, file)
    assert not (place / "work" / "ledger").exists()


@pytest.mark.parametrize("verb", ["show", "approve", "close"])
def test_a_mistyped_ledger_begins_none(place: Path, verb: str) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    with pytest.raises(InputError, match=r"holds no ledger; correct --ledger, or begin .* `afml ledger begin`"):
        on(place, verb, signed(place), "--ledger", place / "boks")
    with pytest.raises(InputError, match="holds no ledger"):
        take_part(place, place / "run.json", "--ledger", place / "boks")
    assert not (place / "boks").exists()
    assert not (place / "work" / "ledger").exists()


def test_a_coordinator_that_signs_for_x25519_alone_is_refused_by_a_site_that_has_not_allowed_it(place: Path) -> None:
    """A downgrade is a field of the signed run, so each site's own policy decides, before anything is spent."""
    assert "keys: x25519-mlkem768, quorum" in call(policy, "init", "--kit", kit(place), "--trust-roster")
    file, hybrid = signed(place, "classical", key_agreement=CLASSICAL), signed(place)
    assert "keys by x25519-mlkem768\n" in shown(place, hybrid)
    told = shown(place, file)
    assert "keys by x25519\n" in told
    assert "refused: run classical: agrees on keys by x25519, this site's policy allows x25519-mlkem768" in told
    for refused in (lambda: on(place, "approve", file), lambda: take_part(place, file)):
        with pytest.raises(PolicyError, match=r"agrees on keys by x25519, .* `afml configure --key-agreement`"):
            refused()
    (kit(place) / "policy.toml").unlink()
    call(policy, "init", "--kit", kit(place), "--trust-roster", "--x25519")
    assert "is approved" in on(place, "approve", file)


def test_who_only_looks_begins_no_ledger(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    assert "nothing stands in its way" in shown(place, signed(place))
    assert not (place / "work" / "ledger").exists()


def test_a_run_without_this_site_is_not_approved(place: Path) -> None:
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    file = signed(place, "others", enrolled={2: 12, 3: 12, 4: 12})
    assert "refused: run others: does not enrol node 1, which this site is" in shown(place, file)
    for refused in (lambda: on(place, "approve", file), lambda: take_part(place, file)):
        with pytest.raises(PolicyError, match="does not enrol node 1"):
            refused()
    with pytest.raises(PolicyError, match=r"for 1 reason$"):
        call(policy, "check", "--kit", kit(place), "--run", file)


def test_people_whom_a_seed_drew_are_in_no_real_run(place: Path) -> None:
    """`afml prepare --seed` leaves the mark; a simulation takes them."""
    call(policy, "init", "--kit", kit(place), "--trust-roster", "--simulation")
    Workspace(place / "work").seeded.touch()
    for refused in (lambda: shown(place, signed(place)), lambda: on(place, "approve", signed(place))):
        with pytest.raises(ConfigError, match="was prepared with --seed, which is for simulations"):
            refused()
    with pytest.raises(ConfigError, match="was prepared with --seed"):
        checked_holdings(Workspace(place / "work"), RunConfig.load(signed(place)), 1, parts(place))
    assert "insecure: simulation" in shown(place, signed(place, "seeded", seed=1))


def parts(place: Path) -> Part:
    return Part(kit(place), place / "work", place / "run.json", "127.0.0.1:9")


def take_part(place: Path, file: Path, *more: object) -> str:
    options = ("--kit", kit(place), "--work", place / "work", "--run", file, "--aggregator", "127.0.0.1:9", "--wait", 0)
    return call(node, *options, *more)


def test_a_node_takes_no_part_beyond_its_policy(place: Path) -> None:
    """Refused before its data are opened, before it looks for the aggregator, before anything is written down."""
    with pytest.raises(InputError, match="this site has no policy, so nothing is allowed"):
        take_part(place, signed(place))
    call(policy, "init", "--kit", kit(place), "--trust-roster")
    with pytest.raises(PolicyError, match="names a budget of 60 sigma"):
        take_part(place, signed(place, "wide", budget=60.0))
    with pytest.raises(PolicyError, match="is a simulation"):
        take_part(place, signed(place, "seeded", seed=1), "--simulation")
    (kit(place) / "policy.toml").unlink()
    call(policy, "init", "--kit", kit(place), "--trust-roster", "--simulation")
    with pytest.raises(PolicyError, match="say that it is meant with `afml node --simulation`"):
        take_part(place, signed(place, "seeded-too", seed=1))
    assert not (place / "work" / "ledger").exists()


def test_a_run_of_somebody_else_is_not_read(place: Path) -> None:
    call(policy, "init", "--kit", kit(place))
    file = signed(place)
    config = RunConfig.load(file).model_copy(update={"quorum": 2})
    file.write_text(config.model_dump_json())
    with pytest.raises(AfmlError, match=r"run\.json"):
        shown(place, file)


def test_where_a_run_begins_and_whose_code_runs_within_the_node_is_said(place: Path) -> None:
    config = masking_run(
        run="next", consortium="test", sites=9, enrolled={1: 12, 2: 12, 3: 12}, quorum=3,
        phases=RunConfig.load(signed(place)).phases, budget=Budget(delta=1e-5, ple_sigma=0.9),
    )  # fmt: skip
    task = config.task.model_copy(update={"code": "ab" * 32})
    config = config.model_copy(update={"start": "cd" * 32, "task": task})
    trusting = Policy(run=RunRules(trusted_code=("ab" * 32,)))
    told = "\n".join(consequences(trusting, config, loaded(place)))
    assert "it begins at the saved model cdcdcdcdcdcd" in told
    assert "code of the task runs within this site's node" in told
    assert "within this site's node" not in "\n".join(consequences(Policy(), config, loaded(place)))
    with pytest.raises(ValidationError, match="trusted_code"):
        RunRules(trusted_code=("",))
