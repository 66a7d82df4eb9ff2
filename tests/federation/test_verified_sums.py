"""Where sums are verified no bent one is applied: the same offset for all, one for each, an update left out.

The nodes are the product's own; the ciphertexts are real.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Reason
from afml.consortium.refusal import Refusal
from afml.consortium.scheme import further_coordinates
from afml.core.errors import IntegrityError, ProtocolError, SumNotVerified
from afml.privacy.noise import with_fewest_bits
from crypto.public.payload import read_total
from node.journal import REFUSED
from node.loosening import looser
from node.policy import RunRules
from tests.federation.bending import (
    LEASES,
    NODES,
    PARAMETERS,
    ROSTER,
    ROUNDS,
    History,
    Node,
    Spent,
    Sum,
    bent_run,
    params,
)
from tests.federation.test_policy import refusals, run, trusting

TRIALS = 1000


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("verified"), verified=True)


@pytest.fixture(scope="module")
def believed(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("believed"))


def drawn(draw: random.Random) -> Callable[[Sum], Sum]:
    """An offset that takes no key: a constant polynomial moves every real word, any other one moves every word."""
    steps = draw.choice((-1, 1)) * draw.choice((1, 2, 3, 50, 1 << draw.randrange(10)))
    if draw.random() < 0.5:
        return lambda one: one.moved(steps)
    place, prime, scale = draw.randrange(params().poly_modulus // 2), params().prime, int(params().scale)

    def one_slot(one: Sum) -> Sum:
        return one.with_body(lambda body: body + _slot(place, steps * scale % prime))

    return one_slot


def _slot(place: int, value: int) -> np.ndarray:
    """In number-theoretic form: one value and nothing else. Decrypted it is no whole number of steps."""
    body = np.zeros(params().poly_modulus, np.uint64)
    body[place] = value
    return body


def given_out(history: History, round_number: int, given: dict[int, Sum]) -> list[tuple[Node, IntegrityError | None]]:
    """Every node after an attempt of all of them whose sum was this one for each; what each says of it."""
    told: list[tuple[Node, IntegrityError | None]] = []
    for number in NODES:
        node = history.node(number, round_number, [history.whole[round_number]])
        try:
            node.applies(given[number])
        except IntegrityError as error:
            told.append((node, error))
        else:
            told.append((node, None))
    return told


def require_refused(history: History, round_number: int, node: Node, error: IntegrityError | None) -> None:
    """Nothing is applied, nothing more is spent, one line says why, and the node's signed word of it is kept."""
    assert isinstance(error, SumNotVerified)
    assert str(error).startswith(f"sum of round {round_number}, attempt 1: is not the sum of what its nodes encrypted")
    assert "\n" not in str(error)
    assert node.party.applied == round_number - 1
    assert node.journal.where == history.before[round_number]
    assert node.party.ended
    assert node.client.left == [Reason.SUM_NOT_VERIFIED]
    (notice,) = node.client.refused
    refusal = Refusal.of(notice)
    assert Refusal.model_validate_json(node.journal.letters[REFUSED]) == refusal
    refusal.check(bent_run(verified=True), ROSTER)
    handed = node.client.sums[round_number].total
    assert (refusal.round, refusal.attempt, refusal.sum) == (round_number, 1, hashlib.sha256(handed).hexdigest())


@pytest.mark.parametrize("kind", ["common", "each", "one"])
def test_every_offset_is_found_before_it_is_applied(history: History, kind: str) -> None:
    found = 0
    for number in range(TRIALS // 2 if kind != "one" else 100):
        draw = random.Random(f"{kind} {number}")
        round_number = draw.randrange(1, ROUNDS)
        honest = history.whole[round_number]
        steps = [step for step in range(-20, 21) if step]
        offsets = {node: draw.choice(steps) for node in NODES}
        if kind == "common":
            offsets = dict.fromkeys(NODES, draw.choice(steps))
        victims = set(NODES) if kind != "one" else {draw.choice(NODES)}
        told = given_out(
            history, round_number,
            {node: honest.moved(offsets[node]) if node in victims else honest for node in NODES},
        )  # fmt: skip
        for node, error in told:
            if node.client.node in victims:
                require_refused(history, round_number, node, error)
            else:
                assert error is None
                assert node.party.applied == round_number
        found += 1
    assert found == (TRIALS // 2 if kind != "one" else 100)


def test_without_verification_the_same_offset_for_all_is_nowhere_seen(believed: History) -> None:
    """The control: what these checks are for."""
    told = given_out(believed, 1, dict.fromkeys(NODES, believed.whole[1].moved(3)))
    assert [error for _, error in told] == [None] * len(NODES)
    following = Attempt(2, 1)
    tokens = [node.join(following) for node, _ in told]
    assert all(isinstance(node.ends(following, tokens), Spent) for node, _ in told)


def test_offsets_of_any_form_are_refused(history: History) -> None:
    """Also those that are no whole number of steps, which the residual refuses first."""
    for number in range(100):
        draw = random.Random(f"any {number}")
        round_number, bend = draw.randrange(1, ROUNDS), drawn(draw)
        bent = bend(history.whole[round_number])
        for node, error in given_out(history, round_number, dict.fromkeys(NODES, bent)):
            assert isinstance(error, IntegrityError)
            assert node.party.applied == round_number - 1


def test_an_upload_that_is_left_out_and_claimed_in_is_refused(history: History) -> None:
    for round_number in range(1, ROUNDS):
        honest = history.whole[round_number]
        for left_out in NODES:
            (upload,) = [
                payload for binding, payload in history.sent[left_out].items() if binding.attempt == honest.attempt
            ]
            for node, error in given_out(history, round_number, dict.fromkeys(NODES, honest.without(upload))):
                assert isinstance(error, IntegrityError)
                assert node.party.applied == round_number - 1


def test_who_was_away_is_handed_no_other_sum_either(history: History) -> None:
    """It has nothing of its own to look for in a sum, and holds the run's key."""
    for round_number in range(1, ROUNDS):
        for away in NODES:
            honest = history.without[round_number, away]
            good, bad = (history.node(away, round_number) for _ in range(2))
            good.applies(honest)
            assert good.party.applied == round_number
            others = [history.whole[round_number], *(history.without[one] for one in history.without if one[1] != away)]
            for other in [honest.moved(1), *(one.instead_of(honest) for one in others)]:
                fresh = history.node(away, round_number)
                if len(read_total(params(), other.total).seeds) != len(honest.cohort):
                    with pytest.raises(ProtocolError, match="sums 4 updates, not 3"):
                        fresh.applies(other)
                else:
                    with pytest.raises(SumNotVerified):
                        fresh.applies(other)
                assert fresh.party.applied == round_number - 1
            with pytest.raises(SumNotVerified):
                bad.applies(honest.moved(-2))


def test_nobody_is_held_up_where_all_is_well(history: History) -> None:
    for round_number in range(1, ROUNDS):
        honest = history.whole[round_number]
        nodes = [history.node(number, round_number, [honest]) for number in NODES]
        for node in nodes:
            node.applies(honest)
        following = Attempt(round_number + 1, 1)
        tokens = [node.join(following) for node in nodes]
        assert all(isinstance(node.ends(following, tokens), Spent) for node in nodes)
        assert all(node.client.left == [] for node in nodes)


def test_a_member_whose_check_value_is_not_its_updates_ends_the_round(history: History) -> None:
    """It cannot do more than that, and nobody can say who it was."""
    binding = history.node(1, 1).party.bind(Attempt(1, 1), LEASES)
    fields = [np.full(PARAMETERS, number) for number in NODES]
    peers = [history.node(number, 1).party for number in NODES]
    attached = [party.check.attach(one, binding) for party, one in zip(peers, fields, strict=True)]
    assert peers[0].check.verified(np.sum(attached, axis=0), binding).tolist() == [10] * PARAMETERS
    attached[3][PARAMETERS + 2] ^= 1
    for party in peers:
        with pytest.raises(SumNotVerified):
            party.check.verified(np.sum(attached, axis=0), binding)


@pytest.mark.parametrize("nodes", [2, 3, 64, 1000, 1024])
@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_bits_that_are_found_have_room_for_check_values(nodes: int, noise: str) -> None:
    """However little noise a run has, and however few people: half the range is 36 sqrt(K) steps."""
    least = run(nodes=nodes, enrolled=dict.fromkeys(range(1, nodes + 1), 1), quorum=max(2, nodes // 2), sigma=50.0,
                max_colluding=0, noise=noise, verified_sums=True)  # fmt: skip
    found = with_fewest_bits(least)
    assert 2 ** (found.bits - 1) >= 36 * nodes**0.5
    assert further_coordinates(found) in range(1, 90)


def test_a_policy_can_demand_that_sums_are_verified() -> None:
    demanding = trusting(2, 3, 4, 5, run=RunRules(verified_sums=True))
    (line,) = refusals(demanding, run())
    assert "believes the aggregator's sums, this site's policy demands that nodes verify them" in line
    assert "`afml configure --verified-sums`" in line
    assert refusals(demanding, run(verified_sums=True)) == []
    assert refusals(trusting(2, 3, 4, 5), run(verified_sums=True)) == []
    before, now = (one.model_dump(mode="json") for one in (demanding, trusting(2, 3, 4, 5)))
    assert looser(before, now) == ["run.verified_sums: True -> False"]
    assert looser(now, before) == []
